"""Who may stay connected without asking for anything."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gb28181 import tokens
from gb28181.edge.door import source_of
from tests.edge.world import KEY, World, until

REQUEST = b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.asynccontextmanager
async def connected(world: World) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.edge.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def gone(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends before the deadline of the test."""
    async with asyncio.timeout(20):
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
    return True


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
        return head


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["silent", "slow-head"])
async def test_a_connection_that_sends_no_whole_request_is_closed(make_world, begun: bytes):
    world = await make_world(request_head_s=0.3)
    async with connected(world) as (reader, writer):
        writer.write(begun)
        assert await gone(reader)
    assert world.edge.door.counters["late"] == 1
    await until(lambda: not world.edge.door.connections)


async def test_a_head_that_comes_byte_by_byte_does_not_buy_time(make_world):
    world = await make_world(request_head_s=0.5)
    async with connected(world) as (reader, writer):

        async def dribble() -> None:
            for byte in b"GET / HTTP/1.1\r\nX: " + b"a" * 10_000:
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.02)

        task = asyncio.create_task(dribble())
        assert await gone(reader)
        task.cancel()


async def test_a_connection_that_was_answered_may_wait_for_its_next_request(make_world):
    world = await make_world(request_head_s=0.3, keep_alive_s=60)
    async with connected(world) as (reader, writer):
        for _ in range(3):
            writer.write(REQUEST)
            assert (await answer(reader)).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.4)  # longer than a first request may take: that limit is over
        assert world.edge.door.waiting == 1


async def test_keep_alive_ends(make_world):
    world = await make_world(keep_alive_s=0.3)
    async with connected(world) as (reader, writer):
        writer.write(REQUEST)
        await answer(reader)
        assert await gone(reader)


async def test_of_one_address_the_longest_waiting_connection_gives_way(make_world):
    world = await make_world(max_idle_connections_per_source=8)
    async with contextlib.AsyncExitStack() as stack:
        first = [await stack.enter_async_context(connected(world)) for _ in range(8)]
        await until(lambda: world.edge.door.waiting == 8)
        _, writer = first[0]
        writer.write(REQUEST)
        await answer(first[0][0])  # it is the newest of those that wait now
        newest = await stack.enter_async_context(connected(world))
        assert await gone(first[1][0])
        for reader, writer in (first[0], first[2], newest):
            writer.write(REQUEST)
            assert (await answer(reader)).startswith(b"HTTP/1.1 200")
        assert world.edge.door.counters["displaced"] == 1


async def test_a_busy_connection_never_gives_way_and_the_full_server_refuses(make_world):
    release = asyncio.Event()

    async def wait(_request: web.Request) -> web.Response:
        await release.wait()
        return web.Response(text="done")

    api = web.Application()
    api.router.add_get("/api/wait", wait)
    world = await make_world(api=api, max_connections=10)
    async with contextlib.AsyncExitStack() as stack:
        busy = [await stack.enter_async_context(connected(world)) for _ in range(10)]
        for _, writer in busy:
            writer.write(b"GET /api/wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: world.edge.door.waiting == 0 and world.edge.door.connections == 10)
        reader, _ = await stack.enter_async_context(connected(world))
        assert await gone(reader)
        assert world.edge.door.counters["full"] == 1
        release.set()
        for reader, _ in busy:
            assert (await answer(reader)).startswith(b"HTTP/1.1 200")
        reader, writer = await stack.enter_async_context(connected(world))  # one that waits gives way now
        writer.write(REQUEST)
        assert (await answer(reader)).startswith(b"HTTP/1.1 200")


async def test_a_download_that_is_being_sent_is_not_waiting(make_world):
    world = await make_world(keep_alive_s=0.3, request_head_s=0.3)
    day = world.volume / "d" / "c" / "20260301"
    day.mkdir(parents=True)
    size = 32 << 20  # more than the buffers of both sockets hold
    with (day / "080000.000.ps").open("wb") as file:
        file.truncate(size)
    token = tokens.sign(KEY, "segment", "0/d/c/20260301/080000.000", int(time.time()) + 60)
    async with connected(world) as (reader, writer):
        path = f"/media/segment/0/d/c/20260301/080000.000.ps?token={token}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200" in head.split(b"\r\n")[0]
        await asyncio.sleep(1.0)  # nobody reads for longer than a connection may wait
        assert world.edge.door.waiting == 0
        async with asyncio.timeout(30):
            await reader.readexactly(size)
        await until(lambda: world.edge.door.waiting == 1 or not world.edge.door.connections)


@pytest.mark.parametrize(
    "head", [b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 9000 + b"\r\n\r\n"]
)
async def test_a_line_that_is_too_long_is_refused_and_not_repeated(make_world, head: bytes):
    world = await make_world()
    reader, writer = await asyncio.open_connection("127.0.0.1", world.edge.port)
    writer.write(head)
    answer = (await reader.read()).decode()
    writer.close()
    assert " 400 " in answer.partition("\r\n")[0]
    assert "xxx" not in answer
    assert "bytearray" not in answer
    assert "a line of it is longer than 8190 bytes" in answer


async def test_a_body_that_never_ends_is_408(make_world):
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    api = web.Application()
    api.router.add_post("/api/echo", echo)
    world = await make_world(api=api, request_body_s=0.3)
    async with connected(world) as (reader, writer):
        writer.write(b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert (await answer(reader)).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    ("peer", "source"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5, 0, 0), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::/64"),
        (None, ""),
    ],
)
def test_connections_are_counted_by_address_or_network(peer: object, source: str):
    assert source_of(peer) == source


@pytest.mark.parametrize("path", ["/", "/nothing", "/media/live/x/y.flv", "/assets/none.js", "/metrics/edge", "/api/v1/x"])
async def test_every_answer_carries_the_headers_that_browsers_obey(make_world, path: str):
    world = await make_world()
    async with world.client.get(world.url + path) as response:
        assert response.headers["Content-Security-Policy"] == (
            "default-src 'self'; media-src 'self' blob:; connect-src 'self' ws: wss:; img-src 'self' data: blob:; "
            "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in response.headers
        assert "Set-Cookie" not in response.headers


async def test_health_at_the_root_comes_from_control_and_says_when_control_is_away(make_world):
    world = await make_world()
    async with world.client.get(world.url + "/health") as response:
        assert response.status == 503
        assert (await response.json())["error"]["code"] == "control_unavailable"


async def healthy(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def test_health_at_the_root_is_passed_on(make_world):
    api = web.Application()
    api.router.add_get("/health", healthy)
    world = await make_world(api=api)
    async with world.client.get(world.url + "/health") as response:
        assert await response.json() == {"status": "ok"}
