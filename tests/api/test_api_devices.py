from __future__ import annotations

import pytest

from gb28181.api.paging import Cursors
from gb28181.catalog.model import ChannelKey
from gb28181.device.model import Device
from gb28181.errors import Invalid
from gb28181.ids import DeviceId
from gb28181.messages import StreamState
from tests.api.api_world import C1, C2, D1, D2, D3, World

NEW = "34020000001110000004"


async def test_device_is_shown_with_its_registration(world: World):
    answer = await world.call("GET", f"/devices/{D1}")
    assert answer == {
        "device_id": D1, "name": "东门摄像机", "online": True, "manufacturer": "", "model": "", "firmware": "",
        "user_agent": "", "gb_version": "", "address": "192.168.1.64:5060", "transport": "udp",
        "registered_at": "2026-03-01T08:00:00.000Z", "expires_at": "2026-03-01T08:00:00.000Z",
        "last_seen_at": "2026-03-01T08:00:00.000Z", "media_transport": "", "channels": 2,
        "catalog": {"at": None, "announced": 0, "received": 0}, "keepalive_interval_s": 60.0, "own_password": False,
        "clock": {"offset_s": None, "measured_at": None, "warning": False}, "networks": [], "redirect": "", "overrides": {},
        "faults": [
            {
                "fault": "odd-thing", "count": 2, "last_at": "2026-03-01T08:00:00.000Z", "detail": "x",
                "words": {"zh": "odd-thing 2 次", "en": "odd thing 2 times"},
            }
        ],
        "hints": [],
        "profile": {
            "vendor": "", "edition": "2016", "charset": "gb2312", "media_transport": "auto", "ptz_target": "device",
            "ptz_address": 1,
            "config_target": "channel", "catalog_first_wait_s": 120.0, "catalog_gap_s": 30.0, "ignore_notified_status": False,
            "coordinate_system": "wgs84", "set_guard": "never", "date_header": True, "keep_open_s": 25.0, "digest": "MD5",
            "keepalive_policy": "revive", "keepalive_interval_s": 0.0, "keepalive_misses": 3,
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [D1, D2]),
        ("?online=true", [D1]),
        ("?online=false", [D2]),
        ("?q=东门", [D1]),
        ("?q=WEST", [D2]),
        ("?q=10000001", [D1]),
        ("?q=x", []),
    ],
)
async def test_devices_are_found_by_state_name_and_identifier(world: World, query: str, found: list[str]):
    answer = await world.call("GET", f"/devices{query}")
    assert [item["device_id"] for item in answer["items"]] == found
    assert answer["next"] is None


async def test_pages_join_without_hole_though_devices_come_and_go(world: World):
    for number in range(100, 130):
        identifier = DeviceId(f"34020000001110000{number}")
        world.devices.known[identifier] = Device(identifier)
    seen, cursor = [], ""
    while True:
        page = await world.call("GET", f"/devices?limit=7{cursor}")
        seen += [item["device_id"] for item in page["items"]]
        if not page["next"]:
            break
        world.devices.known.pop(DeviceId(seen[-1]), None)  # the row that the cursor names
        cursor = f"&cursor={page['next']}"
    assert seen == sorted(seen)
    assert len(seen) == 32


async def test_provisioned_device_gets_a_password_that_is_shown_once(world: World):
    answer = await world.call("POST", "/devices", status=201, json={"device_id": NEW, "name": " 西门 "})
    assert answer["name"] == "西门"
    assert len(answer["password"]) == 12
    assert world.devices.passwords[NEW] == answer["password"]
    assert "password" not in await world.call("GET", f"/devices/{NEW}")
    assert ("admin", "device.create", NEW) in world.users.audit


async def test_given_password_is_not_repeated(world: World):
    answer = await world.call("POST", "/devices", status=201, json={"device_id": NEW, "password": "12345678"})
    assert answer["password"] is None
    assert world.devices.passwords[NEW] == "12345678"
    conflict = await world.call("POST", "/devices", status=409, json={"device_id": NEW})
    assert conflict["error"]["code"] == "conflict"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"device_id": ""}, {"device_id": "a b"}, {"device_id": "x" * 65}, {"device_id": NEW, "name": "a\nb"},
        {"device_id": NEW, "name": "x" * 129}, {"device_id": NEW, "password": "with blank"}, {"device_id": "../etc"},
    ],
)  # fmt: skip
async def test_device_that_cannot_be_is_400(world: World, body: dict[str, str]):
    await world.call("POST", "/devices", status=400, json=body)
    assert len(world.devices.known) == 2


async def test_device_is_changed_and_removed(world: World):
    assert (await world.call("PATCH", f"/devices/{D1}", json={"name": "新"}))["name"] == "新"
    await world.call("PATCH", f"/devices/{D1}", json={"password": ""})
    assert world.devices.passwords == {D1: ""}
    await world.call("DELETE", f"/devices/{D1}", status=204)
    for method in ("GET", "DELETE"):
        assert (await world.call(method, f"/devices/{D1}", status=404))["error"]["code"] == "not_found"


async def test_what_an_operator_sets_is_shown_taken_back_and_audited(world: World):
    body = {"networks": ["192.0.2.9/24"], "redirect": "sip:34020000002000000002@192.0.2.1"}
    profile = {"edition": "2022", "ignore_notified_status": True, "catalog_gap_s": 5}
    changed = await world.call("PATCH", f"/devices/{D1}", json=body | {"profile": profile})
    assert (changed["networks"], changed["redirect"]) == (["192.0.2.0/24"], body["redirect"])
    assert changed["overrides"] == profile
    assert (changed["profile"]["edition"], changed["profile"]["charset"]) == ("2022", "gb18030")
    changed = await world.call("PATCH", f"/devices/{D1}", json={"profile": {"edition": None}})
    assert changed["overrides"] == {"ignore_notified_status": True, "catalog_gap_s": 5}
    assert changed["profile"]["edition"] == "2016"
    assert world.users.audit.count(("admin", "device.change", D1)) == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"profile": {"edition": "2012"}}, "'2011', '2014', '2016' or '2022'"),
        ({"profile": {"editoin": "2016"}}, "not permitted"),
        ({"profile": {"vendor": "acme"}}, "hikvision, dahua"),
        ({"profile": {"catalog_gap_s": 0}}, "greater than or equal to 1"),
        ({"profile": {"keepalive_misses": 1.5}}, "integer"),
        ({"networks": ["10.0.0.0/40"]}, "192.0.2.0/24"),
        ({"networks": "10.0.0.0/8"}, "array"),
    ],
)
async def test_what_cannot_be_set_is_400_and_says_what_can(world: World, body: dict[str, object], said: str):
    answer = await world.call("PATCH", f"/devices/{D1}", status=400, json=body)
    assert said in answer["error"]["message"]


async def test_a_stranger_is_shown_let_in_and_audited(world: World):
    (stranger,) = (await world.call("GET", "/quarantine"))["items"]
    assert (stranger["device_id"], stranger["reason"], stranger["count"]) == (D3, "unknown", 1)
    made = await world.call("POST", f"/quarantine/{D3}/accept", status=201, json={"name": "新门"})
    assert (made["device_id"], made["name"], made["online"]) == (D3, "新门", False)
    assert ("admin", "device.accept", D3) in world.users.audit
    assert (await world.call("GET", "/quarantine"))["items"] == []
    await world.call("POST", f"/quarantine/{D3}/accept", status=404, json={})


async def test_a_stranger_is_taken_off_the_list(world: World):
    await world.call("DELETE", f"/quarantine/{D3}", status=204)
    await world.call("DELETE", f"/quarantine/{D3}", status=404)
    assert ("admin", "device.dismiss", D3) in world.users.audit


@pytest.mark.parametrize(
    ("user", "method", "path", "status"),
    [
        ("viewer", "GET", "/quarantine", 403),
        ("operator", "GET", "/quarantine", 200),
        ("operator", "POST", f"/quarantine/{D3}/accept", 403),
        ("operator", "DELETE", f"/quarantine/{D3}", 403),
    ],
)
async def test_who_may_let_strangers_in(world: World, user: str, method: str, path: str, status: int):
    await world.call(method, path, user=user, status=status, json={} if method == "POST" else None)


async def test_identifier_in_the_path_is_checked(world: World):
    answer = await world.call("GET", "/devices/a%20b", status=400)
    assert answer["error"]["detail"]["errors"][0]["location"] == "path.device_id"


async def test_catalogue_query_is_a_job(world: World):
    job = (await world.call("POST", f"/devices/{D1}/catalog", status=202))["job"]
    answer = await world.call("GET", f"/jobs/{job}")
    assert (answer["state"], answer["received"], answer["announced"]) == ("running", 3, 16)
    await world.call("GET", "/jobs/none", status=404)


async def test_channels_are_listed_by_device_and_over_all(world: World):
    of_device = await world.call("GET", f"/devices/{D1}/channels")
    assert [item["channel_id"] for item in of_device["items"]] == [C1, C2]
    everywhere = await world.call("GET", "/channels?limit=2")
    following = await world.call("GET", f"/channels?limit=2&cursor={everywhere['next']}")
    assert [(i["device_id"], i["channel_id"]) for i in everywhere["items"] + following["items"]] == [
        (D1, C1),
        (D1, C2),
        (D2, C1),
    ]
    assert following["next"] is None
    await world.call("GET", "/devices/none/channels", status=404)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=车场", ["停车场"]),
        ("q=大门", ["东大门"]),
        ("online=true", ["东大门"]),
        ("q=tcc", ["停车场"]),
        (f"device={D2}", ["Hall"]),
        ("device=none", []),
    ],
)
async def test_channels_are_found_by_two_characters_state_and_device(world: World, query: str, names: list[str]):
    answer = await world.call("GET", f"/channels?{query}")
    assert [item["name"] for item in answer["items"]] == names


async def test_cursor_of_one_list_is_refused_by_another(world: World):
    cursor = (await world.call("GET", "/channels?limit=1"))["next"]
    answer = await world.call("GET", f"/devices?cursor={cursor}", status=400)
    assert "cursor" in answer["error"]["message"]


async def test_channel_shows_recording_and_stream(world: World):
    now = world.clock.utc_us()
    key = ChannelKey(D1, C1)
    await world.recordings.set_mode(key, "always")
    world.sessions.states[key] = StreamState(
        "s", D1, C1, "tcp", 20000, first_key_frame_at=now - 10**7, last_media_at=now, bitrate_kbps=2048.04, lost=3
    )
    answer = await world.call("GET", f"/devices/{D1}/channels/{C1}")
    assert answer["playable"] is True
    assert answer["online"] is True
    assert answer["recording"] == {
        "mode": "always", "state": "failed", "since": "2026-03-01T08:00:00.000Z", "message": "the device does not answer",
        "retention_hours": 360.0,
    }  # fmt: skip
    assert (answer["stream"]["state"], answer["stream"]["bitrate_kbps"], answer["stream"]["lost"]) == ("running", 2048.0, 3)
    world.sessions.states[key] = StreamState("s", D1, C1, "tcp", 20000, first_key_frame_at=1, last_media_at=now - 6 * 10**6)
    assert (await world.call("GET", f"/devices/{D1}/channels/{C1}"))["stream"]["state"] == "silent"
    world.sessions.states[key] = StreamState("s", D1, C1, "tcp", 20000)
    assert (await world.call("GET", f"/devices/{D1}/channels/{C1}"))["stream"]["state"] == "waiting"


@pytest.mark.parametrize("cursor", ["", "x", "é", "A" * 2000, "AAAAAAAAAAAAAAAA", "%%%"])
def test_made_up_cursors_are_refused(cursor: str):
    with pytest.raises(Invalid):
        Cursors(b"k", "devices").read(cursor)


def test_cursor_cannot_be_changed():
    cursors = Cursors(b"k", "devices")
    cursor = cursors.write(("a", 1))
    assert cursors.read(cursor) == ("a", 1)
    for position in range(len(cursor) - 1):
        other = "A" if cursor[position] != "A" else "B"
        with pytest.raises(Invalid):
            cursors.read(cursor[:position] + other + cursor[position + 1 :])
