"""All packets of a tick at once: one numpy pass over their headers, one Python step per stream.

The seam `Packets -> per stream: bytes, pack positions` may one day be filled by a compiled function; nothing outside this
file knows how it is done. The rules are those of `media/rtp.py`.
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from gb28181.media.rtp import PACK_START

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: First bytes of an RTP packet. What is only compared stays in the order of the network: turning it costs a pass each.
HEADER: Final = np.dtype(
    [("flags", "u1"), ("kind", "u1"), ("seq", ">u2"), ("timestamp", ">u4"), ("ssrc", "=u4"), ("code", "=u4")]
)
_TRAITS: Final = np.dtype([("source", "=u8", 3), ("ssrc", "=u4"), ("kind", "=u4")])
_TRAITS_CODE: Final = struct.Struct("=QQQ4sI")
_PACK_CODE: Final = int.from_bytes(PACK_START, sys.byteorder)
_SYSTEM_HEADER: Final = 0xBB
#: Bytes of a payload that show whether a system header follows its pack header: the header, most stuffing, the start code.
_SHOWS_HEADER: Final = 25
_PLAIN: Final = 0x80


class PayloadViews:
    """Views of payloads in one piece of memory, kept from tick to tick: in fixed slots most lie where the last ones did.

    Args:
        slots: Most packets of a tick.
    """

    def __init__(self, view: memoryview, slots: int) -> None:
        self._view = view
        self._views = [view[:0]] * slots
        self._begins = np.zeros(slots, np.int64)
        self._stops = np.zeros(slots, np.int64)

    def of(self, begins: Ints, stops: Ints) -> list[memoryview]:
        """Views of packets 0, 1, …; the list holds until the next call."""
        count, view, views = len(begins), self._view, self._views
        moved = np.flatnonzero((self._begins[:count] != begins) | (self._stops[:count] != stops))
        begin, stop = begins[moved], stops[moved]
        for place, first, end in zip(moved.tolist(), begin.tolist(), stop.tolist(), strict=True):
            views[place] = view[first:end]
        self._begins[moved] = begin
        self._stops[moved] = stop
        return views


@dataclass(slots=True)
class Packets:
    """Packets that lie in one piece of memory, those of a stream side by side.

    Args:
        view, memory: That memory, twice.
        headers: First 16 bytes of each packet as `HEADER`; garbage behind a shorter one.
        offsets, lengths: Of each packet in the memory.
        fits: Whether the packet lies in the memory as a whole.
        sources: Address words of each, (n, 3), None where a connection is the source; `source_words`: how many of them differ
            between two sources: of IPv4 the first one alone.
        whole: A copy of packet i with all its bytes.
        kept: Views of the payloads, where the memory is cut into slots.
    """

    view: memoryview
    memory: npt.NDArray[np.uint8]
    headers: Any
    offsets: Ints
    lengths: Ints
    fits: Mask | None
    sources: npt.NDArray[np.uint64] | None
    whole: Callable[[int], bytes]
    kept: PayloadViews | None = None
    source_words: int = 3

    def payloads(self, begins: Ints, stops: Ints) -> list[memoryview]:
        """The payload of each packet."""
        if self.kept is not None:
            return self.kept.of(begins, stops)
        view = self.view
        return [view[begin:stop] for begin, stop in zip(begins.tolist(), stops.tolist(), strict=True)]


@dataclass(slots=True)
class Expected:
    """What the next packets of a stream look like while all is well; `next_seq` -1 sends them the careful way.

    Args:
        traits: What does not change from packet to packet, by `traits_of`.
    """

    next_seq: int = -1
    traits: bytes = bytes(_TRAITS.itemsize)


def traits_of(source: tuple[int, int, int], ssrc: int, payload_type: int) -> bytes:
    """Source address words, SSRC and payload type as `Expected` has them."""
    return _TRAITS_CODE.pack(*source, ssrc.to_bytes(4, "big"), payload_type)


class Sink(Protocol):
    """A stream as the batch sees it."""

    expected: Expected

    def let_pass(self, data: bytes, count: int, timestamp: int) -> bool:
        """`count` consecutive packets in order, their payloads joined, in which no system header follows a pack header.

        False: nothing was taken, the sink wants them by `take`.
        """

    def take(self, data: bytes, packs: Sequence[int], count: int, timestamp: int) -> None:
        """`count` consecutive packets in order: their payloads joined, and where packs begin in them."""

    def take_carefully(self, packets: Packets, first: int, end: int) -> None:
        """Packets first to end: something about them is not as expected."""

    def skim(self, payloads: Sequence[memoryview], seqs: Sequence[int]) -> None:
        """Overload: packets that belong to the stream but are out of sequence."""

    def failed(self) -> None:
        """Called inside the handling of an exception that one of the others raised."""


S = TypeVar("S", bound=Sink)


class CarefulBudget:
    """How many packets of one tick may go the careful, slow way before gaps are given up (DESIGN: overload is bounded)."""

    def __init__(self, packets: int) -> None:
        self._packets = packets
        self._left = packets
        self.exhausted = 0  # runs that were skimmed

    def renew(self) -> None:
        self._left = self._packets

    def allows(self, packets: int) -> bool:
        if self._left <= 0:
            self.exhausted += 1
            return False
        self._left -= packets
        return True


def dispatch(packets: Packets, sinks: Sequence[S], counts: Sequence[int], budget: CarefulBudget) -> list[S]:
    """Hands every stream its packets; returns the streams whose packets went another way than the straight one.

    Args:
        sinks, counts: The streams in the order of their packets, each once, and how many each has.
    """
    sizes = np.array(counts, np.int64)
    ends = np.cumsum(sizes)
    firsts = ends - sizes
    header = packets.headers
    flags = header["flags"]
    odd = np.flatnonzero(flags != _PLAIN)
    begins, stops = _payload_bounds(packets, flags, odd)
    belongs = _belonging(packets, header, odd, sinks, sizes, stops > begins)
    seqs: Ints = header["seq"].astype(np.int64)
    step = np.empty(len(seqs), np.int64)
    np.subtract(seqs[1:], seqs[:-1], out=step[1:])
    step[firsts] = seqs[firsts] - np.array([sink.expected.next_seq - 1 for sink in sinks], np.int64)
    fine = step == 1
    fine |= step == -65535
    fine &= belongs
    # -1 for `next_seq` never matches: a sequence number of -1 or 65534 less does not exist.
    careful = () if fine.all() else frozenset(np.searchsorted(ends, np.flatnonzero(~fine), side="right").tolist())
    packs = _find_packs(packets, header, odd, begins, stops, firsts, ends)
    headed = packs.headed
    payloads = packets.payloads(begins, stops)
    last_stamps = header["timestamp"][ends - 1].tolist()
    others: list[S] = []
    join, first = b"".join, 0
    for run, (sink, count, stamp) in enumerate(zip(sinks, counts, last_stamps, strict=True)):
        end = first + count
        try:
            if run not in careful:
                data = join(payloads[first:end])
                if run in headed or not sink.let_pass(data, count, stamp):
                    sink.take(data, packs.of(run), count, stamp)
            else:
                others.append(sink)
                if sink.expected.next_seq < 0 or budget.allows(count):
                    sink.take_carefully(packets, first, end)
                else:
                    rows = [first + int(row) for row in np.flatnonzero(belongs[first:end])]
                    sink.skim([payloads[row] for row in rows], [int(seqs[row]) for row in rows])
        except Exception:  # border: packets of one stream must not end the recording of all others
            sink.failed()
        first = end
    return others


def _payload_bounds(packets: Packets, flags: Any, odd: Ints) -> tuple[Ints, Ints]:
    """Where payloads begin and end in the memory; CSRC list, extension and padding taken off (RFC 3550 §5.1)."""
    begins = packets.offsets + 12
    stops = packets.offsets + packets.lengths
    if len(odd):
        _strip(packets, flags[odd].astype(np.int64), odd, begins, stops)
    return begins, stops


def _strip(packets: Packets, flags: Ints, odd: Ints, begins: Ints, stops: Ints) -> None:
    memory, last = packets.memory, len(packets.memory) - 1
    begins[odd] += 4 * (flags & 15)
    extended = odd[(flags & 0x10) != 0]
    if len(extended):
        at = np.minimum(begins[extended], last - 3)
        begins[extended] += 4 + 4 * (memory[at + 2].astype(np.int64) << 8 | memory[at + 3])
    padded = odd[(flags & 0x20) != 0]
    if len(padded):
        padding = memory[np.minimum(stops[padded] - 1, last)].astype(np.int64)
        padding[(padding > stops[padded] - begins[padded])] = 0
        stops[padded] -= padding


def _belonging(packets: Packets, header: Any, odd: Ints, sinks: Sequence[Sink], repeats: Ints, holds: Mask) -> Mask:
    """Which packets are media of their stream: version 2, its payload type, SSRC and source, and a payload."""
    traits: Any = np.frombuffer(b"".join([sink.expected.traits for sink in sinks]), _TRAITS)
    if len(traits) != len(header):
        traits = np.repeat(traits, repeats)
    fine: Mask = header["ssrc"] == traits["ssrc"]
    fine &= header["kind"] & 0x7F == traits["kind"]
    fine &= holds
    if len(odd):
        fine &= header["flags"] >> 6 == 2
    if packets.fits is not None:
        fine &= packets.fits
    if packets.sources is not None:
        source = traits["source"]
        for column in range(packets.source_words):  # column by column: a reduction over rows of three is several times as slow
            fine &= packets.sources[:, column] == source[:, column]
    return fine


@dataclass(slots=True)
class _Packs:
    """Where packets begin with a pack header.

    Args:
        runs, positions: Of each such packet, in order: its run, and its place in the joined payloads of the run.
        headed: Runs in which a system header follows one, or may.
    """

    runs: list[int]
    positions: list[int]
    headed: set[int]

    def of(self, run: int) -> list[int]:
        return self.positions[bisect_left(self.runs, run) : bisect_right(self.runs, run)]


def _find_packs(packets: Packets, header: Any, odd: Ints, begins: Ints, stops: Ints, firsts: Ints, ends: Ints) -> _Packs:
    starts = header["code"] == _PACK_CODE
    if len(odd):
        at = np.minimum(begins[odd], len(packets.memory) - 4)
        codes = packets.memory[at[:, None] + np.arange(4)]
        starts[odd] = (codes == (0, 0, 1, 0xBA)).all(axis=1)
    rows = np.flatnonzero(starts)
    if not len(rows):
        return _Packs([], [], set())
    sizes = stops - begins
    before = np.cumsum(sizes) - sizes
    runs = np.searchsorted(ends, rows, side="right")
    positions = before[rows] - before[firsts[runs]]
    memory, last = packets.memory, len(packets.memory) - 1
    code_at = begins[rows] + 17
    code_at += memory[np.minimum(code_at - 4, last)] & 7  # stuffing
    headed = (memory[np.minimum(code_at, last)] == _SYSTEM_HEADER) | (sizes[rows] < _SHOWS_HEADER)
    return _Packs(runs.tolist(), positions.tolist(), set(runs[headed].tolist()))
