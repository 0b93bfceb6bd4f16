"""Alarms, positions and subscriptions over the API."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from gb28181.alarm.model import Alarm, AlarmAcknowledged, AlarmFlood, AlarmRaised, AlarmReset
from gb28181.api.events import EVENTS, _fields
from gb28181.clock import to_us
from gb28181.position.model import Position, PositionReported, PtzPositionReported
from gb28181.session.model import MediaFinished
from gb28181.subscription.model import SubscriptionChanged, Topic
from tests.api.api_world import C1, D1, D2, K1, NOW, World


def alarm(number: int, **changes: object) -> Alarm:
    at = NOW + timedelta(seconds=number)
    fields: dict[str, object] = {"method": 5, "alarm_type": 6, "event_type": 2, "priority": 1, "description": "入侵"}
    return Alarm(to_us(NOW) + number, D1, C1, C1, at, at, **fields | changes)  # type: ignore[arg-type]


def position(number: int) -> Position:
    at = NOW + timedelta(seconds=number)
    return Position(to_us(NOW) + number, K1, at, at, 118.3, 31.3, 118.4, 31.4, "gcj02", 36.5)


@pytest.fixture
def alarms(world: World) -> World:
    for number in range(5):
        world.alarm_store.save_alarm(alarm(number))
    return world


# --- alarms ------------------------------------------------------------------------------------------------------------


async def test_alarms_come_in_pages_newest_first_with_words_in_both_languages(alarms: World):
    first = await alarms.call("GET", "/alarms?limit=3", user="viewer")
    rest = await alarms.call("GET", f"/alarms?limit=3&cursor={first['next']}", user="viewer")
    assert [item["at"][17:19] for item in first["items"] + rest["items"]] == ["04", "03", "02", "01", "00"]
    assert rest["next"] is None
    item = first["items"][0]
    assert item["type_words"] == {"zh": "入侵检测报警", "en": "intrusion"}
    assert item["method_words"]["zh"] == "视频报警"
    assert item["event_words"]["en"] == "leaving the area"
    assert item["device_name"] == "东门摄像机"


async def test_a_cursor_belongs_to_its_filter(alarms: World):
    first = await alarms.call("GET", "/alarms?limit=1")
    await alarms.call("GET", f"/alarms?limit=1&acknowledged=false&cursor={first['next']}", status=400)


async def test_an_operator_acknowledges_an_alarm_once_and_it_is_audited(alarms: World):
    number = to_us(NOW)
    made = await alarms.call("POST", f"/alarms/{number}/acknowledge", user="operator", json={"note": "已通知"})
    assert (made["acknowledged_by"], made["note"]) == ("operator", "已通知")
    assert (await alarms.call("GET", f"/alarms/{number}"))["acknowledged_at"] is not None
    again = await alarms.call("POST", f"/alarms/{number}/acknowledge", user="admin", status=409, json={})
    assert "operator" in again["error"]["message"]
    assert ("operator", "alarm.acknowledge", str(number)) in alarms.users.audit
    open_ones = await alarms.call("GET", "/alarms?acknowledged=false")
    assert len(open_ones["items"]) == 4


async def test_all_that_fit_are_acknowledged_a_hundred_at_a_time_and_audited_in_one_line(alarms: World):
    for number in range(10, 115):
        alarms.alarm_store.save_alarm(alarm(number, priority=4))
    assert await alarms.call("GET", "/alarms/open", user="viewer") == {"count": 100, "more": True}
    wish = {"start": (NOW + timedelta(seconds=10)).isoformat(), "priority": 4, "note": "演练"}
    first = await alarms.call("POST", "/alarms/acknowledge", user="operator", json=wish)
    assert first == {"acknowledged": 100, "more": True}
    rest = await alarms.call("POST", "/alarms/acknowledge", user="operator", json=wish)
    assert rest == {"acknowledged": 5, "more": False}
    assert await alarms.call("GET", "/alarms/open", user="viewer") == {"count": 5, "more": False}
    newest = (await alarms.call("GET", "/alarms?limit=1"))["items"][0]
    assert (newest["acknowledged_by"], newest["note"]) == ("operator", "演练")
    assert [entry for entry in alarms.users.audit if "alarm" in entry[1]] == [("operator", "alarm.acknowledge_all", "*")] * 2
    await alarms.call("POST", "/alarms/acknowledge", user="viewer", status=403, json=wish)
    await alarms.call("POST", "/alarms/acknowledge", user="operator", status=400, json={"acknowledged": True})


async def test_a_viewer_neither_acknowledges_nor_resets(alarms: World):
    for action in ("acknowledge", "reset"):
        await alarms.call("POST", f"/alarms/{to_us(NOW)}/{action}", user="viewer", status=403, json={})


async def test_a_reset_goes_to_the_source_of_the_alarm_and_is_audited(alarms: World):
    await alarms.call("POST", f"/alarms/{to_us(NOW)}/reset", user="operator")
    assert alarms.resets == [(D1, C1)]
    assert ("operator", "alarm.reset", str(to_us(NOW))) in alarms.users.audit


@pytest.mark.parametrize("number", ["1", "x", "1.5", "-1", "9" * 30])
async def test_an_alarm_that_is_none_is_404_or_400(world: World, number: str):
    status = 404 if number == "1" else 400
    await world.call("GET", f"/alarms/{number}", status=status)


@pytest.mark.parametrize("query", ["priority=0", "priority=9", "method=-1", "start=yesterday", "limit=0", "colour=red"])
async def test_a_filter_that_cannot_be_is_400(world: World, query: str):
    await world.call("GET", f"/alarms?{query}", status=400)


async def test_words_and_floods_are_listed(world: World):
    words = await world.call("GET", "/alarms/words")
    assert {"method": 2, "words": {"zh": "设备报警", "en": "device"}} in words["methods"]
    assert len(words["types"]) == 20
    assert await world.call("GET", "/alarms/floods") == {"items": []}


# --- positions ---------------------------------------------------------------------------------------------------------


async def test_where_channels_are_and_were(world: World):
    await world.call("GET", f"/devices/{D1}/channels/{C1}/position", status=404)
    for number in range(3):
        world.position_store.save_position(position(number), is_last=True, in_track=True)
    await world.positions.load()
    found = await world.call("GET", f"/devices/{D1}/channels/{C1}/position", user="viewer")
    assert (found["longitude"], found["told_longitude"], found["system"], found["speed_kmh"]) == (118.3, 118.4, "gcj02", 36.5)
    listed = await world.call("GET", "/positions", user="viewer")
    assert [item["channel_id"] for item in listed["items"]] == [C1]
    assert (await world.call("GET", "/positions?q=nowhere"))["items"] == []
    base = f"/devices/{D1}/channels/{C1}/track?start=2026-03-01T08:00:00Z&end=2026-03-01T09:00:00Z&limit=2"
    first = await world.call("GET", base)
    rest = await world.call("GET", f"{base}&cursor={first['next']}")
    assert [item["at"][17:19] for item in first["items"] + rest["items"]] == ["00", "01", "02"]


@pytest.mark.parametrize("end", ["2026-03-01T07:00:00Z", "2026-04-02T08:00:01Z"])
async def test_a_track_has_a_range_and_not_too_long_a_one(world: World, end: str):
    await world.call("GET", f"/devices/{D1}/channels/{C1}/track?start=2026-03-01T08:00:00Z&end={end}", status=400)


# --- subscriptions -----------------------------------------------------------------------------------------------------


async def test_subscriptions_of_a_device_are_listed_and_switched(world: World):
    listed = await world.call("GET", f"/devices/{D1}/subscriptions", user="viewer")
    assert {item["topic"]: item["enabled"] for item in listed["items"]} == {
        "catalog": True, "alarm": True, "mobile_position": False, "ptz_position": False,
    }  # fmt: skip
    wish = {"enabled": True, "expires_s": 600, "interval_s": 10}
    changed = await world.call("PUT", f"/devices/{D1}/subscriptions/mobile_position", json=wish)
    assert (changed["enabled"], changed["expires_s"], changed["interval_s"], changed["own"]) == (True, 600, 10, wish)
    assert changed["state"] == "waiting"
    assert ("admin", "device.subscription", D1) in world.users.audit
    back = await world.call("PUT", f"/devices/{D1}/subscriptions/mobile_position", json={})
    assert (back["enabled"], back["state"]) == (False, "off")


async def test_a_subscription_that_cannot_be_is_refused(world: World):
    path = f"/devices/{D1}/subscriptions"
    await world.call("PUT", f"{path}/weather", status=400, json={"enabled": True})
    await world.call("PUT", f"{path}/alarm", status=400, json={"interval_s": 5})
    await world.call("PUT", f"{path}/alarm", status=400, json={"expires_s": 5})
    await world.call("PUT", f"{path}/alarm", status=403, user="operator", json={"enabled": True})
    answer = await world.call("PUT", f"{path}/ptz_position", status=409, json={"enabled": True})
    assert "2022" in answer["error"]["message"]
    await world.call("GET", "/devices/1/subscriptions", status=404)
    await world.call("PUT", f"/devices/{D2}/subscriptions/alarm", json={"enabled": False})


def test_every_event_of_these_features_can_be_written_as_json():
    events = [
        AlarmRaised(1, D1, C1, C1, NOW, 1, 5, 6, 1, "入侵"),
        AlarmAcknowledged(1, D1, C1, "admin", ""),
        AlarmReset(D1, C1, "admin", succeeded=True),
        AlarmFlood(D1, 3),
        PositionReported(K1, NOW, 118.3, 31.3, None, 90.0),
        PtzPositionReported(D1, C1, 1.0, None, None),
        SubscriptionChanged(D1, Topic.ALARM, "", "active", 0, ""),
        MediaFinished(D1, C1, "c@d", is_live=False),
    ]
    for event in events:
        assert type(event) in EVENTS
        assert json.loads(json.dumps(_fields(event, "en")))["device_id"] == D1


async def test_a_channel_that_its_device_calls_faulty_shows_so(world: World):
    """Q15: a keepalive lists channels that do not work."""
    assert (await world.call("GET", f"/devices/{D1}/channels/{C1}"))["faulty"] is False
    world.devices.faulty.add((D1, C1))
    assert (await world.call("GET", f"/devices/{D1}/channels/{C1}"))["faulty"] is True
