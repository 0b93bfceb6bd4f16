"""What of a segment that a crash left open is worth keeping, and an index made anew from its bytes.

A tolerant look at a program stream (ISO/IEC 13818-1 §2.5.3), for recovery alone: it finds pack headers, key frames by NAL type
and clock references, and judges nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gb28181.storage.index import KEY, Row

_START: Final = b"\x00\x00\x01"
_PACK: Final = b"\x00\x00\x01\xba"
_PACK_CODE: Final = 0xBA
_FIRST_STREAM_CODE: Final = 0xB9  # below: codes of the elementary stream, first byte of a NAL unit
_LOOK: Final = 10  # bytes after a start code that are looked at: the clock reference of a pack header
_CLOCK_WRAP: Final = 1 << 33


class PackScanner:
    """Finds the key frames of a program stream that comes in pieces.

    A key frame starts at the pack header before its parameter sets or, without these, before its first IDR or IRAP slice.

    Args:
        offset: Position of the first byte in the file.
        utc_us: Time of the first pack; later ones are counted from it by the pack headers' clock (SCR).
    """

    def __init__(self, *, offset: int = 0, utc_us: int) -> None:
        self.rows: list[Row] = []
        self._base = offset
        self._utc_us = utc_us
        self._held = b""
        self._first_scr: int | None = None
        self._elapsed_us = 0
        self._pack = -1
        self._parameters = -1  # pack of the parameter sets that wait for their slice

    def feed(self, data: bytes) -> None:
        """Looks at the next bytes."""
        data = self._held + data
        place = data.find(_START)
        while 0 <= place < len(data) - 3 - _LOOK:
            self._see(data, place)
            place = data.find(_START, place + 3)
        kept = place if place >= 0 else max(0, len(data) - 2)
        self._base += kept
        self._held = data[kept:]

    @property
    def last_us(self) -> int:
        """Time of the last pack by its clock; the first one's where the clock stands still or there is none."""
        return self._utc_us + self._elapsed_us

    def finish(self) -> list[Row]:
        """Rows of the key frames found, in order."""
        self.feed(b"\xff" * (3 + _LOOK))
        return self.rows

    def _see(self, data: bytes, place: int) -> None:
        code, after = data[place + 3], data[place + 4]
        if code == _PACK_CODE:
            self._see_pack(self._base + place, data[place + 4 : place + 10])
        elif code < _FIRST_STREAM_CODE and self._pack >= 0:
            self._see_nal(code, after, data[place + 5])

    def _see_pack(self, offset: int, clock: bytes) -> None:
        scr = _scr(clock)
        if scr is None:
            return
        self._pack = offset
        if self._first_scr is None:
            self._first_scr = scr
        elapsed_us = (scr - self._first_scr) % _CLOCK_WRAP * 100 // 9
        # A clock that jumps says nothing; a segment is never an hour long.
        if self._elapsed_us <= elapsed_us < 3_600_000_000:
            self._elapsed_us = elapsed_us

    def _see_nal(self, code: int, after: int, third: int) -> None:
        # First bytes of H.264 and H.265 NAL units do not meet: layer 0 makes H.265's even and its second byte 1.
        is_h265 = code & 1 == 0 and after == 1
        h264_type = code & 0x1F
        if (is_h265 and code in (0x40, 0x42)) or (not is_h265 and h264_type == 7 and code & 1):
            self._parameters = self._parameters if self._parameters >= 0 else self._pack
            return
        if is_h265:
            is_slice, is_key = code < 0x40 and third & 0x80 != 0, 16 <= code >> 1 <= 21
        else:
            is_slice, is_key = h264_type in (1, 5) and after & 0x80 != 0, h264_type == 5
        if not is_slice:
            return  # another slice of the same picture has its first bit clear
        start = self._parameters if self._parameters >= 0 else self._pack
        self._parameters = -1
        if is_key and not (self.rows and self.rows[-1].offset >= start):
            self.rows.append(Row(start, self.last_us, flags=KEY))


def scan(pieces: Iterable[bytes], *, offset: int, utc_us: int) -> PackScanner:
    """Looks through a whole file or its end."""
    scanner = PackScanner(offset=offset, utc_us=utc_us)
    for piece in pieces:
        scanner.feed(piece)
    scanner.finish()
    return scanner


def whole_length(tail: bytes) -> int:
    """Bytes of a stream's end that hold nothing torn.

    Args:
        tail: The last bytes of a file, from a pack header or from anywhere.

    Returns:
        Length up to the last whole pack; where the last pack is the only one, up to its last whole packet; for a
        transport stream up to the last whole 188 bytes; 0 where it is neither.
    """
    last = tail.rfind(_PACK)
    if last < 0:
        return _whole_ts(tail)
    end = _walk(tail, last)
    # What follows a whole pack may be the first bytes of the next pack's start code.
    if _PACK.startswith(tail[end:]) or tail.rfind(_PACK, 0, last) < 0:
        return end
    return last


def looks_like_media(data: bytes) -> bool:
    """Whether a key frame of a program, elementary or transport stream may start with these bytes."""
    return data.startswith((_START, b"\x00\x00\x00\x01", b"\x47"))


def _walk(data: bytes, pack: int) -> int:
    """End of the last packet that is whole, from a pack header on; the header's own place when nothing whole follows."""
    place = pack + 14 + (data[pack + 13] & 7) if pack + 14 <= len(data) else len(data) + 1
    end = pack
    while place + 6 <= len(data) and data[place : place + 3] == _START:
        length = int.from_bytes(data[place + 4 : place + 6], "big")
        place += 6 + length
        if length == 0 or place > len(data):
            break
        end = place
    return end


def _whole_ts(data: bytes) -> int:
    first = data.find(b"\x47")
    if first < 0 or len(data) < first + 377 or data[first + 188] != 0x47 or data[first + 376] != 0x47:
        return 0
    return first + (len(data) - first) // 188 * 188


def _scr(clock: bytes) -> int | None:
    """System clock reference base, 90 kHz, of a pack header's bytes after its start code; None when it is no pack header."""
    if clock[0] >> 6 != 1 or not clock[0] & 4 or not clock[2] & 4:
        return None
    high = (clock[0] >> 3 & 7) << 30 | (clock[0] & 3) << 28
    return high | clock[1] << 20 | (clock[2] >> 3) << 15 | (clock[2] & 3) << 13 | clock[3] << 5 | clock[4] >> 3
