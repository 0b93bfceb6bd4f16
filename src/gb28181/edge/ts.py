"""MPEG-TS for live viewers: Annex B in, transport packets out, no codec opened.

PyAV muxes the pictures. It can abort the process when audio is put beside video, and cannot add a track later; so the packets
of the sound (AAC with ADTS headers) are made here, and the program map is rewritten from the first of them on.
"""

from __future__ import annotations

import zlib
from fractions import Fraction
from typing import Final

import av
import av.logging

from gb28181.edge.audio import adts
from gb28181.media.nal import START_CODE, ParameterSets, VideoCodec, nal_type, split

_CLOCK: Final = Fraction(1, 90_000)
_PACKET: Final = 188
_MAP_PID: Final = 0x1000
_TABLES: Final = frozenset({0x0000, 0x0011, _MAP_PID})
_SOUND_PID: Final = 0x0101
_AAC_ADTS: Final = 0x0F
#: Tables stand in front of a picture's first packet; so many of them at most.
_TABLES_BEFORE: Final = 4
_NAMES: Final = {"h264": "h264", "h265": "hevc"}
#: No longer than this is the muxer allowed to hold what it was given; it holds nothing with these.
_OPTIONS: Final = {"flush_packets": "1", "max_delay": "0", "mpegts_copyts": "1"}

# FFmpeg writes its opinions about each stream to stderr.
av.logging.set_level(av.logging.PANIC)


class _Sink:
    """The file that PyAV writes to."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        out = b"".join(self.parts)
        self.parts.clear()
        return out


class TsMuxer:
    """Writes one video stream and its sound; begins with the first key frame whose parameter sets are known."""

    content_type = "video/mp2t"

    def __init__(self, codec: VideoCodec) -> None:
        self._codec: VideoCodec = codec
        self._sets = ParameterSets(codec)
        self._sink = _Sink()
        self._container: av.container.OutputContainer | None = None
        self._stream: av.stream.Stream | None = None
        self._tables = b""
        self._has_sound = False
        self._maps = 0
        self._sound_packets = 0

    @property
    def ready(self) -> bool:
        return bool(self._tables)

    def header(self) -> bytes:
        """Service description, PAT and PMT, so that a viewer who joins later can begin with the next key frame."""
        return self._tables

    def write(self, data: bytes, dts_90k: int, pts_90k: int, *, is_key: bool) -> bytes:
        """Transport packets of one access unit; b"" before the first key frame.

        Args:
            data: Annex B.
            dts_90k: Rising; `pts_90k` is not before it.
        """
        if is_key:
            carried = False
            for unit in split(data):
                kind = nal_type(self._codec, unit)
                self._sets.see(kind, unit)
                carried |= kind in (7, 33)
            if not carried:
                # Players join at key frames and need the sets there (spec: advice of Annex C).
                data = self._sets.annex_b() + data
        if self._container is None:
            if not is_key or not self._sets.complete or self._sets.info is None:
                return b""
            self._open(self._sets.info.width, self._sets.info.height)
        assert self._container is not None
        assert self._stream is not None
        if not data.startswith(START_CODE):
            data = b"\x00" + data if data.startswith(START_CODE[1:]) else START_CODE + data
        packet = av.Packet(data)
        packet.stream = self._stream
        packet.time_base = _CLOCK
        packet.dts, packet.pts = dts_90k, max(pts_90k, dts_90k)
        packet.is_keyframe = is_key
        self._container.mux_one(packet)
        out = self._sink.take()
        if not self._tables:
            self._tables = _tables(out)
        return self._with_sound(out) if self._has_sound else out

    def sound(self, frame: bytes, at_90k: int, specific: bytes) -> bytes:
        """Transport packets of one AAC frame, behind a new program map when it is the first.

        Args:
            frame: Without ADTS header; empty to declare the track only.
            specific: AudioSpecificConfig.

        Returns:
            b"" before the pictures have begun.
        """
        if not self._tables or at_90k < 0:
            return b""
        header = b""
        if not self._has_sound:
            self._has_sound = True
            self._tables = header = self._with_sound(self._tables)
        return header + self._sound_pes(adts(specific, frame), at_90k) if frame else header

    def _with_sound(self, packets: bytes) -> bytes:
        """The packets with the sound in their program map."""
        for at in range(0, min(len(packets), _TABLES_BEFORE * _PACKET), _PACKET):
            if (packets[at + 1] & 0x1F) << 8 | packets[at + 2] == _MAP_PID:
                mapped = _map_with_sound(packets[at : at + _PACKET], self._maps)
                self._maps += 1
                packets = packets[:at] + mapped + packets[at + _PACKET :]
        return packets

    def _sound_pes(self, frame: bytes, at_90k: int) -> bytes:
        pts = at_90k & (1 << 33) - 1
        stamp = (
            2 << 36 | (pts >> 30) << 33 | 1 << 32 | (pts >> 15 & 0x7FFF) << 17 | 1 << 16 | (pts & 0x7FFF) << 1 | 1
        ).to_bytes(5, "big")
        pes = b"\x00\x00\x01\xc0" + (len(frame) + 8).to_bytes(2, "big") + b"\x80\x80\x05" + stamp + frame
        out = []
        for at in range(0, len(pes), _PACKET - 4):
            payload = pes[at : at + _PACKET - 4]
            room = _PACKET - 4 - len(payload)
            # An adaptation field of stuffing fills the last packet.
            field = bytes((room - 1,)) + (b"\x00" + b"\xff" * (room - 2) if room > 1 else b"") if room else b""
            head = 0x47 << 24 | (not at) << 22 | _SOUND_PID << 8 | (0x30 if room else 0x10) | self._sound_packets & 15
            self._sound_packets += 1
            out.append(head.to_bytes(4, "big") + field + payload)
        return b"".join(out)

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _open(self, width: int, height: int) -> None:
        self._container = av.open(self._sink, "w", format="mpegts", options=dict(_OPTIONS))
        self._stream = self._container.add_mux_stream(_NAMES[self._codec], width=width, height=height, time_base=_CLOCK)


def _map_with_sound(packet: bytes, count: int) -> bytes:
    """A program map of one video stream as one with sound, in the next version (ISO/IEC 13818-1 §2.4.4.8)."""
    section = packet[5 : 8 + ((packet[6] & 0x0F) << 8 | packet[7])]
    entry = bytes((_AAC_ADTS, 0xE0 | _SOUND_PID >> 8, _SOUND_PID & 0xFF, 0xF0, 0x00))
    size = len(section) - 3 + len(entry)
    version = section[5] & 0xC1 | ((section[5] >> 1) + 1 & 31) << 1
    body = section[:1] + (0xB000 | size).to_bytes(2, "big") + section[3:5] + bytes((version,)) + section[6:-4] + entry
    whole = packet[:3] + bytes((packet[3] & 0xF0 | count & 15,)) + b"\x00" + body + _crc(body)
    return whole.ljust(_PACKET, b"\xff")


def _crc(data: bytes) -> bytes:
    """CRC-32 of MPEG-2 (Annex A of ISO/IEC 13818-1): that of zlib with the bits of everything turned round."""
    turned = zlib.crc32(bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)) ^ 0xFFFFFFFF
    return int(f"{turned:032b}"[::-1], 2).to_bytes(4, "big")


def _tables(packets: bytes) -> bytes:
    out = []
    for at in range(0, len(packets) - _PACKET + 1, _PACKET):
        if (packets[at + 1] & 0x1F) << 8 | packets[at + 2] in _TABLES:
            out.append(packets[at : at + _PACKET])
    return b"".join(out)
