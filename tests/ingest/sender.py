"""A camera's media side written from the standard alone: cuts a program stream at its packs and sends it as RTP (Annex C.1)."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Iterator, Sequence

PACK = b"\x00\x00\x01\xba"


def packs(stream: bytes) -> list[bytes]:
    """The stream cut before each pack header."""
    starts = []
    position = stream.find(PACK)
    while position >= 0:
        starts.append(position)
        position = stream.find(PACK, position + 14)
    return [stream[a:b] for a, b in zip(starts, [*starts[1:], len(stream)], strict=True)]


def packetise(
    stream: bytes, *, ssrc: int = 200000001, seq: int = 0, size: int = 1400, payload_type: int = 96, timestamp: int = 0
) -> list[bytes]:
    """RTP packets, 3600 ticks of the clock a pack, marker on its last packet."""
    out = []
    for number, pack in enumerate(packs(stream)):
        for begin in range(0, len(pack), size):
            payload = pack[begin : begin + size]
            marker = 0x80 if begin + size >= len(pack) else 0
            stamp = (timestamp + number * 3600) & 0xFFFFFFFF
            out.append(struct.pack(">BBHII", 0x80, marker | payload_type, seq & 0xFFFF, stamp, ssrc) + payload)
            seq += 1
    return out


def swapped(packets: Sequence[bytes], share: float, seed: int = 1) -> list[bytes]:
    """Neighbours exchanged, so that about `share` of the packets are out of place."""
    rng = random.Random(seed)
    out = list(packets)
    place = 0
    while place < len(out) - 1:
        if rng.random() < share / 2:
            out[place], out[place + 1] = out[place + 1], out[place]
            place += 1
        place += 1
    return out


def framed(packets: Sequence[bytes]) -> bytes:
    """RFC 4571."""
    return b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)


def chopped(data: bytes, seed: int = 1, most: int = 5000) -> Iterator[bytes]:
    rng = random.Random(seed)
    position = 0
    while position < len(data):
        step = rng.randint(1, most)
        yield data[position : position + step]
        position += step


class UdpSender:
    """Sends from one socket; the one above it listens for receiver reports."""

    def __init__(self, port: int) -> None:
        for _ in range(50):
            self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.media.bind(("127.0.0.1", 0))
            self.port = self.media.getsockname()[1]
            self.rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                self.rtcp.bind(("127.0.0.1", self.port + 1))
                break
            except (OSError, OverflowError):
                self.media.close()
                self.rtcp.close()
        self.target = ("127.0.0.1", port)

    def send(self, packets: Sequence[bytes], *, burst: int = 20, pause_s: float = 0.002) -> None:
        """Paced, so that a receive buffer of ordinary size holds what one tick collects."""
        for begin in range(0, len(packets), burst):
            for packet in packets[begin : begin + burst]:
                self.media.sendto(packet, self.target)
            time.sleep(pause_s)

    def close(self) -> None:
        self.media.close()
        self.rtcp.close()
