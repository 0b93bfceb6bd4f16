"""SQLite or PostgreSQL behind the stores of `ports.py`."""

from gb28181.database.database import Database, DatabaseState, sqlite_url

__all__ = ["Database", "DatabaseState", "sqlite_url"]
