"""Segments on volumes that are slow, suspect or broken; the volume is a stand-in that says what the test wants."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from gb28181.config import MediaSettings, RecordingSettings
from gb28181.ingest.recorder import Recorder
from gb28181.ingest.stream import Moment, Stream
from gb28181.ingest.volumes import Slot, Volumes
from gb28181.media.keyframe import Piece
from gb28181.messages import EndCause, OpenReceiver
from gb28181.storage.io.volume import Space


@dataclass
class StandIn:
    """A volume in memory."""

    root: str
    free: int = 1 << 40
    error: str = ""
    healthy: bool = True
    has_room: bool = True
    files: dict[int, bytes] = field(default_factory=dict)
    closed: list[tuple[int, EndCause, int, int, int]] = field(default_factory=list)

    @property
    def space(self) -> Space:
        return Space(1 << 41, self.free)

    def is_healthy(self, now: float) -> bool:
        return self.healthy

    def open(self, stream_id: str, device_id: str, channel_id: str, start_us: int, owner: object) -> int:
        self.files[len(self.files) + 1] = b""
        return len(self.files)

    def append(self, ticket: int, data: Sequence[bytes], rows: bytes) -> bool:
        if self.has_room:
            self.files[ticket] += b"".join(data)
        return self.has_room

    def close(self, ticket: int, *, end_us: int, cause: EndCause, lost: int, key_frames: int) -> None:
        self.closed.append((ticket, cause, end_us, lost, key_frames))


class Bench:
    def __init__(self, *slots: StandIn) -> None:
        self.began: list[str] = []
        volumes = Volumes(cast("list[Slot]", list(slots)))
        settings = RecordingSettings(segment_seconds=10, segment_max_seconds=15, write_seconds=1)
        self.recorder = Recorder("s", "d", "c", volumes=volumes, settings=settings, began=self.began.append)
        self.offset = 0

    def add(self, now: float, *, key: bool = False, lost: int = 0, size: int = 100, wall: float | None = None) -> bool:
        at = int((now if wall is None else wall) * 1e6)
        piece = Piece(b"%d" % (now % 10) * size, self.offset, at, lost, False, key, 0 if key else None)
        self.offset += size
        return self.recorder.add(piece, now)


def test_segment_begins_with_a_key_frame() -> None:
    slot = StandIn("/v")
    bench = Bench(slot)
    assert not bench.add(1)
    assert bench.add(2, key=True)
    bench.recorder.close("closed", 3)
    assert slot.closed == [(1, "closed", 2_000_000, 0, 1)]
    assert slot.files[1] == b"2" * 100


def test_segment_without_key_frames_is_cut_hard_and_nothing_is_lost() -> None:
    slot = StandIn("/v")
    bench = Bench(slot)
    bench.add(0, key=True)
    for now in range(1, 20):
        assert bench.add(now)
    bench.recorder.close("closed", 20)
    assert [row[1] for row in slot.closed] == ["rotated", "closed"]
    assert sum(map(len, slot.files.values())) == 2000
    bench.add(30, key=True)
    assert bench.recorder.segment is not None
    file, begin, end, pieces = bench.recorder.segment.since_key()
    assert (file, begin, end, len(pieces)) == ("", 0, 0, 1)


def test_full_stall_pool_ends_the_segment_with_what_was_taken() -> None:
    slot = StandIn("/v")
    bench = Bench(slot)
    bench.add(0, key=True)
    bench.add(1.5)  # written
    slot.has_room = False
    bench.add(2, lost=4)
    assert not bench.add(3.5)
    assert slot.closed == [(1, "stalled", 1_500_000, 0, 1)]
    assert "too slow" in bench.recorder.note
    slot.has_room = True
    assert not bench.add(4)
    assert bench.add(5, key=True)
    assert bench.recorder.note == ""


def test_suspect_volume_loses_its_channel_at_the_next_key_frame() -> None:
    slots = [StandIn("/a"), StandIn("/b")]
    bench = Bench(*slots)
    bench.add(0, key=True)
    (first,) = [slot for slot in slots if slot.root == bench.began[0]]
    (second,) = [slot for slot in slots if slot is not first]
    first.healthy = False
    bench.add(1)
    assert bench.add(2, key=True)
    assert bench.began == [first.root, second.root]
    assert [row[1] for row in first.closed] == ["volume"]
    assert first.files[1] == b"0" * 100 + b"1" * 100


def test_volume_that_fails_a_segment_is_left_and_all_failing_is_said() -> None:
    slot = StandIn("/a")
    bench = Bench(slot)
    bench.add(0, key=True)
    bench.recorder.failed(1, "No space left on device")
    slot.healthy, slot.error = False, "No space left on device"
    assert slot.closed[0][1] == "volume"
    assert not bench.add(2, key=True)
    assert "/a: No space left on device" in bench.recorder.note


def test_channel_stays_on_its_volume_and_moves_only_when_it_must() -> None:
    slots = [StandIn(f"/{name}") for name in "abc"]
    volumes = Volumes(cast("list[Slot]", slots))
    before = {f"c{n}": volumes.choose("d", f"c{n}", 0.0) for n in range(300)}
    shares = [sum(slot is one for slot in before.values()) for one in cast("list[Slot]", slots)]
    assert min(shares) > 60
    slots[1].healthy = False
    for channel, slot in before.items():
        now = volumes.choose("d", channel, 0.0)
        assert now is not cast(Slot, slots[1])
        assert now is slot or slot is cast(Slot, slots[1])


def test_volume_with_little_room_is_left_out() -> None:
    slots = [StandIn("/a", free=10 << 30), StandIn("/b", free=100 << 30)]
    volumes = Volumes(cast("list[Slot]", slots))
    assert {cast(StandIn, volumes.choose("d", f"c{n}", 0.0)).root for n in range(50)} == {"/b"}


def test_closed_stream_leaves_nothing_for_the_garbage_collector() -> None:
    """A full collection comes so seldom that what waits for it looks like a leak of a thousand objects a minute."""
    moment = Moment(1.0, 1_000_000)
    request = OpenReceiver(1, "s", "d", "c", "udp", 1)
    stream = Stream(request, 20000, settings=MediaSettings(), moment=moment, say=lambda progress: None)
    volumes = Volumes(cast("list[Slot]", [StandIn("/v")]))
    recorder = Recorder("s", "d", "c", volumes=volumes, settings=RecordingSettings(), began=stream.began_recording)
    gc.disable()
    try:
        alive = weakref.ref(recorder)
        stream.record(recorder)
        stream.close("closed")
        del recorder, stream
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("leap", [7200.0, -7200.0])
def test_a_clock_that_is_set_ends_the_segment_where_it_was(leap: float) -> None:
    slot = StandIn("/v")
    bench = Bench(slot)
    begin = 100_000.0
    for now in (0.0, 1.0, 2.0):
        bench.add(now, key=now == 0, wall=begin + now)
    bench.add(3.0, wall=begin + leap + 3)  # the group of pictures goes on
    bench.add(4.0, key=True, wall=begin + leap + 4)
    ((_, cause, end_us, _, _),) = slot.closed
    assert cause == "clock"
    assert begin + 2 <= end_us / 1e6 <= begin + 6
    segment = bench.recorder.segment
    assert segment is not None
    assert segment.start_us == int((begin + leap + 4) * 1e6)
