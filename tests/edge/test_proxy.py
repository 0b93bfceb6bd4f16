"""The way to control: streams both ways, says plainly when control is away."""

from __future__ import annotations

import asyncio
import json

from aiohttp import WSMsgType, web


def api() -> web.Application:
    async def echo(request: web.Request) -> web.Response:
        body = await request.read()
        seen = {name.lower(): value for name, value in request.headers.items()}
        facts = {"method": request.method, "path": request.raw_path, "body": body.decode(), "headers": seen}
        return web.json_response(facts, status=201, headers={"X-Made": "yes", "Set-Cookie": "a=b"})

    async def events(request: web.Request) -> web.WebSocketResponse:
        if request.query.get("token") != "good":
            raise web.HTTPUnauthorized
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        async for message in answer:
            if message.data == "vanish":
                assert request.transport is not None
                request.transport.abort()
            elif message.data == "close":
                await answer.close(code=4001, message=b"enough")
            elif message.type == WSMsgType.TEXT:
                await answer.send_str(message.data.upper())
        return answer

    async def slow_stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for part in (b"one", b"two"):
            await answer.write(part)
            await asyncio.sleep(0)
        return answer

    async def broken(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.content_length = 100
        await answer.prepare(request)
        await answer.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return answer

    app = web.Application()
    app.router.add_get("/api/v1/events", events)
    app.router.add_get("/api/v1/stream", slow_stream)
    app.router.add_get("/api/v1/broken", broken)
    app.router.add_get("/metrics", slow_stream)
    app.router.add_route("*", "/{path:.*}", echo)
    return app


async def test_request_and_answer_pass_unchanged(make_world):
    world = await make_world(api=api())
    url = f"{world.url}/api/v1/devices/a%20b?q=%E4%B8%AD&limit=2"
    headers = {"Authorization": "Bearer t", "Content-Type": "application/json", "X-Forwarded-For": "6.6.6.6"}
    async with world.client.post(url, data=b'{"a": 1}', headers=headers) as answer:
        assert answer.status == 201
        assert answer.headers["X-Made"] == "yes"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        seen = await answer.json()
    assert seen["method"] == "POST"
    assert seen["path"] == "/api/v1/devices/a%20b?q=%E4%B8%AD&limit=2"
    assert json.loads(seen["body"]) == {"a": 1}
    assert seen["headers"]["authorization"] == "Bearer t"
    assert seen["headers"]["host"] == f"127.0.0.1:{world.edge.port}"


async def test_address_of_the_client_is_what_the_edge_sees(make_world):
    world = await make_world(api=api())
    async with world.client.get(f"{world.url}/api/x", headers={"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6"}) as answer:
        seen = (await answer.json())["headers"]
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert "x-real-ip" not in seen


async def test_metrics_come_from_control(make_world):
    world = await make_world(api=api())
    async with world.client.get(f"{world.url}/metrics") as answer:
        assert await answer.read() == b"onetwo"


async def test_answer_of_unknown_length_passes(make_world):
    world = await make_world(api=api())
    async with world.client.get(f"{world.url}/api/v1/stream") as answer:
        assert await answer.read() == b"onetwo"


async def test_head_has_no_body(make_world):
    world = await make_world(api=api())
    async with world.client.head(f"{world.url}/api/v1/x") as answer:
        assert answer.status == 201


async def test_answer_cut_short_by_control_is_not_taken_for_whole(make_world):
    world = await make_world(api=api())
    failed = False
    try:
        async with world.client.get(f"{world.url}/api/v1/broken") as answer:
            await answer.read()
    except OSError:
        failed = True
    except Exception as error:
        failed = "payload" in str(error).lower() or "disconnected" in str(error).lower()
    assert failed


async def test_control_away_is_503_at_once(make_world):
    world = await make_world()
    for call in (world.client.get, world.client.post):
        async with call(f"{world.url}/api/v1/devices") as answer:
            assert answer.status == 503
            error = (await answer.json())["error"]
            assert error["code"] == "control_unavailable"
            assert "recording goes on" in error["message"]
    async with world.client.get(f"{world.url}/api/v1/devices", headers={"Accept-Language": "zh-CN,zh;q=0.9"}) as answer:
        assert answer.headers["Content-Language"] == "zh"
        assert "录像不受影响" in (await answer.json())["error"]["message"]
    async with world.client.get(
        f"{world.url}/api/v1/events", headers={"Connection": "Upgrade", "Upgrade": "websocket"}
    ) as answer:
        assert answer.status == 503


async def test_body_beyond_the_limit_is_413_announced_or_not(make_world):
    world = await make_world(api=api(), max_body_bytes=2000)

    async def endless():
        for _ in range(100):
            yield b"x" * 1000

    for body in (b"x" * 2001, endless()):
        async with world.client.post(f"{world.url}/api/v1/x", data=body) as answer:
            assert answer.status == 413
            assert (await answer.json())["error"]["code"] == "too_large"


async def test_websocket_passes_both_ways_and_keeps_its_close_code(make_world):
    world = await make_world(api=api())
    async with world.client.ws_connect(f"{world.url}/api/v1/events?token=good") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=10) == "HELLO"
        await socket.send_str("close")
        ended = await socket.receive(timeout=10)
        assert (socket.close_code, ended.extra) == (4001, "enough")


async def test_control_that_dies_ends_a_websocket_with_a_code_that_may_be_sent(make_world):
    """1006 is for noting a connection that broke, never for sending: browsers take it for a broken frame (RFC 6455 §7.4.1)."""
    world = await make_world(api=api())
    async with world.client.ws_connect(f"{world.url}/api/v1/events?token=good") as socket:
        await socket.send_str("vanish")
        ended = await socket.receive(timeout=10)
        assert (ended.type, ended.data) == (WSMsgType.CLOSE, 1001)


async def test_websocket_refused_by_control_is_refused(make_world):
    world = await make_world(api=api())
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with world.client.get(f"{world.url}/api/v1/events?token=bad", headers=upgrade) as answer:
        assert answer.status == 401
