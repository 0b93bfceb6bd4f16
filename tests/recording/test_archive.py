"""Calendar and overview: what an operator asks of all recordings at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from gb28181.catalog.model import Channel
from gb28181.clock import to_us
from gb28181.config import RecordingSettings
from gb28181.errors import Invalid
from gb28181.messages import Snapshot, StreamState
from gb28181.recording.archive import Archive, first_of, zone_of
from gb28181.recording.model import Gap
from gb28181.recording.service import RecordingService
from gb28181.session.model import IngestUp
from tests.recording.world import DEVICE, NOW, SECOND, At, World, closed, key

HOUR = 3600 * SECOND
#: NOW is 2026-01-01T00:00:00Z.
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def archive(world: World, clock: At) -> AsyncIterator[tuple[Archive, RecordingService]]:
    service = RecordingService(
        RecordingSettings(gap_seconds=5.0),
        streams=world, devices=world, channels=world, store=world, bus=world.bus, clock=clock,
    )  # fmt: skip
    async with service:
        yield Archive(recordings=service, channels=world, store=world, clock=clock), service


def world_of(*channels: Channel) -> World:
    return World(channels={channel.key: channel for channel in channels})


async def test_a_day_begins_in_the_zone_that_was_asked_for() -> None:
    assert to_us(NEW_YEAR) == NOW
    async with archive(world_of(), At(NOW + 20 * HOUR)) as (found, service):
        await service.store_segments([closed(15 * 3600, 17 * 3600)])
        (day,) = await found.calendar(key(), "2026-01", "Z")
        assert (day.date, day.recorded, day.coverage) == (date(2026, 1, 1), 2 * HOUR, pytest.approx(2 / 20))
        first, second = await found.calendar(key(), "2026-01")  # Beijing: midnight is 16:00 UTC
        assert (first.date, first.recorded, first.coverage) == (date(2026, 1, 1), HOUR, pytest.approx(1 / 24))
        assert (second.date, second.recorded, second.coverage) == (date(2026, 1, 2), HOUR, pytest.approx(1 / 4))
        assert [day.date for day in await found.calendar(key(), "2026-01", "-05:00")] == [date(2026, 1, 1)]


async def test_a_calendar_ends_today_and_counts_what_is_being_written() -> None:
    world = world_of(Channel(key(), recording_mode="always"))
    async with archive(world, At(NOW + 36 * HOUR)) as (found, _):
        world.held.add(key())
        world.states[key()] = StreamState(
            "s", "d", "c", "udp", 1, recording=True, segment_start=NOW + 23 * HOUR, last_media_at=NOW + 30 * HOUR
        )
        first, second = await found.calendar(key(), "2026-01", "Z")
        assert (first.recorded, second.recorded) == (HOUR, 6 * HOUR)
        assert second.coverage == pytest.approx(6 / 12)
        assert await found.calendar(key(), "2026-02", "Z") == []


@pytest.mark.parametrize("month", ["", "2026", "2026-13", "2026-1", "2026-11-01", "9999-12", "1000-01", "٢٠٢٦-11"])
def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(Invalid, match="2026-11"):
        first_of(month)


def test_a_zone_is_an_offset() -> None:
    assert zone_of("") == timezone(timedelta(hours=8))
    assert zone_of(" 05:30") == timezone(timedelta(hours=5, minutes=30))  # "+" of a query string that was not quoted
    assert zone_of("-03:00") == timezone(-timedelta(hours=3))
    for text in ("Asia/Shanghai", "8", "+24:00", "+08:60", "08:00"):
        with pytest.raises(Invalid, match=r"\+08:00"):
            zone_of(text)


async def test_the_overview_lists_what_is_due_and_not_recorded_the_longest_first() -> None:
    channels = [Channel(key(number), recording_mode="always") for number in (1, 2, 3, 4)]
    world = world_of(*channels, Channel(key(5), recording_mode="off"))
    async with archive(world, At(NOW + 100 * HOUR)) as (found, service):
        service.pause()
        held = StreamState("s", str(DEVICE), str(key(1).channel_id), "udp", 1, recording=True, segment_start=NOW)
        world.held.add(key(1))
        world.states[key(1)] = held
        world.bus.publish(IngestUp("ingest-0", 1, Snapshot(1, (held,))))
        world.gaps += [
            Gap(key(2), NOW + 99 * HOUR, 0, "no_media"),
            Gap(key(3), NOW + 10 * HOUR, 0, "device_offline"),
            Gap(key(3), NOW, NOW + HOUR, "device_offline"),  # longer ago than a day
        ]
        overview = await found.overview(limit=2)
        assert [missing.channel.key for missing in overview.missing] == [key(3), key(2)]
        assert overview.missing_total == 3
        assert service.counts() == {"due": 4, "recording": 1}
        assert {total.cause: total.length for total in overview.gaps} == {"no_media": HOUR, "device_offline": 24 * HOUR}


async def test_the_overview_says_how_long_each_class_of_channels_is_kept() -> None:
    world = world_of(Channel(key(1)), Channel(key(2)), Channel(key(3), retention_hours=24.0))
    async with archive(world, At(NOW + 100 * HOUR)) as (found, service):
        await service.store_segments([closed(3600 * number, 3600 * number + 9, number=number) for number in (1, 2, 3)])
        overview = await found.overview(limit=9)
        assert overview.oldest == {"/v": NOW + HOUR}
        assert [(each.hours, each.channels, each.shortest, each.longest) for each in overview.kept] == [
            (24.0, 1, 97 * HOUR, 97 * HOUR),
            (RecordingSettings().retention_hours, 2, 98 * HOUR, 99 * HOUR),
        ]
