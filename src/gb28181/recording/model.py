"""Segments on disk, gaps between them, and what coverage means (DESIGN: recordings).

Every hole in a channel's recording lies between two segments: a stream that falls silent closes its segment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from gb28181.catalog.model import ChannelKey

RecordingMode = Literal["always", "off"]


@dataclass(frozen=True, slots=True)
class Segment:
    """One closed segment. Times are UTC microseconds.

    Args:
        segment_id: Number in the database, 0 before it has one.
        volume: Root folder of the volume; `path` is relative to it, without suffix.
    """

    key: ChannelKey
    start: int
    end: int
    bytes: int
    sha256: str
    chain: str
    volume: str
    path: str
    end_cause: str
    lost: int = 0
    key_frames: int = 0
    adopted: bool = False
    segment_id: int = 0


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole longer than `recording.gap_seconds` while recording was due; `end` 0 while it lasts."""

    key: ChannelKey
    start: int
    end: int
    cause: str
    gap_id: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """Time recorded without a hole worth a row; `end_cause` is that of the segment it ends with."""

    start: int
    end: int
    end_cause: str


@dataclass(frozen=True, slots=True)
class GapTotal:
    """Gaps of one cause in a range.

    Args:
        channels: How many channels have one.
        lasting: How many of them last on.
        length: Their time inside the range, microseconds.
    """

    cause: str
    gaps: int
    channels: int
    lasting: int
    length: int


@dataclass(frozen=True, slots=True)
class RecordingChanged:
    """An operator set a channel's recording, or it began or stopped delivering bytes."""

    key: ChannelKey
    mode: RecordingMode
    state: Literal["recording", "starting", "failed", "off"]
    message: str = ""


@dataclass(frozen=True, slots=True)
class SegmentStored:
    key: ChannelKey
    start: int
    end: int
    bytes: int


def merged(intervals: Iterable[tuple[int, int]], *, bridge: int = 0) -> list[tuple[int, int]]:
    """Sorted, disjoint intervals; holes up to `bridge` microseconds are closed."""
    out: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if out and start <= out[-1][1] + bridge:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        elif end > start:
            out.append((start, end))
    return out


def coverage(recorded: Iterable[tuple[int, int]], start: int, end: int, *, bridge: int = 0) -> float:
    """Share of [start, end) that is recorded, 0.0 to 1.0; an empty range is covered."""
    if end <= start:
        return 1.0
    total = sum(max(0, min(stop, end) - max(begin, start)) for begin, stop in merged(recorded, bridge=bridge))
    return total / (end - start)
