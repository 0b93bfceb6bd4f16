"""UDP shell: carries datagrams between one socket and the server, and decides nothing.

A server with several addresses answers from the one that was written to: devices and firewalls drop an answer that comes from
another. The kernel tells which it was; it is remembered where the kernel itself would send from another.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import Final

from gb28181.sip.io.local import plain
from gb28181.sip.transaction import Flow

#: Wanted socket buffer: bursts of a catalogue come in hundreds of datagrams (quirk Q33).
RECEIVE_BUFFER: Final = 8 << 20
#: Datagrams read at one wake-up, so that a flood leaves the loop time for others.
_AT_ONCE: Final = 32
_LONGEST: Final = 65_536
_MAX_ODD: Final = 65_536

# Linux; the names are missing from the module `socket`.
_SO_RCVBUFFORCE: Final = 33
_IP_PKTINFO: Final = 8
_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50
_INFO4: Final = struct.Struct("@i4s4s")  # interface, our address, the destination in the header
_INFO6: Final = struct.Struct("@16si")
_ANCILLARY: Final = socket.CMSG_SPACE(_INFO6.size)


class UdpShell:
    """One bound UDP socket.

    Args:
        sock: From `bind_udp`.
        receive: Called with each datagram and where it came from.
        done: Called after the last datagram of a wake-up.
        usual: Address that the kernel would send from to this host.
        max_bytes: Longer datagrams are dropped.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        receive: Callable[[bytes, Flow], None],
        done: Callable[[], None],
        usual: Callable[[str], str],
        max_bytes: int,
        counters: Counter[str],
    ) -> None:
        self._socket: socket.socket | None = sock
        self._is_ipv6 = sock.family == socket.AF_INET6
        self._receive = receive
        self._done = done
        self._usual = usual
        self._max_bytes = max_bytes
        self._counters = counters
        self._odd: dict[tuple[str, int], str] = {}
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        if self._socket is not None:
            self._loop.add_reader(self._socket, self._readable, self._socket)

    def met_at(self, flow: Flow) -> str:
        """Our address that this peer writes to, "" where it is the usual one."""
        return self._odd.get(flow[1:3], "") if self._odd else ""

    def send(self, flow: Flow, packet: bytes) -> None:
        """Sends at once or not at all: a full socket drops, and the transactions repeat what matters."""
        if self._socket is None or not 0 < flow.port < 65536:
            self._counters["udp_unsent"] += 1
            return
        host = f"::ffff:{flow.host}" if self._is_ipv6 and ":" not in flow.host else flow.host
        try:
            if self._odd and (local := self._odd.get(flow[1:3])) is not None:
                self._socket.sendmsg([packet], [self._source(local)], 0, (host, flow.port))
            else:
                self._socket.sendto(packet, (host, flow.port))
        except BlockingIOError:
            self._counters["udp_unsent"] += 1
        except OSError:
            self._odd.pop(flow[1:3], None)  # an address that has left this machine
            self._counters["udp_errors"] += 1  # or no route, or too long for a datagram

    def close(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _readable(self, sock: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _, address = sock.recvmsg(_LONGEST, _ANCILLARY)
            except BlockingIOError:
                break
            except OSError:
                self._counters["udp_errors"] += 1
                break
            if len(data) > self._max_bytes:
                self._counters["dropped_too_large"] += 1
                continue
            flow = Flow("udp", plain(address[0]) if self._is_ipv6 else address[0], address[1])
            if ancillary:
                self._note(flow, ancillary)
            self._receive(data, flow)
            if self._socket is None:
                return
        self._done()

    def _note(self, flow: Flow, ancillary: list[tuple[int, int, bytes]]) -> None:
        """Remembers what a peer writes to, where the kernel would answer from another address."""
        _, _, info = ancillary[0]
        if len(info) == _INFO4.size:
            local = socket.inet_ntop(socket.AF_INET, info[4:8])
        elif len(info) == _INFO6.size and info[0] != 0xFF:  # no multicast
            local = plain(socket.inet_ntop(socket.AF_INET6, info[:16]))
        else:
            return
        if local == self._usual(flow.host):
            if self._odd:
                self._odd.pop(flow[1:3], None)
        else:
            if len(self._odd) >= _MAX_ODD:
                del self._odd[next(iter(self._odd))]
            self._odd[flow[1:3]] = local

    def _source(self, local: str) -> tuple[int, int, bytes]:
        """What tells the kernel to send from this address."""
        if not self._is_ipv6:
            return socket.IPPROTO_IP, _IP_PKTINFO, _INFO4.pack(0, socket.inet_pton(socket.AF_INET, local), bytes(4))
        mapped = local if ":" in local else f"::ffff:{local}"
        return socket.IPPROTO_IPV6, _IPV6_PKTINFO, _INFO6.pack(socket.inet_pton(socket.AF_INET6, mapped), 0)


def bind_udp(family: int, host: str, port: int) -> socket.socket:
    """A bound, non-blocking UDP socket with a large receive buffer; bound to all addresses, it says which was written to.

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
        if host in ("0.0.0.0", "::"):
            level, option = (socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO) if ":" in host else (socket.IPPROTO_IP, _IP_PKTINFO)
            sock.setsockopt(level, option, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
