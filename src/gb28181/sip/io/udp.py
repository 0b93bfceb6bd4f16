"""UDP shell: carries datagrams between one socket and the server, and decides nothing."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast

from gb28181.sip.io.local import plain
from gb28181.sip.transaction import Flow

#: Wanted socket buffer: bursts of a catalogue come in hundreds of datagrams (quirk Q33).
RECEIVE_BUFFER: Final = 8 << 20
_SO_RCVBUFFORCE: Final = 33


class UdpShell(asyncio.DatagramProtocol):
    """One bound UDP socket.

    Args:
        sock: From `bind_udp`; the event loop reads it, `send` writes it.
        receive: Called with each datagram and where it came from.
        max_bytes: Longer datagrams are dropped.
    """

    def __init__(
        self, sock: socket.socket, receive: Callable[[bytes, Flow], None], *, max_bytes: int, counters: Counter[str]
    ) -> None:
        self._socket: socket.socket | None = sock
        self._is_ipv6 = sock.family == socket.AF_INET6
        self._receive = receive
        self._max_bytes = max_bytes
        self._counters = counters
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Neither event loop's transports derive from the abstract classes.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if len(data) > self._max_bytes:
            self._counters["dropped_too_large"] += 1
            return
        host = plain(addr[0]) if self._is_ipv6 else addr[0]
        self._receive(data, Flow("udp", host, addr[1]))

    def error_received(self, exc: Exception) -> None:
        # ICMP of somebody else's packet, or no route; the transaction that sent it repeats and times out.
        self._counters["udp_errors"] += 1

    def send(self, flow: Flow, packet: bytes) -> None:
        """Sends at once or not at all: a full socket drops, and the transactions repeat what matters."""
        if self._socket is None or not 0 < flow.port < 65536:
            self._counters["udp_unsent"] += 1
            return
        host = f"::ffff:{flow.host}" if self._is_ipv6 and ":" not in flow.host else flow.host
        try:
            self._socket.sendto(packet, (host, flow.port))
        except BlockingIOError:
            self._counters["udp_unsent"] += 1
        except OSError:
            self._counters["udp_errors"] += 1  # no route, or too long for a datagram

    def close(self) -> None:
        self._socket = None
        if self._transport is not None:
            self._transport.close()


def bind_udp(family: int, host: str, port: int) -> socket.socket:
    """A bound, non-blocking UDP socket with a large receive buffer.

    Raises:
        OSError: The address cannot be bound.
    """
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)  # without the right: up to rmem_max
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
