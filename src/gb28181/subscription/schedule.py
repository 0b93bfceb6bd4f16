"""What is due when: a line for what is renewed and one for the rest. Times are monotonic seconds."""

from __future__ import annotations

import heapq

from gb28181.subscription.model import SubscriptionKey

_Planned = tuple[float, int, SubscriptionKey]


class Schedule:
    """At most one moment for each subscription; a later `plan` replaces an earlier one. What is renewed has a line of its own:
    a hundred thousand that are asked for the first time must not make it lapse."""

    def __init__(self) -> None:
        self._at: dict[SubscriptionKey, float] = {}
        self._heaps: dict[bool, list[_Planned]] = {True: [], False: []}
        self._serial = 0

    def plan(self, key: SubscriptionKey, at: float, *, is_renewal: bool = False) -> None:
        self._at[key] = at
        self._serial += 1  # keys have no order
        heap = self._heaps[is_renewal]
        heapq.heappush(heap, (at, self._serial, key))
        if len(heap) > 2 * len(self._at) + 1000:
            heap[:] = [entry for entry in heap if self._at.get(entry[2]) == entry[0]]
            heapq.heapify(heap)

    def cancel(self, key: SubscriptionKey) -> None:
        self._at.pop(key, None)

    def at(self, key: SubscriptionKey) -> float | None:
        """When this one is due, None when nothing is planned."""
        return self._at.get(key)

    def is_due(self, now: float, *, renewals: bool = False) -> bool:
        """Whether `due` may find something; what was planned anew may look due."""
        heap = self._heaps[renewals]
        return bool(heap) and heap[0][0] <= now

    def next_deadline(self) -> float | None:
        return min((heap[0][0] for heap in self._heaps.values() if heap), default=None)

    def due(self, now: float, *, limit: int, renewals: bool = False) -> list[SubscriptionKey]:
        """Takes out at most `limit` that are due, the longest due first; the others wait for their turn."""
        found: list[SubscriptionKey] = []
        heap = self._heaps[renewals]
        while len(found) < limit and heap and heap[0][0] <= now:
            at, _, key = heapq.heappop(heap)
            if self._at.get(key) == at:
                del self._at[key]
                found.append(key)
        return found
