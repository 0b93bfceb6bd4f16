"""What one peer or one failing part cannot do to the others: bounds and floods."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from gb28181.errors import MisuseError, Unavailable
from gb28181.ports import SipRequest
from gb28181.sip.io.server import SipServer
from gb28181.sip.message import Response

from .serving import PATIENCE, device, eventually, serving, settings
from .vectors import request


async def test_a_handler_that_fails_is_answered_500_and_the_next_request_served(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as (server, services), device(server) as peer:

        def fail(one: SipRequest) -> None:
            raise RuntimeError("bug")

        services.answer = fail
        with caplog.at_level(logging.ERROR):
            peer.send(request(call_id="1", extra="Authorization: Digest response=verysecret"))
            assert await peer.next_status() == 500
        assert server.metrics()["failures"] == 1
        assert "bug" in caplog.text
        assert "verysecret" not in caplog.text
        services.answer = lambda one: server.respond(one, 200)
        peer.send(request(call_id="2"))
        assert await peer.next_status() == 200


async def test_a_request_answered_later_by_a_task_is_answered_once() -> None:
    async with serving() as (server, services), device(server) as peer:
        services.answer = None
        peer.send(request())
        one = await services.next()
        server.respond(one, 202, headers=[("X-GB-Ver", "3.0")], body=b"<a/>", content_type="Application/MANSCDP+xml")
        server.respond(one, 403)
        answer = await peer.next()
        assert isinstance(answer, Response)
        assert (answer.status, answer.header("x-gb-ver"), answer.body) == (202, "3.0", b"<a/>")
        assert server.metrics()["answers_too_late"] == 1
        with pytest.raises(MisuseError):
            server.respond(SipRequest(*["x"] * 8, 1, {}, "", b"", one.route), 200)  # type: ignore[arg-type, call-arg]


async def test_junk_on_one_connection_leaves_the_others_alone() -> None:
    async with serving() as (server, _):
        good_reader, good = await asyncio.open_connection("127.0.0.1", server.port)
        bad_reader, bad = await asyncio.open_connection("127.0.0.1", server.port)
        bad.write(b"\x16\x03\x01" * 100_000)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(bad_reader.read(), PATIENCE) == b""
        good.write(request("OPTIONS", transport="TCP"))
        assert (await asyncio.wait_for(good_reader.readline(), PATIENCE)) == b"SIP/2.0 200 OK\r\n"
        await eventually(lambda: server.gauges()["tcp_connections"] == 1)
        assert server.metrics()["tcp_closed_junk"] == 1
        assert server.gauges()["tcp_held_bytes"] == 0
        good.close()
        bad.close()


async def test_a_stranger_may_not_send_as_much_as_a_known_device() -> None:
    body = b"<Response>" + b"<Item>x</Item>" * 30_000 + b"</Response>"
    async with serving() as (server, services):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(transport="TCP", body=body))
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request("REGISTER", transport="TCP"))
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        await services.next()
        writer.write(request(transport="TCP", body=body, call_id="big"))
        assert (await services.next()).body == body
        writer.close()


async def test_beyond_the_cap_silent_connections_give_way_and_speaking_ones_stay() -> None:
    async with serving(max_tcp_connections=2) as (server, _):
        first_reader, first = await asyncio.open_connection("127.0.0.1", server.port)
        first.write(request("OPTIONS", transport="TCP"))
        await asyncio.wait_for(first_reader.readuntil(b"\r\n\r\n"), PATIENCE)
        silent_reader, silent = await asyncio.open_connection("127.0.0.1", server.port)
        third_reader, third = await asyncio.open_connection("127.0.0.1", server.port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(silent_reader.read(), PATIENCE) == b""
        third.write(request("OPTIONS", transport="TCP", call_id="3"))
        await asyncio.wait_for(third_reader.readuntil(b"\r\n\r\n"), PATIENCE)
        fourth_reader, fourth = await asyncio.open_connection("127.0.0.1", server.port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(fourth_reader.read(), PATIENCE) == b""
        assert server.gauges()["tcp_connections"] == 2
        for one in (first, silent, third, fourth):
            one.close()


async def test_an_idle_connection_is_closed() -> None:
    async with serving(tcp_idle_s=0.2) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request("OPTIONS", transport="TCP"))
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        assert server.metrics()["tcp_closed_idle"] == 1
        writer.close()


async def test_a_peer_that_takes_no_answers_is_disconnected_and_nobody_waits_for_it() -> None:
    async with serving(per_source_per_s=1e9, unauthenticated_per_s=1e9) as (server, _), device(server) as peer:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        number = 0
        async with asyncio.timeout(60):
            while not server.metrics().get("tcp_closed_slow"):
                for _ in range(500):
                    number += 1
                    writer.write(request("OPTIONS", transport="TCP", call_id=str(number), extra="X-Pad: " + "p" * 400))
                await asyncio.sleep(0)
                peer.send(request("OPTIONS", call_id=f"u{number}"))
                assert await peer.next_status() == 200
        await eventually(lambda: server.gauges()["tcp_connections"] == 0)
        writer.close()


async def test_a_port_in_use_is_said_so() -> None:
    async with serving() as (server, _):
        second = SipServer(settings(port=server.port), handler=lambda one: None)
        with pytest.raises(Unavailable, match=f"127.0.0.1:{server.port}"):
            await second.start()


# --- flood limits


# quirk Q18
async def test_a_device_that_floods_is_told_to_wait_and_its_neighbours_are_served() -> None:
    async with serving(per_device_per_s=2) as (server, _), device(server) as peer:
        status, number = 200, 0
        while status == 200 and number < 1000:
            number += 1
            peer.send(request(call_id=f"c{number}"))
            answer = await peer.next()
            assert isinstance(answer, Response)
            status = answer.status
        assert (status, answer.header("retry-after")) == (503, "5")
        assert number > 4
        peer.send(request(user="34020000001110000002", call_id="neighbour"))
        assert await peer.next_status() == 200
        assert server.metrics()["refused_device_flood"] == 1


async def test_a_connection_that_sends_long_bodies_is_read_more_slowly_and_loses_nothing() -> None:
    async with serving(per_connection_per_s=20) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = request("OPTIONS", transport="TCP").replace(b"Content-Length: 0", b"Content-Length: 100000")
        writer.write(head + b" " * 100_000)  # costs 49 messages, of 40 that are there
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).startswith(b"SIP/2.0 200 ")
        assert server.metrics()["tcp_slowed"] == 1
        writer.close()


async def test_a_connection_that_sends_too_fast_is_read_more_slowly_and_loses_nothing() -> None:
    async with serving(per_connection_per_s=20) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        # Of 40 that are there, at once: a busy machine must not take so long for them that new ones come meanwhile.
        writer.write(b"".join(request("OPTIONS", transport="TCP", call_id=str(number)) for number in range(50)))
        for _ in range(50):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            assert head.startswith(b"SIP/2.0 200 ")
        writer.write(request("OPTIONS", transport="TCP", call_id="last"))
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).startswith(b"SIP/2.0 200 ")
        assert server.metrics()["tcp_slowed"] >= 1
        writer.close()
