"""Alarms: once each, answered, told, stored, acknowledged, reset (§9.4; quirks Q51, Q65, Q173, Q175, Q176; W1, W38)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gb28181.alarm.copies import Copies
from gb28181.alarm.model import METHODS, TYPES, AlarmFilter, AlarmFlood, AlarmLocated, AlarmRaised, AlarmReset, words_of_type
from gb28181.catalog.model import ChannelKey
from gb28181.device.model import Profile
from gb28181.errors import Conflict, Invalid, NotFound, Unreachable
from gb28181.ids import DeviceId
from gb28181.subscription.model import SubscriptionChanged, Topic
from tests.alarm.vectors import body_of
from tests.alarm.world import World, body
from tests.fakes import CAMERA, DEVICE, FakeAlarmStore, settle

NOW = datetime(2026, 3, 1, tzinfo=UTC)  # 08:00 in Beijing


def only(world: World) -> Any:
    [alarm] = world.store.alarms.values()
    return alarm


# --- taking in ---------------------------------------------------------------------------------------------------------


async def test_an_alarm_is_told_and_stored_as_it_was_said() -> None:
    async with World() as world:
        more = (
            "<AlarmDescription>有人进入</AlarmDescription><Longitude>118.37</Longitude><Latitude>31.32</Latitude>"
            "<Info><AlarmType>6</AlarmType><AlarmTypeParam><EventType>1</EventType></AlarmTypeParam></Info>"
            "<ExtraInfo>north gate</ExtraInfo>"
        )
        await world.arrives(body(more=more))
        alarm = only(world)
        assert (alarm.device_id, alarm.channel_id, alarm.source_id) == (DEVICE, CAMERA, CAMERA)
        assert (alarm.priority, alarm.method, alarm.alarm_type, alarm.event_type) == (1, 5, 6, 1)
        assert (alarm.description, alarm.longitude, alarm.latitude) == ("有人进入", 118.37, 31.32)
        assert alarm.at == NOW
        assert "north gate" in alarm.extra.values()
        [raised] = world.told(AlarmRaised)
        assert raised.alarm_id == alarm.alarm_id  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("number", "method", "expected"),
    [
        (82, "MESSAGE", (4, 2, 0, 0, "")),
        (84, "MESSAGE", (1, 5, 6, 1, "入侵")),
        (93, "NOTIFY", (2, 5, 2, 0, "")),
    ],
    ids=["plain device alarm", "intrusion", "by subscription"],
)
async def test_the_messages_of_the_standard_are_taken(number: int, method: str, expected: tuple[object, ...]) -> None:
    """TV-082, TV-084, TV-093; the answer to the first two is TV-083."""
    async with World() as world:
        await world.arrives(body_of(number), method=method)
        alarm = only(world)
        assert (alarm.priority, alarm.method, alarm.alarm_type, alarm.event_type, alarm.description) == expected
        assert len(world.answers) == (method == "MESSAGE")


async def test_a_message_is_answered_with_its_sn_and_a_notify_is_not() -> None:
    """§9.4.1: the receiver of an alarm MESSAGE sends a Response Alarm."""
    async with World() as world:
        await world.arrives(body(sn=91))
        [(to, answer)] = world.answers
        assert (to, answer.sn, answer.device_id) == (DEVICE, 91, CAMERA)
        await world.arrives(body(time="2026-03-01T08:00:01"), method="NOTIFY")
        assert len(world.answers) == 1


async def test_a_copy_is_answered_and_told_once() -> None:
    """Q175: by MESSAGE, by NOTIFY or both. W1: sent again it is no second alarm."""
    async with World() as world:
        await world.arrives(body())
        await world.arrives(body(), method="NOTIFY")
        await world.arrives(body(sn=8))
        assert len(world.store.alarms) == 1
        assert len(world.told(AlarmRaised)) == 1
        assert len(world.answers) == 2


async def test_another_time_type_method_or_source_is_another_alarm() -> None:
    async with World() as world:
        await world.arrives(body())
        await world.arrives(body(time="2026-03-01T08:00:01"))
        await world.arrives(body(kind="2"))
        await world.arrives(body(method=6))
        await world.arrives(body(source=DEVICE))
        assert len(world.store.alarms) == 5


async def test_copies_are_known_after_our_restart() -> None:
    store = FakeAlarmStore()
    async with World(store=store) as world:
        await world.arrives(body())
    async with World(store=store) as world:
        await world.arrives(body())
        assert len(store.alarms) == 1


async def test_alarms_without_a_time_are_copies_only_when_they_come_together() -> None:
    """Q51: the time is missing or no time; the time of arrival counts."""
    async with World() as world:
        await world.arrives(body(time=""))
        await world.arrives(body(time=""), method="NOTIFY")
        assert len(world.store.alarms) == 1
        world.clock.advance(6)
        await world.arrives(body(time="yesterday"))
        assert len(world.store.alarms) == 2
        assert {alarm.at for alarm in world.store.alarms.values()} == {NOW, NOW + timedelta(seconds=6)}


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00", "2026-03-02T08:00:00", "2001-02-03T04:05:06"])
async def test_a_time_that_cannot_be_true_is_kept_beside_the_time_of_arrival(time: str) -> None:
    """Q173: times bad."""
    async with World() as world:
        await world.arrives(body(time=time))
        alarm = only(world)
        assert alarm.at == NOW
        assert alarm.told_time.isoformat()[:19] == time


@pytest.mark.parametrize(
    ("source", "channel"),
    [(CAMERA, CAMERA), (DEVICE, CAMERA), ("34020000001340000001", ""), ("3402000000", "")],
    ids=["channel", "device with one camera", "alarm input", "centre"],
)
async def test_the_source_is_mapped_to_a_channel_where_there_is_one_and_kept_raw(source: str, channel: str) -> None:
    """Q173: DeviceID is the channel, the alarm input or the device. Q65: an IPC speaks of itself."""
    async with World() as world:
        await world.arrives(body(source=source))
        alarm = only(world)
        assert (alarm.source_id, alarm.channel_id) == (source, channel)


async def test_an_alarm_of_a_recorder_with_two_cameras_is_of_neither() -> None:
    async with World() as world:
        world.channels.known.add(ChannelKey(DEVICE, DeviceId("34020000001320000002")))
        await world.arrives(body(source=DEVICE))
        assert only(world).channel_id == ""


async def test_numbers_that_mean_nothing_are_0_and_an_empty_alarm_is_one_all_the_same() -> None:
    async with World() as world:
        await world.arrives(
            b"<Notify><CmdType>Alarm</CmdType><AlarmPriority>-4</AlarmPriority><AlarmMethod>99999999999</AlarmMethod></Notify>"
        )
        alarm = only(world)
        assert (alarm.priority, alarm.method, alarm.source_id) == (0, 0, DEVICE)


async def test_a_mere_position_in_an_alarm_is_told_as_one_and_no_alarm() -> None:
    """Q176: vehicles and body-worn cameras report positions as method 4; one that describes something is an alarm too."""
    place = "<Longitude>118.3</Longitude><Latitude>31.3</Latitude>"
    async with World() as world:
        await world.arrives(body(method=4, more=place))
        assert world.store.alarms == {}
        assert len(world.told(AlarmLocated)) == 1
        assert len(world.answers) == 1
        sos = body(method=4, more=place + "<AlarmDescription>SOS</AlarmDescription>", time="2026-03-01T08:01:00")
        await world.arrives(sos)
        assert only(world).description == "SOS"
        assert len(world.told(AlarmLocated)) == 2


# --- floods ------------------------------------------------------------------------------------------------------------


async def test_a_flood_of_one_device_is_bounded_counted_and_shown_and_others_go_on() -> None:
    other = DeviceId("34020000001110000002")
    async with World(burst=10, per_device_per_s=1) as world:
        for second in range(40):
            await world.arrives(body(time=f"2026-03-01T08:00:{second:02d}"))
        await world.arrives(body(), device_id=other)
        assert len(world.store.alarms) == 11
        assert world.service.floods() == {DEVICE: 30}
        assert world.dropped == [DEVICE] * 30
        [flood] = world.told(AlarmFlood)
        assert flood == AlarmFlood(DEVICE, 1)
        world.clock.advance(5)
        for second in range(40):
            await world.arrives(body(time=f"2026-03-01T08:01:{second:02d}"))
        assert len(world.store.alarms) == 16


async def test_a_flood_pushes_no_alarm_of_others_out_of_the_memory_for_copies() -> None:
    other = DeviceId("34020000001110000002")
    async with World(burst=3, per_device_per_s=1) as world:
        world.service._copies = Copies(8)
        await world.arrives(body(), device_id=other)
        for second in range(40):
            await world.arrives(body(time=f"2026-03-01T08:00:{second:02d}"))
        await world.arrives(body(), device_id=other)
        assert len(world.store.alarms) == 4
        assert world.service.counters()["copies"] == 1


async def test_a_device_that_takes_no_answer_costs_no_alarm() -> None:
    async with World() as world:
        world.is_dead = True
        await world.arrives(body())
        assert only(world).method == 5
        assert world.service.counters()["answers_failed"] == 1


# --- what users do -----------------------------------------------------------------------------------------------------


async def test_an_alarm_is_acknowledged_once_with_user_time_and_note() -> None:
    async with World() as world:
        await world.arrives(body())
        number = only(world).alarm_id
        world.clock.advance(30)
        await world.service.acknowledge(number, user="王伟", note=" called the guard ")
        alarm = only(world)
        assert (alarm.acknowledged_by, alarm.note) == ("王伟", "called the guard")
        assert alarm.acknowledged_at == NOW + timedelta(seconds=30)
        with pytest.raises(Conflict, match="王伟"):
            await world.service.acknowledge(number, user="other")
        with pytest.raises(NotFound):
            await world.service.acknowledge(1, user="other")
        with pytest.raises(Invalid):
            await world.service.acknowledge(number, user="other", note="x" * 1001)


async def test_alarms_are_numbered_as_they_arrive_even_in_one_microsecond_and_over_a_restart() -> None:
    store = FakeAlarmStore()
    async with World(store=store) as world:
        for second in range(3):
            await world.arrives(body(time=f"2026-03-01T08:00:0{second}"))
    async with World(store=store) as world:
        await world.arrives(body(time="2026-03-01T08:00:09"))
    numbers = list(store.alarms)
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == 4


async def test_a_page_of_alarms_begins_with_the_newest() -> None:
    async with World() as world:
        for second in range(3):
            await world.arrives(body(time=f"2026-03-01T08:00:0{second}"))
        found = await world.service.page(AlarmFilter(), limit=2)
        assert [alarm.at.second for alarm in found] == [2, 1]


async def test_a_user_resets_what_a_device_alarm_has_latched() -> None:
    """A.2.5.3: a device alarm is not repeated before AlarmCmd ResetAlarm."""
    async with World() as world:
        await world.arrives(body(method=2))
        alarm = only(world)
        assert alarm.is_latching
        await world.service.reset(alarm.alarm_id, user="admin")
        assert world.resets == [(DEVICE, CAMERA)]
        world.is_dead = True
        with pytest.raises(Unreachable):
            await world.service.reset(alarm.alarm_id, user="admin")
        assert [event.succeeded for event in world.told(AlarmReset)] == [True, False]  # type: ignore[attr-defined]


async def test_device_alarms_are_reset_by_themselves_where_it_is_configured_once_for_each_source() -> None:
    async with World(reset_after_s=30) as world:
        await world.arrives(body(method=2))
        await world.arrives(body(method=2, kind="2"))
        await world.arrives(body(method=5))
        world.clock.advance(29)
        world.service.expire()
        await settle()
        assert world.resets == []
        world.clock.advance(1)
        world.service.expire()
        await settle()
        assert world.resets == [(DEVICE, CAMERA)]


async def test_by_default_nothing_is_reset_by_itself() -> None:
    async with World() as world:
        await world.arrives(body(method=2))
        world.clock.advance(86_400)
        world.service.expire()
        await settle()
        assert world.resets == []


# --- what is not armed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "device", "guarded"),
    [("never", CAMERA, False), ("camera", CAMERA, True), ("camera", "34020000001180000001", False), ("always", DEVICE, True)],
)
async def test_q174_a_camera_that_reports_nothing_before_is_told_to_guard(wish: str, device: str, *, guarded: bool) -> None:
    async with World() as world:
        world.of_profile = Profile(set_guard=wish)  # type: ignore[arg-type]
        for state in ("waiting", "active"):
            world.bus.publish(SubscriptionChanged(DeviceId(device), Topic.ALARM, "", state, 0, ""))
            world.bus.publish(SubscriptionChanged(DeviceId(device), Topic.CATALOG, "", state, 0, ""))
        await settle()
        assert world.guards == [device] * guarded


async def test_q174_a_device_that_does_not_confirm_it_is_no_failure() -> None:
    async with World() as world:
        world.of_profile = Profile(set_guard="always")
        world.is_dead = True
        world.bus.publish(SubscriptionChanged(DEVICE, Topic.ALARM, "", "active", 0, ""))
        await settle()
        assert world.service.counters() == {"guards": 1, "background_failures": 0}


# --- words -------------------------------------------------------------------------------------------------------------


def test_every_type_belongs_to_a_method_and_has_words_in_both_languages() -> None:
    assert {method for method, _ in TYPES} <= set(METHODS)
    for words in [*METHODS.values(), *TYPES.values()]:
        assert words.zh
        assert words.en
    assert words_of_type(2, 0).zh == "设备报警"
    assert words_of_type(5, 77).en == "type 77"
    assert words_of_type(9, 0).en == "method 9"
