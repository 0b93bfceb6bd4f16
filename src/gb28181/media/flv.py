"""FLV for live viewers: H.264 as ever, H.265 as enhanced RTMP (`hvc1`) or, for old players, as codec id 12.

One muxer serves every viewer of a channel: time stamps are absolute, so the same bytes fit all of them. Sound (AAC) is declared
from its first frame on, because a player waits for a track that never comes (quirk Q134).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from gb28181.media import nal
from gb28181.media.nal import ParameterSets, VideoCodec

_DOUBLE: Final = struct.Struct(">d")
_AUDIO_TAG: Final = 8
_VIDEO_TAG: Final = 9
_SCRIPT_TAG: Final = 18
_FOURCC: Final = b"hvc1"
_LEGACY_HEVC: Final = 12
#: AAC; the other bits of this byte are fixed for it and say nothing.
_AAC: Final = 0xAF
_AAC_CODEC_ID: Final = 10
#: NAL units that a sample of avc1 or hvc1 does not carry: they are in the sequence header, or mean nothing there.
_H264_LEFT_OUT: Final = frozenset({nal.H264_SPS, nal.H264_PPS, nal.H264_AUD, nal.H264_FILLER})
_H265_LEFT_OUT: Final = frozenset({nal.H265_VPS, nal.H265_SPS, nal.H265_PPS, nal.H265_AUD, nal.H265_FILLER})
_H265_TYPES: Final = 32


class FlvMuxer:
    """Writes one video stream, and its sound.

    Args:
        legacy_hevc: H.265 as codec id 12, which no standard knows and many players in the field expect.
    """

    content_type = "video/x-flv"

    def __init__(self, codec: VideoCodec, *, legacy_hevc: bool = False) -> None:
        self._codec: VideoCodec = codec
        self._legacy = legacy_hevc
        self._sets = ParameterSets(codec)
        self._configuration = b""
        self._specific = b""
        self._left_out = _H264_LEFT_OUT if codec == "h264" else _H265_LEFT_OUT

    @property
    def ready(self) -> bool:
        """Whether a viewer could begin: the parameter sets are known."""
        return bool(self._configuration)

    def header(self) -> bytes:
        """What a viewer gets first: file header, onMetaData, the sequence header in force, all at time 0 (FFmpeg takes later
        metadata for a track of its own)."""
        tracks = b"\x05" if self._specific else b"\x01"
        start = b"FLV\x01" + tracks + b"\x00\x00\x00\x09\x00\x00\x00\x00"
        return start + self._metadata() + self._sequence_header() + self._sound_header()

    def write(self, data: bytes, dts_90k: int, pts_90k: int, *, is_key: bool) -> bytes:
        """Tags of one access unit; with a sequence header in front when the parameter sets changed (quirk Q143).

        Args:
            data: Annex B.
            dts_90k: Rising; `pts_90k` is not before it.

        Returns:
            b"" while the parameter sets are unknown, and for a unit that holds no slice.
        """
        sample: list[bytes] = []
        has_slice = changed = False
        for unit in nal.split(data):
            kind = nal.nal_type(self._codec, unit)
            if kind in self._left_out:
                changed |= self._sets.see(kind, unit)
                continue
            has_slice |= kind < nal.H264_SEI if self._codec == "h264" else kind < _H265_TYPES
            sample.append(len(unit).to_bytes(4, "big"))
            sample.append(unit)
        header = b""
        if changed:
            configuration = self._sets.configuration()
            if configuration and configuration != self._configuration:
                self._configuration = configuration
                header = self._sequence_header(dts_90k // 90)
        if not has_slice or not self._configuration:
            return header
        ms = dts_90k // 90
        offset = pts_90k // 90 - ms
        sample.insert(0, self._frame_header(1, is_key, offset))
        return header + _tag(_VIDEO_TAG, ms, b"".join(sample))

    def sound(self, frame: bytes, at_90k: int, specific: bytes) -> bytes:
        """The tag of one AAC frame, with a sequence header in front when its configuration is new.

        Args:
            frame: Without ADTS header; empty to declare the track only.
            specific: AudioSpecificConfig.

        Returns:
            b"" before the pictures have begun.
        """
        if not self._configuration or at_90k < 0:
            return b""
        ms, header = at_90k // 90, b""
        if specific != self._specific:
            self._specific = specific
            header = self._sound_header(ms)
        return header + _tag(_AUDIO_TAG, ms, bytes((_AAC, 1)) + frame) if frame else header

    def _sound_header(self, ms: int = 0) -> bytes:
        return _tag(_AUDIO_TAG, ms, bytes((_AAC, 0)) + self._specific) if self._specific else b""

    def _frame_header(self, packet: int, is_key: bool, offset_ms: int) -> bytes:
        """VideoTagHeader, or ExVideoTagHeader of enhanced RTMP for H.265; packet 0 is a sequence header, 1 a frame."""
        frame = 0x10 if is_key else 0x20
        composition = (offset_ms & 0xFFFFFF).to_bytes(3, "big")
        if self._codec == "h264":
            return bytes((frame | 7, packet)) + composition
        if self._legacy:
            return bytes((frame | _LEGACY_HEVC, packet)) + composition
        # ExVideoTagHeader has no composition time in its sequence start.
        return bytes((0x80 | frame | packet,)) + _FOURCC + (composition if packet else b"")

    def _sequence_header(self, ms: int = 0) -> bytes:
        if not self._configuration:
            return b""
        return _tag(_VIDEO_TAG, ms, self._frame_header(0, True, 0) + self._configuration)

    def _metadata(self) -> bytes:
        if self._codec == "h264":
            codec_id = 7
        else:
            codec_id = _LEGACY_HEVC if self._legacy else int.from_bytes(_FOURCC, "big")
        values: dict[str, float] = {"videocodecid": codec_id}
        if self._specific:
            values["audiocodecid"] = _AAC_CODEC_ID
        if self._sets.info is not None:
            values |= {"width": self._sets.info.width, "height": self._sets.info.height}
        return script("onMetaData", values, 0)


def _tag(kind: int, ms: int, body: bytes) -> bytes:
    """FLV tag with the length that follows it; the time stamp wraps after 49 days."""
    size = len(body)
    stamp = (ms & 0xFFFFFF).to_bytes(3, "big") + bytes((ms >> 24 & 0xFF,))
    return b"".join((bytes((kind,)), size.to_bytes(3, "big"), stamp, b"\x00\x00\x00", body, (size + 11).to_bytes(4, "big")))


def script(name: str, values: Mapping[str, float], ms: int) -> bytes:
    """A script tag of our own: a name and an array of numbers, which a player hands to whoever asked for it."""
    body = bytearray(b"\x02" + len(name).to_bytes(2, "big") + name.encode() + b"\x08" + len(values).to_bytes(4, "big"))
    for key, value in values.items():
        body += len(key).to_bytes(2, "big") + key.encode() + b"\x00" + _DOUBLE.pack(value)
    return _tag(_SCRIPT_TAG, ms, bytes(body + b"\x00\x00\x09"))
