"""What is past its time goes, file first; a full volume gives up its oldest; recording never stops."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from gb28181.catalog.model import Channel
from gb28181.config import RecordingSettings
from gb28181.messages import Statistics, VolumeState
from gb28181.recording.retention import RetentionService
from gb28181.recording.service import RecordingService
from tests.recording.world import NOW, SECOND, At, World, closed, key

HOUR = 3600


async def stored(world: World, *segments: Any) -> None:
    service = RecordingService(
        RecordingSettings(), streams=world, devices=world, channels=world, store=world, bus=world.bus, clock=At(),  # type: ignore[arg-type]
    )  # fmt: skip
    await service.store_segments(segments)


def figures(*volumes: VolumeState) -> Statistics:
    return Statistics(0, 0, 0.0, 0.0, 0, 0, volumes, ())


def retention(world: World, now: int, *, just_started: bool = False, **settings: Any) -> RetentionService:
    """One that has run for a while, so that its clock is beyond suspicion, or one that was just started."""
    service = RetentionService(
        RecordingSettings(**settings), channels=world, ingests=world, store=world, bus=world.bus,  # type: ignore[arg-type]
        clock=At(NOW + now * SECOND),  # type: ignore[arg-type]
    )  # fmt: skip
    world.bus.publish(figures(VolumeState("/v", 10_000, 9_000)))
    if not just_started:
        service._leaps.trusted_us(NOW + now * SECOND, asyncio.get_running_loop().time())
    return service


async def test_a_recording_goes_after_its_hours_and_not_before() -> None:
    world = World(channels={key(): Channel(key())})
    await stored(world, closed(0, 300), closed(300, 600))
    assert await retention(world, 360 * HOUR + 301).run_once() == 1
    assert [segment.start for segment in world.segments] == [NOW + 300 * SECOND]
    assert world.deleted == ["p/1/0"]


async def test_each_channel_has_its_own_hours() -> None:
    world = World(channels={key(1): Channel(key(1), retention_hours=1), key(2): Channel(key(2))})
    await stored(world, closed(0, 300), closed(0, 300, number=2))
    await retention(world, 2 * HOUR).run_once()
    assert [segment.key for segment in world.segments] == [key(2)]


async def test_a_row_stays_as_long_as_its_file() -> None:
    world = World(channels={key(): Channel(key())}, undeletable={"p/1/0"})
    await stored(world, closed(0, 300), closed(300, 600))
    service = retention(world, 400 * HOUR)
    assert await service.run_once() == 1
    assert [segment.path for segment in world.segments] == ["p/1/0"]
    assert service.counters()["failed"] == 1


async def test_recordings_of_a_removed_device_stay_their_time() -> None:
    world = World()
    await stored(world, closed(0, 300))
    assert await retention(world, 100 * HOUR).run_once() == 0
    assert await retention(world, 361 * HOUR).run_once() == 1


async def test_a_full_volume_gives_up_the_oldest_even_under_the_guarantee() -> None:
    world = World(channels={key(): Channel(key())})
    await stored(world, *(closed(n * 300, n * 300 + 300, seq=n) for n in range(10)))
    service = retention(world, HOUR, min_free_mib=0)
    world.bus.publish(figures(VolumeState("/v", 10_000, 0)))
    await service.run_once()
    assert service.counters()["breached"] == 1
    assert world.segments[0].start > NOW
    assert world.segments[-1].start == NOW + 2700 * SECOND


async def test_a_volume_with_room_gives_up_nothing() -> None:
    world = World(channels={key(): Channel(key())})
    await stored(world, closed(0, 300))
    service = retention(world, HOUR, min_free_mib=0)
    world.bus.publish(figures(VolumeState("/v", 10_000, 5_000)))
    assert await service.run_once() == 0


async def test_a_clock_that_leaps_forward_by_mistake_deletes_nothing() -> None:
    world = World(channels={key(): Channel(key())})
    await stored(world, closed(0, 300), closed(300, 600))
    service, clock = retention(world, 700), At(NOW + 700 * SECOND)
    service._clock = clock  # type: ignore[assignment]
    await service.run_once()
    clock.us += 2000 * HOUR * SECOND
    assert await service.run_once() == 0
    clock.us -= 2000 * HOUR * SECOND
    assert await service.run_once() == 0
    assert len(world.segments) == 2


async def test_a_start_with_a_clock_that_is_far_ahead_deletes_nothing() -> None:
    world = World(channels={key(): Channel(key())})
    await stored(world, closed(0, 300), closed(300, 600))
    assert await retention(world, 5000 * HOUR, just_started=True).run_once() == 0


async def test_a_leap_of_the_clock_keeps_no_full_volume_from_being_emptied() -> None:
    world = World(channels={key(): Channel(key())})
    await stored(world, *(closed(n * 300, n * 300 + 300, seq=n) for n in range(10)))
    service = retention(world, 5000 * HOUR, just_started=True, min_free_mib=0)
    world.bus.publish(figures(VolumeState("/v", 10_000, 0)))
    assert 0 < await service.run_once() < 10


async def test_a_volume_that_runs_full_does_not_wait_for_the_next_pass() -> None:
    world = World(channels={key(): Channel(key())})
    await stored(world, *(closed(n * 300, n * 300 + 300, seq=n) for n in range(10)))
    async with retention(world, HOUR, min_free_mib=0), asyncio.timeout(20):
        world.bus.publish(figures(VolumeState("/v", 10_000, 0)))
        while not world.deleted:
            await asyncio.sleep(0)


async def test_recordings_on_a_volume_that_is_away_keep_no_others_from_going() -> None:
    world = World(channels={key(): Channel(key())})
    away = [replace(closed(n, n + 1, seq=n), volume="/gone") for n in range(600)]
    await stored(world, *away, closed(600, 900))
    service = retention(world, 400 * HOUR)
    world.bus.publish(figures(VolumeState("/v", 10_000, 9_000), VolumeState("/gone", 0, 0, error="not mounted")))
    assert await service.run_once() == 1
    assert {segment.volume for segment in world.segments} == {"/gone"}
