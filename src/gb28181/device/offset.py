"""How far a device's clock is from ours (§9.10), from the times that it tells.

A DeviceStatus is measured like NTP: half the way there and back is taken off. A Date header or the time of an alarm says when
it was written; it counts as it is. The median of the last few counts, so that an alarm of yesterday changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from statistics import median
from typing import Final

from gb28181.manscdp.times import read_time

#: A clock that is further off is shown with a warning: recordings of two cameras are searched for by one time.
WARN_S: Final = 5.0
_REMEMBERED: Final = 5
#: Times without a fraction are cut off, not rounded: half a second is missing on average.
_CUT_S: Final = 0.5
_RFC3261: Final = "%a, %d %b %Y %H:%M:%S GMT"


class ClockOffset:
    """One device's clock against ours, in seconds; positive means that it is ahead."""

    __slots__ = ("_samples", "at")

    def __init__(self) -> None:
        self._samples: list[float] = []
        self.at: datetime | None = None

    def told(self, device_time: datetime, now: datetime, *, round_trip_s: float = 0.0) -> None:
        """Args:
        now: When it arrived, UTC.
        round_trip_s: Between our question and its answer; 0 where it spoke by itself.
        """
        cut = 0.0 if device_time.microsecond else _CUT_S
        self._samples.append((device_time - now).total_seconds() + round_trip_s / 2 + cut)
        del self._samples[:-_REMEMBERED]
        self.at = now

    @property
    def offset_s(self) -> float:
        return float(median(self._samples))


def header_time(value: str) -> datetime | None:
    """Moment of a Date header: RFC 3261's, or the standard's Beijing time without a zone; None for anything else."""
    text = value.strip()[:64]
    try:
        return read_time(text)
    except ValueError:
        pass
    try:
        return datetime.strptime(text, _RFC3261).replace(tzinfo=UTC)
    except ValueError:
        return None
