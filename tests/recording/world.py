"""Streams, devices, channels and a segment store for the recording services: fakes that implement the ports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gb28181.bus import Bus
from gb28181.catalog.model import Channel, ChannelKey
from gb28181.device.model import Device
from gb28181.errors import NoPicture, NotFound
from gb28181.ids import DeviceId
from gb28181.messages import SegmentClosed, StreamState
from gb28181.recording.model import Gap, GapTotal, Segment, Span

DEVICE = DeviceId("34020000001110000001")
SECOND = 1_000_000
DAY = 86_400 * SECOND
NOW = 1_767_225_600 * SECOND


def key(number: int = 1) -> ChannelKey:
    return ChannelKey(DEVICE, DeviceId(f"3402000000132000{number:04d}"))


def closed(start: int, end: int, *, cause: Any = "rotated", number: int = 1, seq: int = 1) -> SegmentClosed:
    """A segment from `start` to `end` seconds after NOW."""
    return SegmentClosed(
        seq, "s", str(DEVICE), str(key(number).channel_id), "/v", f"p/{number}/{start}",
        NOW + start * SECOND, NOW + end * SECOND,
        1000, "00", "11", cause,
    )  # fmt: skip


class At:
    """A clock that stands where a test puts it."""

    def __init__(self, us: int = NOW) -> None:
        self.us = us

    def utc_us(self) -> int:
        return self.us

    def utc(self) -> Any:
        from gb28181.clock import from_us

        return from_us(self.us)


@dataclass
class World:
    bus: Bus = field(default_factory=Bus)
    online: bool = True
    channels: dict[ChannelKey, Channel] = field(default_factory=dict)
    held: set[ChannelKey] = field(default_factory=set)
    attempts: list[ChannelKey] = field(default_factory=list)
    failures: list[NoPicture] = field(default_factory=list)
    states: dict[ChannelKey, StreamState] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    undeletable: set[str] = field(default_factory=set)
    deleted: list[str] = field(default_factory=list)

    # streams
    async def hold_for_recording(self, which: ChannelKey, *, transport: str | None = None) -> None:
        self.attempts.append(which)
        if self.failures:
            raise self.failures.pop(0)
        self.held.add(which)

    def release_recording(self, which: ChannelKey) -> None:
        self.held.discard(which)

    def stream_state(self, which: ChannelKey) -> StreamState | None:
        return self.states.get(which)

    def channel_of(self, stream_id: str) -> ChannelKey | None:
        return next((which for which in self.held if str(which) == stream_id), None)

    def is_recording(self, which: ChannelKey) -> bool:
        return which in self.held

    # devices, channels
    def get(self, device_id: DeviceId) -> Device:
        return Device(device_id)

    def is_online(self, which: object) -> bool:
        return self.online

    def route(self, device_id: DeviceId) -> Any:
        raise NotImplementedError

    def remember_media_transport(self, device_id: DeviceId, transport: Any) -> None:
        raise NotImplementedError

    def channel(self, which: ChannelKey) -> Channel:
        if which not in self.channels:
            raise NotFound(f"no channel {which}")
        return self.channels[which]

    def all_channels(self) -> list[Channel]:
        return list(self.channels.values())

    async def change(self, which: ChannelKey, *, recording_mode: Any = None, retention_hours: Any = None, **_: Any) -> Channel:
        changes = {"recording_mode": recording_mode, "retention_hours": retention_hours}
        given = {name: value for name, value in changes.items() if value is not None}
        self.channels[which] = replace(self.channels[which], **given)
        return self.channels[which]

    # segments
    async def add_segments(self, segments: Sequence[Segment]) -> None:
        for segment in segments:
            self.segments.append(replace(segment, segment_id=len(self.segments) + 1))

    async def segments_between(
        self, which: ChannelKey, start: int, end: int, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[Segment]:
        found = [s for s in self.segments if s.key == which and s.start < end and s.end > start]
        found = sorted(found, key=lambda s: (s.start, s.segment_id))
        return [s for s in found if after is None or (s.start, s.segment_id) > after][:limit]

    async def spans_between(self, which: ChannelKey, start: int, end: int, *, bridge: int) -> list[Span]:
        spans: list[Span] = []
        for segment in await self.segments_between(which, start, end, limit=10**9):
            if spans and segment.start <= spans[-1].end + bridge:
                spans[-1] = Span(spans[-1].start, segment.end, segment.end_cause)
            else:
                spans.append(Span(segment.start, segment.end, segment.end_cause))
        return spans

    async def recorded_by_day(self, which: ChannelKey, start: int, days: int) -> list[tuple[int, int]]:
        totals = []
        for begin in range(start, start + days * DAY, DAY):
            found = await self.segments_between(which, begin, begin + DAY, limit=10**9)
            parts = [min(s.end, begin + DAY) - max(s.start, begin) for s in found]
            totals.append((sum(parts), sum(s.bytes for s in found if s.start >= begin)))
        return totals

    async def oldest_by_volume(self) -> dict[str, int]:
        return {s.volume: s.start for s in sorted(self.segments, key=lambda s: -s.start)}

    async def newest_by_volume(self) -> dict[str, int]:
        return {s.volume: s.start for s in sorted(self.segments, key=lambda s: s.start)}

    async def oldest_by_channel(self) -> dict[ChannelKey, int]:
        return {s.key: s.start for s in sorted(self.segments, key=lambda s: -s.start)}

    async def gaps_by_cause(self, start: int, end: int) -> list[GapTotal]:
        found = [g for g in self.gaps if g.start < end and (g.end or end) > start]
        return [GapTotal(g.cause, 1, 1, int(not g.end), min(g.end or end, end) - max(g.start, start)) for g in found]

    async def open_gaps(self, *, limit: int) -> list[Gap]:
        return sorted((g for g in self.gaps if not g.end), key=lambda g: g.start)[:limit]

    async def last_segment(self, which: ChannelKey) -> Segment | None:
        return max((s for s in self.segments if s.key == which), key=lambda s: s.end, default=None)

    async def expired_segments(
        self, which: ChannelKey, before: int, *, limit: int, volumes: Collection[str] | None = None
    ) -> list[Segment]:
        old = [s for s in self.segments if s.key == which and s.end < before]
        return [s for s in old if volumes is None or s.volume in volumes][:limit]

    async def oldest_segments(self, volume: str, *, limit: int) -> list[Segment]:
        return sorted((s for s in self.segments if s.volume == volume), key=lambda s: s.start)[:limit]

    async def recorded_channels(self) -> list[ChannelKey]:
        return list(dict.fromkeys(s.key for s in self.segments))

    async def open_gap(self, gap: Gap) -> None:
        if not any(known.key == gap.key and not known.end for known in self.gaps):
            self.gaps.append(gap)

    async def close_gap(self, which: ChannelKey, end: int, *, shortest: int) -> None:
        for index, gap in enumerate(self.gaps):
            if gap.key == which and not gap.end:
                if end - gap.start < shortest:
                    del self.gaps[index]
                else:
                    self.gaps[index] = replace(gap, end=end)
                return

    async def gaps_between(self, which: ChannelKey, start: int, end: int, *, limit: int) -> list[Gap]:
        return [g for g in self.gaps if g.key == which and g.start < end and (g.end or end) > start][:limit]

    # both the ingests' and the store's name for it; what is deleted first is the file
    async def delete_segments(self, *given: Any) -> Any:
        if len(given) == 2:
            paths = given[1]
            self.deleted += [path for path in paths if path not in self.undeletable]
            return frozenset(path for path in paths if path in self.undeletable)
        self.segments = [s for s in self.segments if s.segment_id not in given[0]]
        return None
