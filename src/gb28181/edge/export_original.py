"""A range of a recording as program stream, byte for byte as it came: where its bytes lie, and any part of them.

Groups are taken whole, from the one that shows the start on, so that the file begins with a key frame; the size is known before
a byte is read, and a segment that lies in the range altogether is in the file exactly as it is on disk.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gb28181.edge.recorded_groups import Group
from gb28181.edge.recorded_span import Span
from gb28181.errors import StorageError
from gb28181.texts.text import reason_of, say

CONTENT_TYPE: Final = "video/mp2p"

_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Stretch:
    span: Span
    offset: int
    size: int


class Original:
    """The bytes of some groups.

    Attributes:
        size: All of them.
        etag: Changes when the range holds other bytes, because it was still being recorded or has been deleted in part.
    """

    def __init__(self, groups: Iterable[Group]) -> None:
        """Raises: StorageError: A disk failed."""
        self._stretches: list[_Stretch] = []
        self._starts: list[int] = []
        for group in groups:
            for extent in group.extents:
                self._append(_Stretch(extent.span, extent.offset, extent.size))
        self.size = 0
        mark = hashlib.sha256()
        for stretch in self._stretches:
            self._starts.append(self.size)
            self.size += stretch.size
            mark.update(f"{stretch.span.volume}/{stretch.span.path} {stretch.offset} {stretch.size}\n".encode())
        self.etag = f'"{mark.hexdigest()[:32]}"'

    def _append(self, stretch: _Stretch) -> None:
        if self._stretches:
            last = self._stretches[-1]
            same = (last.span.volume, last.span.path) == (stretch.span.volume, stretch.span.path)
            if same and last.offset + last.size == stretch.offset:
                self._stretches[-1] = _Stretch(last.span, last.offset, last.size + stretch.size)
                return
        if stretch.size:
            self._stretches.append(stretch)

    @property
    def segments(self) -> int:
        return len({(stretch.span.volume, stretch.span.path) for stretch in self._stretches})

    def pieces(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes [start, end), a megabyte at a time; waits for the disk.

        Raises:
            StorageError: A segment has been deleted meanwhile, or the disk failed.
        """
        number = bisect_right(self._starts, start) - 1
        while start < end and 0 <= number < len(self._stretches):
            stretch = self._stretches[number]
            inside = start - self._starts[number]
            fd = stretch.span.open()
            try:
                while inside < stretch.size and start < end:
                    wanted = min(_PIECE, stretch.size - inside, end - start)
                    data = os.pread(fd, wanted, stretch.offset + inside)
                    if not data:
                        raise StorageError(say("export.shorter", path=stretch.span.path))
                    yield data
                    inside += len(data)
                    start += len(data)
            except OSError as error:
                raise StorageError(
                    say("storage.file", path=stretch.span.volume / stretch.span.path, fault=reason_of(error))
                ) from None
            finally:
                os.close(fd)
            number += 1
