"""SIP over TLS: devices that register over it, are asked over it, and what it bounds (W9)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from gb28181.device.model import Address, Route
from gb28181.errors import Invalid, Unavailable, Unreachable
from gb28181.sip.io import tls
from gb28181.sip.io.server import SipServer
from gb28181.sip.message import Request
from gb28181.sip.parser import parse_datagram

from .certificates import Authority
from .serving import PATIENCE, Services, answer_to, eventually, serving, settings
from .vectors import DEVICE, KEEPALIVE_XML, PLATFORM, request


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def secure(authority: Authority, **changes: Any) -> AsyncIterator[tuple[SipServer, Services]]:
    public, private = authority.pair("platform")
    changes = {"tls_port": 0, "tls_certificate": public, "tls_private_key": private, **changes}
    async with serving(**changes) as both:
        yield both


def trusting(authority: Authority, pair: tuple[str, str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.ca))
    if pair:
        context.load_cert_chain(*pair)
    return context


async def read(reader: asyncio.StreamReader, body: int = 0) -> bytes:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    return head + await asyncio.wait_for(reader.readexactly(body), PATIENCE)


async def test_a_device_registers_over_tls_and_is_asked_over_that_connection(authority: Authority) -> None:
    async with secure(authority) as (server, services):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.tls_port, ssl=trusting(authority))
        writer.write(request("REGISTER", transport="TLS", uri=f"sips:{PLATFORM}@3402000000"))
        answer = parse_datagram(await read(reader))
        assert "received=127.0.0.1" in answer.header("via")
        route = (await services.next()).route
        assert (route.transport, route.local) == ("tls", Address("127.0.0.1", server.tls_port))
        assert server.is_connected(route)
        assert server.local_for(route.remote, "tls") == route.local
        asked = asyncio.ensure_future(server.message(route, to=DEVICE, body=KEEPALIVE_XML))
        query = parse_datagram(await read(reader, len(KEEPALIVE_XML)))
        assert isinstance(query, Request)
        assert query.header("via").startswith(f"SIP/2.0/TLS 127.0.0.1:{server.tls_port};rport;branch=")
        writer.write(answer_to(query, 200))
        assert (await asked).status == 200
        probed = asyncio.ensure_future(server.options(route, to=DEVICE))
        probe = parse_datagram(await read(reader))
        assert isinstance(probe, Request)
        assert probe.header("contact") == f"<sip:{PLATFORM}@127.0.0.1:{server.tls_port};transport=tls>"
        writer.write(answer_to(probe, 200))
        assert (await probed).status == 200
        writer.close()
        await eventually(lambda: not server.is_connected(route))


# quirk Q34
async def test_a_device_that_closed_its_tls_connection_is_called_over_tls_and_never_in_the_clear(authority: Authority) -> None:
    taken: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.pair("camera"))
    listener = await asyncio.start_server(lambda *pair: taken.put_nowait(pair), "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    async with listener, secure(authority, tls_ca=str(authority.ca)) as (server, _):
        route = Route("tls", Address("127.0.0.1", port), Address("127.0.0.1", 0), 5)
        asked = asyncio.ensure_future(server.message(route, to=DEVICE, body=b""))
        reader, writer = await asyncio.wait_for(taken.get(), PATIENCE)
        assert writer.get_extra_info("cipher")
        query = parse_datagram(await read(reader))
        assert isinstance(query, Request)
        writer.write(answer_to(query, 200))
        assert (await asked).status == 200
        plain = Route("tcp", route.remote, route.local)
        assert not server.is_connected(plain)
        writer.close()


async def test_a_camera_whose_certificate_nobody_vouches_for_is_unreachable(authority: Authority, tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*Authority(tmp_path, "stranger").pair("camera"))
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    route = Route("tls", Address("127.0.0.1", listener.sockets[0].getsockname()[1]), Address("127.0.0.1", 0))
    async with listener, secure(authority, tls_ca=str(authority.ca)) as (server, _):
        with pytest.raises(Unreachable, match="TLS"):
            await server.message(route, to=DEVICE, body=b"")


async def test_with_an_authority_a_peer_must_show_a_certificate_of_it(authority: Authority) -> None:
    async with secure(authority, tls_ca=str(authority.ca)) as (server, services):
        pair = authority.pair("device")
        _, writer = await asyncio.open_connection("127.0.0.1", server.tls_port, ssl=trusting(authority, pair))
        writer.write(request(transport="TLS"))
        assert (await services.next()).route.transport == "tls"
        writer.close()
        reader, stranger = await asyncio.open_connection("127.0.0.1", server.tls_port, ssl=trusting(authority))
        stranger.write(request(transport="TLS"))
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await read(reader)
        await eventually(lambda: server.metrics()["tls_handshakes_failed"] == 1)
        stranger.close()


async def test_what_is_no_tls_is_counted_and_the_port_serves_on(authority: Authority) -> None:
    async with secure(authority) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.tls_port)
        writer.write(request("OPTIONS", transport="TCP"))
        with closing(writer):
            assert b"SIP/2.0" not in await asyncio.wait_for(reader.read(), PATIENCE)
        await eventually(lambda: server.metrics()["tls_handshakes_failed"] == 1)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.tls_port, ssl=trusting(authority))
        writer.write(request("OPTIONS", transport="TLS"))
        assert (await read(reader)).startswith(b"SIP/2.0 200")
        writer.close()


async def test_handshakes_that_never_end_are_bounded(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_MAX_OF_ONE", 2)
    async with secure(authority) as (server, _):
        silent = [await asyncio.open_connection("127.0.0.1", server.tls_port) for _ in range(3)]
        await eventually(lambda: server.metrics().get("tls_refused_full") == 1)
        for _, writer in silent:
            writer.close()
        await eventually(lambda: server.metrics().get("tls_handshakes_failed") == 2)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.tls_port, ssl=trusting(authority))
        writer.write(request("OPTIONS", transport="TLS"))
        assert (await read(reader)).startswith(b"SIP/2.0 200")
        writer.close()


async def test_without_a_certificate_there_is_no_tls_and_none_is_made() -> None:
    async with serving(tls_port=0) as (server, _):
        assert server.tls_port == 0


async def test_a_certificate_that_cannot_be_used_is_said_so(tmp_path: Path) -> None:
    one = SipServer(settings(tls_certificate=str(tmp_path / "none.pem")), handler=lambda _: None)
    with pytest.raises(Invalid, match="tls_certificate"):
        await one.start()


async def test_a_tls_port_in_use_is_said_so(authority: Authority) -> None:
    async with secure(authority) as (server, _):
        public, private = authority.pair("second")
        second = SipServer(
            settings(tls_port=server.tls_port, tls_certificate=public, tls_private_key=private), handler=lambda _: None
        )
        with pytest.raises(Unavailable, match=f"TLS cannot listen on 127.0.0.1:{server.tls_port}"):
            await second.start()


def test_tls_works_on_uvloop_too(authority: Authority) -> None:
    uvloop = pytest.importorskip("uvloop")
    for scenario in (
        test_a_device_registers_over_tls_and_is_asked_over_that_connection,
        test_a_device_that_closed_its_tls_connection_is_called_over_tls_and_never_in_the_clear,
        test_what_is_no_tls_is_counted_and_the_port_serves_on,
    ):
        uvloop.run(scenario(authority))
