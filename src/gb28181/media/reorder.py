"""Puts the packets of one stream back into order and counts what is missing (RFC 3550 A.1; quirks Q110, Q118, Q119).

Invariant: payloads leave in sequence order, each once; every sequence number between the first and the last one that left
either left or was counted as lost.

A stream begins with what arrives first, but packets may be swapped there too: until the first one leaves, an earlier one
still moves the beginning. A first packet that opens a pack leaves at once, anything else waits out the window; it costs no
picture, because pictures begin at a pack header.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gb28181.media.rtp import PACK_START

#: A jump further than this is a restart of the sender, not loss (quirk Q119).
RESTART_JUMP: Final = 1000
_HALF: Final = 0x8000
_MASK: Final = 0xFFFF
_REMEMBERED_LOSSES: Final = 1024


@dataclass(slots=True)
class Run:
    """Consecutive payloads.

    Args:
        lost: Packets missing directly before.
        broken: Bytes may be missing before although nothing is counted: the sender restarted.
    """

    payloads: list[bytes] = field(default_factory=list)
    lost: int = 0
    broken: bool = False


class Reorder:
    """Holds packets until their predecessors came or are given up.

    Args:
        window_s: Longest time that a packet waits for an earlier one.
        window_packets: Most packets that wait.
    """

    __slots__ = (
        "_candidate", "_fresh", "_held", "_highest", "_lost_order", "_lost_set", "_out", "_window_packets", "_window_s",
        "duplicate", "late", "lost", "next_seq", "reordered",
    )  # fmt: skip

    def __init__(self, *, window_s: float, window_packets: int) -> None:
        self._window_s = window_s
        self._window_packets = window_packets
        self._held: dict[int, tuple[bytes, float]] = {}  # by sequence number, in order of arrival
        self._highest = 0  # furthest sequence number that came
        self._fresh = True  # nothing has left yet: `next_seq` may still move back
        self._candidate: tuple[int, bytes] | None = None  # first packet after a jump, until a second one agrees
        self._lost_set: set[int] = set()
        self._lost_order: deque[int] = deque()
        self._out: list[Run] = []
        self.next_seq: int | None = None
        self.lost = self.late = self.reordered = self.duplicate = 0

    @property
    def is_idle(self) -> bool:
        """Nothing is held: consecutive packets may pass without it, by `advance`."""
        return not (self._held or self._fresh or self._out or self._candidate)

    def advance(self, next_seq: int) -> None:
        """Notes that consecutive packets before `next_seq` passed by; only while `is_idle`."""
        self.next_seq = next_seq & _MASK
        self._highest = (next_seq - 1) & _MASK

    def next_deadline(self) -> float | None:
        return self._oldest() + self._window_s if self._held else None

    def push(self, seq: int, payload: bytes, now: float) -> None:
        """Takes one packet in arrival order; `pull` gives what may leave."""
        if self.next_seq is None:
            self.next_seq = self._highest = seq
        distance = _signed(seq - self.next_seq)
        if abs(distance) > RESTART_JUMP:
            self._jumped(seq, payload, now)
            return
        self._candidate = None  # the old sequence goes on: the stray packet was no restart
        if distance < 0 and not (self._fresh and self._held):
            self._came_after(seq)
        elif seq in self._held:
            self.duplicate += 1
        else:
            self._hold(seq, payload, distance, now)

    def pull(self, now: float) -> list[Run]:
        """What may leave now, with its losses. A run without payloads only tells of losses before the next one."""
        self._release(now)
        out, self._out = self._out, []
        return out

    def flush(self) -> list[Run]:
        """Everything that is held, gaps counted as lost; a stream ends here."""
        self._release(None)
        out, self._out = self._out, []
        return out

    def restart(self) -> None:
        """Another sequence follows (the SSRC changed): what is held leaves with the next `pull`."""
        self._release(None)
        self._candidate = None
        self._lost_set.clear()
        self._lost_order.clear()
        if not self._fresh:
            self._out.append(Run(broken=True))
        self.next_seq = None
        self._fresh = True

    def skim(self, seqs: Sequence[int]) -> tuple[list[Run], list[int]]:
        """Overload: gives up every gap at once, without waiting and without holding anything.

        Args:
            seqs: Sequence numbers in order of arrival.

        Returns:
            What was held, the last run telling the losses; and the places in `seqs` of the packets that go on in order.
        """
        out = self.flush()
        self._candidate = None
        kept: list[int] = []
        missing, broken = 0, False
        following = seqs[0] if self.next_seq is None else self.next_seq
        for place, seq in enumerate(seqs):
            distance = _signed(seq - following)
            if distance < 0 and distance >= -RESTART_JUMP:
                self._came_after(seq)
                continue
            if distance > RESTART_JUMP or distance < 0:
                broken = True
            else:
                missing += distance
            kept.append(place)
            following = (seq + 1) & _MASK
        self.lost += missing
        self._fresh = False
        self.advance(following)
        out.append(Run(lost=missing, broken=broken))
        return out, kept

    def _oldest(self) -> float:
        return next(iter(self._held.values()))[1]

    def _hold(self, seq: int, payload: bytes, distance: int, now: float) -> None:
        if distance < 0:
            self.next_seq = seq  # swapped at the very beginning
        if _signed(seq - self._highest) >= 0:
            self._highest = seq
        else:
            self.reordered += 1
        self._held[seq] = (payload, now)

    def _came_after(self, seq: int) -> None:
        if seq in self._lost_set:
            self._lost_set.discard(seq)
            self.late += 1
        else:
            self.duplicate += 1

    def _jumped(self, seq: int, payload: bytes, now: float) -> None:
        """Two packets that agree make a restart; one alone is a stray and is dropped (RFC 3550 A.1)."""
        if self._candidate is None:
            self._candidate = (seq, payload)
            return
        before, kept = self._candidate
        step = _signed(seq - before)
        if step == 0 or abs(step) > RESTART_JUMP:
            self._candidate = (seq, payload)
            return
        self.restart()
        self.push(before, kept, now)
        self.push(seq, payload, now)

    def _release(self, now: float | None) -> None:
        """Moves from `_held` to `_out`; `now` None gives every gap up."""
        if not self._held or (self._fresh and not self._may_begin(now)):
            return
        lost = 0
        while self._held:
            if self.next_seq in self._held:
                self._leave(lost)
                lost = 0
            elif self._is_over(now):
                lost = self._skip()
            else:
                break

    def _is_over(self, now: float | None) -> bool:
        return now is None or len(self._held) > self._window_packets or now - self._oldest() >= self._window_s

    def _may_begin(self, now: float | None) -> bool:
        assert self.next_seq is not None
        first = self._held.get(self.next_seq, (b"", 0.0))[0]
        return first.startswith(PACK_START) or self._is_over(now)

    def _leave(self, lost: int) -> None:
        assert self.next_seq is not None
        if lost or not self._out:
            self._out.append(Run(lost=lost))
        run = self._out[-1].payloads
        while (held := self._held.pop(self.next_seq, None)) is not None:
            run.append(held[0])
            self.next_seq = (self.next_seq + 1) & _MASK
        self._fresh = False

    def _skip(self) -> int:
        """Gives the gap before the earliest held packet up; returns its length."""
        assert self.next_seq is not None
        ahead = min((seq - self.next_seq) & _MASK for seq in self._held)
        for step in range(ahead):
            self._remember((self.next_seq + step) & _MASK)
        self.lost += ahead
        self.next_seq = (self.next_seq + ahead) & _MASK
        return ahead

    def _remember(self, seq: int) -> None:
        """Keeps which packets were given up, so that one that comes late is not taken for a duplicate."""
        self._lost_set.add(seq)
        self._lost_order.append(seq)
        if len(self._lost_order) > _REMEMBERED_LOSSES:
            self._lost_set.discard(self._lost_order.popleft())


def _signed(difference: int) -> int:
    """A difference of sequence numbers as -32768 to 32767."""
    return ((difference + _HALF) & _MASK) - _HALF
