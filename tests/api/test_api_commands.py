"""Commands to devices over the API: rights, audit, names, editions, orders and what they show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from gb28181 import tokens
from gb28181.api.config_blocks import WRITABLE, ConfigChange
from gb28181.command.configuration import TYPES
from gb28181.command.model import Firmware, Picture
from gb28181.manscdp.codec import build, parse
from gb28181.manscdp.commands.card import SDCard, SDCardStatusResponse
from gb28181.manscdp.commands.config import ConfigDownloadResponse, DeviceConfig, DeviceConfigResponse
from gb28181.manscdp.commands.config_blocks import BasicParam, SnapShotConfig
from gb28181.manscdp.commands.control import DeviceControlResponse
from gb28181.manscdp.commands.device import DeviceInfoResponse, DeviceStatusResponse, DutyItem
from gb28181.manscdp.commands.record import RecordInfoResponse, RecordItem
from gb28181.manscdp.element import Result
from gb28181.ports import SipResponse
from gb28181.router import Inbound
from tests.api.api_world import C1, D1, D2, NOW, World
from tests.fakes import Sent, request

DEVICE = f"/devices/{D1}"
CHANNEL = f"/devices/{D1}/channels/{C1}"
SHOWN = "2026-03-01T08:00:00.000Z"


def answering(world: World, make: Callable[[Any], Iterable[object]], edition: str = "2022") -> None:
    """The device, of this edition, answers each command with what `make` makes of it."""
    device = world.devices.known[D1]
    world.devices.known[D1] = device.with_changes(profile=type(device.profile)(edition=edition))  # type: ignore[arg-type]

    def answer(sent: Sent) -> SipResponse:
        for response in make(sent.command):
            world.answered(Inbound(response, D1, request("MESSAGE", D1)))
        return SipResponse(200, "OK", {}, b"")

    world.signalling.answer = answer


def agrees(command: Any) -> Iterable[object]:
    kind = DeviceConfigResponse if isinstance(command, DeviceConfig) else DeviceControlResponse
    return [kind(sn=command.sn, device_id=command.device_id, result=Result.OK)]


def asked(world: World) -> list[Any]:
    return [sent.command for sent in world.signalling.sent]


def audited(world: World) -> list[tuple[str, str]]:
    return [(action, target) for _, action, target in world.users.audit if action.startswith(("device.", "firmware."))]


async def test_info_and_status_are_what_the_device_says_now(world: World):
    def make(query: Any) -> Iterable[object]:
        if type(query).__name__ == "DeviceInfoQuery":
            return [DeviceInfoResponse(sn=query.sn, device_id=query.device_id, model="M1", channel=4)]
        duty = DutyItem(device_id=C1, duty_status="OFFDUTY")
        return [DeviceStatusResponse(sn=query.sn, device_id=query.device_id, device_time=NOW, alarm_status=(duty,))]

    answering(world, make)
    info = await world.call("GET", f"{DEVICE}/info", user="viewer")
    assert (info["model"], info["channels"], info["name"], info["asked_at"]) == ("M1", 4, None, SHOWN)
    status = await world.call("GET", f"{CHANNEL}/status", user="viewer")
    assert (status["time_offset_s"], status["online"]) == (0, True)
    assert status["guards"] == [{"device_id": C1, "duty_status": "OFFDUTY"}]
    assert [command.device_id for command in asked(world)] == [D1, C1]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"action": "set_guard"}, "<GuardCmd>SetGuard</GuardCmd>"),
        ({"action": "reset_alarm", "alarm_method": "2"}, "<AlarmMethod>2</AlarmMethod>"),
        ({"action": "stop_record"}, "<RecordCmd>StopRecord</RecordCmd>"),
        ({"action": "key_frame"}, "<IFrameCmd>Send</IFrameCmd>"),
        ({"action": "track_target", "mode": "auto", "panorama": C1}, "<DeviceID2>"),
    ],
)
async def test_a_control_is_sent_audited_and_says_whether_it_was_confirmed(world: World, body: dict[str, Any], said: str):
    answering(world, agrees)
    answer = await world.call("POST", f"{CHANNEL}/control", user="operator", json=body)
    confirmed = body["action"] not in ("key_frame", "track_target")
    assert answer == {"asked_at": SHOWN, "action": body["action"], "confirmed": confirmed}
    assert said in world.signalling.sent[0].body.decode("gb18030")
    assert audited(world) == [(f"device.{body['action']}", f"{D1}/{C1}")]


@pytest.mark.parametrize(
    "body",
    [
        {"action": "explode"}, {}, {"action": "track_target", "mode": "manual"}, {"action": "set_guard", "more": 1},
        {"action": "reset_alarm", "alarm_method": "<x>"},
    ],
)  # fmt: skip
async def test_what_is_no_control_is_refused(world: World, body: dict[str, Any]):
    assert (await world.call("POST", f"{DEVICE}/control", status=400, json=body))["error"]["code"] == "invalid"
    assert world.signalling.sent == []


async def test_an_older_edition_says_that_it_has_no_such_command(world: World):
    answering(world, agrees, edition="2016")
    for method, path, body in (
        ("POST", "/control", {"action": "track_target", "mode": "auto"}),
        ("GET", "/storage-cards", None),
        ("POST", "/storage-cards/format", {"card": 1}),
        ("POST", "/device-snapshots", {"count": 1}),
        ("GET", "/config?types=osd_config", None),
        ("PUT", "/config", {"frame_mirror": 1}),
    ):
        error = (await world.call(method, f"{DEVICE}{path}", status=409, json=body))["error"]
        assert (error["code"], "edition 2016" in error["message"]) == ("edition", True), path
    assert world.signalling.sent == []


async def test_a_device_that_is_offline_or_unknown_or_refuses_is_told_apart(world: World):
    assert (await world.call("GET", f"/devices/{D2}/info", status=503))["error"]["code"] == "device_offline"
    assert (await world.call("GET", "/devices/34020000009999999999/info", status=404))["error"]["code"] == "not_found"
    await world.call("GET", f"/devices/{D1}/channels/34020000009999999999/info", status=404)
    answering(world, lambda c: [DeviceControlResponse(sn=c.sn, device_id=c.device_id, result=Result.ERROR)])
    error = (await world.call("POST", f"{DEVICE}/control", status=502, json={"action": "set_guard"}))["error"]
    assert error["stage"] == "result_error"


# --- configuration -------------------------------------------------------------------------------------------------


async def test_a_configuration_is_read_as_the_device_tells_it_without_links_that_open_something(world: World):
    basic = BasicParam(name="门", expiration=3600)
    shots = SnapShotConfig(snap_num=1, upload_url="http://x/secret-token", session_id="s" * 32)

    def make(query: Any) -> Iterable[object]:
        return [
            ConfigDownloadResponse(sn=query.sn, device_id=query.device_id, basic_param=basic),
            ConfigDownloadResponse(sn=query.sn, device_id=query.device_id, snap_shot_config=shots),
        ]

    answering(world, make)
    answer = await world.call("GET", f"{CHANNEL}/config?types=basic_param,snap_shot_config", user="operator")
    assert answer["config"] == {
        "basic_param": {"name": "门", "expiration": 3600},
        "snap_shot_config": {"snap_num": 1, "session_id": "s" * 32},
    }
    assert (answer["missing"], answer["target"], answer["asked_at"]) == ([], C1, SHOWN)
    assert answer["known"] == list(TYPES)
    assert "secret" not in str(answer)


OSD = {
    "length": 704, "width": 576, "time_x": 8, "time_y": 8, "items": [{"text": "门口<&>", "x": 1, "y": 2}],
}  # fmt: skip


async def test_blocks_are_written_one_by_one_and_counted_for_the_caller(world: World):
    answering(world, agrees)
    plan = {
        "record_enable": 1,
        "record_schedules": [{"week_day_num": 1, "time_segments": [{"start_hour": 0, "stop_hour": 23}]}],
    }
    body = {"osd_config": OSD, "video_record_plan": plan, "frame_mirror": 0, "picture_mask": {"on": 0}}
    answer = await world.call("PUT", f"{CHANNEL}/config", json=body)
    assert {name: result["ok"] for name, result in answer["results"].items()} == dict.fromkeys(body, True)
    sent = asked(world)
    assert len(sent) == 4
    osd = next(command.osd_config for command in sent if command.osd_config)
    assert (osd.sum_num, osd.items[0].text, osd.time_enable) == (1, "门口<&>", 1)
    record_plan = next(command.video_record_plan for command in sent if command.video_record_plan)
    assert (record_plan.record_schedule_sum_num, record_plan.record_schedules[0].time_segment_sum_num) == (1, 1)
    mask = next(command.picture_mask for command in sent if command.picture_mask)
    assert (mask.on, mask.sum_num) == (0, 0)
    assert ("device.config", f"{D1}/{C1}") in audited(world)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"osd_confg": OSD}, "did you mean osd_config?"),
        ({"osd_config": OSD | {"time_typ": 1}}, "did you mean time_type?"),
        ({"basic_param": {"heartbeat_interval": 60}}, "did you mean heart_beat_interval?"),
        ({"snap_shot_config": {}}, "unknown name 'snap_shot_config'"),
        ({}, "nothing to write"),
        ({"frame_mirror": 4}, "less than or equal to 3"),
        ({"picture_mask": {"on": 1, "region_list": [{"seq": 1, "point": "1,2"}]}}, "pattern"),
        ({"osd_config": OSD | {"items": [{"text": "x" * 33, "x": 1, "y": 1}]}}, "32"),
        ({"basic_param": {"password": "x"}}, "unknown name 'password'"),
        (
            {"video_param_attribute": [{"stream_number": 0, "video_format": "2", "resolution": "6", "frame_rate": "25",
                                        "bit_rate_type": "1"}]},
            "needs video_bit_rate",
        ),
        (
            {"video_record_plan": {"record_enable": 1, "record_schedules": [
                {"week_day_num": 1, "time_segments": [{"start_hour": 9, "stop_hour": 8}]}]}},
            "ends after it begins",
        ),
    ],
)  # fmt: skip
async def test_a_wrong_name_or_value_is_refused_with_the_nearest_name(world: World, body: dict[str, Any], said: str):
    error = (await world.call("PUT", f"{DEVICE}/config", status=400, json=body))["error"]
    assert said in error["message"]
    assert world.signalling.sent == []
    error = (await world.call("GET", f"{DEVICE}/config?types=osd_confg", status=400))["error"]
    assert "did you mean osd_config?" in error["message"]


async def test_of_several_blocks_each_says_how_it_went_and_one_alone_is_an_error(world: World):
    def make(command: Any) -> Iterable[object]:
        result = Result.ERROR if command.frame_mirror is not None else Result.OK
        return [DeviceConfigResponse(sn=command.sn, device_id=command.device_id, result=result)]

    answering(world, make)
    answer = await world.call("PUT", f"{DEVICE}/config", json={"frame_mirror": 1, "osd_config": OSD})
    assert answer["results"]["osd_config"] == {"ok": True, "target": D1, "code": None, "message": None, "stage": None}
    assert (answer["results"]["frame_mirror"]["ok"], answer["results"]["frame_mirror"]["stage"]) == (False, "result_error")
    error = (await world.call("PUT", f"{DEVICE}/config", status=502, json={"frame_mirror": 1}))["error"]
    assert error["stage"] == "result_error"


def test_every_type_but_two_can_be_written_and_comes_back_as_it_was_written():
    assert set(WRITABLE) == set(TYPES) - {"video_param_opt", "snap_shot_config"}
    body = {
        "basic_param": {"name": "x", "expiration": 3600, "heart_beat_interval": 60, "heart_beat_count": 3},
        "svac_encode_config": {
            "roi_param": {
                "roi_flag": 1, "items": [{"roi_seq": 1, "top_left": 0, "bottom_right": 9, "roi_qp": 1}],
            },
            "svc_param": {"svc_space_domain_mode": 1, "svc_time_domain_mode": 0, "ssvc_ratio_value": "4:3"},
            "audio_param": {"audio_recognition_flag": 1},
        },
        "svac_decode_config": {"svc_param": {"svc_stm_mode": 2}, "surveillance_param": {"osd_show_flag": 1}},
        "video_param_attribute": [
            {"stream_number": 0, "video_format": "2", "resolution": "6", "frame_rate": "25", "bit_rate_type": "1",
             "video_bit_rate": "4096"},
        ],
        "video_record_plan": {"record_enable": 0},
        "video_alarm_record": {"record_enable": 1, "record_time": 30, "pre_record_time": 5},
        "picture_mask": {"on": 1, "region_list": [{"seq": 1, "point": "0,0,10,10"}]},
        "frame_mirror": 3,
        "alarm_report": {"motion_detection": 1, "field_detection": 0},
        "osd_config": OSD,
    }  # fmt: skip
    assert set(body) == set(WRITABLE)
    given = ConfigChange.model_validate(body).given()
    command = DeviceConfig(sn=1, device_id=D1, **given)
    assert parse(build(command)).command == command


# --- recordings ----------------------------------------------------------------------------------------------------


async def test_recordings_of_a_device_come_with_their_gaps_and_days(world: World):
    def make(query: Any) -> Iterable[object]:
        item = RecordItem(device_id=C1, start_time=query.start_time, end_time=query.end_time, file_path="a", file_size=7)
        return [RecordInfoResponse(sn=query.sn, device_id=C1, sum_num=1, record_list=(item,))]

    answering(world, make)
    query = "start=2026-02-28T00:00:00%2B08:00&end=2026-02-28T12:00:00%2B08:00&type=time"
    answer = await world.call("GET", f"{CHANNEL}/device-recordings?{query}", user="viewer")
    assert answer["complete"]
    assert answer["items"][0]["start"] == "2026-02-27T16:00:00.000Z"
    assert (answer["items"][0]["bytes"], answer["gaps"], answer["asked_at"]) == (7, [], SHOWN)
    assert answer["days"] == [{"date": "2026-02-28", "state": "complete", "received": 1, "announced": 1}]
    await world.call("GET", f"{CHANNEL}/device-recordings?start=2026-02-28T00:00:00Z", status=400)


# --- orders --------------------------------------------------------------------------------------------------------


async def test_an_order_for_pictures_is_shown_with_links_to_them(world: World):
    answering(world, agrees)
    order = await world.call("POST", f"{CHANNEL}/device-snapshots", user="operator", status=202, json={"count": 2})
    assert (order["kind"], order["state"], order["progress"], order["pictures"]) == ("snapshot", "accepted", 0.0, [])
    world.deposit.kept[order["order_id"]] = [Picture("01-x.jpg", 9, NOW)]
    shown = await world.call("GET", f"/device-snapshots/{order['order_id']}", user="viewer")
    assert (shown["state"], shown["progress"], shown["channel_id"]) == ("uploading", 0.5, C1)
    (picture,) = shown["pictures"]
    found = re.fullmatch(rf"/media/picture/{order['order_id']}/01-x\.jpg\?token=(.+)", picture["url"])
    assert found is not None
    resource = f"{order['order_id']}/01-x.jpg"
    tokens.check(world.link_key, "picture", resource, found[1], NOW.timestamp())
    listed = await world.call("GET", f"/orders?device_id={D1}&kind=snapshot", user="viewer")
    assert [entry["order_id"] for entry in listed["items"]] == [order["order_id"]]
    assert "token" not in str(listed)
    await world.call("GET", f"/device-snapshots/{'0' * 32}", status=404)


async def test_a_restart_is_an_order_that_shows_its_progress(world: World):
    order = await world.call("POST", f"{DEVICE}/reboot", status=202)
    assert (order["kind"], order["state"], order["open"], order["detail"]) == ("reboot", "accepted", True, {})
    assert (await world.call("GET", f"/orders/{order['order_id']}", user="viewer"))["order_id"] == order["order_id"]
    error = (await world.call("POST", f"{DEVICE}/reboot", status=409))["error"]
    assert error["code"] == "conflict"
    assert (await world.call("GET", f"/orders/{order['order_id']}"))["open"]
    assert ("device.reboot", D1) in audited(world)


async def test_cards_are_shown_and_formatted(world: World):
    def make(query: Any) -> Iterable[object]:
        if type(query).__name__ != "SDCardStatusQuery":
            return []
        card = SDCard(id=1, hdd_name="sd", status="ok", capacity=1000, free_space=10)
        return [SDCardStatusResponse(sn=query.sn, device_id=query.device_id, sum_num=1, sd_card_status_info=(card,))]

    answering(world, make)
    answer = await world.call("GET", f"{DEVICE}/storage-cards", user="operator")
    assert answer["cards"] == [
        {"number": 1, "name": "sd", "status": "ok", "format_progress": None, "capacity_mb": 1000, "free_mb": 10}
    ]
    order = await world.call("POST", f"{DEVICE}/storage-cards/format", status=202, json={"card": 1})
    assert order["detail"] == {"card": 1, "progress": None}
    await world.call("POST", f"{DEVICE}/storage-cards/format", status=400, json={})


async def test_a_firmware_is_entered_sent_and_ordered(world: World):
    answering(world, agrees)
    made = await world.call("POST", "/firmware", status=201, json={"name": "a.bin", "version": "V2", "manufacturer": "H"})
    assert re.fullmatch(rf"/media/firmware/{made['firmware_id']}\?token=.+", made["upload_url"])
    error = await world.call("POST", f"{DEVICE}/upgrade", status=404, json={"firmware_id": made["firmware_id"]})
    assert "not been stored" in error["error"]["message"]
    world.deposit.files[made["firmware_id"]] = Firmware(made["firmware_id"], "a.bin", "V2", "H", NOW, 10, "ab")
    (listed,) = (await world.call("GET", "/firmware"))["items"]
    assert (listed["stored"], listed["upload_url"]) == (True, None)
    order = await world.call("POST", f"{DEVICE}/upgrade", status=202, json={"firmware_id": made["firmware_id"]})
    assert (order["state"], order["detail"]["version"], order["detail"]["total"]) == ("accepted", "V2", 10)
    assert "call_id" not in order["detail"]
    await world.call("DELETE", f"/firmware/{made['firmware_id']}", status=409)
    for name in ("../a", "a b", ""):
        await world.call("POST", "/firmware", status=400, json={"name": name, "version": "V2", "manufacturer": "H"})


async def test_orders_come_newest_first_in_pages(world: World):
    answering(world, agrees)
    made = [(await world.call("POST", f"{CHANNEL}/device-snapshots", status=202, json={}))["order_id"] for _ in range(3)]
    first = await world.call("GET", "/orders?limit=2")
    rest = await world.call("GET", f"/orders?limit=2&cursor={first['next']}")
    assert {entry["order_id"] for entry in first["items"] + rest["items"]} == set(made)
    assert (len(first["items"]), rest["next"]) == (2, None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{DEVICE}/control"), ("GET", f"{DEVICE}/config"), ("PUT", f"{DEVICE}/config"), ("POST", f"{DEVICE}/reboot"),
        ("GET", f"{DEVICE}/storage-cards"), ("POST", f"{DEVICE}/storage-cards/format"), ("POST", f"{DEVICE}/upgrade"),
        ("POST", f"{CHANNEL}/device-snapshots"), ("GET", "/firmware"), ("POST", "/firmware"),
    ],
)  # fmt: skip
async def test_a_viewer_only_reads_what_harms_nobody(world: World, method: str, path: str):
    await world.call(method, path, user="viewer", status=403)
    assert world.signalling.sent == []


@pytest.mark.parametrize("path", ["/config", "/reboot", "/storage-cards/format", "/upgrade"])
async def test_what_can_ruin_a_device_is_for_administrators(world: World, path: str):
    await world.call("PUT" if path == "/config" else "POST", f"{DEVICE}{path}", user="operator", status=403)
