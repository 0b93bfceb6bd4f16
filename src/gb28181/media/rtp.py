"""RTP headers as they really come (RFC 3550 §5.1), and what else arrives on a media port.

One packet at a time here; the tick reads thousands at once with the same rules (`ingest/batch.py`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

HEADER_BYTES: Final = 12
TS_PAYLOAD_TYPE: Final = 33
#: RFC 3551 §6: 0 to 23 are audio. They never enter the PS parser (quirk Q139).
AUDIO_PAYLOAD_TYPES: Final = range(24)
PACK_START: Final = b"\x00\x00\x01\xba"

_FIXED: Final = struct.Struct(">BBHII")
_RTCP_TYPES: Final = range(200, 205)
#: First words of what a camera sends when its SIP port was set to a media port (quirk Q38b).
_SIP_STARTS: Final = (b"REGISTER sip:", b"MESSAGE sip:", b"INVITE sip:", b"NOTIFY sip:", b"OPTIONS sip:", b"SIP/2.0 ")

_TS_SYNC: Final = 0x47
_TS_PACKET: Final = 188


@dataclass(slots=True)
class RtpPacket:
    """One packet's header; `begin` and `end` bound its payload within the packet."""

    payload_type: int
    seq: int
    timestamp: int
    ssrc: int
    begin: int
    end: int


def parse(packet: bytes | memoryview) -> RtpPacket | None:
    """The header of an RTP packet, or None for anything else: RTCP, another version, lengths that do not fit.

    CSRC list, header extension and padding are taken off (quirk Q122).
    """
    size = len(packet)
    if size < HEADER_BYTES:
        return None
    flags, kind, seq, timestamp, ssrc = _FIXED.unpack_from(packet)
    if flags >> 6 != 2 or kind in _RTCP_TYPES:
        return None
    begin = HEADER_BYTES + 4 * (flags & 15)
    if flags & 0x10:
        if size < begin + 4:
            return None
        begin += 4 + 4 * (packet[begin + 2] << 8 | packet[begin + 3])
    end = size
    if flags & 0x20 and size > begin:
        padding = packet[-1]
        # A wrong count is taken as no padding: cutting real bytes away is worse than a few bytes too many.
        if 0 < padding <= size - begin:
            end -= padding
    if begin > end:
        return None
    return RtpPacket(kind & 0x7F, seq, timestamp, ssrc, begin, end)


def is_rtcp(packet: bytes | memoryview) -> bool:
    """Whether it is RTCP although it came on the media port or inside TCP framing (quirk Q111)."""
    return len(packet) >= 8 and packet[0] >> 6 == 2 and packet[1] in _RTCP_TYPES


def is_sip(packet: bytes | memoryview) -> bool:
    """Whether it is SIP text on a media port (quirk Q38b)."""
    return bytes(packet[:13]).startswith(_SIP_STARTS)


class FormatProbe:
    """Finds out what the payload is when it is no program stream: TS, or H.264 or H.265 NAL units (quirks Q140, Q141).

    A program stream shows itself by a pack header and ends the probing, so only the absence of one is judged here.

    Args:
        enough: Packets after which a verdict is given.
    """

    def __init__(self, *, enough: int = 64) -> None:
        self._enough = enough
        self._seen = self._ts = self._h264 = self._h265 = 0

    def feed(self, payload_type: int, payload: bytes | memoryview) -> str:
        """One payload; returns `ts`, `es-h264` or `es-h265` when certain, else ""."""
        if len(payload) < 2:
            return ""
        self._seen += 1
        first, second = payload[0], payload[1]
        self._ts += first == _TS_SYNC and (len(payload) % _TS_PACKET == 0 or payload_type == TS_PAYLOAD_TYPE)
        self._h264 += _is_h264_payload(first)
        self._h265 += _is_h265_payload(first, second)
        if self._seen < self._enough:
            return ""
        most = self._seen * 0.9
        # H.265 first: its two-byte header is the stricter test.
        for count, name in ((self._ts, "ts"), (self._h265, "es-h265"), (self._h264, "es-h264")):
            if count >= most:
                return name
        self._seen = self._ts = self._h264 = self._h265 = 0
        return ""


def _is_h264_payload(first: int) -> bool:
    """RFC 6184 §5.2: single NAL units 1 to 9, STAP-A 24, FU-A 28."""
    return not first & 0x80 and (first & 31) in (1, 5, 6, 7, 8, 9, 24, 28)


def _is_h265_payload(first: int, second: int) -> bool:
    """RFC 7798 §4.4: layer 0, a temporal id, and a slice, a parameter set, AP 48 or FU 49."""
    kind = first >> 1
    return not first & 0x81 and not second & 0xF8 and bool(second & 7) and (kind <= 9 or 16 <= kind <= 21 or 32 <= kind <= 49)
