"""TCP and TLS shell: one connection each, with its framer, its bounds and its number. Nothing here waits for a peer."""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Protocol, cast

from gb28181.sip.framing import Framed, StreamFramer
from gb28181.sip.io.local import plain
from gb28181.sip.limits import Bucket
from gb28181.sip.transaction import Flow, Transport

#: Bytes that a peer has not taken; when there are more it is disconnected.
MAX_UNSENT: Final = 4 << 20
#: Largest message of a peer that has not proved anything yet.
UNPROVED_MESSAGE: Final = 128 << 10
#: Bytes of bodies that count as one message more, so that megabytes are not read as fast as keepalives.
_OCTETS_OF_ONE: Final = 2048


class ConnectionOwner(Protocol):
    """What a connection needs of the server."""

    def opened(self, connection: TcpConnection) -> None: ...

    def framed(self, connection: TcpConnection, messages: list[Framed]) -> None: ...

    def closed(self, connection: TcpConnection) -> None: ...

    def message_limit(self, host: str) -> int:
        """Bytes that a message of this host may have."""

    def may_hold(self, change: int) -> bool:
        """Books bytes of incomplete messages; False when all connections together hold too many."""

    def count(self, name: str) -> None: ...


class TcpConnection(asyncio.Protocol):
    """One TCP or TLS connection, accepted or made by us.

    Args:
        number: Names it in `Route.connection`; never used twice.
        per_s: Messages read in a second; what comes faster waits with the peer.
    """

    def __init__(
        self, number: int, transport: Transport, owner: ConnectionOwner, loop: asyncio.AbstractEventLoop, *, per_s: float
    ) -> None:
        self.number = number
        self.local = ""
        self.flow = Flow(transport, "", 0, number)
        self.is_open = False
        #: Who has registered over it, "" while nobody has.
        self.user = ""
        #: It has carried at least one whole SIP message.
        self.has_spoken = False
        self.heard_at = loop.time()
        self._owner = owner
        self._loop = loop
        self._framer = StreamFramer(max_message=UNPROVED_MESSAGE)
        self._held = 0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._bucket = Bucket(per_s, self.heard_at)
        self._resume: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from the abstract class.
        transport = self._transport = cast("asyncio.Transport", transport)
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not peer or not own:
            transport.abort()  # gone between accept and here
            return
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.flow = Flow(self.flow.transport, plain(peer[0]), peer[1], self.number)
        self.local = plain(own[0])
        self.is_open = True
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        now = self.heard_at = self._loop.time()
        framer = self._framer
        framer.max_message = max(framer.max_message, self._owner.message_limit(self.flow.host))
        messages = framer.feed(data, now)
        if (
            messages
            and (wait := self._bucket.spend(_cost(messages), now))
            and self._resume is None
            and self._transport is not None
        ):
            self._owner.count("tcp_slowed")
            self._transport.pause_reading()
            self._resume = self._loop.call_later(wait, self._read_on)
        self._hand_up(messages)

    def _read_on(self) -> None:
        self._resume = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._resume):
            if timer is not None:
                timer.cancel()
        self._owner.may_hold(-self._held)
        self._held = 0
        if self.is_open:
            self.is_open = False
            self._owner.closed(self)

    def send(self, packet: bytes) -> None:
        """Queues bytes for the peer; one that takes nothing is disconnected."""
        transport = self._transport
        if transport is None or transport.is_closing():
            self._owner.count("tcp_unsent")
            return
        if transport.get_write_buffer_size() > MAX_UNSENT:
            self._owner.count("tcp_closed_slow")
            transport.abort()
            return
        transport.write(packet)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _hand_up(self, messages: list[Framed]) -> None:
        framer = self._framer
        if framer.pings:
            self._owner.count("keep_alives")
            framer.pings = 0
            self.send(b"\r\n")
        held = framer.buffered
        within = self._owner.may_hold(held - self._held)
        self._held = held
        if messages:
            self.has_spoken = True
            self._owner.framed(self, messages)
        if framer.is_broken or not within:
            self._owner.count("tcp_closed_junk" if framer.is_broken else "tcp_closed_memory")
            self.abort()
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (deadline := framer.next_deadline()) is not None:
            self._timer = self._loop.call_at(deadline, self._expire, deadline)

    def _expire(self, deadline: float) -> None:
        self._timer = None
        # The loop may wake a clock tick early; what was asked for has come all the same.
        self._hand_up(self._framer.expire(max(deadline, self._loop.time())))


def bind_tcp(family: int, host: str, port: int) -> socket.socket:
    """A bound, non-blocking TCP socket, not listening yet.

    Raises:
        OSError: The address cannot be bound.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _cost(messages: list[Framed]) -> int:
    return len(messages) + sum(len(one.body) for one in messages) // _OCTETS_OF_ONE
