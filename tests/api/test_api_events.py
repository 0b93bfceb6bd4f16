from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import WSMsgType

from gb28181.api import events as events_module
from gb28181.api.events import _reason
from gb28181.catalog.model import ChannelsChanged
from gb28181.device.model import DeviceOffline, DeviceOnline, RegistrationRefused
from gb28181.ids import DeviceId
from gb28181.recording.model import SegmentStored
from gb28181.session.model import StreamUp
from gb28181.texts.text import say
from tests.api.api_world import D1, K1, World

EVENTS = "/api/v1/events"


async def opened(world: World, user: str = "admin") -> Any:
    socket = await world.client.ws_connect(EVENTS)
    await socket.send_json({"token": world.tokens[user]})
    assert (await socket.receive_json())["type"] == "ready"
    return socket


async def test_token_comes_in_the_first_message_or_the_header(world: World):
    await (await opened(world)).close()
    socket = await world.client.ws_connect(EVENTS, headers={"Authorization": f"Bearer {world.tokens['viewer']}"})
    assert (await socket.receive_json())["type"] == "ready"
    await socket.close()


async def test_events_arrive_in_order_with_their_fields(world: World):
    socket = await opened(world)
    world.bus.publish(DeviceOffline(D1, "keepalive_timeout"))
    world.bus.publish(StreamUp(K1, "s1"))
    world.bus.publish(SegmentStored(K1, 0, 300_000_000, 5))
    at = "2026-03-01T08:00:00.000Z"
    assert await socket.receive_json() == {"type": "device_offline", "at": at, "device_id": D1, "cause": "keepalive_timeout"}
    assert await socket.receive_json() == {
        "type": "stream_up", "at": at, "device_id": K1.device_id, "channel_id": K1.channel_id, "stream_id": "s1",
    }  # fmt: skip
    assert (await socket.receive_json())["end"] == "1970-01-01T00:05:00.000Z"
    await socket.close()


async def test_what_is_not_for_the_outside_or_the_role_is_not_sent(world: World):
    viewer, operator = await opened(world, "viewer"), await opened(world, "operator")
    world.bus.publish(object())
    world.bus.publish(RegistrationRefused(D1, "1.2.3.4:5060", "wrong password"))
    world.bus.publish(DeviceOnline(D1))
    assert (await viewer.receive_json())["type"] == "device_online"
    assert (await operator.receive_json())["type"] == "registration_refused"
    await viewer.close()
    await operator.close()


async def test_long_lists_are_cut_and_say_so(world: World):
    socket = await opened(world)
    world.bus.publish(ChannelsChanged(D1, added=tuple(DeviceId(str(n)) for n in range(2000))))
    event = await socket.receive_json()
    assert len(event["added"]) == 500
    assert event["truncated"] is True
    await socket.close()


@pytest.mark.parametrize("first", ["", "x", "{}", "[]", '{"token": 5}', '{"token": "forged"}', "[" * 5000])
async def test_wrong_first_message_ends_the_connection(world: World, first: str):
    socket = await world.client.ws_connect(EVENTS)
    await socket.send_str(first)
    message = await socket.receive()
    assert message.type is WSMsgType.CLOSE
    assert message.data == 4401


async def test_silence_instead_of_a_token_ends_the_connection(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_module, "_FIRST_MESSAGE_S", 0.01)
    socket = await world.client.ws_connect(EVENTS)
    ended = await socket.receive()
    assert (ended.type, ended.data) == (WSMsgType.CLOSE, 4401)
    assert "first message" in ended.extra


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_why_a_connection_ends_is_told_in_the_language_of_the_reader(
    world: World, monkeypatch: pytest.MonkeyPatch, language: str
):
    monkeypatch.setattr(events_module, "_FIRST_MESSAGE_S", 0.01)
    socket = await world.client.ws_connect(EVENTS, headers={"Accept-Language": language})
    said = (await socket.receive()).extra
    expected = {"zh-CN": '第一条消息应为 {"token": "…"}，内含登录所得的令牌', "en": 'the first message must be {"token": "…"}'}
    assert said.startswith(expected[language])


async def test_readers_are_told_that_the_server_stops(world: World):
    socket = await world.client.ws_connect(EVENTS, headers={"Accept-Language": "zh"})
    await socket.send_json({"token": world.tokens["viewer"]})
    assert (await socket.receive_json())["type"] == "ready"
    stopping = asyncio.ensure_future(world.client.app.shutdown())
    ended = await socket.receive()
    assert (ended.data, ended.extra) == (1001, "服务器正在停止")
    await stopping


def test_a_reason_that_is_too_long_is_cut_between_characters():
    reason = _reason(say("http.one_of", names="名" * 100), "zh")
    assert 118 < len(reason) <= 123
    assert reason.decode().startswith("应为以下之一：名")


async def test_a_token_in_the_address_is_no_token(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_module, "_FIRST_MESSAGE_S", 0.01)
    socket = await world.client.ws_connect(f"{EVENTS}?token={world.tokens['admin']}")
    assert (await socket.receive()).data == 4401


async def test_login_that_ends_closes_the_connection(world: World, monkeypatch: pytest.MonkeyPatch):
    socket = await opened(world)
    await socket.close()
    monkeypatch.setattr(events_module, "_CHECK_S", 0.01)
    monkeypatch.setattr("gb28181.accounts.service._USER_CACHE_S", -1.0)
    socket = await opened(world)
    del world.users.users["admin"]
    message = await socket.receive()
    assert message.data == 4401


async def test_readers_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_module, "_LISTENERS", 1)
    first = await opened(world)
    second = await world.client.ws_connect(EVENTS)
    await second.send_json({"token": world.tokens["viewer"]})
    assert (await second.receive()).data == 1013
    await first.close()
    await until(lambda: not world.bus._listeners)
    await (await opened(world)).close()


async def test_one_user_leaves_places_for_others(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_module, "_LISTENERS_OF_ONE", 1)
    first = await opened(world, "viewer")
    second = await world.client.ws_connect(EVENTS)
    await second.send_json({"token": world.tokens["viewer"]})
    assert (await second.receive()).data == 1013
    await (await opened(world, "operator")).close()
    await first.close()


async def test_strangers_cannot_take_the_places_of_users(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_module, "_STRANGERS", 1)
    known = await opened(world)
    silent = await world.client.ws_connect(EVENTS)
    refused = await world.client.ws_connect(EVENTS)
    assert (await refused.receive()).data == 1013
    world.bus.publish(DeviceOnline(D1))
    assert (await known.receive_json())["type"] == "device_online"
    await silent.close()
    await known.close()


async def test_a_reader_that_talks_on_is_cut_off(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events_module, "_MOST_SAID", 3)
    socket = await opened(world)
    for _ in range(4):
        await socket.send_str("more")
    assert (await socket.receive()).data == 1013


async def test_reader_that_leaves_is_forgotten(world: World):
    socket = await opened(world)
    assert len(world.bus._listeners) == 1
    await socket.close()
    await until(lambda: not world.bus._listeners)


async def test_plain_request_is_refused(world: World):
    async with world.client.get(EVENTS) as response:
        assert response.status == 400


async def test_wrong_scheme_is_refused(world: World):
    socket = await world.client.ws_connect(EVENTS, headers={"Authorization": "Basic abc"})
    assert (await socket.receive()).data == 4401


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)
