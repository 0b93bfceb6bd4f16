"""Recording comes back by itself, every hole has a cause, coverage is what the disk says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gb28181.catalog.model import Channel, ChannelsChanged
from gb28181.config import RecordingSettings
from gb28181.device.model import DeviceOnline
from gb28181.errors import Invalid, NoPicture, NotFound
from gb28181.messages import Progress, Snapshot, StreamState
from gb28181.recording.service import RecordingService
from gb28181.session.model import IngestUp, StreamDown
from tests.recording.world import DEVICE, NOW, SECOND, At, World, closed, key


@asynccontextmanager
async def recording(world: World, clock: At | None = None, **settings: Any) -> AsyncIterator[RecordingService]:
    made = RecordingService(
        RecordingSettings(**settings), streams=world, devices=world, channels=world, store=world, bus=world.bus,
        clock=clock or At(),  # type: ignore[arg-type]
    )  # fmt: skip
    async with made:
        made.begin()
        yield made


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0.005)


def world_of(count: int = 1, **changes: Any) -> World:
    return World(channels={key(n): Channel(key(n), **changes) for n in range(1, count + 1)})


async def test_a_channel_set_to_always_is_opened_and_off_releases_it() -> None:
    world = world_of()
    async with recording(world) as service:
        assert service.status(key()).state == "off"
        await service.set_mode(key(), "always")
        await until(lambda: key() in world.held)
        world.bus.publish(Progress(str(key()), "recording", NOW))
        assert service.counts() == {"due": 1, "recording": 1}
        await service.set_mode(key(), "off")
        assert world.held == set()


async def test_the_default_mode_records_cameras_but_not_divisions() -> None:
    world = world_of()
    division = Channel(key().__class__(DEVICE, type(DEVICE)("34020000")))  # type: ignore[call-arg]
    world.channels[division.key] = division
    async with recording(world, default_mode="always"):
        await until(lambda: key() in world.held)
    assert world.attempts == [key()]


async def test_an_unknown_mode_or_channel_is_refused() -> None:
    world = world_of()
    async with recording(world) as service:
        with pytest.raises(Invalid, match="always or off"):
            await service.set_mode(key(), "sometimes")
        with pytest.raises(NotFound):
            await service.set_mode(key(9), "always")


async def test_a_stream_that_went_down_is_opened_again_at_once() -> None:
    world = world_of(recording_mode="always")
    async with recording(world):
        await until(lambda: key() in world.held)
        world.held.clear()
        world.bus.publish(StreamDown(key(), "s", "silent"))
        await until(lambda: key() in world.held)
    assert len(world.attempts) == 2


async def test_a_failure_is_tried_again_and_told() -> None:
    world = world_of(recording_mode="always")
    world.failures = [NoPicture("the device refused", stage="invited")]
    async with recording(world, retry_min_s=0.05, retry_max_s=0.1) as service:
        await until(lambda: len(world.attempts) == 1 and service.status(key()).state == "failed")
        assert service.status(key()).message == "the device refused"
        await until(lambda: key() in world.held)
    assert [gap.cause for gap in world.gaps] == ["no_picture"]


async def test_an_offline_device_is_not_tried_and_is_opened_when_it_comes_back() -> None:
    world = world_of(recording_mode="always")
    world.online = False
    async with recording(world) as service:
        await until(lambda: service.status(key()).message == "the device is offline")
        assert world.attempts == []
        world.online = True
        world.bus.publish(DeviceOnline(DEVICE))
        await until(lambda: key() in world.held)


async def test_a_device_that_comes_back_unheard_is_found_in_passing() -> None:
    world = world_of(recording_mode="always")
    world.online = False
    async with recording(world) as service:
        service._reconcile(1e9)
        assert world.attempts == []
        world.online = True  # and nobody said so
        service._reconcile(1e9 + 10)
        service._reconcile(1e9 + 20)
        await until(lambda: key() in world.held)


async def test_a_channel_that_its_device_no_longer_lists_is_not_recorded_any_more() -> None:
    world = world_of(recording_mode="always")
    async with recording(world) as service:
        await until(lambda: key() in world.held)
        world.channels[key()] = replace(world.channels[key()], is_gone=True)
        world.bus.publish(ChannelsChanged(DEVICE, gone=(key().channel_id,)))
        assert world.held == set()
        assert service.counts() == {"due": 0, "recording": 0}
        world.channels[key()] = replace(world.channels[key()], is_gone=False)
        world.bus.publish(ChannelsChanged(DEVICE, updated=(key().channel_id,)))
        await until(lambda: key() in world.held)


async def test_few_openings_at_once_per_device() -> None:
    world = world_of(20, recording_mode="always")
    gate = asyncio.Event()
    waiting = 0
    most = 0
    hold = world.hold_for_recording

    async def slow(which: Any, *, transport: str | None = None) -> None:
        nonlocal waiting, most
        waiting += 1
        most = max(most, waiting)
        await gate.wait()
        waiting -= 1
        await hold(which)

    world.hold_for_recording = slow  # type: ignore[method-assign]
    async with recording(world):
        await until(lambda: waiting == 4)
        gate.set()
        await until(lambda: len(world.held) == 20)
    assert most == 4


async def test_a_rotated_segment_leaves_no_gap_and_a_silent_one_does_until_recording_begins_again() -> None:
    world = world_of(recording_mode="always")
    async with recording(world) as service:
        await until(lambda: key() in world.held)
        await service.store_segments([closed(0, 300)])
        assert world.gaps == []
        await service.store_segments([closed(300, 400, cause="silent")])
        assert [(gap.cause, gap.end) for gap in world.gaps] == [("no_media", 0)]
        world.bus.publish(Progress(str(key()), "recording", NOW + 460 * SECOND))
        await until(lambda: world.gaps[0].end != 0)
        assert (world.gaps[0].start, world.gaps[0].end) == (NOW + 400 * SECOND, NOW + 460 * SECOND)


async def test_a_hole_shorter_than_the_limit_is_no_gap() -> None:
    world = world_of(recording_mode="always")
    async with recording(world) as service:
        await until(lambda: key() in world.held)
        await service.store_segments([closed(0, 300, cause="silent")])
        await service.store_segments([closed(303, 400)])
    assert world.gaps == []


async def test_the_cause_of_a_gap_is_the_device_when_it_is_offline() -> None:
    world = world_of(recording_mode="always")
    world.online = False
    async with recording(world) as service:
        await service.store_segments([closed(0, 300, cause="silent")])
    assert world.gaps[0].cause == "device_offline"


async def test_a_channel_that_nobody_wants_recorded_has_no_gaps() -> None:
    world = world_of()
    async with recording(world) as service:
        await service.store_segments([closed(0, 300, cause="closed")])
    assert world.gaps == []


async def test_recordings_list_segments_holes_and_coverage() -> None:
    world = world_of(recording_mode="always")
    clock = At(NOW + 1000 * SECOND)
    async with recording(world, clock) as service:
        await service.store_segments([closed(0, 300), closed(300, 400, cause="crash"), closed(500, 800)])
        page = await service.recordings(key(), NOW, NOW + 800 * SECOND)
        assert [segment.start for segment in page.segments] == [NOW, NOW + 300 * SECOND, NOW + 500 * SECOND]
        assert [(gap.start - NOW, gap.end - NOW, gap.cause) for gap in page.gaps] == [
            (400 * SECOND, 500 * SECOND, "server_stopped")
        ]
        assert page.coverage == pytest.approx(700 / 800)
        assert page.next is None


async def test_recordings_are_paged_and_the_figures_are_of_the_whole_range() -> None:
    world = world_of()
    async with recording(world, At(NOW + 1000 * SECOND)) as service:
        await service.store_segments([closed(n * 10, n * 10 + 10, seq=n) for n in range(10)])
        first = await service.recordings(key(), NOW, NOW + 100 * SECOND, limit=6)
        assert len(first.segments) == 6
        assert first.coverage == 1.0
        rest = await service.recordings(key(), NOW, NOW + 100 * SECOND, limit=6, after=first.next)
        assert len(rest.segments) == 4
        assert rest.next is None
        assert rest.coverage == 1.0


async def test_the_segment_being_written_counts_as_covered() -> None:
    world = world_of(recording_mode="always")
    async with recording(world, At(NOW + 100 * SECOND)) as service:
        await until(lambda: key() in world.held)
        world.states[key()] = StreamState(
            "s", "d", "c", "udp", 1, recording=True, segment_start=NOW, last_media_at=NOW + 100 * SECOND
        )
        page = await service.recordings(key(), NOW, NOW + 200 * SECOND)
        assert page.segments == []
        assert page.coverage == 1.0


async def test_a_channel_is_known_while_it_is_listed_or_a_recording_of_it_is_left() -> None:
    world = world_of(2)
    async with recording(world) as service:
        await service.check_known(key(1))
        await service.store_segments([closed(0, 300)])
        world.channels.clear()
        await service.check_known(key(1))
        with pytest.raises(NotFound, match="compare both identifiers"):
            await service.check_known(key(2))


async def test_an_empty_or_endless_range_is_refused() -> None:
    async with recording(world_of()) as service:
        with pytest.raises(Invalid, match="after start"):
            await service.recordings(key(), NOW, NOW)
        with pytest.raises(Invalid, match="62 days"):
            await service.recordings(key(), 0, NOW)


async def test_a_hole_after_a_rotated_segment_gets_the_cause_of_the_streams_end() -> None:
    """A killed ingest reports nothing: its successor's first segment shows the hole."""
    world = world_of(recording_mode="always")
    async with recording(world) as service:
        await until(lambda: key() in world.held)
        await service.store_segments([closed(0, 300)])
        world.held.clear()
        world.bus.publish(StreamDown(key(), "s", "ingest_restarted"))
        await service.store_segments([closed(310, 600)])
    assert [(gap.start - NOW, gap.end - NOW, gap.cause) for gap in world.gaps] == [
        (300 * SECOND, 310 * SECOND, "ingest_restarted")
    ]


async def test_time_in_which_recording_was_switched_off_is_no_gap() -> None:
    world = world_of()
    async with recording(world, At(NOW + 1000 * SECOND)) as service:
        await service.store_segments([closed(0, 300, cause="closed"), closed(500, 800)])
        page = await service.recordings(key(), NOW, NOW + 800 * SECOND)
    assert page.gaps == []
    assert page.coverage == pytest.approx(600 / 800)


async def test_an_adopted_stream_of_a_channel_that_was_not_stored_yet_goes_on_recording() -> None:
    world = World()
    held = StreamState("s", str(DEVICE), str(key().channel_id), "udp", 1, recording=True, segment_start=NOW)
    async with recording(world) as service:
        world.held.add(key())
        world.bus.publish(IngestUp("ingest-0", 1, Snapshot(1, (held,))))
        service._reconcile(0.0)
        assert key() in world.held


async def test_a_channel_records_from_its_first_segment_until_it_falls_silent() -> None:
    world = world_of(recording_mode="always")
    async with recording(world) as service:
        await until(lambda: key() in world.held)
        assert service.status(key()).state == "starting"
        world.bus.publish(Progress(str(key()), "recording", NOW))
        assert (service.status(key()).state, service.status(key()).since) == ("recording", At().utc())
        world.bus.publish(Progress(str(key()), "silent", NOW + 60 * SECOND))
        status = service.status(key())
        assert (status.state, status.since) == ("starting", None)
        assert "no media since 20" in status.message
        world.bus.publish(Progress(str(key()), "recording", NOW + 90 * SECOND))
        assert service.status(key()).state == "recording"


async def test_a_segment_that_moves_to_another_volume_at_once_leaves_no_gap() -> None:
    world = world_of(recording_mode="always")
    async with recording(world) as service:
        await until(lambda: key() in world.held)
        world.bus.publish(Progress(str(key()), "recording", NOW + 301 * SECOND))
        # Its figures are older than that: they come every five seconds.
        world.states[key()] = StreamState(str(key()), str(DEVICE), str(key().channel_id), "tcp", 1, segment_start=NOW)
        await service.store_segments([closed(0, 300, cause="volume")])
        assert world.gaps == []


async def test_what_went_with_its_volume_is_a_gap_of_that_volume() -> None:
    world = world_of(recording_mode="always")
    async with recording(world) as service:
        await service.store_segments([closed(0, 300), replace(closed(320, 620), volume="/other")])
        assert [(gap.start, gap.end, gap.cause) for gap in world.gaps] == [
            (NOW + 300 * SECOND, NOW + 320 * SECOND, "volume_failed")
        ]


async def test_a_clock_that_was_set_is_no_gap_of_the_server_and_says_so() -> None:
    world = world_of(recording_mode="always")
    async with recording(world, At(NOW + 4000 * SECOND)) as service:
        await service.store_segments([closed(0, 300, cause="clock"), closed(3600, 3900)])
        assert world.gaps == []
        page = await service.recordings(key(), NOW, NOW + 3900 * SECOND)
        assert [(gap.start, gap.cause) for gap in page.gaps] == [(NOW + 300 * SECOND, "clock_set")]
