"""Old gaps, audit rows, alarms and tracks go, and those that are too many; young ones, open gaps and recordings stay."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from gb28181.accounts.model import User
from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock, to_us
from gb28181.config import AlarmSettings, PositionSettings
from gb28181.database import Database
from gb28181.database.old_rows import fair_share
from gb28181.database.upkeep import Upkeep
from gb28181.ids import DeviceId
from gb28181.recording.model import Gap
from tests.database.database_samples import device
from tests.database.test_events import alarm, position

NOW = datetime(2026, 3, 2, tzinfo=UTC)
KEY = ChannelKey(DeviceId("34020000001320000001"), DeviceId("34020000001310000001"))
DAY_US = 86_400_000_000


class StillClock(Clock):
    def utc(self) -> datetime:
        return NOW


async def test_rows_older_than_the_limit_go_and_no_others(database: Database):
    now = to_us(NOW)
    for age in (500, 401, 399, 1):
        start = now - age * DAY_US
        await database.open_gap(Gap(KEY, start, start + DAY_US // 2, f"{age} days"))
        await database.add_audit(NOW - timedelta(days=age), "admin", "login", f"{age} days", {})
    await database.open_gap(Gap(KEY, now - 450 * DAY_US, 0, "still lasts"))
    upkeep = Upkeep(database, keep_days=400, clock=StillClock(), alarms=AlarmSettings(), positions=PositionSettings())
    await upkeep.run_once()
    assert {gap.cause for gap in await database.gaps_between(KEY, 0, now, limit=100)} == {"399 days", "1 days", "still lasts"}
    assert [entry.target for entry in await database.audit_page(limit=10)] == ["1 days", "399 days"]
    assert upkeep.counters() == {"gaps": 2, "audit": 2, "alarms": 0, "track_points": 0, "background_failures": 0}
    await upkeep.run_once()
    assert upkeep.counters() == {"gaps": 2, "audit": 2, "alarms": 0, "track_points": 0, "background_failures": 0}


async def test_alarms_and_tracks_go_by_their_own_age_and_number(database: Database):
    for number in range(6):
        database.save_alarm(alarm(number))
        database.save_position(position(number), is_last=True, in_track=True)
    await database.save_device_now(device())
    upkeep = Upkeep(
        database,
        keep_days=400,
        clock=StillClock(),
        alarms=AlarmSettings(keep_days=10_000, max_rows=4),
        positions=PositionSettings(keep_days=0.01),
    )
    await upkeep.run_once()
    assert (upkeep.counters()["alarms"], upkeep.counters()["track_points"]) == (0, 6)
    await upkeep.bound_once()
    assert (upkeep.counters()["alarms"], upkeep.counters()["track_points"]) == (2, 6)
    assert len(await database.last_alarms(10)) == 4


def bounded(database: Database, **most: int) -> Upkeep:
    return Upkeep(
        database,
        keep_days=400,
        clock=StillClock(),
        alarms=AlarmSettings(keep_days=10_000, max_rows=most.get("alarms", 1000)),
        positions=PositionSettings(keep_days=10_000, max_rows=most.get("positions", 1000)),
    )


async def test_a_device_that_reports_without_end_pushes_out_nobody_elses_alarms_or_tracks(database: Database):
    """The quiet ones reported before it, and would be the oldest."""
    quiet = [DeviceId(f"3402000000132000000{number}") for number in range(4)]
    loud = [DeviceId(f"3402000000132000001{number}") for number in range(2)]
    reporters = quiet + [loud[0]] * 60 + [loud[1]] * 30 + quiet
    for number, device_id in enumerate(reporters):
        database.save_alarm(alarm(number, device_id=device_id))
        database.save_position(position(number, key=ChannelKey(device_id, KEY.channel_id)), is_last=True, in_track=True)
    await database.save_device_now(device())
    upkeep = bounded(database, alarms=60, positions=60)
    await upkeep.bound_once()
    of_alarms = Counter(found.device_id for found in await database.last_alarms(100))
    of_tracks = Counter()
    for device_id in (*quiet, *loud):
        of_tracks[device_id] = len(await database.track(ChannelKey(device_id, KEY.channel_id), 0, to_us(NOW) * 2, limit=100))
    assert of_alarms == of_tracks
    assert [of_alarms[device_id] for device_id in quiet] == [2] * 4
    assert sorted(of_alarms[device_id] for device_id in loud) == [24, 25], "a twentieth is made free, and no more"
    kept = sorted(found.alarm_id for found in await database.last_alarms(100) if found.device_id in loud)
    assert [number - kept[-1] for number in kept[-24:]] == list(range(-23, 1)), "the newest stay"


async def test_what_arrives_is_counted_on_from_the_last_look(database: Database):
    """The bound holds a minute after it was exceeded, and counting does not read the whole table."""
    upkeep = bounded(database, alarms=40)
    for number in range(40):
        database.save_alarm(alarm(number))
    await database.save_device_now(device())
    await upkeep.bound_once()
    assert upkeep.counters()["alarms"] == 0
    newest = (await database.last_alarms(1))[0].alarm_id
    assert await database.arrived_after("alarms", newest) == (0, newest)
    database.save_alarm(alarm(40))
    await database.save_device_now(device())
    await upkeep.bound_once()
    assert upkeep.counters()["alarms"] == 3
    assert len(await database.last_alarms(100)) == 38


async def test_more_devices_than_rows_may_stay_leave_the_newest(database: Database):
    for number in range(8):
        database.save_alarm(alarm(number, device_id=DeviceId(f"3402000000132000000{number}")))
    await database.save_device_now(device())
    await bounded(database, alarms=3).bound_once()
    assert [str(found.device_id)[-1] for found in await database.last_alarms(100)] == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("counts", "keep", "share"),
    [([], 5, 5), ([1, 2], 5, 5), ([1, 9], 5, 4), ([9, 1, 9], 5, 2), ([1, 1, 1], 2, 0), ([4, 4, 4], 12, 12), ([4, 4, 5], 12, 4)],
)
def test_shares_are_as_large_as_they_can_be(counts: list[int], keep: int, share: int):
    assert fair_share(counts, keep) == share


async def test_a_batch_is_bounded_and_takes_the_oldest_first(database: Database):
    for day in range(5):
        await database.add_audit(NOW - timedelta(days=day), "admin", "login", str(day), {})
    assert await database.purge_audit(to_us(NOW) + 1, limit=2) == 2
    assert [entry.target for entry in await database.audit_page(limit=10)] == ["2", "1", "0"]


async def test_audit_pages_by_user_and_action(database: Database):
    for number, (user, action) in enumerate([("a", "login"), ("b", "login"), ("a", "live.open"), ("a", "login")]):
        await database.add_audit(NOW, user, action, str(number), {"n": number})
    assert [entry.target for entry in await database.audit_page(limit=10, user="a", action="login")] == ["3", "0"]
    first = await database.audit_page(limit=2)
    rest = await database.audit_page(limit=2, before=first[-1].number)
    assert [entry.detail for entry in first + rest] == [{"n": number} for number in (3, 2, 1, 0)]


async def test_users_are_listed_by_name_and_deleted(database: Database):
    for name in ("b", "a"):
        await database.save_user(User(name, "h", "viewer"))
    assert [user.username for user in await database.load_users()] == ["a", "b"]
    await database.delete_user("a")
    await database.delete_user("a")
    assert [user.username for user in await database.load_users()] == ["b"]
