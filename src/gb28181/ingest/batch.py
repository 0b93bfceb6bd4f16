"""All packets of a tick at once: one numpy pass over their headers, one Python step per stream.

The seam `Packets -> per stream: bytes, pack positions` may one day be filled by a compiled function; nothing outside this
file knows how it is done. The rules are those of `media/rtp.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_HEADER: Final = np.dtype(
    [("flags", "u1"), ("kind", "u1"), ("seq", ">u2"), ("timestamp", ">u4"), ("ssrc", ">u4"), ("code", ">u4")]
)
_HEADER_BYTES: Final = 16
_PACK_CODE: Final = 0x000001BA
_PLAIN: Final = 0x80


@dataclass(slots=True)
class Packets:
    """Packets that lie in one piece of memory, those of a stream side by side.

    Args:
        view, memory: That memory, twice.
        headers: First 16 bytes of each packet, (n, 16); garbage behind a shorter one.
        offsets, lengths: Of each packet in the memory.
        fits: Whether the packet lies in the memory as a whole.
        sources: Address words of each, (n, 3), None where a connection is the source.
        whole: A copy of packet i with all its bytes.
    """

    view: memoryview
    memory: npt.NDArray[np.uint8]
    headers: npt.NDArray[np.uint8]
    offsets: Ints
    lengths: Ints
    fits: Mask | None
    sources: npt.NDArray[np.uint64] | None
    whole: Callable[[int], bytes]


@dataclass(slots=True)
class Expected:
    """What the next packets of a stream look like while all is well; `next_seq` -1 sends them the careful way."""

    next_seq: int = -1
    ssrc: int = 0
    payload_type: int = 0
    source: tuple[int, int, int] = (0, 0, 0)


class Sink(Protocol):
    """A stream as the batch sees it."""

    expected: Expected

    def take(self, data: bytes, packs: Sequence[int], count: int, timestamp: int) -> None:
        """`count` consecutive packets in order: their payloads joined, and where packs begin in them."""

    def take_carefully(self, packets: Packets, first: int, end: int) -> None:
        """Packets first to end: something about them is not as expected."""

    def skim(self, packets: Packets, rows: Sequence[int], seqs: Sequence[int], bounds: Sequence[tuple[int, int]]) -> None:
        """Overload: packets that belong to the stream but are out of sequence, with the bounds of their payloads."""

    def failed(self) -> None:
        """Called inside the handling of an exception that one of the others raised."""


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


def dispatch(packets: Packets, sinks: Sequence[Sink], counts: Sequence[int], budget: CarefulBudget) -> None:
    """Hands every stream its packets.

    Args:
        sinks, counts: The streams in the order of their packets, each once, and how many each has.
    """
    ends = np.cumsum(np.array(counts, np.int64))
    firsts = ends - np.array(counts, np.int64)
    header: Any = packets.headers.view(_HEADER).reshape(-1)
    begins, stops = _payload_bounds(packets, header)
    belongs = _belonging(packets, header, sinks, counts, stops > begins)
    seqs: Ints = header["seq"].astype(np.int64)
    step = np.empty(len(seqs), np.int64)
    np.subtract(seqs[1:], seqs[:-1], out=step[1:])
    step[firsts] = seqs[firsts] - np.array([sink.expected.next_seq - 1 for sink in sinks], np.int64)
    fine = belongs & ((step == 1) | (step == -65535))
    # -1 for `next_seq` never matches: a sequence number of -1 or 65534 less does not exist.
    careful = set(np.searchsorted(ends, np.flatnonzero(~fine), side="right").tolist())
    packs = _pack_positions(packets, header, begins, stops, firsts, ends)

    begin_list, stop_list = begins.tolist(), stops.tolist()
    last_stamps = header["timestamp"][ends - 1].tolist()
    view = packets.view
    for run, (sink, first, end) in enumerate(zip(sinks, firsts.tolist(), ends.tolist(), strict=True)):
        try:
            if run not in careful:
                data = b"".join([view[a:b] for a, b in zip(begin_list[first:end], stop_list[first:end], strict=True)])
                sink.take(data, packs.get(run, ()), end - first, last_stamps[run])
            elif sink.expected.next_seq < 0 or budget.allows(end - first):
                sink.take_carefully(packets, first, end)
            else:
                rows = [first + int(row) for row in np.flatnonzero(belongs[first:end])]
                bounds = [(begin_list[row], stop_list[row]) for row in rows]
                sink.skim(packets, rows, [int(seqs[row]) for row in rows], bounds)
        except Exception:  # border: packets of one stream must not end the recording of all others
            sink.failed()


def _payload_bounds(packets: Packets, header: Any) -> tuple[Ints, Ints]:
    """Where payloads begin and end in the memory; CSRC list, extension and padding taken off (RFC 3550 §5.1)."""
    begins = packets.offsets + 12
    stops = packets.offsets + packets.lengths
    flags = header["flags"]
    odd = np.flatnonzero(flags != _PLAIN)
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


def _belonging(packets: Packets, header: Any, sinks: Sequence[Sink], counts: Sequence[int], holds: Mask) -> Mask:
    """Which packets are media of their stream: version 2, its payload type, SSRC and source, and a payload."""
    repeats = np.array(counts)
    ssrc = np.repeat(np.array([sink.expected.ssrc for sink in sinks], np.uint32), repeats)
    kind = np.repeat(np.array([sink.expected.payload_type for sink in sinks], np.uint8), repeats)
    fine: Mask = (header["flags"] >> 6 == 2) & (header["kind"] & 0x7F == kind) & (header["ssrc"] == ssrc) & holds
    if packets.fits is not None:
        fine &= packets.fits
    if packets.sources is not None:
        words = np.array([sink.expected.source for sink in sinks], np.uint64)
        for column in range(words.shape[1]):  # column by column: a reduction over rows of three is several times as slow
            fine &= packets.sources[:, column] == np.repeat(words[:, column], repeats)
    return fine


def _pack_positions(packets: Packets, header: Any, begins: Ints, stops: Ints, firsts: Ints, ends: Ints) -> dict[int, list[int]]:
    """Per run, where in its joined payloads a packet begins with a pack header."""
    starts = header["code"] == _PACK_CODE
    odd = np.flatnonzero(header["flags"] != _PLAIN)
    if len(odd):
        at = np.minimum(begins[odd], len(packets.memory) - 4)
        codes = packets.memory[at[:, None] + np.arange(4)]
        starts[odd] = (codes == (0, 0, 1, 0xBA)).all(axis=1)
    rows = np.flatnonzero(starts)
    if not len(rows):
        return {}
    sizes = stops - begins
    before = np.cumsum(sizes) - sizes
    runs = np.searchsorted(ends, rows, side="right")
    positions = before[rows] - before[firsts[runs]]
    out: dict[int, list[int]] = {}
    for run, position in zip(runs.tolist(), positions.tolist(), strict=True):
        out.setdefault(run, []).append(position)
    return out
