"""RTP packets and RTCP reports of a media sender (RFC 3550), and their framing on TCP (RFC 4571)."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import Final

PAYLOAD_TYPE_PS: Final = 96
_HEADER: Final = struct.Struct("!BBHII")
_SENDER_REPORT: Final = struct.Struct("!BBHIIIIII")
_LENGTH: Final = struct.Struct("!H")
#: Seconds from 1900, where NTP time begins, to 1970.
_NTP_OFFSET: Final = 2_208_988_800
_SR: Final = 200
_RR: Final = 201
_SDES: Final = 202
_BYE: Final = 203

#: A packet ready for the socket: its header and what it carries.
Packet = tuple[bytes, memoryview]


def header(sequence: int, timestamp: int, ssrc: int, *, marker: bool, payload_type: int = PAYLOAD_TYPE_PS) -> bytes:
    """RTP header without extension; the marker stands on the last packet of a picture."""
    kind = 0x80 | payload_type if marker else payload_type
    return _HEADER.pack(0x80, kind, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)


def framed(packet: Packet) -> bytes:
    """The packet with its length in front (RFC 4571)."""
    head, payload = packet
    return b"".join((_LENGTH.pack(len(head) + len(payload)), head, payload))


def sender_report(ssrc: int, utc: float, timestamp: int, packets: int, octets: int) -> bytes:
    """Compound packet of a sender report and an SDES with a CNAME (RFC 3550 §6.4.1, §6.5)."""
    seconds = int(utc)
    report = _SENDER_REPORT.pack(
        0x80,
        _SR,
        6,
        ssrc,
        (seconds + _NTP_OFFSET) & 0xFFFFFFFF,
        int((utc - seconds) * (1 << 32)) & 0xFFFFFFFF,
        timestamp & 0xFFFFFFFF,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    return report + _source_description(ssrc)


def _source_description(ssrc: int) -> bytes:
    name = f"{ssrc:010d}".encode()
    chunk = ssrc.to_bytes(4, "big") + bytes([1, len(name)]) + name
    chunk += bytes(4 - len(chunk) % 4)
    return bytes([0x81, _SDES]) + (len(chunk) // 4).to_bytes(2, "big") + chunk


def goodbye(ssrc: int) -> bytes:
    """RTCP BYE (RFC 3550 §6.6)."""
    return bytes([0x81, _BYE, 0, 1]) + ssrc.to_bytes(4, "big")


def receiver_reports(packet: bytes) -> int:
    """Receiver reports in a compound RTCP packet; 0 for anything that is none."""
    count, at = 0, 0
    while at + 8 <= len(packet) and packet[at] >> 6 == 2:
        count += packet[at + 1] == _RR
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
    return count


class FrameReader:
    """Cuts a TCP stream into packets (RFC 4571); at most 65,535 bytes are held."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are complete now; empty ones are keepalives and left out."""
        self._buffer += data
        packets = []
        while len(self._buffer) >= 2:
            end = 2 + int.from_bytes(self._buffer[:2], "big")
            if len(self._buffer) < end:
                break
            if end > 2:
                packets.append(bytes(self._buffer[2:end]))
            del self._buffer[:end]
        return packets


@dataclass(slots=True)
class Counters:
    """What one stream sent. Sequence numbers are counted on without wrapping; the wire carries the lowest 16 bits.

    `sent` are packets given to the network, `dropped` those left out on purpose, `swapped` the pairs sent in reverse
    order. What a receiver can know to be lost is `lost`: a packet dropped before the first or after the last one sent
    leaves no gap.
    """

    pictures: int = 0
    key_pictures: int = 0
    skipped_pictures: int = 0
    sent: int = 0
    payload_bytes: int = 0
    dropped: int = 0
    swapped: int = 0
    send_errors: int = 0
    first_sequence: int | None = None
    last_sequence: int | None = None
    sender_reports: int = 0
    receiver_reports: int = 0

    @property
    def lost(self) -> int:
        """Packets missing between the first and the last one sent."""
        if self.first_sequence is None or self.last_sequence is None:
            return 0
        return self.last_sequence - self.first_sequence + 1 - self.sent


class Impairment:
    """Leaves out and swaps packets, the same ones for the same seed.

    Args:
        loss: Share of packets left out, 0 to 1.
        reorder: Share of packets sent after the one that follows them, 0 to 1.
        seed: Any text.
    """

    def __init__(self, loss: float = 0.0, reorder: float = 0.0, seed: str = "") -> None:
        self._loss, self._reorder = loss, reorder
        self._random = random.Random(seed)
        self._held: tuple[int, Packet] | None = None

    def admit(self, sequence: int, packet: Packet, counters: Counters) -> list[tuple[int, Packet]]:
        """What goes out now that this packet is due, with the sequence numbers."""
        if self._loss and self._random.random() < self._loss:
            counters.dropped += 1
            return []
        if self._held is not None:
            held, self._held = self._held, None
            counters.swapped += 1
            return [(sequence, packet), held]
        if self._reorder and self._random.random() < self._reorder:
            self._held = (sequence, packet)
            return []
        return [(sequence, packet)]

    def flush(self) -> list[tuple[int, Packet]]:
        """The packet that still waits to be overtaken; nothing follows it."""
        held, self._held = self._held, None
        return [] if held is None else [held]
