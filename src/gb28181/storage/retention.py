"""Which segments go: first those past their time, then, when a volume runs full, the oldest of the lowest class.

Decides for one volume from facts alone. Recording never stops for want of space: when nothing but guaranteed recordings is
left and the volume is about to run full, the oldest of these go too, and each channel's breach is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Stored(Generic[C]):
    """A closed segment on the volume. Times are UTC microseconds.

    Args:
        segment: What the caller knows it by.
        locked: Kept as evidence; nothing here removes it.
    """

    segment: int
    channel: C
    start: int
    end: int
    bytes: int
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a channel's recordings are kept, in microseconds.

    Args:
        keep_us: Older ones are removed, space or no space.
        guarantee_us: Younger ones are removed only when nothing else is left; at most `keep_us`.
        rank: Class; a lower one gives way first.
    """

    keep_us: int
    guarantee_us: int
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Marks:
    """When a volume is too full: shares of its size, 0 to 1.

    Args:
        high: Above it, recordings past their guarantee go, until `low`.
        critical: Above it, guaranteed ones go too, until it.
        min_free_bytes: Counts as both marks where it is the stricter; at most a quarter of the volume.
    """

    high: float = 0.90
    low: float = 0.88
    critical: float = 0.97
    min_free_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Breach(Generic[C]):
    """Recordings of a channel were removed before their guaranteed time: [start, end), `bytes` of them."""

    channel: C
    start: int
    end: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Decision(Generic[C]):
    """What to remove.

    Args:
        expired: Past their time.
        evicted: For space, past their guarantee.
        breached: For space, under their guarantee; `breaches` sums them up by channel.
        short_bytes: What is still missing to the mark when all of that is gone; > 0 means that only locked recordings or
            other programs' files are left, or that the caller did not show all segments.
    """

    expired: tuple[Stored[C], ...] = ()
    evicted: tuple[Stored[C], ...] = ()
    breached: tuple[Stored[C], ...] = ()
    breaches: tuple[Breach[C], ...] = ()
    short_bytes: int = 0

    @property
    def remove(self) -> tuple[Stored[C], ...]:
        return self.expired + self.evicted + self.breached


def decide(
    segments: Iterable[Stored[C]],
    policy_of: Callable[[C], Policy],
    *,
    now_us: int,
    total_bytes: int,
    free_bytes: int,
    marks: Marks,
    complete: bool = True,
) -> Decision[C]:
    """Decides for one volume.

    Args:
        segments: Oldest first.
        total_bytes, free_bytes: Of the volume, now.
        complete: Whether these are all segments of the volume. A page of the oldest never breaks a guarantee: another
            channel's surplus may stand on the next page.
    """
    removable = [(stored, policy_of(stored.channel)) for stored in segments if not stored.locked]
    expired = [stored for stored, policy in removable if stored.end < now_us - policy.keep_us]
    rest = [(stored, policy) for stored, policy in removable if stored.end >= now_us - policy.keep_us]
    free_bytes += sum(stored.bytes for stored in expired)

    min_free = min(marks.min_free_bytes, total_bytes // 4)
    evicted: list[Stored[C]] = []
    surplus = [(stored, policy) for stored, policy in rest if stored.end < now_us - policy.guarantee_us]
    if free_bytes < max(_free_at(marks.high, total_bytes), min_free):
        evicted = _oldest(surplus, max(_free_at(marks.low, total_bytes), min_free) - free_bytes)
        free_bytes += sum(stored.bytes for stored in evicted)

    breached: list[Stored[C]] = []
    needed = max(_free_at(marks.critical, total_bytes), min_free) - free_bytes
    if needed > 0 and complete and len(evicted) == len(surplus):
        guaranteed = [(stored, policy) for stored, policy in rest if stored.end >= now_us - policy.guarantee_us]
        breached = _oldest(guaranteed, needed)
        needed -= sum(stored.bytes for stored in breached)
    return Decision(tuple(expired), tuple(evicted), tuple(breached), _breaches(breached), max(0, needed))


def _free_at(mark: float, total_bytes: int) -> int:
    return total_bytes - int(mark * total_bytes)


def _oldest(candidates: list[tuple[Stored[C], Policy]], needed: int) -> list[Stored[C]]:
    """Enough of them to free `needed` bytes: lowest class first, in it the oldest first."""
    out: list[Stored[C]] = []
    for stored, _ in sorted(candidates, key=lambda candidate: (candidate[1].rank, candidate[0].end)):
        if needed <= 0:
            break
        out.append(stored)
        needed -= stored.bytes
    return out


def _breaches(breached: list[Stored[C]]) -> tuple[Breach[C], ...]:
    out: dict[C, Breach[C]] = {}
    for stored in breached:
        known = out.get(stored.channel, Breach(stored.channel, stored.start, stored.end, 0))
        out[stored.channel] = Breach(
            stored.channel, min(known.start, stored.start), max(known.end, stored.end), known.bytes + stored.bytes
        )
    return tuple(out.values())
