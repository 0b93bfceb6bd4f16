"""How many questions of our own may leave now: few while devices pour in or the processor is busy, then more and more.

After a power cut a whole region registers within a minute, and each device is to be asked who it is, what channels it has and
for its subscriptions: several times the work of its registration. That minute belongs to those who are not registered yet.
What an operator asks for does not come by here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

#: Between two looks at the load, seconds.
_LOOK_S: Final = 0.25
#: New devices a second that make a rush.
_RUSH_PER_S: Final = 50.0
#: Questions a second in a rush: one device that comes beside a storm need not wait for its end.
_LEAST_PER_S: Final = 10.0
_FIRST_PER_S: Final = 100.0
_MOST_PER_S: Final = 1000.0
#: A rush that lasts longer is no storm any more but how things are.
_LONGEST_RUSH_S: Final = 180.0
#: Share of one core that this process may use for everything while it asks.
_SHARE: Final = 0.5
_SLOWER, _FASTER = 0.7, 1.1
_BURST_S: Final = 0.25


class Pace:
    """One for all who ask.

    Args:
        monotonic: Seconds that never jump.
        used: Seconds of processor time that this process has used.
    """

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        self._monotonic = monotonic
        self._used = used
        self._per_s = _FIRST_PER_S
        self._level = 1.0
        self._at = self._looked_at = monotonic()
        self._used_then = used()
        self._arrived = 0
        self._calm_at = self._at
        self._is_rush = False

    @property
    def per_s(self) -> float:
        """Questions that may leave in a second now."""
        return _LEAST_PER_S if self._is_rush else self._per_s

    def arrived(self) -> None:
        """A device has registered that was not there."""
        self._arrived += 1
        if self._arrived >= _RUSH_PER_S * _LOOK_S:
            self._look(self._monotonic())

    def may_ask(self) -> bool:
        """Whether one more question may leave now; it counts as asked."""
        now = self._monotonic()
        self._look(now)
        self._level = min(self._level + (now - self._at) * self.per_s, max(1.0, self.per_s * _BURST_S))
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def _look(self, now: float) -> None:
        passed = now - self._looked_at
        if passed < _LOOK_S:
            return
        used = self._used()
        is_busy = used - self._used_then > _SHARE * passed
        self._per_s = min(max(self._per_s * (_SLOWER if is_busy else _FASTER), _LEAST_PER_S), _MOST_PER_S)
        if self._arrived < _RUSH_PER_S * passed:
            self._calm_at = now
        elif not self._is_rush and now - self._calm_at < _LONGEST_RUSH_S:
            self._per_s = _FIRST_PER_S  # after it
        self._is_rush = 0 < now - self._calm_at < _LONGEST_RUSH_S
        self._looked_at, self._used_then, self._arrived = now, used, 0
