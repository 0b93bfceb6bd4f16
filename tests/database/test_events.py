"""Rows of subscriptions, alarms and positions on SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from gb28181.alarm.model import Alarm, AlarmFilter
from gb28181.clock import to_us
from gb28181.database import Database
from gb28181.ids import DeviceId
from gb28181.position.model import Position
from gb28181.subscription.model import Subscription, SubscriptionKey, Topic, Wish
from gb28181.texts.text import rendered, say
from tests.database.database_samples import AT, CAMERA, DEVICE, KEY, device, stream

OTHER = DeviceId("34020000001110000002")
FIRST = to_us(AT)


def subscription(**changes: object) -> Subscription:
    full = Subscription(
        SubscriptionKey(DEVICE, Topic.MOBILE_POSITION, CAMERA),
        wish=Wish(enabled=True, expires_s=600, interval_s=30),
        state="active",
        event="presence;id=7",
        dialog=stream().dialog,
        expires_at=AT,
        registration="call-1",
        status=503,
        reason="忙",
        failures=2,
        changed_at=AT,
    )
    return replace(full, **changes)  # type: ignore[arg-type]


def alarm(number: int, **changes: object) -> Alarm:
    full = Alarm(
        alarm_id=FIRST + number,
        device_id=DEVICE,
        channel_id=CAMERA,
        source_id=CAMERA,
        at=AT + timedelta(seconds=number),
        received_at=AT,
        told_time=AT,
        priority=1,
        method=5,
        alarm_type=6,
        event_type=1,
        description="入侵\0",
        longitude=118.3,
        latitude=31.3,
        via="notify",
        extra={"ExtraInfo 1": "北门"},
    )
    return replace(full, **changes)  # type: ignore[arg-type]


def position(number: int, **changes: object) -> Position:
    full = Position(
        FIRST + number, KEY, AT + timedelta(seconds=number), AT, 118.3, 31.3, 118.4, 31.4, "gcj02", 1.0, 2.0, 3.0, 4.0
    )
    return replace(full, **changes)  # type: ignore[arg-type]


async def written(database: Database) -> None:
    """Everything that was put before is committed."""
    await database.save_device_now(device())


# --- subscriptions -----------------------------------------------------------------------------------------------------


async def test_a_subscription_comes_back_with_its_wish_and_dialog(database: Database):
    database.save_subscription(subscription())
    plain = Subscription(SubscriptionKey(OTHER, Topic.ALARM))
    database.save_subscription(plain)
    await written(database)
    assert sorted(await database.load_subscriptions(), key=lambda found: found.key.device_id) == [subscription(), plain]


async def test_why_a_subscription_fails_is_kept_in_both_languages(database: Database):
    database.save_subscription(subscription(reason=say("device.subscribe_answered", status=489, reason="Bad Event")))
    await written(database)
    (found,) = await database.load_subscriptions()
    assert found.reason == "SUBSCRIBE was answered 489 Bad Event"
    assert rendered(found.reason, "zh") == "订阅请求被设备应答 489 Bad Event"


async def test_the_last_state_of_a_subscription_wins_and_goes_with_its_device(database: Database):
    database.save_subscription(subscription())
    database.save_subscription(subscription(dialog=None, expires_at=None, state="refused"))
    await written(database)
    assert await database.load_subscriptions() == [subscription(dialog=None, expires_at=None, state="refused")]
    await database.delete_device(DEVICE)
    assert await database.load_subscriptions() == []


# --- alarms ------------------------------------------------------------------------------------------------------------


async def test_an_alarm_comes_back_and_can_be_changed(database: Database):
    database.save_alarm(alarm(1))
    seen = alarm(1, description="入侵", acknowledged_by="王伟", acknowledged_at=AT, note="看过")
    await database.save_alarm_now(seen)
    assert await database.alarm(FIRST + 1) == seen
    assert await database.alarm(7) is None


async def test_alarms_come_in_pages_newest_first(database: Database):
    for number in (3, 1, 2):
        database.save_alarm(alarm(number))
    database.save_alarm(alarm(4, at=AT + timedelta(seconds=2)))  # at the same time as the second one
    await written(database)
    first = await database.alarms_page(AlarmFilter(), limit=2)
    last = first[-1]
    rest = await database.alarms_page(AlarmFilter(), limit=9, before=(to_us(last.at), last.alarm_id))
    assert [found.alarm_id - FIRST for found in first + rest] == [3, 4, 2, 1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (AlarmFilter(), {1, 2, 3}),
        (AlarmFilter(device_id=OTHER), {2}),
        (AlarmFilter(device_id=DEVICE, channel_id=CAMERA), {1, 3}),
        (AlarmFilter(method=2), {2}),
        (AlarmFilter(method=5, alarm_type=0), set()),
        (AlarmFilter(alarm_type=0), {2}),
        (AlarmFilter(priority=1), {1}),
        (AlarmFilter(priority=4), {1, 3}),
        (AlarmFilter(acknowledged=True), {3}),
        (AlarmFilter(acknowledged=False), {1, 2}),
        (AlarmFilter(start=FIRST + 2_000_000), {2, 3}),
        (AlarmFilter(end=FIRST + 2_000_000), {1}),
    ],
)
async def test_alarms_are_filtered(database: Database, wanted: AlarmFilter, expected: set[int]):
    database.save_alarm(alarm(1))
    database.save_alarm(alarm(2, device_id=OTHER, channel_id="", method=2, alarm_type=0, priority=0))
    database.save_alarm(alarm(3, priority=4, acknowledged_by="a"))
    await written(database)
    assert {found.alarm_id - FIRST for found in await database.alarms_page(wanted, limit=9)} == expected


async def test_the_last_alarms_come_in_the_order_of_their_arrival(database: Database):
    for number in (1, 2, 3):
        database.save_alarm(alarm(number))
    await written(database)
    assert [found.alarm_id - FIRST for found in await database.last_alarms(2)] == [2, 3]


async def test_alarms_outlive_their_device(database: Database):
    database.save_alarm(alarm(1))
    await written(database)
    await database.delete_device(DEVICE)
    assert len(await database.last_alarms(9)) == 1


async def test_old_alarms_and_those_beyond_the_most_are_removed(database: Database):
    for number in range(10):
        database.save_alarm(alarm(number))
    await written(database)
    assert await database.purge_arrived("alarms", FIRST + 3, limit=2) == 3
    assert await database.purge_beyond("alarms", keep=5, limit=100) == 2
    assert [found.alarm_id - FIRST for found in await database.last_alarms(9)] == [5, 6, 7, 8, 9]


# --- positions ---------------------------------------------------------------------------------------------------------


async def test_the_last_position_and_the_track_come_back(database: Database):
    database.save_position(position(1), is_last=True, in_track=True)
    database.save_position(position(2, via="alarm", speed_kmh=None), is_last=True, in_track=True)
    database.save_position(position(3), is_last=True, in_track=False)
    database.save_position(position(0), is_last=False, in_track=True)
    await written(database)
    assert await database.last_positions(limit=9) == [position(3)]
    track = await database.track(KEY, FIRST, FIRST + 60_000_000, limit=9)
    assert track == [position(0), position(1), position(2, via="alarm", speed_kmh=None)]


async def test_a_track_comes_in_pages_and_is_a_range_of_time(database: Database):
    for number in range(6):
        database.save_position(position(number), is_last=True, in_track=True)
    await written(database)
    end = FIRST + 5_000_000
    first = await database.track(KEY, FIRST + 1_000_000, end, limit=2)
    rest = await database.track(KEY, FIRST, end, limit=9, after=(to_us(first[-1].at), first[-1].position_id))
    assert [found.position_id - FIRST for found in first + rest] == [1, 2, 3, 4]


async def test_the_last_position_goes_with_its_device_and_the_track_by_its_age(database: Database):
    for number in range(4):
        database.save_position(position(number), is_last=True, in_track=True)
    await written(database)
    await database.delete_device(DEVICE)
    assert await database.last_positions(limit=9) == []
    assert await database.purge_arrived("track_points", FIRST + 1, limit=100) == 1
    assert await database.purge_beyond("track_points", keep=2, limit=100) == 1
    assert len(await database.track(KEY, FIRST, FIRST + 60_000_000, limit=9)) == 2
