"""What people are told, in Chinese and English: sentences by id, and the rule which language somebody reads (decision 0022)."""
