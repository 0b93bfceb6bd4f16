"""What is due when: one heap for all subscriptions. Times are monotonic seconds."""

from __future__ import annotations

import heapq

from gb28181.subscription.model import SubscriptionKey


class Schedule:
    """At most one moment for each subscription; a later `plan` replaces an earlier one."""

    def __init__(self) -> None:
        self._at: dict[SubscriptionKey, float] = {}
        self._heap: list[tuple[float, int, SubscriptionKey]] = []
        self._serial = 0

    def plan(self, key: SubscriptionKey, at: float) -> None:
        self._at[key] = at
        self._serial += 1  # keys have no order
        heapq.heappush(self._heap, (at, self._serial, key))
        if len(self._heap) > 2 * len(self._at) + 1000:
            self._heap = [entry for entry in self._heap if self._at.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def cancel(self, key: SubscriptionKey) -> None:
        self._at.pop(key, None)

    def at(self, key: SubscriptionKey) -> float | None:
        """When this one is due, None when nothing is planned."""
        return self._at.get(key)

    def is_due(self, now: float) -> bool:
        """Whether `due` may find something; what was planned anew may look due."""
        return bool(self._heap) and self._heap[0][0] <= now

    def next_deadline(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def due(self, now: float, *, limit: int) -> list[SubscriptionKey]:
        """Takes out at most `limit` that are due, the longest due first; the others wait for their turn."""
        found: list[SubscriptionKey] = []
        while len(found) < limit and self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                found.append(key)
        return found
