"""Times of RFC 3261 (§17, Table 4) and the queue in which fifty thousand of them wait."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

#: Fewer entries are not worth a sweep.
_SWEEP_FROM: Final = 1000


@dataclass(frozen=True, slots=True)
class Timers:
    """Base times in seconds.

    Args:
        t1: Estimate of a round trip; the first retransmission comes after it.
        t2: Longest interval between retransmissions of a non-INVITE request or a response.
        t4: Longest life of a message in the network.
        timeout: After which a request counts as unanswered (timers B and F); 0 means 64 x T1.
        late_answer: How long after giving an INVITE up a 2xx to it is still recognised, to be answered by ACK and BYE.
        unanswered: After which a request that nobody above answered gets 500; an INVITE waits four times as long.
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    timeout: float = 0.0
    late_answer: float = 180.0
    unanswered: float = 10.0

    @property
    def span(self) -> float:
        """64 x T1: how long retransmissions may go on, and how long an answer is kept for them."""
        return 64 * self.t1


class Armed(Protocol):
    """What timers belong to: remembers which entry of the queue is the valid one for each name."""

    armed: dict[str, int]


class TimerQueue:
    """A heap of deadlines. Disarming leaves the entry where it is; it is passed over when its time comes, or swept out with
    others when they are more than those that are armed."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Armed, str]] = []
        self._serial = 0
        self._armed = 0

    def __len__(self) -> int:
        return len(self._heap)

    def arm(self, owner: Armed, name: str, when: float) -> None:
        """Sets a timer; one of the same name that runs is replaced."""
        self._serial += 1
        self._armed += name not in owner.armed
        owner.armed[name] = self._serial
        heapq.heappush(self._heap, (when, self._serial, owner, name))
        if len(self._heap) > 2 * self._armed + _SWEEP_FROM:
            self._heap = [entry for entry in self._heap if entry[2].armed.get(entry[3]) == entry[1]]
            heapq.heapify(self._heap)

    def disarm(self, owner: Armed) -> None:
        """Ends all timers of an owner."""
        self._armed -= len(owner.armed)
        owner.armed.clear()

    def next_deadline(self) -> float | None:
        heap = self._heap
        while heap:
            when, serial, owner, name = heap[0]
            if owner.armed.get(name) == serial:
                return when
            heapq.heappop(heap)
        return None

    def due(self, now: float) -> Iterator[tuple[Armed, str]]:
        """Takes out what is due, in order of time."""
        while self._heap and self._heap[0][0] <= now:
            _, serial, owner, name = heapq.heappop(self._heap)
            if owner.armed.get(name) == serial:
                del owner.armed[name]
                self._armed -= 1
                yield owner, name
