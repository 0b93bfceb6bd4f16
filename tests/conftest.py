"""What is drawn at random is the same in every run: a change fails by what it changed.

`scripts/test --hypothesis-profile explore` draws anew each time (`--hypothesis-seed N`: a failure again); so do the long runs.
"""

from __future__ import annotations

from hypothesis import settings

# No deadline: how long an example takes depends on what else the machine does.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None, database=None, print_blob=True)
settings.load_profile("repeatable")
