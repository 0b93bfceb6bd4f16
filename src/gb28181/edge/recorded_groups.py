"""Groups of pictures of recorded segments: where they lie, when they were taken, how long they last.

Two clocks meet here. A key frame's row says when it arrived (UTC, with the jitter of the network) and the camera's own stamp
(PTS: exact steps, but it may jump, stand still or count in another unit; quirks Q119, Q121, Q148c). The camera's steps are
used as long as the arrival bears them out, so that pictures run smoothly; else the arrival is. `media_90k` is the place on that
common line, which begins at 0 with every run: a run ends at a gap. A moment of any picture is
`group.utc_us` + its distance from the group's key frame.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from gb28181.edge.recorded_span import Span
from gb28181.errors import StorageError
from gb28181.storage.index import LOSS, NO_PTS, Index, Row
from gb28181.texts.text import reason_of, say

#: A longer hole between two segments is a gap; a shorter one is seen as a picture that stands.
GAP_US: Final = 1_000_000
#: Bytes of one group that are read at most; what is beyond it (25 s of 20 Mbit/s) is left out.
MAX_GROUP_BYTES: Final = 64 << 20
#: The arrival may differ from the camera's line by so much: a network that held pictures back.
_HELD_BACK_90K: Final = 3 * 90_000
_AGREES_90K: Final = 90_000 // 2
_LONGEST_STEP_90K: Final = 60 * 90_000
_LEAST_JUDGED_90K: Final = 10 * 90_000
_SLOWEST, _FASTEST = 0.8, 1.25
_PTS_WRAP: Final = 1 << 33
_USUAL_90K: Final = 3600


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes of a segment.

    Args:
        losses: Offsets in the segment before which packets are missing.
    """

    span: Span
    offset: int
    size: int
    losses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """One key frame and what follows it up to the next one.

    Args:
        utc_us: Arrival of its key frame, UTC microseconds; never falls inside a run.
        media_90k: Its place in its run, 90 kHz; the groups of a run follow each other without a hole.
        duration_90k: Up to the next group of the run, or to the end of what was recorded.
        discontinuity_before: It begins a new run: something is missing before it. False for the first of all.
        pts_90k: The stamp of its key frame as recorded, 33 bits; None unknown.
        extents: Where it lies; more than one where a segment was cut off without a key frame.
    """

    utc_us: int
    media_90k: int
    duration_90k: int
    discontinuity_before: bool
    pts_90k: int | None
    extents: tuple[Extent, ...]

    @property
    def span(self) -> Span:
        """The segment that holds its key frame."""
        return self.extents[0].span

    @property
    def size(self) -> int:
        return sum(extent.size for extent in self.extents)

    @property
    def end_us(self) -> int:
        return self.utc_us + self.duration_90k * 100 // 9

    def parts(self, size: int = MAX_GROUP_BYTES) -> Iterator[tuple[bytes, bool]]:
        """Its first `size` bytes as recorded, cut where packets are missing; the flag: whether they are before the part.

        Raises:
            StorageError: A segment is gone, or the disk failed.
        """
        left = size
        for extent in self.extents:
            data = _read(extent, min(extent.size, left))
            left -= len(data)
            cuts = [0, *(loss - extent.offset for loss in extent.losses if 0 < loss - extent.offset < len(data)), len(data)]
            for begin, end in pairwise(cuts):
                yield data[begin:end], begin > 0

    def read(self) -> bytes:
        """Its bytes as recorded, at most `MAX_GROUP_BYTES`.

        Raises:
            StorageError: A segment is gone, or the disk failed.
        """
        return b"".join(part for part, _ in self.parts())


def groups_of(
    spans: Iterable[Span], start_us: int, end_us: int, *, damaged: Callable[[Span, str], None] = lambda span, reason: None
) -> Iterator[Group]:
    """Groups of the spans from the one that shows `start` to the last that begins before `end`.

    Args:
        spans: Of that range; what cannot be read of them is a gap.
        damaged: Told what is not as it was recorded.
    """
    origin: int | None = None
    for group in _all_groups(spans, damaged):
        if group.utc_us >= end_us or group.end_us <= start_us:
            continue  # the later ones too: the time of a key frame may have been spoilt on disk
        if origin is None:
            # Whatever lies before the first group is none of the caller's business.
            origin = group.media_90k
            group = replace(group, discontinuity_before=False)
        elif group.discontinuity_before:
            origin = 0
        yield replace(group, media_90k=group.media_90k - origin) if origin else group


@dataclass(slots=True)
class _Draft:
    """A group whose end is not known yet."""

    utc_us: int
    media_90k: int
    discontinuity: bool
    pts_90k: int | None
    extents: list[Extent]
    end_us: int

    def until(self, media_90k: int) -> Group:
        duration = max(1, media_90k - self.media_90k)
        return Group(self.utc_us, self.media_90k, duration, self.discontinuity, self.pts_90k, tuple(self.extents))

    def last(self) -> Group:
        """The last one of a run lasts as long as bytes came, and its last picture a little longer."""
        return self.until(self.media_90k + (self.end_us - self.utc_us) * 9 // 100 + _USUAL_90K)


def _all_groups(spans: Iterable[Span], damaged: Callable[[Span, str], None]) -> Iterator[Group]:
    draft: _Draft | None = None
    line = _Line()
    ended: int | None = None
    for listed in spans:
        sight = listed.look()
        if sight is None:
            continue
        span, index = sight.span, sight.index
        if sight.damage:
            damaged(span, sight.damage)
        if not span.size:
            continue
        keys = [row for row in index.keys if row.utc_us >= span.begin]
        if draft is not None:
            if ended is None or span.begin - ended > GAP_US or (keys and keys[0].utc_us < draft.utc_us):
                # A gap; or the wall clock was set back between two segments, and nothing ties the two times together.
                yield draft.last()
                draft = None
            elif span.begin == span.start:
                # A segment that was cut off at its longest, without a key frame, goes on in the next one.
                leading = keys[0].offset if keys else span.size
                if leading:
                    draft.extents.append(_extent(span, index, 0, leading))
                    draft.end_us = keys[0].utc_us if keys else span.end
        times = _rising(keys)
        trusted = _trusts_stamps(keys)
        for number, (row, utc) in enumerate(zip(keys, times, strict=True)):
            pts = None if row.pts_90k == NO_PTS else row.pts_90k
            if draft is None:
                media = line.begin(utc, pts)
            else:
                media = line.go_on(utc, pts, trusted=trusted)
                yield draft.until(media)
            end = keys[number + 1].offset if number + 1 < len(keys) else span.size
            extent = _extent(span, index, row.offset, end)
            draft = _Draft(utc, media, draft is None and ended is not None, pts, [extent], span.end)
        ended = span.end
    if draft is not None:
        yield draft.last()


def _extent(span: Span, index: Index, offset: int, end: int) -> Extent:
    losses = tuple(row.offset for row in index.rows if row.flags & LOSS and offset <= row.offset < end)
    return Extent(span, offset, end - offset, losses)


def _read(extent: Extent, size: int) -> bytes:
    fd = extent.span.open()
    try:
        parts = []
        at = extent.offset
        while size > 0 and (part := os.pread(fd, size, at)):
            parts.append(part)
            at += len(part)
            size -= len(part)
        return b"".join(parts)
    except OSError as error:
        raise StorageError(say("storage.file", path=extent.span.volume / extent.span.path, fault=reason_of(error))) from None
    finally:
        os.close(fd)


def _rising(keys: Sequence[Row]) -> list[int]:
    """Arrivals of key frames; where the wall clock was set back in the middle of a segment it runs on as it was."""
    out: list[int] = []
    for number, row in enumerate(keys):
        utc = row.utc_us
        if out and utc < out[-1]:
            step = _stamp_step(keys[number - 1].pts_90k, row.pts_90k)
            utc = out[-1] + (step or _USUAL_90K) * 100 // 9
        out.append(utc)
    return out


def _stamp_step(before: int, after: int) -> int | None:
    """From one stamp to the next; None where there is none, and where it stands still, falls or jumps."""
    if NO_PTS in (before, after):
        return None
    step = (after - before) % _PTS_WRAP
    return step if 0 < step <= _LONGEST_STEP_90K else None


def _trusts_stamps(keys: Sequence[Row]) -> bool:
    """Whether the camera's clock runs as time does, judged over a whole segment, where the network's jitter does not count."""
    stamps = arrivals = 0
    for before, after in pairwise(keys):
        step = _stamp_step(before.pts_90k, after.pts_90k)
        if step is not None and after.utc_us >= before.utc_us:
            stamps += step
            arrivals += (after.utc_us - before.utc_us) * 9 // 100
    return arrivals >= _LEAST_JUDGED_90K and _SLOWEST * arrivals <= stamps <= _FASTEST * arrivals


class _Line:
    """The common line of a run."""

    def __init__(self) -> None:
        self._origin_us = 0
        self._media = 0
        self._pts: int | None = None

    def begin(self, utc_us: int, pts: int | None) -> int:
        self._origin_us, self._pts, self._media = utc_us, pts, 0
        return 0

    def go_on(self, utc_us: int, pts: int | None, *, trusted: bool) -> int:
        """Place of the next key frame; rises by at least a millisecond.

        Args:
            trusted: The stamps of its segment run as time does; else each step must be borne out by the arrival.
        """
        arrival = (utc_us - self._origin_us) * 9 // 100
        place = arrival
        step = None if pts is None or self._pts is None else _stamp_step(self._pts, pts)
        if step is not None:
            bound = _HELD_BACK_90K if trusted else _AGREES_90K
            if abs(self._media + step - arrival) <= bound:
                place = self._media + step
        self._pts = pts
        self._media = max(place, self._media + 90)
        return self._media
