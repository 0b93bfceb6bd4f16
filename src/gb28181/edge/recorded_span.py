"""One recorded segment as a reader sees it: closed, or being written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gb28181.errors import StorageError
from gb28181.storage.index import Index, parse_index
from gb28181.storage.segment import IDX, PART, PS
from gb28181.texts.text import reason_of, say


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
        for suffix in (IDX, f"{IDX}{PART}", IDX):  # the last: renamed between the first two looks
            try:
                rows = parse_index((self.volume / f"{self.path}{suffix}").read_bytes())
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError(
                    say("storage.file_of", path=self.volume / self.path, suffix=suffix, fault=reason_of(error))
                ) from None
            return rows.up_to(self.size)
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
