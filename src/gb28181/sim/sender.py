"""Sends one stream: paces packs, cuts them into RTP packets, speaks RTCP; one metronome drives all streams of a process.

A task or a timer for each picture of each camera would cost more than the sending itself, so all streams share one tick of
10 ms, and each tick sends what has become due since the last. The packets of a picture are spread over most of its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from gb28181.sim import rtp
from gb28181.sim.ps import CLOCK_HZ
from gb28181.sim.source import Pack, Source

_TICK_S: Final = 0.010
#: Payload of an RTP packet on UDP (the standard's limit) and on TCP.
_UDP_PAYLOAD: Final = 1400
_TCP_PAYLOAD: Final = 8192
#: Share of a picture's time over which its packets are spread.
_SPREAD: Final = 0.7
#: Packets that one tick sends of a late stream: what must catch up does so in small bursts.
_BURST: Final = 32
#: A stream that is later than this, after the machine stood still, goes on with the present.
_TOO_LATE_S: Final = 3.0
#: Bytes that wait for a slow TCP receiver; beyond, pictures up to the next key picture are left out.
_BACKLOG: Final = 1 << 20
_REPORT_S: Final = 5.0
_LISTEN_S: Final = 0.1


class Wire(Protocol):
    """Carries packets to the receiver and its reports back."""

    payload_limit: int

    def send(self, packet: rtp.Packet) -> bool:
        """Sends one RTP packet; False where the socket takes none now and it has to be tried again.

        Raises:
            OSError: The network refused the packet; on the wire this is loss.
        """

    def report(self, packet: bytes) -> None:
        """Sends one RTCP packet, or loses it."""

    def backlog(self) -> int:
        """Bytes that wait inside; 0 where nothing ever does."""

    def reports(self) -> list[bytes]:
        """RTCP packets that came since the last call."""

    def is_open(self) -> bool:
        """Whether the receiver can still be reached as far as the network has told."""

    def close(self) -> None:
        """Frees the sockets."""


class UdpWire:
    """RTP on an even port, RTCP on the next one; both sides (RFC 3550 §11)."""

    payload_limit = _UDP_PAYLOAD

    def __init__(self, local_ip: str, peer: tuple[str, int]) -> None:
        self._family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
        self._rtp, self._rtcp = _even_pair(self._family, local_ip)
        self._peer = peer
        self._peer_rtcp = (peer[0], peer[1] + 1)
        self.port: int = self._rtp.getsockname()[1]

    def send(self, packet: rtp.Packet) -> bool:
        try:
            self._rtp.sendmsg(packet, [], 0, self._peer)
        except BlockingIOError:
            return False
        return True

    def report(self, packet: bytes) -> None:
        with contextlib.suppress(OSError):
            self._rtcp.sendto(packet, self._peer_rtcp)

    def backlog(self) -> int:
        return 0

    def reports(self) -> list[bytes]:
        found = []
        for sock in (self._rtcp, self._rtp):
            for _ in range(16):
                try:
                    found.append(sock.recv(2048))
                except OSError:
                    break
        return found

    def is_open(self) -> bool:
        return True

    def close(self) -> None:
        self._rtp.close()
        self._rtcp.close()


def _even_pair(family: int, local_ip: str) -> tuple[socket.socket, socket.socket]:
    for _ in range(100):
        first, second = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        first.setblocking(False)
        second.setblocking(False)
        first.bind((local_ip, 0))
        port = first.getsockname()[1]
        with contextlib.suppress(OSError):  # the successor is taken, or there is none
            if port % 2 == 0:
                second.bind((local_ip, port + 1))
                return first, second
        first.close()
        second.close()
    raise OSError("no even UDP port with a free successor was found")


class TcpWire:
    """RTP and RTCP on one connection (RFC 4571)."""

    payload_limit = _TCP_PAYLOAD

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._waiting = bytearray()
        self._reader = rtp.FrameReader()
        self._open = True

    def send(self, packet: rtp.Packet) -> bool:
        self._waiting += rtp.framed(packet)
        self._push()
        return True

    def report(self, packet: bytes) -> None:
        self._waiting += rtp.framed((packet, memoryview(b"")))

    def backlog(self) -> int:
        return len(self._waiting)

    def reports(self) -> list[bytes]:
        self._push()
        try:
            data = self._socket.recv(65_536)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._open = False
        return self._reader.feed(data)

    def is_open(self) -> bool:
        return self._open

    def close(self) -> None:
        self._push()
        self._socket.close()

    def _push(self) -> None:
        while self._waiting and self._open:
            try:
                sent = self._socket.send(self._waiting)
            except BlockingIOError:
                return
            except OSError:
                self._open = False
                return
            del self._waiting[:sent]


class Stream:
    """One channel's media on its way to one receiver.

    Args:
        wire: Closed by `stop`.
        source: Where the packs come from.
        ssrc: As the receiver asked for in y=.
        impairment: What is left out and swapped.
        payload_type: None for that of PS.
        seed: Decides the first sequence number and timestamp.
        strict_rtcp_s: Ends the stream when no receiver report came for so long; None does not ask.
        ended: Called once when the stream ends by itself, with the reason: `file_end`, `no_rtcp` or `connection_lost`.
    """

    def __init__(
        self,
        wire: Wire,
        source: Source,
        ssrc: int,
        *,
        impairment: rtp.Impairment,
        seed: str,
        strict_rtcp_s: float | None,
        payload_type: int | None = None,
        ended: Callable[[str], None],
    ) -> None:
        self.counters = rtp.Counters()
        self.is_muted = False
        self._wire, self._source, self._ssrc = wire, source, ssrc
        self._impairment = impairment
        self._strict_rtcp_s = strict_rtcp_s
        self._payload_type = rtp.PAYLOAD_TYPE_PS if payload_type is None else payload_type
        self._ended = ended
        chance = random.Random(seed)
        self._sequence = chance.randrange(1 << 16)
        self._offset = chance.randrange(1 << 32)
        self._queue: deque[tuple[int, rtp.Packet]] = deque()  # bounded: one packet and one that it overtakes
        self._pending: Pack | None = None  # fetched, not yet due
        self._pack: Pack | None = None  # being sent
        self._cut: list[memoryview] = []
        self._cut_sent = 0
        self._over = False
        self._waits_for_key = False
        self._wall = 0.0  # UTC minus monotonic time
        self._origin = 0.0
        self._next_report = 0.0
        self._next_listen = 0.0
        self._heard = 0.0

    def begin(self, now: float, utc: float) -> None:
        """Starts at this moment: monotonic and wall clock, read together. A later step of the wall clock is not followed."""
        self._wall = utc - now
        self._origin = self._source.begin(utc) - self._wall
        self._next_report = self._next_listen = self._heard = now

    def tick(self, now: float) -> None:
        """Sends what is due."""
        if now >= self._next_listen and not self._over:
            self._next_listen = now + _LISTEN_S
            self._listen(now)
        if self._over or self.is_muted:
            return
        budget = _BURST
        while budget > 0 and self._drain():
            if self._cut_sent == len(self._cut) and not self._advance(now):
                break
            due = self._due_packets(now)
            if self._cut_sent >= due:
                break
            while self._cut_sent < due and budget > 0 and self._drain():
                self._emit()
                budget -= 1
        if now >= self._next_report and self.counters.sent:
            self._next_report = now + _REPORT_S
            self._report(now)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stream's origin."""
        return asyncio.get_running_loop().time() - self._origin

    def stop(self) -> None:
        """Sends what was held back to be overtaken, says goodbye and closes the sockets."""
        self._over = True
        if not self.is_muted:
            self._queue.extend(self._impairment.flush())
            self._drain()
            if self.counters.sent:
                self._wire.report(rtp.goodbye(self._ssrc))
        self._wire.close()

    def _listen(self, now: float) -> None:
        reports = sum(rtp.receiver_reports(packet) for packet in self._wire.reports())
        if reports:
            self.counters.receiver_reports += reports
            self._heard = now
        if not self._wire.is_open():
            self._end("connection_lost")
        elif self._strict_rtcp_s is not None and now - self._heard > self._strict_rtcp_s:
            self._end("no_rtcp")

    def _end(self, reason: str) -> None:
        self._over = True
        self._ended(reason)

    def _advance(self, now: float) -> bool:
        """Takes the next pack if its time has come."""
        while True:
            pack = self._pending = self._pending or self._source.next()
            if pack is None:
                self._queue.extend(self._impairment.flush())
                if self._drain():
                    self._end("file_end")
                return False
            late = now - self._origin - pack.due
            if late < 0:
                return False
            self._pending = None
            if late > _TOO_LATE_S and (skipped := self._source.skip_to(now + self._wall)):
                self.counters.skipped_pictures += skipped + 1
                continue
            if self._is_left_out(pack):
                self.counters.skipped_pictures += 1
                continue
            limit, view = self._wire.payload_limit, memoryview(pack.data)
            self._pack, self._cut_sent = pack, 0
            self._cut = [view[start : start + limit] for start in range(0, len(view), limit)]
            self.counters.pictures += 1
            self.counters.key_pictures += pack.is_key
            return True

    def _is_left_out(self, pack: Pack) -> bool:
        if self._wire.backlog() > _BACKLOG:
            self._waits_for_key = True
        elif pack.is_key:
            self._waits_for_key = False
        return self._waits_for_key

    def _due_packets(self, now: float) -> int:
        if self._pack is None:
            return 0
        share = (now - self._origin - self._pack.due) / (self._pack.seconds * _SPREAD or _TICK_S)
        return min(len(self._cut), int(len(self._cut) * share) + 1)

    def _emit(self) -> None:
        assert self._pack is not None
        payload = self._cut[self._cut_sent]
        self._cut_sent += 1
        marker = self._cut_sent == len(self._cut) and self._pack.ends_picture
        timestamp = self._pack.timestamp + self._offset
        head = rtp.header(self._sequence, timestamp, self._ssrc, marker=marker, payload_type=self._payload_type)
        self._queue.extend(self._impairment.admit(self._sequence, (head, payload), self.counters))
        self._sequence += 1
        self._drain()

    def _drain(self) -> bool:
        counters = self.counters
        while self._queue:
            sequence, packet = self._queue[0]
            try:
                if not self._wire.send(packet):
                    return False
            except OSError:
                counters.send_errors += 1
                self._queue.popleft()
                continue
            self._queue.popleft()
            counters.sent += 1
            counters.payload_bytes += len(packet[1])
            counters.first_sequence = sequence if counters.first_sequence is None else min(counters.first_sequence, sequence)
            counters.last_sequence = sequence if counters.last_sequence is None else max(counters.last_sequence, sequence)
        return True

    def _report(self, now: float) -> None:
        timestamp = int((now - self._origin) * CLOCK_HZ) + self._offset
        counters = self.counters
        self._wire.report(rtp.sender_report(self._ssrc, now + self._wall, timestamp, counters.sent, counters.payload_bytes))
        counters.sender_reports += 1


class Metronome:
    """Ticks all streams of a process; runs only while there are any. One thread: that of the event loop."""

    def __init__(self) -> None:
        self._streams: dict[Stream, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    def add(self, stream: Stream) -> None:
        """Starts the stream now."""
        loop = asyncio.get_running_loop()
        stream.begin(loop.time(), time.time())
        self._streams[stream] = None
        if self._timer is None:
            self._next = loop.time()
            self._timer = loop.call_at(self._next, self._tick)

    def remove(self, stream: Stream) -> None:
        """Ends the stream; it sends nothing after this returns."""
        if self._streams.pop(stream, False) is None:
            stream.stop()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for stream in list(self._streams):
            stream.tick(now)
        # After a tick that took too long the missed ones are left out: the next sends all that is due anyway.
        self._next = max(self._next + _TICK_S, now)
        self._timer = loop.call_at(self._next, self._tick) if self._streams else None
