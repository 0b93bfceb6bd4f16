"""Shows another thread that a call into the operating system hangs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class CallWatch:
    """Runs calls of one thread; any thread can see how long the present one has lasted."""

    def __init__(self) -> None:
        self.since: float | None = None
        """Monotonic start of the call in progress, None between calls."""

    def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        self.since = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            self.since = None
