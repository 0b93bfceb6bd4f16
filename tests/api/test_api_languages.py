"""The API answers in the language of whoever asks: `Accept-Language`, English where it does not say."""

from __future__ import annotations

import pytest

from gb28181.errors import NoPicture
from gb28181.messages import StreamState
from gb28181.session.diagnosis import stuck
from gb28181.session.model import Stage
from gb28181.texts.text import say
from tests.api.api_world import C1, D1, K1, World

ZH = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
LIVE = f"/devices/{D1}/channels/{C1}/live"


async def test_a_missing_picture_is_explained_in_chinese(world: World) -> None:
    peer = say("live.peer", device_id=D1, address="192.0.2.7:5060")
    said = stuck(Stage.FIRST_RTP, peer=peer, media=say("live.port", port=30000), waited=10.0, note=say("stream.ts"))
    world.sessions.failure = NoPicture(said, stage=Stage.FIRST_RTP, detail={"note": say("stream.ts"), "port": 30000})
    error = (await world.call("POST", LIVE, status=504, json={}, headers=ZH))["error"]
    assert error["message"] == (
        "端口 30000 收到 RTP，但 10 秒内没有 PS 流（设备发送的是 MPEG-TS，不是 PS 流：不会录像）："
        "请在设备的国标（GB/T 28181）设置中把码流封装改为 PS"
    )
    assert error["detail"] == {"note": "设备发送的是 MPEG-TS，不是 PS 流：不会录像", "port": 30000}
    error = (await world.call("POST", LIVE, status=504, json={}))["error"]
    assert error["message"].startswith("RTP arrives at port 30000 but it holds no program stream after 10 s (sends MPEG-TS")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("DELETE", "/users/nobody", None, 404, "没有用户“nobody”"),
        ("GET", "/devices?cursor=mine", None, 400, "此 cursor 不是本列表给出的"),
        ("POST", "/devices", {"device_id": "1/2"}, 400, "body.device_id：“1/2”"),
        ("POST", "/devices", {"name": "x"}, 400, "body.device_id：必填"),
        ("GET", "/devices?limit=many", None, 400, "query.limit：应为整数"),
        ("GET", "/nowhere", None, 404, "Not Found：GET /api/v1/nowhere"),
    ],
)
async def test_errors_are_told_in_chinese(
    world: World, method: str, path: str, body: dict[str, str] | None, status: int, said: str
) -> None:
    error = (await world.call(method, path, status=status, json=body, headers=ZH))["error"]
    assert said in error["message"]


async def test_what_an_answer_tells_is_told_in_chinese(world: World) -> None:
    world.sessions.states[K1] = StreamState("s", D1, C1, "udp", 30000, note=say("stream.ts"))
    path = f"/devices/{D1}/channels"
    for headers, note in ((ZH, "设备发送的是 MPEG-TS，不是 PS 流：不会录像"), ({}, str(say("stream.ts")))):
        items = (await world.call("GET", path, headers=headers))["items"]
        assert note in [item["stream"]["note"] for item in items if item["stream"]]


async def test_the_answer_names_the_language_of_its_message(world: World) -> None:
    for headers, language in ((ZH, "zh"), ({}, "en")):
        async with world.client.get("/api/v1/devices", headers=headers) as answer:
            assert answer.status == 401
            assert answer.headers["Content-Language"] == language


async def test_chinese_can_be_read_in_the_answer_as_it_comes(world: World) -> None:
    async with world.client.get("/api/v1/nowhere", headers=ZH) as answer:
        assert "：GET /api/v1/nowhere" in (await answer.read()).decode()


async def test_what_a_device_said_need_not_be_utf_8(world: World) -> None:
    world.sessions.failure = NoPicture("no \udcff", stage=Stage.FIRST_RTP, detail={})
    assert (await world.call("POST", LIVE, status=504, json={}))["error"]["message"] == "no ?"
