"""Steering over the API: rights, audit, who holds a camera, and the stop when the caller is gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gb28181.api.endpoints.ptz import Action
from gb28181.manscdp.codec import parse
from gb28181.manscdp.commands.control import DeviceControl, DeviceControlResponse
from gb28181.manscdp.commands.ptz import PresetQuery, PTZPositionQuery
from gb28181.manscdp.element import Result
from gb28181.manscdp.ptz_code import STOP, Auxiliary, Cruise, Move, Preset, PtzAction, Scan
from gb28181.manscdp.ptz_code import parse as code_of
from gb28181.ports import SipResponse
from gb28181.ptz.model import ACTIONS
from gb28181.router import Inbound
from tests.api.api_world import C1, C2, D1, D2, World
from tests.fakes import Sent, request, settle

PTZ = f"/devices/{D1}/channels/{C1}/ptz"
CHANNEL = f"/devices/{D1}/channels/{C1}"


def codes(world: World) -> list[PtzAction]:
    commands = (sent.command for sent in world.signalling.sent)
    return [code_of(it.ptz_cmd).action for it in commands if isinstance(it, DeviceControl) and it.ptz_cmd is not None]


def answering(world: World, make: Any) -> None:
    """The device answers each command with what `make` makes of it."""

    def answer(sent: Sent) -> SipResponse:
        if (response := make(sent.command)) is not None:
            world.answered(Inbound(response, D1, request("MESSAGE", D1)))
        return SipResponse(200, "OK", {}, b"")

    world.signalling.answer = answer


def edition(world: World, name: str) -> None:
    device = world.devices.known[D1]
    world.devices.known[D1] = device.with_changes(profile=type(device.profile)(edition=name))  # type: ignore[arg-type]


def audited(world: World) -> list[str]:
    return [entry[1] for entry in world.users.audit if entry[1].startswith("ptz.")]


def test_the_api_names_every_action_of_the_model():
    assert set(Action.__args__) == {*ACTIONS, "move"}  # type: ignore[attr-defined]


async def test_a_movement_is_started_renewed_changed_and_stopped_and_audited_once(world: World):
    body = {"action": "right_up", "speed": {"pan": 1, "tilt": 0.5}, "lease_s": 2}
    assert await world.call("POST", PTZ, json=body) == {"state": "started", "lease_s": 2}
    assert await world.call("POST", PTZ, json=body) == {"state": "renewed", "lease_s": 2}
    changed = await world.call("POST", PTZ, json={"action": "move", "speed": {"zoom": -1}})
    assert changed == {"state": "changed", "lease_s": 3}
    stopped = await world.call("POST", PTZ, json={"action": "stop"})
    assert stopped == {"state": "stopped", "lease_s": 0}
    await world.call("POST", f"{PTZ}/stop", status=204)
    assert codes(world) == [
        Move(1, 1, 0, 255, 128), Move(zoom=-1, zoom_speed=15), STOP, STOP,
    ]  # fmt: skip
    assert audited(world) == ["ptz.move"]


@pytest.mark.parametrize("body", [
    {}, {"action": "sideways"}, {"action": "left", "speed": 0}, {"action": "left", "speed": 1.5},
    {"action": "left", "speed": -1},
    {"action": "left", "speed": {"roll": 1}}, {"action": "left", "speed": {"pan": -0.5}}, {"action": "move"},
    {"action": "move", "speed": 1}, {"action": "move", "speed": {"pan": 2}}, {"action": "left", "lease_s": 0},
    {"action": "left", "lease_s": 3600}, {"action": "left", "more": 1},
])  # fmt: skip
async def test_what_is_no_movement_is_400_and_moves_nothing(world: World, body: dict[str, Any]):
    await world.call("POST", PTZ, json=body, status=400)
    assert world.signalling.sent == []


async def test_a_viewer_sees_who_steers_and_steers_nothing(world: World):
    await world.call("POST", PTZ, json={"action": "left"}, user="operator")
    seen = await world.call("GET", PTZ, user="viewer")
    assert (seen["held_by"], seen["moving"], seen["mine"], seen["may_steer"]) == ("operator", True, False, False)
    for method, path in (
        ("POST", PTZ), ("POST", f"{PTZ}/stop"), ("POST", f"{PTZ}/lock"), ("DELETE", f"{PTZ}/lock"), ("POST", f"{PTZ}/precise"),
        ("PUT", f"{CHANNEL}/presets/1"), ("POST", f"{CHANNEL}/presets/1/call"), ("DELETE", f"{CHANNEL}/presets/1"),
        ("POST", f"{CHANNEL}/drag-zoom"), ("PUT", f"{CHANNEL}/home"), ("POST", f"{CHANNEL}/scans/1"),
        ("PUT", f"{CHANNEL}/auxiliaries/1"), ("POST", f"{CHANNEL}/cruises/1/start"),
    ):  # fmt: skip
        await world.call(method, path, user="viewer", status=403)
    assert len(world.signalling.sent) == 1


async def test_a_lower_priority_is_told_who_steers_and_until_when(world: World):
    await world.call("POST", PTZ, json={"action": "left"}, user="operator")
    await world.call("POST", PTZ, json={"action": "right"}, user="admin")
    error = (await world.call("POST", PTZ, json={"action": "left"}, user="operator", status=409))["error"]
    assert error["code"] == "held"
    assert error["detail"]["held_by"] == "admin"
    assert error["detail"]["until"].startswith("2026-03-01T08:00:0")
    assert "admin" in error["message"]


async def test_a_lock_keeps_a_camera_until_it_is_freed(world: World):
    locked = await world.call("POST", f"{PTZ}/lock", json={"lock_s": 60}, user="operator")
    assert (locked["held_by"], locked["locked"], locked["mine"]) == ("operator", True, True)
    await world.add_user("second", "operator")
    await world.call("POST", PTZ, json={"action": "left"}, user="second", status=409)
    await world.call("DELETE", f"{PTZ}/lock", user="second", status=409)
    await world.call("DELETE", f"{PTZ}/lock", user="admin", status=204)
    await world.call("POST", PTZ, json={"action": "left"}, user="second")
    assert audited(world) == ["ptz.lock", "ptz.unlock", "ptz.move"]


async def test_a_camera_is_stopped_when_the_events_of_its_login_close(world: World):
    first = await world.client.ws_connect("/api/v1/events", headers={"Authorization": f"Bearer {world.tokens['operator']}"})
    second = await world.client.ws_connect("/api/v1/events", headers={"Authorization": f"Bearer {world.tokens['operator']}"})
    other = await world.client.ws_connect("/api/v1/events", headers={"Authorization": f"Bearer {world.tokens['admin']}"})
    for socket in (first, second, other):
        assert (await socket.receive_json())["type"] == "ready"
    await world.call("POST", PTZ, json={"action": "left"}, user="operator")
    await other.close()
    await first.close()
    await settle()
    assert len(codes(world)) == 1
    await second.close()
    async with asyncio.timeout(5):
        while len(codes(world)) < 2:
            await asyncio.sleep(0.01)
    assert codes(world)[1] == STOP


async def test_who_steers_is_an_event(world: World):
    socket = await world.client.ws_connect("/api/v1/events", headers={"Authorization": f"Bearer {world.tokens['viewer']}"})
    assert (await socket.receive_json())["type"] == "ready"
    await world.call("POST", PTZ, json={"action": "left"}, user="operator")
    event = await socket.receive_json(timeout=5)
    while not event["is_moving"]:
        event = await socket.receive_json(timeout=5)
    assert (event["type"], event["device_id"], event["channel_id"]) == ("ptz_changed", D1, C1)
    assert event["held_by"] == "operator"
    await socket.close()


async def test_an_unknown_channel_and_an_offline_device_are_named(world: World):
    await world.call("POST", f"/devices/{D1}/channels/34020000001320009999/ptz", json={"action": "left"}, status=404)
    error = await world.call("POST", f"/devices/{D2}/channels/{C1}/ptz", json={"action": "left"}, status=503)
    assert (error["error"]["code"], error["error"]["stage"]) == ("device_offline", "not_sent")
    assert error["error"]["detail"]["command"] == "DeviceControl PTZCmd"


async def test_presets_are_listed_set_called_and_deleted(world: World):
    def presets(command: Any) -> Any:
        if not isinstance(command, PresetQuery):
            return None
        items = "<Item><PresetID>2</PresetID><PresetName>大门</PresetName></Item>"
        return parse(
            f"<Response><CmdType>PresetQuery</CmdType><SN>{command.sn}</SN><DeviceID>{C1}</DeviceID><SumNum>1</SumNum>"
            f'<PresetList Num="1">{items}</PresetList></Response>'.encode()
        ).command

    answering(world, presets)
    edition(world, "2022")
    assert await world.call("GET", f"{CHANNEL}/presets", user="viewer") == {
        "items": [{"number": 2, "name": "大门"}], "announced": 1,
    }  # fmt: skip
    assert await world.call("PUT", f"{CHANNEL}/presets/7", json={"name": "West"}) == {"number": 7, "named": True}
    await world.call("POST", f"{CHANNEL}/presets/7/call", status=204)
    await world.call("DELETE", f"{CHANNEL}/presets/7", status=204)
    assert codes(world) == [Preset("set", 7), Preset("call", 7), Preset("delete", 7)]
    assert audited(world) == ["ptz.preset_set", "ptz.preset_call", "ptz.preset_delete"]


@pytest.mark.parametrize("number", ["0", "256", "x", "-1", "1.0", "٣", "00001"])
async def test_a_preset_that_no_code_can_name_is_400(world: World, number: str):
    await world.call("POST", f"{CHANNEL}/presets/{number}/call", status=400)
    assert world.signalling.sent == []


async def test_cruises_scans_and_switches_are_codes(world: World):
    assert await world.call("POST", f"{CHANNEL}/cruises/1/points", json={"preset": 3}) == {"number": 1, "named": False}
    await world.call("PATCH", f"{CHANNEL}/cruises/1", json={"speed": 15, "stay_s": 300}, status=204)
    await world.call("PATCH", f"{CHANNEL}/cruises/1", json={}, status=400)
    await world.call("POST", f"{CHANNEL}/cruises/1/start", status=204)
    await world.call("DELETE", f"{CHANNEL}/cruises/1/points/3", status=204)
    await world.call("DELETE", f"{CHANNEL}/cruises/1", status=204)
    await world.call("POST", f"{CHANNEL}/scans/0", json={"action": "speed", "speed": 100}, status=204)
    await world.call("POST", f"{CHANNEL}/scans/0", json={"action": "left", "speed": 100}, status=400)
    await world.call("POST", f"{CHANNEL}/scans/0", json={"action": "start"}, status=204)
    await world.call("PUT", f"{CHANNEL}/auxiliaries/1", json={"on": True}, status=204)
    assert codes(world) == [
        Cruise("add", 1, 3), Cruise("speed", 1, 15), Cruise("stay", 1, 300), Cruise("start", 1), Cruise("delete", 1, 3),
        Cruise("delete_all", 1), Scan("speed", 0, 100), Scan("start", 0), Auxiliary(True, 1),
    ]  # fmt: skip


async def test_an_old_edition_is_told_for_what_it_lacks(world: World):
    for method, path, body in (
        ("POST", f"{PTZ}/precise", {"pan": 1}), ("GET", f"{PTZ}/position", None), ("GET", f"{CHANNEL}/home", None),
        ("GET", f"{CHANNEL}/cruises", None), ("GET", f"{CHANNEL}/cruises/0", None),
    ):  # fmt: skip
        error = (await world.call(method, path, json=body, status=409))["error"]
        assert error["code"] == "edition"
        assert "speaks edition 2016" in error["message"]
    assert (await world.call("GET", PTZ))["edition"] == "2016"


async def test_precise_position_home_and_drag_zoom(world: World):
    edition(world, "2022")

    def answer(command: Any) -> Any:
        if isinstance(command, PTZPositionQuery):
            inner = "<Pan>90.5</Pan><Tilt>-10</Tilt><Zoom>2</Zoom>"
            text = f"<Response><CmdType>PTZPosition</CmdType><SN>{command.sn}</SN><DeviceID>{C1}</DeviceID>{inner}</Response>"
            return parse(text.encode()).command
        if isinstance(command, DeviceControl) and command.home_position is not None:
            return DeviceControlResponse(sn=command.sn, device_id=C1, result=Result.ERROR)
        return None

    answering(world, answer)
    await world.call("POST", f"{PTZ}/precise", json={"pan": 90.5, "zoom": 2}, status=204)
    await world.call("POST", f"{PTZ}/precise", json={}, status=400)
    position = await world.call("GET", f"{PTZ}/position")
    assert (position["pan"], position["tilt"], position["zoom"], position["view_distance_m"]) == (90.5, -10, 2, None)
    error = (await world.call("PUT", f"{CHANNEL}/home", json={"enabled": True, "preset": 1}, status=502))["error"]
    assert (error["code"], error["stage"]) == ("refused_by_device", "result_error")
    box = {"window_width": 704, "window_height": 576, "center_x": 352, "center_y": 288, "width": 100, "height": 80}
    await world.call("POST", f"{CHANNEL}/drag-zoom", json={"direction": "in", **box}, status=204)
    await world.call("POST", f"{CHANNEL}/drag-zoom", json={"direction": "in", **box, "width": 0}, status=400)
    sent = world.signalling.sent[-1].command
    assert isinstance(sent, DeviceControl)
    assert sent.drag_zoom_in is not None
    assert (sent.drag_zoom_in.length, sent.drag_zoom_in.width) == (704, 576)


async def test_a_channel_with_a_command_under_way_does_not_hinder_another(world: World):
    await world.call("POST", PTZ, json={"action": "left"})
    await world.call("POST", f"/devices/{D1}/channels/{C2}/ptz", json={"action": "right"})
    assert len(codes(world)) == 2
