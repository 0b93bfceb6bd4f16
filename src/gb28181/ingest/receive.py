"""The sockets of all streams, and the tick that empties them.

Nothing wakes this process for a packet: wake-ups are what costs. The loop calls `tick`; sockets that somebody waits for
(`Stream.is_quick`) are emptied in each, the others in every second one.
"""

from __future__ import annotations

import logging
import math
import resource
import select
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from gb28181.errors import Unavailable
from gb28181.ingest.batch import CarefulBudget, Packets, PayloadViews, dispatch
from gb28181.ingest.ports import PortPool
from gb28181.ingest.slab import SLOTS, STRIDE, Slab
from gb28181.ingest.sockets import MediaSockets, SocketOpener
from gb28181.ingest.stream import Moment, Stream
from gb28181.ingest.tcp import Connection, TcpMedia
from gb28181.ingest.tcp_batch import TcpBatch
from gb28181.ingest_start import Receiving
from gb28181.messages import EndCause, OpenReceiver, Progress
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

_FILES_A_STREAM: Final = 6
"""Media and RTCP socket, a connection and its successor, two files of a segment."""
_OTHER_FILES: Final = 32
"""Control, edge, journal, manifests, markers, libraries."""
_SHORT_TICK_S: Final = 0.040
_ROUNDS: Final = 4
_CAREFUL_PACKETS: Final = 3000
_RTCP_BYTES: Final = 2048
_RTCP_ROUNDS: Final = 16
_LAST_READS: Final = 64
_OFFSETS: Final = np.arange(SLOTS, dtype=np.int64) * STRIDE


@dataclass(slots=True)
class _Port:
    """A stream's sockets."""

    stream: Stream
    sockets: MediaSockets
    tcp: TcpMedia | None
    is_quick: bool = True
    rtcp_sources: dict[tuple[str, int], float] = field(default_factory=dict)

    def descriptors(self) -> list[int]:
        out = [self.sockets.media.fileno()]
        if self.sockets.rtcp is not None:
            out.append(self.sockets.rtcp.fileno())
        if self.tcp is not None:
            out += [connection.sock.fileno() for connection in (self.tcp.current, self.tcp.waiting) if connection is not None]
        return out


def streams_for(open_files: int) -> int:
    """How many streams a process may hold that may open so many files (`RLIM_INFINITY`: no limit)."""
    return sys.maxsize if open_files == resource.RLIM_INFINITY else max(1, (open_files - _OTHER_FILES) // _FILES_A_STREAM)


class Receiver:
    """Streams by id, their sockets, and what arrives on them.

    Args:
        moment: Set by the loop before each call.
        say: Where progress of streams goes.
    """

    def __init__(self, settings: Receiving, ports: range, moment: Moment, say: Callable[[Progress], None]) -> None:
        self._settings = settings
        self._moment = moment
        self._say = say
        self._pool = PortPool(ports, quarantine_s=settings.port_quarantine_s)
        self._opener = SocketOpener(settings.host, self._pool, buffer_bytes=settings.receive_buffer_kib << 10)
        self._ports: dict[str, _Port] = {}
        self._readers: dict[int, Callable[[int], None]] = {}
        self._quick = select.epoll()
        self._calm = select.epoll()
        self._slab = Slab()
        self._payloads = PayloadViews(self._slab.view, SLOTS)
        self._datagrams: dict[int, Stream] = {}  # by file descriptor
        self._sinks: list[Stream] = []
        self._counts: list[int] = []
        self._tcp = TcpBatch()
        self._tcp_got = 0  # bytes of the last read
        self._waiting: set[Stream] = set()
        self._quick_ports = 0
        self._most_streams = streams_for(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.budget = CarefulBudget(_CAREFUL_PACKETS)

    # --- streams -----------------------------------------------------------------------------------------------------

    @property
    def streams(self) -> list[Stream]:
        return [port.stream for port in self._ports.values()]

    @property
    def ports_free(self) -> int:
        return len(self._pool)

    @property
    def has_quick(self) -> bool:
        """Whether somebody waits for each tick."""
        return self._quick_ports > 0

    @property
    def longest_tick_s(self) -> float:
        """How long the sockets may stay unread: small buffers of the system hold a key frame and little more."""
        return _SHORT_TICK_S if self._opener.is_short else math.inf

    def stream(self, stream_id: str) -> Stream | None:
        port = self._ports.get(stream_id)
        return port.stream if port else None

    def of_channel(self, device_id: str, channel_id: str) -> Stream | None:
        """The newest stream of a channel that delivers, else the newest."""
        found = [s for s in self.streams if (s.device_id, s.channel_id) == (device_id, channel_id)]
        return max(found, key=lambda stream: (stream.last_heard > 0, stream.opened), default=None)

    def open(self, request: OpenReceiver) -> int:
        """Reserves a port; the same stream again gives the same one.

        Raises:
            Unavailable: No port is free, or this process may open too few files for one stream more.
        """
        known = self._ports.get(request.stream_id)
        if known is not None:
            return known.sockets.port
        if len(self._ports) >= self._most_streams:
            # Else those that are recorded would find no file for their next segment.
            raise Unavailable(say("stream.open_files", streams=self._most_streams))
        sockets = self._opener.open(request.transport, self._moment.now)
        stream = Stream(request, sockets.port, settings=self._settings, moment=self._moment, say=self._say)
        port = _Port(stream, sockets, TcpMedia(sockets.media) if request.transport == "tcp" else None)
        self._ports[request.stream_id] = port
        self._quick_ports += 1
        if port.tcp is not None:
            self._register(port, sockets.media.fileno(), lambda fd: self._accept(port))
        else:
            self._datagrams[sockets.media.fileno()] = stream
            self._register(port, sockets.media.fileno(), lambda fd: self._read_udp(stream, fd))
        if sockets.rtcp is not None:
            rtcp = sockets.rtcp
            self._register(port, rtcp.fileno(), lambda fd: self._read_rtcp(port, rtcp))
        return sockets.port

    def close(self, stream_id: str, cause: EndCause) -> bool:
        """Takes what the sockets still hold, then closes stream and sockets. False: there is no such stream."""
        port = self._ports.get(stream_id)
        if port is None:
            return False
        self._exhaust(port)
        for fd in port.descriptors():
            self._forget(port, fd)
        self._datagrams.pop(port.sockets.media.fileno(), None)
        port.stream.close(cause)
        del self._ports[stream_id]
        self._quick_ports -= port.is_quick
        self._waiting.discard(port.stream)
        port.sockets.close()
        if port.tcp is not None:
            port.tcp.close()
        self._pool.release(port.sockets.port, self._moment.now)
        return True

    # --- tick --------------------------------------------------------------------------------------------------------

    def tick(self, *, everything: bool) -> None:
        """Takes what arrived since the last tick and hands it on.

        Args:
            everything: The calm sockets too.
        """
        self.budget.renew()
        events = self._quick.poll(0, max(1, len(self._readers)))
        if everything:
            events += self._calm.poll(0, max(1, len(self._readers)))
        datagrams, slab, sinks, counts = self._datagrams, self._slab, self._sinks, self._counts
        for fd, _ in events:
            stream = datagrams.get(fd)
            if stream is None:
                reader = self._readers.get(fd)  # gone when an event before closed it
                if reader is not None:
                    reader(fd)
            elif got := slab.receive(fd):
                sinks.append(stream)
                counts.append(got)
                if not slab.free:
                    self._read_more(stream, fd)
        self._process()
        for stream in tuple(self._waiting):
            stream.pull()
            if not stream.is_waiting:
                self._waiting.discard(stream)

    def check(self) -> None:
        """Now and then: silence, connections that take over, which sockets are quick."""
        for port in tuple(self._ports.values()):
            port.stream.check()
            if port.tcp is not None and (successor := port.tcp.successor(self._moment.now)) is not None:
                self._switch(port, successor)
            self.sort(port.stream)

    def give_back(self) -> None:
        """Between two ticks: gives back the memory that only the longest of them needed."""
        self._slab.give_back()
        self._tcp.give_back()

    def sort(self, stream: Stream) -> None:
        """Puts the sockets of a stream where they belong, quick or calm."""
        port = self._ports.get(stream.stream_id)
        if port is None or port.is_quick == stream.is_quick:
            return
        old, new = (self._quick, self._calm) if port.is_quick else (self._calm, self._quick)
        for fd in port.descriptors():
            old.unregister(fd)
            new.register(fd, select.EPOLLIN)
        port.is_quick = stream.is_quick
        self._quick_ports += 1 if port.is_quick else -1

    def send_report(self, stream: Stream, packet: bytes) -> None:
        """Sends RTCP to where the stream comes from: RTP port + 1 and the RTCP source seen (quirk Q112)."""
        port = self._ports[stream.stream_id]
        if port.tcp is not None:
            if port.tcp.current is not None:
                port.tcp.current.send(packet)
            return
        for address in {*port.rtcp_sources, *stream.rtcp_addresses()}:
            try:
                assert port.sockets.rtcp is not None
                port.sockets.rtcp.sendto(packet, address)
            except OSError:
                continue  # no route, or a full buffer: the next report follows in seconds

    def _exhaust(self, port: _Port) -> None:
        """Takes what has arrived and waits in the kernel; bounded, the sender may not have heard of the end."""
        if port.tcp is None:
            self._read_udp(port.stream, port.sockets.media.fileno())
        else:
            for _ in range(_LAST_READS):
                if (connection := port.tcp.current) is None:
                    break
                self._read_tcp(port, connection, connection.sock.fileno())
                if self._tcp_got <= 0:
                    break
                self._process_tcp()
        self._process()

    def _register(self, port: _Port, fd: int, reader: Callable[[int], None]) -> None:
        self._readers[fd] = reader
        (self._quick if port.is_quick else self._calm).register(fd, select.EPOLLIN)

    def _forget(self, port: _Port, fd: int) -> None:
        if self._readers.pop(fd, None) is not None:
            (self._quick if port.is_quick else self._calm).unregister(fd)

    # --- UDP ---------------------------------------------------------------------------------------------------------

    def _read_udp(self, stream: Stream, fd: int) -> None:
        if got := self._slab.receive(fd):
            self._sinks.append(stream)
            self._counts.append(got)
        if not self._slab.free:
            self._read_more(stream, fd)

    def _read_more(self, stream: Stream, fd: int) -> None:
        """The slab is full: makes room and goes on with the same socket."""
        self._process_udp()
        for _ in range(_ROUNDS):  # bounded: a flood on one port must not keep the others waiting
            if got := self._slab.receive(fd):
                self._sinks.append(stream)
                self._counts.append(got)
            if self._slab.free:
                return
            self._process_udp()

    def _process(self) -> None:
        self._process_udp()
        self._process_tcp()

    def _process_udp(self) -> None:
        slab, used = self._slab, self._slab.used
        if not used:
            return
        lengths = slab.lengths[:used].astype(np.int64)
        is_long = bool((lengths > STRIDE).any())
        packets = Packets(
            view=slab.view,
            memory=slab.bytes,
            headers=slab.headers(),
            offsets=_OFFSETS[:used],
            lengths=lengths,
            fits=lengths <= STRIDE if is_long else None,
            sources=slab.sources[:used, :3],
            whole=slab.datagram,
            kept=self._payloads,
            source_words=self._opener.source_words,
        )
        others = dispatch(packets, self._sinks, self._counts, self.budget)
        self._sinks.clear()
        self._counts.clear()
        self._waiting.update(stream for stream in others if stream.is_waiting)
        slab.reset(was_long=is_long)

    def _read_rtcp(self, port: _Port, sock: socket.socket) -> None:
        for _ in range(_RTCP_ROUNDS):
            try:
                data, address = sock.recvfrom(_RTCP_BYTES)
            except OSError:
                return
            if port.stream.heard_rtcp(data) and len(port.rtcp_sources) < 2:
                port.rtcp_sources[address[:2]] = self._moment.now

    # --- TCP ---------------------------------------------------------------------------------------------------------

    def _accept(self, port: _Port) -> None:
        assert port.tcp is not None
        for connection in port.tcp.accept(self._moment.now):
            if port.tcp.current is None:
                self._switch(port, connection)
                continue
            if port.tcp.waiting is not None:
                self._turn_away(port, port.tcp.waiting)
            port.tcp.waiting = connection
            self._register(port, connection.sock.fileno(), partial(self._knock, port, connection))
        if (successor := port.tcp.successor(self._moment.now)) is not None:
            self._switch(port, successor)

    def _knock(self, port: _Port, connection: Connection, _: int) -> None:
        """Something has come on a connection that waits."""
        assert port.tcp is not None
        brought = connection.has_brought()
        if brought is None:
            self._turn_away(port, connection)
        elif brought and port.tcp.gives_way(self._moment.now):
            self._switch(port, connection)

    def _turn_away(self, port: _Port, connection: Connection) -> None:
        assert port.tcp is not None
        self._forget(port, connection.sock.fileno())
        connection.sock.close()
        port.tcp.waiting = None

    def _switch(self, port: _Port, connection: Connection) -> None:
        """Reads a connection in place of the present one."""
        assert port.tcp is not None
        self._process_tcp()
        if port.tcp.current is not None:
            self._drop(port, port.tcp.current)
        port.tcp.take(connection)
        port.stream.connected(connection.peer)
        self._forget(port, connection.sock.fileno())
        self._register(port, connection.sock.fileno(), partial(self._read_tcp, port, connection))

    def _drop(self, port: _Port, connection: Connection) -> None:
        assert port.tcp is not None
        self._forget(port, connection.sock.fileno())
        connection.sock.close()
        port.tcp.current = None

    def _read_tcp(self, port: _Port, connection: Connection, _: int) -> None:
        if not self._tcp.has_room:
            self._process_tcp()
        self._tcp_got = got = self._tcp.read(port.stream, connection)
        if got > 0:
            connection.last_heard = self._moment.now
        elif not got:
            self._process_tcp()
            self._drop(port, connection)
            port.stream.disconnected()

    def _process_tcp(self) -> None:
        if (taken := self._tcp.take()) is not None:
            others = dispatch(*taken, self.budget)
            self._waiting.update(stream for stream in others if stream.is_waiting)
