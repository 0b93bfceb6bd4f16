"""One recorded segment as a reader sees it: closed, being written, or damaged.

A closed segment that is not as its manifest says is shown as far as it goes: without a sound index its key frames are looked
for in the stream itself, of a stream that was cut short the beginning is left.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Final

from gb28181.errors import StorageError
from gb28181.storage.index import Index, Row, parse_index
from gb28181.storage.io.recovery import completed
from gb28181.storage.segment import IDX, PART, PS
from gb28181.texts.text import reason_of, say

#: No segment is so long: a row that lies farther behind its end was spoilt on disk.
_LONGEST_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be shown of a segment.

    Args:
        span: Its size and end are those of what is left.
        damage: What is not as it was recorded, for the log; "" where all is well.
    """

    span: Span
    index: Index
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """One segment, closed or being written. Times are UTC microseconds.

    Args:
        path: Relative to the volume, without suffix.
        begin: What is recorded before it lies in the span before too; `start` where nothing overlaps.
        size: Bytes that may be read; of an open segment those before its newest key frame, which never change any more.
        is_open: It was being written when it was looked at; it may be closed, and so renamed, by now.
    """

    volume: Path
    path: str
    start: int
    begin: int
    end: int
    size: int
    is_open: bool

    def index(self) -> Index | None:
        """Its key frames and losses, read from disk; None when the segment has been deleted meanwhile.

        Raises:
            StorageError: The disk failed.
        """
        rows = self._rows()
        return None if rows is None else rows.up_to(self.size)

    def look(self) -> Sight | None:
        """What can be shown of it; None when it has been deleted. Reads the stream only where the index is damaged."""
        if self.is_open:
            try:
                index = self.index()
            except StorageError as error:
                return Sight(replace(self, size=0), Index(()), str(error))
            return None if index is None else Sight(self, index)
        damage = ""
        try:
            rows = self._rows()
        except StorageError as error:
            rows, damage = Index(()), str(error)
        try:
            fd = self.open()
        except StorageError as error:
            return None if rows is None else Sight(replace(self, size=0), Index(()), str(error))
        try:
            return self._closed(fd, rows or Index(()), damage or ("its index is gone" if rows is None else ""))
        except OSError as error:
            return Sight(replace(self, size=0), Index(()), reason_of(error))
        finally:
            os.close(fd)

    def _closed(self, fd: int, rows: Index, damage: str) -> Sight:
        size = min(self.size, os.fstat(fd).st_size)
        latest_us = max(self.start, self.end) + _LONGEST_US
        believed = tuple(takewhile(lambda row: row.utc_us <= latest_us, rows.rows))
        inside = Index(believed).up_to(size)
        if len(believed) == len(rows.rows) and rows.end is not None and rows.end.offset == self.size:
            if size == self.size:
                return Sight(self, inside)
            end = _reached(inside.rows, believed[len(inside.rows)], size, self.start)
        else:
            damage = damage or "its index is not whole"
            found, end = completed(fd, inside, self.start)
            inside = Index([row for row in found if row.offset < size])
        if size < self.size:
            damage = f"{size} of {self.size} bytes are left"
        return Sight(replace(self, size=size, end=min(self.end, end) if size < self.size else self.end), inside, damage)

    def _rows(self) -> Index | None:
        for suffix in (IDX, f"{IDX}{PART}", IDX):  # the last: renamed between the first two looks
            try:
                return parse_index((self.volume / f"{self.path}{suffix}").read_bytes())
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError(
                    say("storage.file_of", path=self.volume / self.path, suffix=suffix, fault=reason_of(error))
                ) from None
        return None

    def open(self) -> int:
        """File descriptor of its PS file; the caller closes it.

        Raises:
            StorageError: It is gone, or the disk failed.
        """
        for suffix in (PS, f"{PS}{PART}", PS):
            try:
                return os.open(self.volume / f"{self.path}{suffix}", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError(
                    say("storage.file_of", path=self.volume / self.path, suffix=suffix, fault=reason_of(error))
                ) from None
        raise StorageError(say("recording.deleted", path=self.path))


def _reached(rows: tuple[Row, ...], following: Row, size: int, start_us: int) -> int:
    """When the last of `size` bytes came, told by the rows before and behind them."""
    offset, utc_us = (rows[-1].offset, rows[-1].utc_us) if rows else (0, start_us)
    if following.offset <= offset or following.utc_us <= utc_us:
        return utc_us
    return utc_us + (following.utc_us - utc_us) * (size - offset) // (following.offset - offset)
