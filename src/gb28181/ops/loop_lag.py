"""How late an event loop is: a timer that measures its own delay."""

from __future__ import annotations

from typing import Final

from gb28181.ops.repeating import Repeating

_PERIOD_S: Final = 0.25


class LoopLag:
    """Measures while it is entered.

    Attributes:
        last_s: Delay of the last measurement.
        max_s: Worst since `take_max`.
        total_s: Sum of all delays; its rate is the share of time that the loop was late.
    """

    def __init__(self, *, period_s: float = _PERIOD_S) -> None:
        self._timer = Repeating(period_s, self._measured)
        self.last_s = 0.0
        self.max_s = 0.0
        self.total_s = 0.0

    def __enter__(self) -> LoopLag:
        self._timer.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.__exit__(*error)

    def take_max(self) -> float:
        """The worst delay since the last call, in seconds."""
        worst, self.max_s = max(self.max_s, self.last_s), 0.0
        return worst

    def _measured(self, late_s: float) -> None:
        self.last_s = late_s
        self.max_s = max(self.max_s, late_s)
        self.total_s += late_s
