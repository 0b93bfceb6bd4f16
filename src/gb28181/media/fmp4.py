"""Fragmented MP4 (ISO/IEC 14496-12, -15 and -3): an initialisation section and fragments that a player appends to it.

Written by hand because every figure in it is ours to say: decode times are exact, and the same samples give the same bytes.
Video counts in 90 kHz, sound in its sampling rate. NAL units have four-byte lengths, parameter sets are in the sample entry
(`avc1`, `hvc1`); where a picture brings other ones along they stay in its sample.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gb28181.media import nal
from gb28181.media.nal import VideoCodec

VIDEO_CLOCK: Final = 90_000
VIDEO_TRACK: Final = 1
SOUND_TRACK: Final = 2

_U32: Final = struct.Struct(">I")
_START: Final = nal.START_CODE[1:]
_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
#: sample_flags (§8.8.3.1): depends on no other, and on others without being a point to begin at.
_KEY_FLAGS: Final = 0x0200_0000
_OTHER_FLAGS: Final = 0x0101_0000
_DELIMITERS: Final[dict[VideoCodec, frozenset[int]]] = {
    "h264": frozenset({nal.H264_AUD, nal.H264_FILLER}),
    "h265": frozenset({nal.H265_AUD, nal.H265_FILLER}),
}
_SETS: Final[dict[VideoCodec, frozenset[int]]] = {
    "h264": frozenset({nal.H264_SPS, nal.H264_PPS}),
    "h265": frozenset({nal.H265_VPS, nal.H265_SPS, nal.H265_PPS}),
}


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """Args:
    configuration: avcC or hvcC, as `ParameterSets.configuration` gives it.
    """

    codec: VideoCodec
    configuration: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """AAC.

    Args:
        configuration: AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
    """

    configuration: bytes
    rate: int
    channels: int = 1


@dataclass(slots=True)
class Sample:
    """One picture or sound frame.

    Args:
        data: NAL units with their lengths (`sample_of`), or a raw AAC frame.
        duration, composition: In units of its track; `composition` is presentation minus decoding time.
    """

    data: bytes
    duration: int
    is_key: bool = True
    composition: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive samples of one track from `decode_time` on."""

    track: int
    decode_time: int
    samples: Sequence[Sample]


def sample_of(codec: VideoCodec, data: bytes, *, keep_sets: bool) -> bytes:
    """A picture in Annex B form as a sample, without delimiters and fillers; b"" where nothing is left.

    Args:
        keep_sets: Whether parameter sets stay in: they differ from those of the sample entry.
    """
    left_out = _DELIMITERS[codec] if keep_sets else _DELIMITERS[codec] | _SETS[codec]
    out: list[bytes] = []
    # As `nal.split`, without a call for each of the slices: an export passes hundreds of thousands of them a second.
    shift, mask = (0, 0x1F) if codec == "h264" else (1, 0x3F)
    for piece in data.split(_START)[1:]:
        unit = piece.rstrip(b"\x00")
        if unit and unit[0] >> shift & mask not in left_out:
            out.append(len(unit).to_bytes(4, "big"))
            out.append(unit)
    return b"".join(out)


def initialisation(video: VideoFormat, sound: SoundFormat | None = None) -> bytes:
    """`ftyp` and `moov` (§8.1, §8.2), no samples."""
    brand = b"iso6" + _U32.pack(1) + b"iso6cmfcmp41" + (b"avc1" if video.codec == "h264" else b"hvc1")
    tracks = [track(VIDEO_TRACK, VIDEO_CLOCK, _no_samples(video_entry(video)), width=video.width, height=video.height)]
    extends = [_extends(VIDEO_TRACK)]
    if sound is not None:
        tracks.append(track(SOUND_TRACK, sound.rate, _no_samples(sound_entry(sound))))
        extends.append(_extends(SOUND_TRACK))
    header = struct.pack(">IIIIIHHII", 0, 0, 1000, 0, 0x10000, 0x100, 0, 0, 0) + _MATRIX + bytes(24) + _U32.pack(3)
    movie = box(b"moov", full_box(b"mvhd", 0, 0, header), *tracks, box(b"mvex", *extends))
    return box(b"ftyp", brand) + movie


def fragment(sequence: int, runs: Iterable[Run]) -> bytes:
    """`moof` and `mdat` (§8.8): the samples of each run, one after the other.

    Args:
        sequence: Number of the fragment, 1 to 2^32 - 1, rising.
    """
    runs = [run for run in runs if run.samples]
    # The offsets in the runs count from the beginning of moof, whose size does not depend on them.
    size = len(_moof(sequence, runs, 0))
    offset = size + 8
    moof = _moof(sequence, runs, offset)
    data = [sample.data for run in runs for sample in run.samples]
    total = sum(len(part) for part in data)
    return b"".join((moof, _U32.pack(total + 8), b"mdat", *data))


def _moof(sequence: int, runs: Sequence[Run], offset: int) -> bytes:
    parts = []
    for run in runs:
        header = full_box(b"tfhd", 0, 0x020000, _U32.pack(run.track))
        time = full_box(b"tfdt", 1, 0, struct.pack(">Q", run.decode_time))
        parts.append(box(b"traf", header, time, _trun(run, offset)))
        offset += sum(len(sample.data) for sample in run.samples)
    return box(b"moof", full_box(b"mfhd", 0, 0, _U32.pack(sequence)), *parts)


def _trun(run: Run, offset: int) -> bytes:
    rows = bytearray(struct.pack(">Ii", len(run.samples), offset))
    for sample in run.samples:
        flags = _KEY_FLAGS if sample.is_key else _OTHER_FLAGS
        rows += struct.pack(">IIIi", sample.duration, len(sample.data), flags, sample.composition)
    return full_box(b"trun", 1, 0x000F01, bytes(rows))


def track(
    number: int,
    clock: int,
    tables: bytes,
    *,
    width: int = 0,
    height: int = 0,
    shown: int = 0,
    duration: int = 0,
    edits: bytes = b"",
    created: int = 0,
) -> bytes:
    """`trak` (§8.3).

    Args:
        tables: Its `stbl`.
        width: 0 for sound.
        shown: Length of its presentation in the movie's clock; 0 where fragments follow.
        duration: Of its samples, in its own clock.
        created: Seconds since 1904.
    """
    is_video = width > 0
    header = struct.pack(">IIIIIIIhhHH", created, created, number, 0, shown, 0, 0, 0, 0, 0 if is_video else 0x100, 0)
    header += _MATRIX + struct.pack(">II", width << 16, height << 16)
    times = struct.pack(">QQIQHH", created, created, clock, duration, 0x55C4, 0)  # language "und"
    handler, name = (b"vide", b"video\0") if is_video else (b"soun", b"sound\0")
    handler_box = full_box(b"hdlr", 0, 0, bytes(4) + handler + bytes(12) + name)
    kind = full_box(b"vmhd", 0, 1, bytes(8)) if is_video else full_box(b"smhd", 0, 0, bytes(4))
    here = box(b"dinf", full_box(b"dref", 0, 0, _U32.pack(1) + full_box(b"url ", 0, 1, b"")))
    information = box(b"minf", kind, here, tables)
    media = box(b"mdia", full_box(b"mdhd", 1, 0, times), handler_box, information)
    return box(b"trak", full_box(b"tkhd", 0, 3, header), edits, media)


def _no_samples(entry: bytes) -> bytes:
    """The `stbl` of a track whose samples are in fragments."""
    empty = (full_box(name, 0, 0, bytes(size)) for name, size in ((b"stts", 4), (b"stsc", 4), (b"stsz", 8), (b"stco", 4)))
    return box(b"stbl", full_box(b"stsd", 0, 0, _U32.pack(1) + entry), *empty)


def _extends(number: int) -> bytes:
    return full_box(b"trex", 0, 0, struct.pack(">IIIII", number, 1, 0, 0, 0))


def video_entry(video: VideoFormat) -> bytes:
    """avc1 (ISO/IEC 14496-15 §5.4.2.1) or hvc1 (§8.4.1.1)."""
    name, inner = (b"avc1", b"avcC") if video.codec == "h264" else (b"hvc1", b"hvcC")
    fixed = bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HH", video.width, video.height)
    fixed += struct.pack(">IIIH", 0x480000, 0x480000, 0, 1) + bytes(32) + struct.pack(">Hh", 24, -1)
    return box(name, fixed, box(inner, video.configuration))


def sound_entry(sound: SoundFormat) -> bytes:
    """mp4a with its elementary stream descriptor (ISO/IEC 14496-14 §5.6)."""
    fixed = bytes(6) + struct.pack(">H", 1) + bytes(8) + struct.pack(">HHIHH", sound.channels, 16, 0, sound.rate & 0xFFFF, 0)
    specific = _descriptor(5, sound.configuration)
    decoder = _descriptor(4, b"\x40\x15" + bytes(3) + bytes(8) + specific)
    stream = _descriptor(3, struct.pack(">HB", SOUND_TRACK, 0) + decoder + _descriptor(6, b"\x02"))
    return box(b"mp4a", fixed, full_box(b"esds", 0, 0, stream))


def _descriptor(tag: int, body: bytes) -> bytes:
    """ISO/IEC 14496-1 §8.3.3; none of ours is longer than 127 bytes."""
    return bytes((tag, len(body))) + body


def box(kind: bytes, *parts: bytes) -> bytes:
    """§4.2; shorter than 4 GiB."""
    body = b"".join(parts)
    return _U32.pack(len(body) + 8) + kind + body


def full_box(kind: bytes, version: int, flags: int, body: bytes) -> bytes:
    """A box with version and flags."""
    return box(kind, _U32.pack(version << 24 | flags), body)
