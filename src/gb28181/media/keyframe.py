"""Cuts a program stream at its key frames without demuxing it (Annex C.1, ISO/IEC 13818-1 §2.5).

A key frame is a pack whose first slice is an IDR or IRAP NAL unit. Parameter sets alone make none (quirk Q148d), and a
system header is no proof: it counts only for a stream in which no NAL unit can be recognised at all (SVAC, encrypted). It
saves work where every key frame so far had one: most chunks without it then pass by unexamined (`credit`).
The codec is not asked for, it shows in each NAL header: slices of H.264 have odd header bytes, those of H.265 even ones.

Invariant: the pieces joined are the bytes that were fed, each once and in order, whatever the chunking.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gb28181.media.rtp import PACK_START

#: The first slice of a pack lies within so many bytes of it; a private stream or an SEI may come first.
_EXAMINED: Final = 64 << 10
_START: Final = b"\x00\x00\x01"
_SYSTEM_HEADER: Final = 0xBB
_STREAM_MAP: Final = 0xBC
_PACK: Final = 0xBA
_PROGRAM_END: Final = 0xB9
_VOP: Final = 0xB6
#: No system header and no stream map is longer; a length beyond it is damage and not followed.
_LONGEST_HEADER: Final = 4096
#: Chunks whose packs all began at a packet before the packets are trusted, and how often that is checked.
_TRUST_AFTER: Final = 16
_CHECK_EVERY: Final = 2
#: Key frames in a row that had a system header before chunks without one pass unexamined, and how many in a row may.
_HINT_AFTER: Final = 4
_UNEXAMINED: Final = 31
#: Packs without a recognisable NAL unit before system headers are taken for key frames.
_OPAQUE_PACKS: Final = 100
#: Private streams 1 and 2.
_PRIVATE: Final = frozenset({0xBD, 0xBF})
#: Pack headers in one private packet that are looked through.
_MOST_FALSE: Final = 16
#: Of so many packs of another codec, or of encrypted ones, at most one looks as if it held a slice.
_BY_CHANCE: Final = 16


class _Verdict(enum.Enum):
    KEY = enum.auto()
    OTHER = enum.auto()
    MORE = enum.auto()


class _Nal(enum.Enum):
    KEY = enum.auto()
    SLICE = enum.auto()
    SKIP = enum.auto()


@dataclass(slots=True)
class Piece:
    """Consecutive bytes of a stream.

    Args:
        offset: Position of the first byte in the stream.
        at: Its arrival, UTC microseconds.
        lost: Packets missing before it; `broken`: bytes may be missing before it.
        is_key: It begins with the pack header of a key frame.
        pts: PTS of that key frame in 90 kHz, where its PES says one.
    """

    data: bytes
    offset: int
    at: int
    lost: int = 0
    broken: bool = False
    is_key: bool = False
    pts: int | None = None


class KeyFrameCutter:
    """Turns chunks of one stream into pieces that begin at its key frames.

    What follows a pack header is held back until its first slice is seen, at most 64 KiB.

    Args:
        offset: Place in the stream of the first byte that will be fed.
    """

    __slots__ = (
        "_aligned", "_broken", "_checked", "_headers", "_hinted", "_key_seen", "_lost", "_opaque", "_slices", "_tail",
        "_tail_at", "credit", "offset", "packs",
    )  # fmt: skip

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        """Bytes that have left."""
        self.credit = 0
        """Chunks in which no system header follows a pack header that may pass by now, without `feed`: whoever lets one pass
        takes one from here and adds its bytes to `offset`."""
        self._tail = b""  # not decided yet
        self._tail_at = 0
        self._lost = 0  # losses before the next byte
        self._broken = False
        self._aligned = 0
        self._checked = 0  # chunks
        self._hinted = 0  # key frames in a row with a system header
        self._key_seen = False  # by its NAL unit
        self._slices = self._opaque = self._headers = 0
        self.packs = 0  # pack headers seen

    def feed(
        self, data: bytes, at: int, packs: Sequence[int] | None = None, *, lost: int = 0, broken: bool = False
    ) -> list[Piece]:
        """Takes the next bytes.

        Args:
            at: Their arrival, UTC microseconds.
            packs: Where in `data` a packet begins with a pack header; None when nobody knows.
            lost: Packets missing before them; `broken`: bytes may be missing before them.
        """
        out: list[Piece] = []
        self.credit = 0
        if lost or broken:
            out = self.flush()
            self._lost += lost
            self._broken = self._broken or broken
        if self._tail:
            shift = len(self._tail)
            if packs is not None:
                packs = [position + shift for position in packs]
                if self._tail.startswith(PACK_START):
                    packs.insert(0, 0)
            data = self._tail + data
            self._tail = b""
            first_at = self._tail_at
        else:
            first_at = at
        if data:
            self._cut(data, self._pack_positions(data, packs), first_at, at, out)
            if self._hinted >= _HINT_AFTER and self._aligned >= _TRUST_AFTER and not self._tail:
                self.credit = _UNEXAMINED
        return out

    def flush(self) -> list[Piece]:
        """What was held back; the stream ends or breaks here."""
        if not self._tail:
            return []
        tail, self._tail = self._tail, b""
        return [self._piece(tail, self._tail_at)]

    def _pack_positions(self, data: bytes, packs: Sequence[int] | None) -> Sequence[int]:
        """Where packs begin. Packets are believed once they proved right, and checked now and then (quirks Q137, Q148e)."""
        self._checked += 1
        if packs is not None and self._aligned >= _TRUST_AFTER and self._checked % _CHECK_EVERY:
            return packs
        found = _find_packs(data)
        if packs is None or found != list(packs):
            self._aligned = 0
        elif found:
            self._aligned += 1
        return found

    def _cut(self, data: bytes, positions: Sequence[int], first_at: int, at: int, out: list[Piece]) -> None:
        begin = 0
        key: tuple[bool, int | None] = (False, None)
        last = len(positions) - 1
        for place, position in enumerate(positions):
            end = len(data) if place == last else positions[place + 1]
            self.packs += 1
            verdict, pts = self._examine(data, position, end)
            if verdict is _Verdict.KEY:
                position = _true_pack(data, positions, place, begin)
                self._hinted = self._hinted + 1 if has_system_header(data, position) else 0
                if position > begin:
                    out.append(self._piece(data[begin:position], first_at if begin == 0 else at, *key))
                begin, key = position, (True, pts)
            elif verdict is _Verdict.MORE and place == last and end - position < _EXAMINED:
                position = _true_pack(data, positions, place, begin)
                self.packs -= 1  # it is examined and counted again
                self._hold(data, begin, position, first_at, at, key, out)
                return
            elif verdict is _Verdict.MORE:
                self._opaque += 1
        held = len(data) if self._aligned >= _TRUST_AFTER else len(data) - _partial_start(data)
        self._hold(data, begin, held, first_at, at, key, out)

    def _hold(
        self, data: bytes, begin: int, held: int, first_at: int, at: int, key: tuple[bool, int | None], out: list[Piece]
    ) -> None:
        """Lets `data[begin:held]` leave and keeps the rest."""
        if held > begin:
            whole = begin == 0 and held == len(data)
            out.append(self._piece(data if whole else data[begin:held], first_at if begin == 0 else at, *key))
        self._tail = data[held:]
        self._tail_at = first_at if held == 0 else at

    def _piece(self, data: bytes, at: int, is_key: bool = False, pts: int | None = None) -> Piece:
        piece = Piece(data, self.offset, at, self._lost, self._broken, is_key, pts)
        self.offset += len(data)
        self._lost, self._broken = 0, False
        return piece

    def _examine(self, data: bytes, begin: int, end: int) -> tuple[_Verdict, int | None]:
        """Whether the pack `data[begin:end]` is a key frame, and its PTS."""
        position = _after_pack_header(data, begin, end)
        pts: int | None = None
        while True:
            position = data.find(_START, position, end)
            if position < 0 or position + 6 > end:
                return _Verdict.MORE, None
            code = data[position + 3]
            if 0xE0 <= code <= 0xEF:
                found, position, pts = self._examine_video(data, position, end, pts)
                if found is not None:
                    return found, pts
            elif code in (_SYSTEM_HEADER, _STREAM_MAP):
                if code == _SYSTEM_HEADER and self._is_header_trusted():
                    return _Verdict.KEY, None
                position += min(6 + (data[position + 4] << 8 | data[position + 5]), _LONGEST_HEADER)
            elif code > _STREAM_MAP:
                position += 6 + (data[position + 4] << 8 | data[position + 5])
            elif code in (_PACK, _PROGRAM_END):
                return _Verdict.OTHER, None
            else:
                position += 3  # the fourth byte may begin the next start code (quirk Q137)

    def _is_header_trusted(self) -> bool:
        """Whether a system header stands for a key frame: nothing else ever told, and not every pack has one."""
        if self._key_seen or self._slices * _BY_CHANCE > self._opaque:
            return False
        self._headers += 1
        return self._opaque >= _OPAQUE_PACKS and self._headers * 2 <= self._opaque

    def _examine_video(self, data: bytes, begin: int, end: int, pts: int | None) -> tuple[_Verdict | None, int, int | None]:
        """One video PES: the verdict or None, where to go on, and the PTS."""
        if begin + 14 > end:
            return _Verdict.MORE, begin, pts
        length = data[begin + 4] << 8 | data[begin + 5]
        if data[begin + 6] >> 6 == 2:
            payload = begin + 9 + data[begin + 8]
            if pts is None and data[begin + 7] & 0x80 and data[begin + 8] >= 5:
                pts = _read_pts(data, begin + 9)
        else:
            payload = begin + 6
        stop = min(end, begin + 6 + length) if length else end
        position = payload
        while True:
            position = data.find(_START, position, stop)
            if position < 0 or position + 5 > stop:
                break
            kind = _classify(data[position + 3], data[position + 4])
            if kind is not _Nal.SKIP:
                if kind is _Nal.KEY:
                    self._key_seen = True
                    return _Verdict.KEY, position, pts
                self._slices += 1
                return _Verdict.OTHER, position, pts
            position += 3
        return (_Verdict.MORE if stop == end else None), max(stop, begin + 6), pts


def _find_packs(data: bytes) -> list[int]:
    """Every pack header, but not one that a header before it encloses as stuffing (quirk Q148b)."""
    out: list[int] = []
    position = data.find(PACK_START)
    while position >= 0:
        out.append(position)
        position = data.find(PACK_START, max(position + 4, _after_pack_header(data, position, len(data))))
    return out


def _true_pack(data: bytes, positions: Sequence[int], place: int, begin: int) -> int:
    """Where the pack begins that `positions[place]` belongs to: what a private packet holds may look like a pack header (Q136).

    Only what is no picture is asked for its length: those of pictures are wrong too often (quirk Q138).
    """
    target = positions[place]
    for number in range(place - 1, max(-1, place - 1 - _MOST_FALSE), -1):
        pack = positions[number]
        if pack < begin or target - pack > _EXAMINED:
            break
        if _encloses(data, pack, target):
            return pack
    return target


def _encloses(data: bytes, pack: int, target: int) -> bool:
    """Whether a private packet of the pack at `pack` reaches over `target` to a start code, or to the end of `data`."""
    position = _after_pack_header(data, pack, len(data))
    while position + 6 <= target and data.startswith(_START, position) and data[position + 3] >= _SYSTEM_HEADER:
        is_private = data[position + 3] in _PRIVATE
        position += 6 + (data[position + 4] << 8 | data[position + 5])
        if position > target:
            return is_private and (position + 3 > len(data) or data.startswith(_START, position))
    return False


def _partial_start(data: bytes) -> int:
    """How many bytes at the end may begin a pack header that continues in the next chunk."""
    for size in (3, 2, 1):
        if data.endswith(PACK_START[:size]):
            return size
    return 0


def _after_pack_header(data: bytes, begin: int, end: int) -> int:
    """Behind a pack header and its stuffing, which may look like a start code (quirk Q148b); `end` where it is cut off."""
    if begin + 14 > end:
        return end
    marker = data[begin + 4]
    if marker >> 6 == 1:
        return begin + 14 + (data[begin + 13] & 7)
    return begin + (12 if marker >> 4 == 2 else 4)  # ISO/IEC 11172-1, or nothing known


def has_system_header(data: bytes, pack: int) -> bool:
    """Whether a system header follows a pack header directly."""
    return pack + 25 <= len(data) and data[pack + 17 + (data[pack + 13] & 7)] == _SYSTEM_HEADER


def _read_pts(data: bytes, at: int) -> int:
    first, second = data[at + 1] << 8 | data[at + 2], data[at + 3] << 8 | data[at + 4]
    return (data[at] >> 1 & 7) << 30 | first >> 1 << 15 | second >> 1


def _classify(first: int, second: int) -> _Nal:
    """What a NAL header tells (ITU-T H.264 table 7-1, H.265 table 7-1), or the VOP header of MPEG-4 visual."""
    if first == _VOP:
        return _Nal.KEY if second >> 6 == 0 else _Nal.SLICE
    if first & 0x80:
        return _Nal.SKIP
    if first & 1:  # an H.265 header would name a layer of 32 or more, which nobody sends
        kind = first & 31
        return _Nal.KEY if kind == 5 else _Nal.SLICE if kind == 1 else _Nal.SKIP
    kind = first >> 1
    if second & 0xF8 or not second & 7:  # an H.265 slice has layer 0 and a temporal id
        return _Nal.SKIP
    if 16 <= kind <= 21:
        return _Nal.KEY
    # 0x06 is an SEI of H.264 as well as a rare slice of H.265: skipping it is right for the one and harmless for the other.
    return _Nal.SLICE if kind <= 9 and first != 0x06 else _Nal.SKIP
