"""MPEG-TS for live viewers by PyAV's muxer: Annex B in, transport packets out, no codec opened.

PyAV can abort the process when audio is put beside video; this muxer has one video track and nothing else.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av
import av.logging

from gb28181.media.nal import START_CODE, ParameterSets, VideoCodec, nal_type, split

_CLOCK: Final = Fraction(1, 90_000)
_PACKET: Final = 188
_TABLES: Final = frozenset({0x0000, 0x0011, 0x1000})
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
    """Writes one video stream; begins with the first key frame whose parameter sets are known."""

    content_type = "video/mp2t"

    def __init__(self, codec: VideoCodec) -> None:
        self._codec: VideoCodec = codec
        self._sets = ParameterSets(codec)
        self._sink = _Sink()
        self._container: av.container.OutputContainer | None = None
        self._stream: av.stream.Stream | None = None
        self._tables = b""

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
        return out

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _open(self, width: int, height: int) -> None:
        self._container = av.open(self._sink, "w", format="mpegts", options=dict(_OPTIONS))
        self._stream = self._container.add_mux_stream(_NAMES[self._codec], width=width, height=height, time_base=_CLOCK)


def _tables(packets: bytes) -> bytes:
    out = []
    for at in range(0, len(packets) - _PACKET + 1, _PACKET):
        if (packets[at + 1] & 0x1F) << 8 | packets[at + 2] in _TABLES:
            out.append(packets[at : at + _PACKET])
    return b"".join(out)
