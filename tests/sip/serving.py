"""A server on loopback for the tests of this folder, the services behind it, and scripted devices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gb28181.config import SipSettings
from gb28181.device.model import Address, Route
from gb28181.ports import SipRequest
from gb28181.sip.io.server import SipServer
from gb28181.sip.message import Request, Response
from gb28181.sip.parser import parse_datagram
from gb28181.sip.timers import Timers

from .vectors import CHANNEL, PLATFORM

PATIENCE = 30.0
FAST = Timers(t1=0.02, t2=0.08, t4=0.1)


class Services:
    """Takes requests as the router would; keeps them for the test."""

    def __init__(self) -> None:
        self.server: SipServer
        self.requests: asyncio.Queue[SipRequest] = asyncio.Queue()
        self.answer: Callable[[SipRequest], None] | None = lambda one: self.server.respond(one, 200)

    def __call__(self, one: SipRequest) -> None:
        self.requests.put_nowait(one)
        if self.answer is not None:
            self.answer(one)

    async def next(self) -> SipRequest:
        return await asyncio.wait_for(self.requests.get(), PATIENCE)


class Peer(asyncio.DatagramProtocol):
    """A scripted device on a UDP socket of its own."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[Request | Response] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport
        self.server: tuple[str, int]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.put_nowait(parse_datagram(data))

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])

    def send(self, data: bytes) -> None:
        self.transport.sendto(data, self.server)

    async def next(self) -> Request | Response:
        return await asyncio.wait_for(self.received.get(), PATIENCE)

    async def next_request(self, method: str) -> Request:
        """The next request of this method; copies of others are passed over."""
        while True:
            message = await self.next()
            if isinstance(message, Request) and message.method == method:
                return message

    async def next_status(self) -> int:
        message = await self.next()
        assert isinstance(message, Response)
        return message.status


def answer_to(message: Request, status: int, *, tag: str = "dev", extra: str = "", body: bytes = b"") -> bytes:
    lines = [f"SIP/2.0 {status} Whatever", f"Via: {message.header('via')}", f"From: {message.header('from')}"]
    lines.append(f"To: {message.header('to')}" + (f";tag={tag}" if tag and not message.to_tag else ""))
    lines += [f"Call-ID: {message.call_id}", f"CSeq: {message.header('cseq')}"]
    if extra:
        lines.append(extra)
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def settings(**changes: object) -> SipSettings:
    return SipSettings.model_validate({"host": "127.0.0.1", "port": 0, "server_id": PLATFORM, **changes})


@contextlib.asynccontextmanager
async def serving(timers: Timers | None = None, **changes: Any) -> AsyncIterator[tuple[SipServer, Services]]:
    services = Services()
    server = services.server = SipServer(settings(**changes), handler=services, timers=timers)
    await server.start()
    try:
        yield server, services
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def device(server: SipServer) -> AsyncIterator[Peer]:
    _, peer = await asyncio.get_running_loop().create_datagram_endpoint(Peer, local_addr=("127.0.0.1", 0))
    peer.server = ("127.0.0.1", server.port)
    try:
        yield peer
    finally:
        peer.transport.close()


def route_to(peer: Peer) -> Route:
    return Route("udp", Address("127.0.0.1", peer.port), Address("127.0.0.1", 0))


async def eventually(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not claim():
            await asyncio.sleep(0.005)


def invited(server: SipServer, peer: Peer, timeout_s: float = PATIENCE, **more: object) -> Awaitable[object]:
    offer = server.invite(
        route_to(peer),
        to=CHANNEL,
        sdp=b"v=0\r\n",
        subject=f"{CHANNEL}:0200000001,{PLATFORM}:0",
        timeout_s=timeout_s,
        **more,  # type: ignore[arg-type]
    )
    return asyncio.ensure_future(offer)
