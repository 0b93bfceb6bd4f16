"""H.264 (ITU-T H.264) and H.265 (ITU-T H.265) NAL units: splitting Annex B, parameter sets, picture size, avcC and hvcC.

Nothing here decodes a picture. A byte stream that breaks the codec's rules gives no size and no configuration record, never
an exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

VideoCodec = Literal["h264", "h265"]

START_CODE: Final = b"\x00\x00\x00\x01"

H264_IDR: Final = 5
H264_SEI: Final = 6
H264_SPS: Final = 7
H264_PPS: Final = 8
H264_AUD: Final = 9
H264_FILLER: Final = 12

H265_VPS: Final = 32
H265_SPS: Final = 33
H265_PPS: Final = 34
H265_AUD: Final = 35
H265_FILLER: Final = 38

#: profile_idc values of H.264 that exist (A.2, G, H); anything else after a byte 0x67 is no sequence parameter set.
_H264_PROFILES: Final = frozenset({44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244})
_H264_CHROMA_PROFILES: Final = _H264_PROFILES - {66, 77, 88}
_MAX_SIZE: Final = 16384
#: No camera's pictures are smaller, and no set is longer: noise (an encrypted stream) that begins like a set is told by that.
_MIN_SIZE: Final = 32
_LONGEST_SET: Final = 2048


def split(data: bytes | bytearray) -> Iterator[bytes]:
    """NAL units of an Annex B stream without start codes and trailing zeros; bytes before the first start code are skipped."""
    find = data.find
    start = find(b"\x00\x00\x01")
    while start >= 0:
        start += 3
        following = find(b"\x00\x00\x01", start)
        nal = bytes(data[start : following if following >= 0 else len(data)]).rstrip(b"\x00")
        if nal:
            yield nal
        start = following


def probe(first: int, second: int) -> VideoCodec | None:
    """Codec told from the first two bytes of a NAL unit, None when they fit both (quirks Q130, Q133).

    Only parameter sets are proof: the header byte of each is impossible or unused in the other codec.
    """
    if second == 0x01 and first in (0x40, 0x42):
        return "h265"
    if first in (0x67, 0x27, 0x47) and second in _H264_PROFILES:
        return "h264"
    return None


def nal_type(codec: VideoCodec, nal: bytes) -> int:
    return nal[0] & 0x1F if codec == "h264" else nal[0] >> 1 & 0x3F


def is_key(codec: VideoCodec, kind: int) -> bool:
    """Whether a slice of this type makes its picture a key frame: IDR of H.264, IRAP of H.265 (quirk Q148d)."""
    return kind == H264_IDR if codec == "h264" else 16 <= kind <= 23


def unescape(nal: bytes) -> bytes:
    """RBSP of a NAL unit: emulation prevention bytes removed."""
    if b"\x00\x00\x03" not in nal:
        return nal
    out = bytearray()
    zeros = 0
    for byte in nal:
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


@dataclass(frozen=True, slots=True)
class SequenceInfo:
    """What a sequence parameter set says about the pictures.

    Args:
        profile: The profile bytes: profile_idc, constraint flags and level_idc of H.264; the twelve bytes of
            general profile_tier_level of H.265.
        interlaced: Pictures may be fields, two of which make a frame (frame_mbs_only_flag 0).
    """

    width: int
    height: int
    profile: bytes
    chroma: int = 1
    depth_luma: int = 8
    depth_chroma: int = 8
    interlaced: bool = False
    temporal_layers: int = 1
    temporal_nested: bool = True


def sequence_info(codec: VideoCodec, sps: bytes) -> SequenceInfo | None:
    """Reads a sequence parameter set with its NAL header; None when it is cut or nonsense."""
    if len(sps) > _LONGEST_SET:
        return None
    try:
        info = _h264_sps(sps) if codec == "h264" else _h265_sps(sps)
    except IndexError:
        return None
    sane = _MIN_SIZE <= info.width <= _MAX_SIZE and _MIN_SIZE <= info.height <= _MAX_SIZE and info.chroma <= 3
    return info if sane and info.depth_luma <= 16 and info.depth_chroma <= 16 else None


def first_sequence(data: bytes) -> tuple[VideoCodec, bytes] | None:
    """The first sequence parameter set among start codes: of an access unit, or of the packs of a program stream."""
    return next(sequences(data), None)


def sequences(data: bytes) -> Iterator[tuple[VideoCodec, bytes]]:
    """What begins like a sequence parameter set among start codes; private data of a device may."""
    for unit in split(data):
        codec = probe(unit[0], unit[1]) if len(unit) > 1 else None
        if codec is not None and nal_type(codec, unit) == (H264_SPS if codec == "h264" else H265_SPS):
            yield codec, unit


class _Bits:
    """Reads bits; IndexError past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> int:
        end = self._at + count
        if end > len(self._data) * 8:
            raise IndexError
        first, last = self._at >> 3, (end + 7) >> 3
        value = int.from_bytes(self._data[first:last], "big") >> (last * 8 - end)
        self._at = end
        return value & ((1 << count) - 1)

    def ue(self) -> int:
        """Exp-Golomb, unsigned (H.264 §9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise IndexError
        return (1 << zeros) - 1 + self.take(zeros)

    def se(self) -> int:
        value = self.ue()
        return (value + 1) // 2 if value & 1 else -(value // 2)


def _h264_sps(sps: bytes) -> SequenceInfo:
    """H.264 §7.3.2.1.1."""
    bits = _Bits(unescape(sps[1:]))
    profile = bytes((bits.take(8), bits.take(8), bits.take(8)))
    bits.ue()
    chroma, separate, luma, chroma_depth = 1, 0, 8, 8
    if profile[0] in _H264_CHROMA_PROFILES:
        chroma = bits.ue()
        if chroma == 3:
            separate = bits.take(1)
        luma, chroma_depth = 8 + bits.ue(), 8 + bits.ue()
        bits.take(1)
        if bits.take(1):
            for index in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _h264_scaling_list(bits, 16 if index < 6 else 64)
    bits.ue()
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.take(1)
        bits.se()
        bits.se()
        for _ in range(min(bits.ue(), 255)):
            bits.se()
    bits.ue()
    bits.take(1)
    width = (bits.ue() + 1) * 16
    map_units = bits.ue() + 1
    frames_only = bits.take(1)
    height = map_units * 16 * (2 - frames_only)
    if not frames_only:
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        # Table 6-1: cropping counts in chroma samples, in field lines where fields are possible.
        unit_x = 2 if chroma in (1, 2) and not separate else 1
        unit_y = (2 if chroma == 1 and not separate else 1) * (2 - frames_only)
        width -= (bits.ue() + bits.ue()) * unit_x
        height -= (bits.ue() + bits.ue()) * unit_y
    return SequenceInfo(width, height, profile, chroma, luma, chroma_depth, interlaced=not frames_only)


def _h264_scaling_list(bits: _Bits, size: int) -> None:
    last, following = 8, 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) & 0xFF
        last = following or last


def _h265_sps(sps: bytes) -> SequenceInfo:
    """H.265 §7.3.2.2."""
    rbsp = unescape(sps[2:])
    bits = _Bits(rbsp)
    bits.take(4)
    sub_layers = bits.take(3)
    nested = bits.take(1)
    profile = rbsp[1:13]
    bits.take(96)
    present = [(bits.take(1), bits.take(1)) for _ in range(sub_layers)]
    if sub_layers:
        bits.take(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        bits.take(88 * has_profile + 8 * has_level)
    bits.ue()
    chroma = bits.ue()
    separate = bits.take(1) if chroma == 3 else 0
    width, height = bits.ue(), bits.ue()
    if bits.take(1):
        unit_x = 2 if chroma in (1, 2) and not separate else 1
        unit_y = 2 if chroma == 1 and not separate else 1
        width -= (bits.ue() + bits.ue()) * unit_x
        height -= (bits.ue() + bits.ue()) * unit_y
    luma, chroma_depth = 8 + bits.ue(), 8 + bits.ue()
    return SequenceInfo(
        width,
        height,
        profile,
        chroma,
        luma,
        chroma_depth,
        temporal_layers=sub_layers + 1,
        temporal_nested=bool(nested),
    )


class ParameterSets:
    """The parameter sets in force, as seen in the access units of one stream (quirk Q143).

    Sets are kept by type and id would be exact; cameras use one of each, and a second PPS is kept beside the first.
    """

    #: A hostile stream could send a new set in each picture for ever.
    MAX_SETS: Final = 16

    def __init__(self, codec: VideoCodec) -> None:
        self.codec: VideoCodec = codec
        self.info: SequenceInfo | None = None
        self._vps: dict[int, bytes] = {}
        self._sps: dict[int, bytes] = {}
        self._pps: dict[int, bytes] = {}

    def see(self, kind: int, nal: bytes) -> bool:
        """Takes a NAL unit of an access unit; True when it is a set that changes what is in force."""
        if self.codec == "h264":
            kept = {H264_SPS: self._sps, H264_PPS: self._pps}.get(kind)
        else:
            kept = {H265_VPS: self._vps, H265_SPS: self._sps, H265_PPS: self._pps}.get(kind)
        if kept is None or len(nal) > _LONGEST_SET:
            return False
        number = self._number(kind, nal)
        if kept.get(number) == nal:
            return False
        if kept is self._sps:
            info = sequence_info(self.codec, nal)
            if info is None:
                return False
            if self._sps and self.info != info:
                # Another picture size: what described the old one is of no more use.
                self._sps.clear()
                self._pps.clear()
            self.info = info
        if len(kept) >= self.MAX_SETS:
            kept.clear()
        kept[number] = nal
        return True

    def _number(self, kind: int, nal: bytes) -> int:
        """The set's own id where it stands in front; an SPS counts as one, since two sizes never run at once."""
        if kind in (H264_PPS, H265_PPS):
            try:
                return _Bits(nal[1 if self.codec == "h264" else 2 :][:8]).ue()
            except IndexError:
                return 0
        return 0

    def describe(self, picture: bytes) -> bool:
        """Whether the sets in force are those that the first slice of a picture (Annex B) refers to."""
        return self.complete and any(self._refers(unit) for unit in split(picture))

    def _refers(self, unit: bytes) -> bool:
        """H.264 §7.3.3, H.265 §7.3.6.1: slice type and the number of the picture parameter set."""
        kind = nal_type(self.codec, unit)
        try:
            if self.codec == "h264":
                if kind not in (1, H264_IDR):
                    return False
                bits = _Bits(unescape(unit[1:24]))
                bits.ue()
                return bits.ue() <= 9 and bits.ue() in self._pps
            if kind >= 32:
                return False
            bits = _Bits(unescape(unit[2:24]))
            return bool(bits.take(2 if 16 <= kind <= 23 else 1)) and bits.ue() in self._pps
        except IndexError:
            return False

    @property
    def complete(self) -> bool:
        return bool(self._sps and self._pps and (self._vps or self.codec == "h264"))

    def annex_b(self) -> bytes:
        """All sets in force, to be put before a key frame that lacks them."""
        sets = (*self._vps.values(), *self._sps.values(), *self._pps.values())
        return b"".join(START_CODE + nal for nal in sets)

    def configuration(self) -> bytes:
        """avcC (ISO/IEC 14496-15 §5.3.3.1) or hvcC (§8.3.3.1), with four-byte NAL lengths; b"" while incomplete."""
        if not self.complete or self.info is None:
            return b""
        return self._avcc(self.info) if self.codec == "h264" else self._hvcc(self.info)

    def _avcc(self, info: SequenceInfo) -> bytes:
        sps, pps = list(self._sps.values()), list(self._pps.values())
        out = bytearray(b"\x01" + info.profile + b"\xff" + bytes((0xE0 | len(sps),)))
        for nal in sps:
            out += len(nal).to_bytes(2, "big") + nal
        out.append(len(pps))
        for nal in pps:
            out += len(nal).to_bytes(2, "big") + nal
        if info.profile[0] in _H264_CHROMA_PROFILES:
            out += bytes((0xFC | info.chroma, 0xF8 | info.depth_luma - 8, 0xF8 | info.depth_chroma - 8, 0))
        return bytes(out)

    def _hvcc(self, info: SequenceInfo) -> bytes:
        out = bytearray(b"\x01" + info.profile)
        out += b"\xf0\x00\xfc"
        out += bytes((0xFC | info.chroma, 0xF8 | info.depth_luma - 8, 0xF8 | info.depth_chroma - 8))
        out += b"\x00\x00"
        out.append((info.temporal_layers & 7) << 3 | info.temporal_nested << 2 | 3)
        arrays = [(H265_VPS, self._vps), (H265_SPS, self._sps), (H265_PPS, self._pps)]
        out.append(len(arrays))
        for kind, sets in arrays:
            out.append(0x80 | kind)
            out += len(sets).to_bytes(2, "big")
            for nal in sets.values():
                out += len(nal).to_bytes(2, "big") + nal
        return bytes(out)
