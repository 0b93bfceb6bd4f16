"""Connections that carry media over TCP, and what a camera sends on them before it comes to the point."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable

import pytest

from gb28181.messages import Progress, SegmentClosed
from tests.ingest.process import IngestProcess
from tests.ingest.sender import chopped, framed, packetise

Start = Callable[..., IngestProcess]


def composed(pictures: int) -> bytes:
    """A program stream whose pictures are noise, a key frame in every 25."""
    chance = random.Random(1)
    out = []
    for number in range(pictures):
        body = b"\0\0\0\1" + (b"\x65\x88" if number % 25 == 0 else b"\x41\x9a") + chance.randbytes(2800).replace(b"\0", b"\1")
        pes = b"\0\0\1\xe0" + struct.pack(">H", 3 + len(body)) + b"\x84\0\0" + body
        out.append(b"\0\0\1\xba\x44\0\4\0\4\1\0\0\3\xf8" + pes)
    return b"".join(out)


@pytest.mark.parametrize("speaks", ["first", "second"])
def test_of_two_connections_the_one_that_brings_something_is_read(ingest: Start, speaks: str) -> None:
    """Q115: both were opened before anything was sent."""
    running = ingest()
    control = running.client().attach()
    port = control.open("s1", transport="tcp")
    packets = packetise(composed(200))
    with (
        socket.create_connection(("127.0.0.1", port)) as first,
        socket.create_connection(("127.0.0.1", port)) as second,
    ):
        control.of(Progress, what="connected")
        camera = first if speaks == "first" else second
        for begin in range(0, 400, 50):
            camera.sendall(framed(packets[begin : begin + 50]))
            control.until("s1", lambda stream, begin=begin: stream.packets == begin + 50)  # type: ignore[misc]


def test_garbage_before_the_media_costs_nothing_of_it(ingest: Start) -> None:
    """Its first bytes look like the length of a frame and its header."""
    running = ingest()
    control = running.client().attach()
    port = control.open("s1", transport="tcp")
    control.record("s1")
    packets = packetise(composed(200))
    with socket.create_connection(("127.0.0.1", port)) as camera:
        camera.sendall(b"\xde\xad\xbe\xef GET / HTTP/1.1\r\n\r\n" + bytes(range(256)))
        for piece in chopped(framed(packets)):
            camera.sendall(piece)
        control.until("s1", lambda stream: stream.packets == len(packets))
    control.close_receiver("s1")
    segment = control.of(SegmentClosed)
    assert running.file(segment).read_bytes() == b"".join(packet[12:] for packet in packets)
    assert segment.lost == 0
