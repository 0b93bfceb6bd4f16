"""What of a channel is recorded, and why the rest is not: closed segments, and the gap ledger with its causes (W27).

Disk is the truth about segments and the holes between them; the ledger knows the causes, and what was due before the first
segment and after the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock
from gb28181.errors import Invalid
from gb28181.ids import DeviceId
from gb28181.messages import SegmentClosed
from gb28181.ports import Devices, SegmentStore, Streams
from gb28181.recording.model import Gap, Segment, SegmentStored, Span, coverage, merged
from gb28181.session.model import StreamDown
from gb28181.texts.text import say

_US: Final = 1_000_000
_LONGEST_QUERY_US: Final = 62 * 86400 * _US

_CAUSES: Final[dict[str, str]] = {
    "silent": "no_media",
    "closed": "stream_closed",
    "stalled": "disk_too_slow",
    "volume": "volume_failed",
    "clock": "clock_set",
    "crash": "server_stopped",
    "stopped": "server_stopped",
    "restart": "ingest_restarted",
    "ingest_restarted": "ingest_restarted",
}


_FOLLOWED: Final = frozenset({"rotated", "clock"})
"""Causes after which the next segment begins at once."""


@dataclass(frozen=True, slots=True)
class RecordingPage:
    """Segments and gaps of a range.

    Args:
        coverage: Share of the range (up to now) that is recorded, the segment being written included.
        recorded: What is recorded, the segment being written included, joined over holes not worth a row; sorted.
        next: (start, id) of the last segment when there are more, else None.
    """

    segments: list[Segment]
    gaps: list[Gap]
    coverage: float
    next: tuple[int, int] | None
    recorded: Sequence[tuple[int, int]] = ()


class Ledger:
    """Stores segments and gaps, and says what there is.

    Args:
        shortest_s: Holes up to this long are none.
        is_due: Whether a channel ought to be recorded now.
    """

    def __init__(
        self,
        *,
        shortest_s: float,
        is_due: Callable[[ChannelKey], bool],
        streams: Streams,
        devices: Devices,
        store: SegmentStore,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._shortest = int(shortest_s * _US)
        self._is_due = is_due
        self._streams = streams
        self._devices = devices
        self._store = store
        self._bus = bus
        self._clock = clock
        self._downs: dict[ChannelKey, str] = {}
        self._begun: dict[ChannelKey, int] = {}
        self.counters: dict[str, int] = {"segments": 0, "bytes": 0}

    # --- what is there ---------------------------------------------------------------------------------------------

    async def page(
        self, key: ChannelKey, start: int, end: int, *, limit: int = 1000, after: tuple[int, int] | None = None
    ) -> RecordingPage:
        """Closed segments that overlap [start, end), the holes between them, and the share covered.

        Args:
            start, end: UTC microseconds.

        Raises:
            Invalid: The range is empty or longer than 62 days.
        """
        if end <= start:
            raise Invalid(say("recording.range_empty"))
        if end - start > _LONGEST_QUERY_US:
            raise Invalid(say("recording.range_long"))
        page = await self._store.segments_between(key, start, end, limit=limit + 1, after=after)
        more = len(page) > limit
        page = page[:limit]
        stored = await self._store.spans_between(key, start, end, bridge=self._shortest)
        spans = [(span.start, span.end) for span in stored]
        written = self.being_written(key)
        if written is not None and written[0] < end and written[1] > start:
            spans.append(written)
        horizon = min(end, self._clock.utc_us())
        covered = merged(spans, bridge=self._shortest)
        gaps = await self._gaps(key, start, horizon, covered, stored)
        share = coverage(covered, start, horizon) if horizon > start else 0.0
        following = (page[-1].start, page[-1].segment_id) if more and page else None
        return RecordingPage(page, gaps, share, following, covered)

    async def has_recorded(self, key: ChannelKey) -> bool:
        return self.being_written(key) is not None or await self._store.last_segment(key) is not None

    def being_written(self, key: ChannelKey) -> tuple[int, int] | None:
        """Start and newest media of the segment that has no row yet, UTC microseconds."""
        state = self._streams.stream_state(key)
        if state is None or not state.segment_start or not self._streams.is_recording(key):
            return None
        return state.segment_start, max(state.last_media_at, state.segment_start)

    async def _gaps(
        self, key: ChannelKey, start: int, end: int, covered: Sequence[tuple[int, int]], stored: Sequence[Span]
    ) -> list[Gap]:
        """Holes as the disk shows them, with the causes that the ledger knows."""
        ledger = await self._store.gaps_between(key, start, end, limit=100_000)
        by_end = {span.end: span.end_cause for span in stored}
        holes: list[Gap] = []
        for (_, left), (right, _) in pairwise(covered):
            cause = next((gap.cause for gap in ledger if gap.start < right and (gap.end or end) > left), "")
            if not cause and by_end.get(left) == "closed":
                continue  # recording was switched off here
            holes.append(
                Gap(key, left, right, cause or _CAUSES.get(by_end.get(left, ""), "") or self._downs.get(key, "unknown"))
            )
        last = covered[-1][1] if covered else start
        for gap in ledger:
            # Before the first segment and after the last one only the ledger knows whether recording was due.
            outside = gap.start >= last or not covered or (gap.end or end) <= covered[0][0]
            if outside and (gap.end or end) - gap.start > self._shortest:
                holes.append(gap)
        return sorted(holes, key=lambda gap: gap.start)

    # --- what happens ----------------------------------------------------------------------------------------------

    def went_down(self, event: StreamDown) -> None:
        """A stream ended: that is the cause of the hole that may follow."""
        self._downs[event.key] = _CAUSES.get(event.cause, event.cause)

    def begun(self, key: ChannelKey, at: int) -> None:
        """A segment was opened; `end_gap` is the caller's."""
        self._begun[key] = at

    async def begin_gap(self, key: ChannelKey) -> None:
        """A channel that ought to record and cannot has a hole from its last segment on, or from now."""
        last = await self._store.last_segment(key)
        begin = last.end if last is not None else self._clock.utc_us()
        if not self._writes(key, begin):
            cause = "device_offline" if not self._devices.is_online(key.device_id) else "no_picture"
            await self._store.open_gap(Gap(key, begin, 0, cause))

    async def end_gap(self, key: ChannelKey, at: int) -> None:
        """Something is recorded again, or nothing is due any more."""
        await self._store.close_gap(key, at, shortest=self._shortest)

    async def store_segments(self, events: Sequence[SegmentClosed]) -> None:
        """Puts closed segments into the database; returns when they are committed and may be acknowledged."""
        segments = [
            Segment(
                key=ChannelKey(DeviceId(event.device_id), DeviceId(event.channel_id)),
                start=event.start,
                end=event.end,
                bytes=event.bytes,
                sha256=event.sha256,
                chain=event.chain,
                volume=event.volume,
                path=event.path,
                end_cause=event.end_cause,
                lost=event.lost,
                key_frames=event.key_frames,
                adopted=event.adopted,
            )
            for event in events
        ]
        await self._note_holes_before(segments)
        await self._store.add_segments(segments)
        for segment in segments:
            self.counters["segments"] += 1
            self.counters["bytes"] += segment.bytes
            await self.end_gap(segment.key, segment.start)
            is_followed = segment.end_cause in _FOLLOWED or self._writes(segment.key, segment.end)
            if not is_followed and self._is_due(segment.key):
                await self._store.open_gap(Gap(segment.key, segment.end, 0, self._cause(segment)))
            self._bus.publish(SegmentStored(segment.key, segment.start, segment.end, segment.bytes))

    async def _note_holes_before(self, segments: Sequence[Segment]) -> None:
        """What is missing between two segments and nobody could report: an ingest was killed, a volume went with its files."""
        before: dict[ChannelKey, Segment | None] = {}
        for segment in segments:
            key = segment.key
            last = before[key] if key in before else await self._store.last_segment(key)
            before[key] = segment
            if last is None or last.end_cause not in ("rotated", "volume") or segment.start - last.end <= self._shortest:
                continue
            if not await self._store.gaps_between(key, last.end, segment.start, limit=1):
                await self._store.open_gap(Gap(key, last.end, segment.start, self._cause_between(last, segment)))

    def _cause_between(self, last: Segment, segment: Segment) -> str:
        if last.end_cause != "rotated":
            return self._cause(last)
        if last.volume != segment.volume:
            return "volume_failed"  # a channel leaves its volume for no other reason
        return self._downs.get(segment.key, "server_stopped")

    def _writes(self, key: ChannelKey, after: int) -> bool:
        # The figures of a stream are some seconds old, and the end of a segment comes later than the start of the next.
        state = self._streams.stream_state(key)
        return max(state.segment_start if state is not None else 0, self._begun.get(key, 0)) > after

    def _cause(self, segment: Segment) -> str:
        cause = _CAUSES.get(segment.end_cause, segment.end_cause)
        if cause in ("no_media", "stream_closed") and not self._devices.is_online(segment.key.device_id):
            return "device_offline"
        return cause
