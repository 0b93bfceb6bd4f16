"""A call that is made again and again while something runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Repeating:
    """Calls something every `every_s` seconds while it is entered; its loop must run.

    Args:
        call: Is told by how many seconds the loop was late for it.
    """

    def __init__(self, every_s: float, call: Callable[[float], None]) -> None:
        self._every_s = every_s
        self._call = call
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Repeating:
        self._arm()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._every_s
        self._timer = loop.call_at(due, self._step, due)

    def _step(self, due: float) -> None:
        late_s = max(0.0, asyncio.get_running_loop().time() - due)
        self._arm()
        self._call(late_s)
