"""The time by which recordings are judged to be old. A clock that is set forward by mistake must not delete them all.

A machine that starts with a flat battery, or asks a wrong time server, may believe itself weeks ahead. So a leap of the wall
clock counts for nothing until it has stood for a day: by then somebody has seen it, or it was right.
"""

from __future__ import annotations

from typing import Final

_US: Final = 1_000_000
HOLD_S: Final = 86_400.0
"""How long after a leap recordings are judged by the time without it."""
_LEAST_US: Final = 600 * _US
"""A shorter one is no leap: it makes no difference to what is kept for hours."""
_ASLEEP_US: Final = 86_400 * _US
"""A server that was off for no longer than this is not suspected of anything."""


class LeapWatch:
    """Compares wall time with monotonic time."""

    def __init__(self) -> None:
        self._before: tuple[int, float] | None = None
        self._held = 0
        self._until = 0.0

    @property
    def held_us(self) -> int:
        """How far the clock has leapt forward without being believed yet, microseconds."""
        return self._held

    def trusted_us(self, utc_us: int, now: float, *, newest_us: int = 0) -> int:
        """Wall time without a leap that is not believed yet.

        Args:
            utc_us: Wall time, microseconds.
            now: Monotonic seconds.
            newest_us: Wall time of the newest recording of before the start, 0 when there is none; counts at the first call.
        """
        if self._before is not None:
            leap = utc_us - self._before[0] - int((now - self._before[1]) * _US)
        else:
            leap = utc_us - newest_us if newest_us and utc_us - newest_us > _ASLEEP_US else 0
        self._before = utc_us, now
        if leap >= _LEAST_US:
            self._held += leap
            self._until = now + HOLD_S
        elif leap <= -_LEAST_US:
            self._held = max(0, self._held + leap)  # put right again
        if self._held < _LEAST_US or now >= self._until:
            self._held = 0
        return utc_us - self._held
