"""Sockets of a device's SIP: a UDP port of its own, or one TCP connection to the server; carries bytes, decides nothing."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, Literal, Protocol

from gb28181.errors import PeerTimeout, SipSyntaxError, Unreachable
from gb28181.sim.sip import Message, StreamReader, new_branch, parse
from gb28181.sim.transactions import (
    Acknowledged,
    Address,
    Answered,
    Arrived,
    Event,
    NeverAcknowledged,
    TimedOut,
    Timers,
    Transactions,
)

logger = logging.getLogger(__name__)

_CONNECT_S: Final = 5.0


class Owner(Protocol):
    """The device behind the sockets."""

    def requested(self, agent: UserAgent, request: Message, source: Address) -> None:
        """A new request came."""

    def acknowledged(self, agent: UserAgent, call_id: str) -> None:
        """An INVITE's answer was acknowledged."""

    def never_acknowledged(self, agent: UserAgent, call_id: str) -> None:
        """An INVITE's 200 was repeated in vain."""

    def connection_lost(self) -> None:
        """The TCP connection ended and `close` was not called."""


def route_ip(host: str, port: int) -> str:
    """The local address from which packets to this host are sent.

    Raises:
        OSError: The host is unknown or there is no route.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])


class UserAgent:
    """One device's SIP end.

    Args:
        owner: Gets what arrives; called in the event loop.
        server: Host and port.
        transport: `udp` or `tcp`.
        local_ip: Address to bind, "" for the one that has a route to the server.
        timers: T1 and T2.
        rewrite: Has the last word on every message that is sent.
        hole_s: Seconds after the last packet in either direction when nothing comes in any more, as behind a NAT (UDP).
    """

    def __init__(
        self,
        owner: Owner,
        server: Address,
        *,
        transport: Literal["udp", "tcp"],
        local_ip: str,
        timers: Timers,
        rewrite: Callable[[bytes], bytes] = lambda data: data,
        hole_s: float | None = None,
    ) -> None:
        self._owner = owner
        self.server = server
        self._rewrite = rewrite
        self._hole_s = hole_s
        self._busy_at = 0.0
        self._kind = transport
        self._local_ip = local_ip
        self._transactions = Transactions(is_reliable=transport == "tcp", timers=timers)
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Transport | None = None
        self._held: list[bytes] = []  # TCP bytes that the kernel would keep while the network is away
        self._is_cut = False
        self.local: Address = (local_ip, 0)

    async def open(self) -> None:
        """Binds the port, or connects.

        Raises:
            Unreachable: No route, or the server refused the connection.
        """
        loop = asyncio.get_running_loop()
        try:
            address = self._local_ip or await loop.run_in_executor(None, route_ip, *self.server)
            if self._kind == "udp":
                udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), (address, 0))
                self._udp = udp
                self.local = udp.get_extra_info("sockname")[:2]
            else:
                async with asyncio.timeout(_CONNECT_S):
                    tcp, _ = await loop.create_connection(lambda: _Connection(self), *self.server, local_addr=(address, 0))
                self._tcp = tcp
                self.local = tcp.get_extra_info("sockname")[:2]
        except OSError as error:  # TimeoutError is one
            raise Unreachable(f"no way to {self.server[0]}:{self.server[1]} over {self._kind}: {error}") from error

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._udp is not None or self._tcp is not None

    def via(self) -> tuple[str, str]:
        """A Via header with a new branch."""
        host, port = self.local
        host = f"[{host}]" if ":" in host else host
        return ("Via", f"SIP/2.0/{self._kind.upper()} {host}:{port};rport;branch={new_branch()}")

    def close(self) -> None:
        """Closes the socket; requests under way fail."""
        if self._timer is not None:
            self._timer.cancel()
        for transport in (self._udp, self._tcp):
            if transport is not None:
                transport.close()
        self._udp = self._tcp = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unreachable("the device was switched off"))
        self._waiting.clear()

    def cut(self, *, is_cut: bool) -> None:
        """Pulls the network cable, or plugs it in again: UDP is lost meanwhile, TCP waits."""
        self._is_cut = is_cut
        if self._tcp is not None and not self._tcp.is_closing():
            if is_cut:
                self._tcp.pause_reading()
            else:
                self._tcp.resume_reading()
                for data in self._held:
                    self._tcp.write(data)
        self._held = []

    async def request(self, message: Message) -> Message:
        """Sends a request and waits for its final response.

        Raises:
            PeerTimeout: There was none within 64 x T1.
            Unreachable: The connection is gone.
        """
        if not self.is_open:
            raise Unreachable("the connection to the server is gone")
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[message.branch] = future
        self._transactions.request(message, asyncio.get_running_loop().time())
        self._pump([])
        try:
            return await future
        finally:
            self._waiting.pop(message.branch, None)

    def respond(self, request: Message, response: Message, source: Address) -> None:
        """Answers a request; repeated where the protocol asks for it."""
        self._transactions.respond(request, response, source, asyncio.get_running_loop().time())
        self._pump([])

    def received(self, message: Message, source: Address) -> None:
        """One message from a socket."""
        self._pump(self._transactions.receive(message, source, asyncio.get_running_loop().time()))

    def datagram(self, data: bytes, source: Address) -> None:
        """One datagram from the socket; what is no SIP message is dropped."""
        if self._is_cut or not self._passes():
            return
        if len(data) < 16:
            return  # keeps the way open, and says nothing
        try:
            message = parse(data)
        except SipSyntaxError as error:
            logger.debug("datagram dropped", extra={"reason": error.reason, "source": source[0]})
            return
        self.received(message, source)

    def _passes(self) -> bool:
        now = asyncio.get_running_loop().time()
        is_open = self._hole_s is None or now - self._busy_at < self._hole_s
        if is_open:
            self._busy_at = now
        return is_open

    def lost(self) -> None:
        """The TCP connection ended."""
        if self._tcp is not None:
            self.close()
            self._owner.connection_lost()

    def _pump(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Arrived(request, source):
                    self._owner.requested(self, request, source)
                case Answered(branch, response):
                    if (future := self._waiting.get(branch)) is not None and not future.done():
                        future.set_result(response)
                case TimedOut(branch):
                    if (future := self._waiting.get(branch)) is not None and not future.done():
                        future.set_exception(PeerTimeout("the server did not answer"))
                case Acknowledged(call_id):
                    self._owner.acknowledged(self, call_id)
                case NeverAcknowledged(call_id):
                    self._owner.never_acknowledged(self, call_id)
        for data, address in self._transactions.packets_to_send():
            self._send(data, address)
        self._rearm()

    def _send(self, data: bytes, address: Address | None) -> None:
        self._busy_at = asyncio.get_running_loop().time()
        data = self._rewrite(data)
        if self._udp is not None and not self._is_cut:
            self._udp.sendto(data, address or self.server)
        elif self._tcp is not None:
            if self._is_cut:
                self._held.append(data)
            else:
                self._tcp.write(data)

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._transactions.next_deadline()
        if deadline is not None and self.is_open:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._pump(self._transactions.expire(asyncio.get_running_loop().time()))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, agent: UserAgent) -> None:
        self._agent = agent

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._agent.datagram(data, addr[:2])


class _Connection(asyncio.Protocol):
    def __init__(self, agent: UserAgent) -> None:
        self._agent = agent
        self._reader = StreamReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        source = self._transport.get_extra_info("peername")[:2]
        try:
            messages = self._reader.feed(data)
        except SipSyntaxError as error:
            logger.warning("connection closed", extra={"reason": error.reason})
            self._transport.close()
            return
        for message in messages:
            self._agent.received(message, source)

    def connection_lost(self, exc: Exception | None) -> None:
        self._agent.lost()
