"""One piece of memory into which a tick empties its TCP connections, and the packets that lie in it.

A frame's length leads to the next frame, and that is all that is asked of each in Python; whether they are what they should be
is asked of all at once. Where any answer is no, `media.framing` looks at that connection's bytes from the start.
Invariant: the packets are those that `Framing.scan` would have found.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gb28181.ingest.batch import HEADER, Ints, Packets
from gb28181.ingest.stream import Stream
from gb28181.ingest.tcp import Connection
from gb28181.media.framing import MAX_FRAME

_READ: Final = 256 << 10
_BYTES: Final = 4 << 20
_PREFIX: Final = 2
#: A frame as RFC 4571 has it.
_FRAME: Final = np.dtype([("length", ">u2"), *((name, HEADER[name]) for name in HEADER.names or ())])
_RTP_HEADER: Final = 12
#: What must have come of a frame before it is judged, as in `media.framing`.
_JUDGED: Final = _PREFIX + _RTP_HEADER


@dataclass(slots=True)
class _Region:
    """What one connection brought: bytes `begin` to `end`, `count` frames, and from `rest` on one that is not whole."""

    stream: Stream
    connection: Connection
    ssrc: int
    begin: int
    end: int
    count: int
    rest: int


class TcpBatch:
    """Takes bytes of connections until `take`; each stream at most once."""

    def __init__(self) -> None:
        self._pages = mmap.mmap(-1, _BYTES + mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._memory = np.frombuffer(self._pages, np.uint8)
        self._view = memoryview(self._pages)
        # Whatever byte a frame begins at: each byte begins an element.
        kind = np.dtype((np.void, _FRAME.itemsize))
        self._frames: Any = np.ndarray((_BYTES + mmap.PAGESIZE - _FRAME.itemsize,), kind, buffer=self._pages, strides=(1,))
        self._used = 0
        self._positions = array("q")
        self._regions: list[_Region] = []

    @property
    def has_room(self) -> bool:
        return self._used <= _BYTES - _READ - MAX_FRAME

    def read(self, stream: Stream, connection: Connection) -> int:
        """Reads what came; returns how many bytes, 0 where the connection is over, -1 where nothing came.

        Only while `has_room`, and not twice without a `take` in between.
        """
        view, begin = self._view, self._used
        middle = begin + len(connection.rest)
        view[begin:middle] = connection.rest
        try:
            got = connection.sock.recv_into(view[middle : middle + _READ])
        except BlockingIOError:
            return -1
        except OSError:
            return 0
        if not got:
            return 0
        self._used = end = middle + got
        ssrc, position, before = connection.framing.steady_ssrc, begin, len(self._positions)
        if ssrc >= 0:
            append = self._positions.append
            while (following := position + _PREFIX + (view[position] << 8 | view[position + 1])) <= end:
                append(position)
                position = following
        self._regions.append(_Region(stream, connection, ssrc, begin, end, len(self._positions) - before, position))
        return got

    def take(self) -> tuple[Packets, list[Stream], list[int]] | None:
        """The packets of all that was read, the streams in their order and how many each has; None where there is none.

        They hold until the next `read`.
        """
        regions, self._regions, self._used = self._regions, [], 0
        if not regions:
            return None
        positions = np.frombuffer(self._positions, np.int64)
        self._positions = array("q")
        counts = [region.count for region in regions]
        frames = self._frames[positions].view(_FRAME)
        view = self._view
        if odd := self._odd(regions, counts, frames):
            positions, counts = self._scan(regions, positions, odd)
            frames = self._frames[positions].view(_FRAME)
        for region in regions:
            region.connection.rest = bytes(view[region.rest : region.end]) if region.rest < region.end else b""
        offsets = positions + _PREFIX
        packets = Packets(
            view=view,
            memory=self._memory,
            headers=frames,
            offsets=offsets,
            lengths=frames["length"].astype(np.int64),
            fits=None,
            sources=None,
            whole=lambda row: bytes(view[offsets[row] : offsets[row] + int(frames["length"][row])]),
        )
        sinks = [region.stream for region, count in zip(regions, counts, strict=True) if count]
        return (packets, sinks, [count for count in counts if count]) if sinks else None

    def give_back(self) -> None:
        """Gives back the memory that the longest tick so far has touched; only while nothing waits for `take`."""
        if not self._used:
            self._pages.madvise(mmap.MADV_DONTNEED)

    def _odd(self, regions: Sequence[_Region], counts: Sequence[int], frames: Any) -> frozenset[int]:
        """Regions in which anything is not a packet of the known SSRC in a plain frame."""
        wanted = np.array([max(region.ssrc, 0) for region in regions], ">u4").view("=u4")
        ends = np.cumsum(counts)
        fine = frames["ssrc"] == np.repeat(wanted, counts)
        fine &= frames["flags"] >> 6 == 2
        fine &= frames["length"] >= _RTP_HEADER
        odd = [place for place, region in enumerate(regions) if region.ssrc < 0]
        if not fine.all():
            odd += np.searchsorted(ends, np.flatnonzero(~fine), side="right").tolist()
        judged = [place for place, region in enumerate(regions) if region.end - region.rest >= _JUDGED]
        if judged:
            rests = self._frames[np.array([regions[place].rest for place in judged])].view(_FRAME)
            fine = (rests["ssrc"] == wanted[judged]) & (rests["flags"] >> 6 == 2)
            odd += [place for place, is_fine in zip(judged, fine.tolist(), strict=True) if not is_fine]
        return frozenset(odd)

    def _scan(self, regions: Sequence[_Region], positions: Ints, odd: frozenset[int]) -> tuple[Ints, list[int]]:
        """Positions of all frames, and how many each region has, after a close look at the odd ones."""
        found: list[npt.NDArray[np.int64]] = []
        first = 0
        for place, region in enumerate(regions):
            rows = positions[first : first + region.count]
            first += region.count
            if place in odd:
                offsets: list[int] = []
                framing = region.connection.framing
                region.rest = framing.scan(self._view, region.begin, region.end, offsets, [])
                if framing.saw_sip:
                    region.stream.saw_sip()
                rows = np.array(offsets, np.int64) - _PREFIX  # in either form two bytes of length stand there
            found.append(rows)
        return np.concatenate(found), [len(rows) for rows in found]
