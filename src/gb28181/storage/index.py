"""The index beside each segment: where its key frames and losses lie. Fixed rows, so that a torn one is simply cut off.

Header of 16 bytes (magic `GB28IDX1`, row size u32, zero u32), then rows of 32 bytes, little endian:
offset u64, utc_us u64, pts_90k u64, flags u32, lost u32. Rows go to disk after the bytes that they point to; offsets
never fall (times may, when the clock is set). A closed index ends with an `END` row: the segment's size and end.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

KEY: Final = 1
"""A key frame (IDR or IRAP after a pack header) starts at `offset`."""
LOSS: Final = 2
"""`lost` RTP packets are missing just before `offset`."""
DISCONTINUITY: Final = 4
"""Time stamps or parameters jump at `offset`."""
END: Final = 8
"""Last row of a closed segment: `offset` is its size, `utc_us` its end."""

NO_PTS: Final = 0xFFFF_FFFF_FFFF_FFFF
"""`pts_90k` where it is not known."""

_HEADER: Final = struct.Struct("<8sII")
_ROW: Final = struct.Struct("<QQQII")
MAGIC: Final = b"GB28IDX1"
HEADER: Final = _HEADER.pack(MAGIC, _ROW.size, 0)
ROW_SIZE: Final = _ROW.size


class Row(NamedTuple):
    """One row; `offset` in bytes of the PS file, times in UTC microseconds and 90 kHz."""

    offset: int
    utc_us: int
    pts_90k: int = NO_PTS
    flags: int = 0
    lost: int = 0


def pack_rows(rows: Iterable[Row | tuple[int, int, int, int, int]]) -> bytes:
    """Bytes of rows, without the header."""
    return b"".join([_ROW.pack(*row) for row in rows])


def rows_of(packed: bytes) -> list[Row]:
    """Rows of `pack_rows`' bytes."""
    return [Row(*fields) for fields in _ROW.iter_unpack(packed[: len(packed) // ROW_SIZE * ROW_SIZE])]


class Index:
    """The rows of one segment, in order.

    Args:
        rows: With offsets that never fall.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)
        self.keys = tuple(row for row in self.rows if row.flags & KEY)
        # A clock that was set back leaves times that fall; a search needs them to rise.
        self._key_times = list(accumulate((row.utc_us for row in self.keys), max))

    @property
    def end(self) -> Row | None:
        """The `END` row of a closed segment."""
        return self.rows[-1] if self.rows and self.rows[-1].flags & END else None

    @property
    def lost(self) -> int:
        return sum(row.lost for row in self.rows)

    def key_at_or_before(self, utc_us: int) -> Row | None:
        """Where to start reading to show a moment; None before the first key frame."""
        place = bisect_right(self._key_times, utc_us)
        return self.keys[place - 1] if place else None

    def last_key(self) -> Row | None:
        return self.keys[-1] if self.keys else None

    def up_to(self, size: int) -> Index:
        """The rows that lie inside the first `size` bytes, without an `END`."""
        return Index([row for row in self.rows if row.offset < size and not row.flags & END])


def parse_index(data: bytes) -> Index:
    """Reads an index file as far as it is sound; any bytes give an index, at worst an empty one.

    A torn last row, a tail of zeros (power cut) and everything after a row that falls back are left out.
    """
    if len(data) < _HEADER.size or data[:8] != MAGIC:
        return Index(())
    _, row_size, _ = _HEADER.unpack_from(data)
    if row_size < ROW_SIZE or row_size > 4096:
        return Index(())
    rows: list[Row] = []
    offset = 0
    # A later version may append fields to a row: its length is in the header, the first fields stay.
    for place in range(_HEADER.size, len(data) - row_size + 1, row_size):
        row = Row(*_ROW.unpack_from(data, place))
        if row.utc_us == 0 or row.offset < offset or (rows and rows[-1].flags & END):
            break
        offset = row.offset
        rows.append(row)
    return Index(rows)
