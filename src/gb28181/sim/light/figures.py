"""What a crowd did, as counts that several processes can add up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

#: Upper bound of bucket n is `_LEAST_S * _RATIO ** n`: 0.1 ms to 60 s in steps of 5 %.
_LEAST_S: Final = 0.0001
_RATIO: Final = 1.05
_BUCKETS: Final = 280
_LOG: Final = math.log(_RATIO)


@dataclass(slots=True)
class Latencies:
    """Durations by buckets of 5 %."""

    counts: list[int] = field(default_factory=lambda: [0] * _BUCKETS)

    def add(self, seconds: float) -> None:
        bucket = math.ceil(math.log(seconds / _LEAST_S) / _LOG) if seconds > _LEAST_S else 0
        self.counts[min(bucket, _BUCKETS - 1)] += 1

    def ms(self, share: float) -> float | None:
        """Milliseconds that this share of all did not exceed, None when there are none."""
        total = sum(self.counts)
        if not total:
            return None
        rest = share * total
        for bucket, count in enumerate(self.counts):
            rest -= count
            if rest <= 0:
                return round(_LEAST_S * _RATIO**bucket * 1000, 1)
        return None


@dataclass(slots=True)
class Figures:
    """Counts since the crowd was switched on.

    Args:
        registered: Devices that are registered now.
        failed: Registrations that ended otherwise: refused, or not answered in 64 x T1.
        lost: Registrations given up: three keepalives in a row not answered, or one refused.
        statuses: Final responses other than 2xx, by status.
        unanswered: Requests that were never answered, by kind.
        asked: Requests of the server, by method.
    """

    devices: int = 0
    registered: int = 0
    registrations: int = 0
    failed: int = 0
    lost: int = 0
    retransmissions: int = 0
    keepalives_sent: int = 0
    keepalives_answered: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    unanswered: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    register: Latencies = field(default_factory=Latencies)
    keepalive: Latencies = field(default_factory=Latencies)
    cpu_s: float = 0.0
    resident_mib: float = 0.0

    def add(self, other: Figures) -> None:
        """Adds what another process did."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in (
            (self.statuses, other.statuses),
            (self.unanswered, other.unanswered),
            (self.asked, other.asked),
        ):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count
        for kept, more in ((self.register, other.register), (self.keepalive, other.keepalive)):
            kept.counts = [a + b for a, b in zip(kept.counts, more.counts, strict=True)]

    def row(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return {
            **{name: round(value, 2) if isinstance(value := getattr(self, name), float) else value for name in _SUMS},
            "statuses": self.statuses,
            "unanswered": self.unanswered,
            "asked": self.asked,
            "register_ms": {f"p{share}": self.register.ms(share / 100) for share in (50, 95, 99)},
            "keepalive_ms": {f"p{share}": self.keepalive.ms(share / 100) for share in (50, 95, 99)},
        }


_SUMS: Final = (
    "devices", "registered", "registrations", "failed", "lost", "retransmissions", "keepalives_sent", "keepalives_answered",
    "cpu_s", "resident_mib",
)  # fmt: skip
