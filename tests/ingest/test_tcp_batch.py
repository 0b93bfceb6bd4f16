"""Frames of all connections at once: what is found is what one look at each connection would have found."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from gb28181.ingest.stream import Moment, Stream
from gb28181.ingest.tcp import Connection
from gb28181.ingest.tcp_batch import TcpBatch
from gb28181.ingest_start import Receiving
from gb28181.media.framing import Framing
from gb28181.messages import OpenReceiver


def rtp(seq: int, size: int, *, ssrc: int = 7, kind: int = 96) -> bytes:
    return struct.pack(">BBHII", 0x80, kind, seq & 0xFFFF, 0, ssrc) + random.Random(seq).randbytes(size)


def frame(packet: bytes) -> bytes:
    return struct.pack(">H", len(packet)) + packet


def interleaved(packet: bytes) -> bytes:
    return b"$\0" + frame(packet)


SETTINGS = Receiving(
    host="127.0.0.1", tick_ms=40, watched_tick_ms=20, receive_buffer_kib=1024, reorder_ms=200, reorder_packets=256, silence_s=5,
    rtcp_interval_s=5, port_quarantine_s=20, orphan_s=60,
)  # fmt: skip


class Camera:
    """One connection, and the framing that looks at the same bytes alone."""

    def __init__(self, number: int) -> None:
        self.far, near = socket.socketpair()
        near.setblocking(False)
        self.connection = Connection(near, "camera", 0.0)
        request = OpenReceiver(number, f"s{number}", "d", "c", "tcp", 1)
        self.stream = Stream(request, 20000, settings=SETTINGS, moment=Moment(), say=lambda progress: None)
        self.got: list[bytes] = []
        self.alone = Framing()
        self.wanted: list[bytes] = []
        self._rest = b""

    def send(self, data: bytes) -> None:
        self.far.sendall(data)
        data = self._rest + data
        offsets: list[int] = []
        lengths: list[int] = []
        self._rest = data[self.alone.scan(memoryview(data), 0, len(data), offsets, lengths) :]
        self.wanted += [data[offset : offset + length] for offset, length in zip(offsets, lengths, strict=True)]

    def close(self) -> None:
        self.far.close()
        self.connection.sock.close()


def tick(batch: TcpBatch, cameras: list[Camera]) -> None:
    for camera in cameras:
        batch.read(camera.stream, camera.connection)
    taken = batch.take()
    if taken is None:
        return
    packets, sinks, counts = taken
    owner = {camera.stream: camera for camera in cameras}
    row = 0
    for sink, count in zip(sinks, counts, strict=True):
        owner[sink].got += [packets.whole(place) for place in range(row, row + count)]
        row += count
    assert row == len(packets.lengths)


def said(kind: str) -> bytes:
    chance = random.Random(3)
    plain = [frame(rtp(seq, chance.choice((1400, 1400, 333)))) for seq in range(200)]
    if kind == "reports between":
        report = frame(struct.pack(">BBHI", 0x80, 200, 6, 7) + bytes(20))
        return b"".join(one + report if place % 9 == 0 else one for place, one in enumerate(plain))
    if kind == "keep-alives between":
        return b"".join(one + b"\0\0" if place % 9 == 0 else one for place, one in enumerate(plain))
    if kind == "two payload types":
        return b"".join(one + frame(rtp(1, 160, ssrc=8, kind=8)) if place % 5 == 0 else one for place, one in enumerate(plain))
    if kind == "interleaved":
        return b"".join(interleaved(rtp(seq, 900)) for seq in range(200))
    if kind == "partial writes":  # Q113
        return b"".join(one[:500] if place % 31 == 30 else one for place, one in enumerate(plain))
    if kind == "garbage":
        return b"".join(one + chance.randbytes(50) if place % 31 == 30 else one for place, one in enumerate(plain))
    if kind == "restarted encoder":
        return b"".join(plain[:90]) + b"".join(frame(rtp(seq, 700, ssrc=9)) for seq in range(100))
    if kind == "headers inside":
        return b"".join(frame(rtp(seq, 100) + frame(rtp(seq, 300))) for seq in range(100))
    return b"".join(plain)


KINDS = (
    "plain", "reports between", "keep-alives between", "two payload types", "interleaved", "partial writes", "garbage",
    "restarted encoder", "headers inside",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_frames_of_many_connections_are_those_of_each_alone(seed: int) -> None:
    chance = random.Random(seed)
    cameras = [Camera(number) for number in range(2 * len(KINDS))]
    left = [said(KINDS[number % len(KINDS)]) for number in range(len(cameras))]
    batch = TcpBatch()
    while any(left):
        for place, camera in enumerate(cameras):
            size = chance.choice((0, 1, 2, 13, 15, 900, 1414, 5000, 20000))
            if chunk := left[place][:size]:
                camera.send(chunk)
                left[place] = left[place][size:]
        tick(batch, cameras)
        if chance.random() < 0.2:
            batch.give_back()
    for place, camera in enumerate(cameras):
        camera.close()
        assert camera.got == camera.wanted, KINDS[place % len(KINDS)]
        assert len(camera.got) > 80


def test_end_of_a_connection_is_told_apart_from_nothing() -> None:
    camera, batch = Camera(1), TcpBatch()
    assert batch.read(camera.stream, camera.connection) == -1
    assert batch.take() is None
    camera.far.close()
    assert batch.read(camera.stream, camera.connection) == 0
    camera.close()
