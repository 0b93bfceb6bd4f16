"""How late an event loop is: a timer that measures its own delay."""

from __future__ import annotations

import asyncio
from typing import Final

_PERIOD_S: Final = 0.25


class LoopLag:
    """Measures while it is entered.

    Attributes:
        last_s: Delay of the last measurement.
        max_s: Worst since `take_max`.
        total_s: Sum of all delays; its rate is the share of time that the loop was late.
    """

    def __init__(self, *, period_s: float = _PERIOD_S) -> None:
        self._period_s = period_s
        self._timer: asyncio.TimerHandle | None = None
        self.last_s = 0.0
        self.max_s = 0.0
        self.total_s = 0.0

    def __enter__(self) -> LoopLag:
        self._arm()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take_max(self) -> float:
        """The worst delay since the last call, in seconds."""
        worst, self.max_s = max(self.max_s, self.last_s), 0.0
        return worst

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._period_s
        self._timer = loop.call_at(due, self._measure, due)

    def _measure(self, due: float) -> None:
        self.last_s = max(0.0, asyncio.get_running_loop().time() - due)
        self.max_s = max(self.max_s, self.last_s)
        self.total_s += self.last_s
        self._arm()
