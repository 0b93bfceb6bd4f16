"""When which device is asked for its catalogue: paced, retried with growing pauses, refreshed (§9.5).

A place is held until the answer ends, but no longer than `hold_s` by a device that says nothing: cameras that never answer,
and platforms that pause for half a minute between two parts (quirk Q62), must not stop the others.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from gb28181.ids import DeviceId

#: Pauses before the repetitions of a query that failed, seconds.
RETRIES_S: Final = (15.0, 60.0, 300.0)
#: Nobody keeps a place for longer, however many parts it sends: a drop every few seconds would stop the queries of all others.
_LONGEST_HOLD_S: Final = 60.0


class QuerySchedule:
    """Times are monotonic seconds.

    Args:
        parallel: Devices that are asked at the same time.
        hold_s: Seconds after which a silent device gives its place up.
    """

    def __init__(self, *, parallel: int, hold_s: float = 5.0) -> None:
        self._parallel = parallel
        self._hold_s = hold_s
        self._due: dict[DeviceId, float] = {}
        self._heap: list[tuple[float, DeviceId]] = []
        self._places: dict[DeviceId, tuple[float, float]] = {}  # until it must have said something, until it is free anyway
        self._failures: dict[DeviceId, int] = {}
        self._urgent: dict[DeviceId, None] = {}

    def want(self, device_id: DeviceId, at: float) -> None:
        """Ask at this time, or earlier if that is planned already."""
        if self._due.get(device_id, float("inf")) > at:
            self._due[device_id] = at
            heapq.heappush(self._heap, (at, device_id))

    def want_now(self, device_id: DeviceId) -> None:
        """Somebody waits for it: before all others."""
        self._urgent[device_id] = None

    def cancel(self, device_id: DeviceId) -> None:
        """Nothing is to be asked, now or later."""
        self._due.pop(device_id, None)
        self._urgent.pop(device_id, None)
        self._failures.pop(device_id, None)
        self.release(device_id)

    def failures(self, device_id: DeviceId) -> int:
        """Attempts that failed since the last success."""
        return self._failures.get(device_id, 0)

    def take(self, now: float, may_ask: Callable[[], bool] = lambda: True) -> list[DeviceId]:
        """Devices to ask now, as many as there are free places.

        Args:
            may_ask: Whether one more may be asked that nobody waits for; it counts as asked.
        """
        taken: list[DeviceId] = []
        while self._urgent and len(self._places) < self._parallel:
            taken.append(device_id := next(iter(self._urgent)))
            del self._urgent[device_id]
            self._due.pop(device_id, None)
            self._places[device_id] = now + self._hold_s, now + _LONGEST_HOLD_S
        while self._heap and self._heap[0][0] <= now and len(self._places) < self._parallel:
            at, device_id = self._heap[0]
            is_valid = self._due.get(device_id) == at  # else cancelled, or planned for another time since
            if is_valid and not may_ask():
                break
            heapq.heappop(self._heap)
            if is_valid:
                del self._due[device_id]
                self._places[device_id] = now + self._hold_s, now + _LONGEST_HOLD_S
                taken.append(device_id)
        return taken

    def answering(self, device_id: DeviceId, now: float) -> None:
        """A part of its answer came: it keeps its place, if it still has it."""
        if (place := self._places.get(device_id)) is not None:
            self._places[device_id] = now + self._hold_s, place[1]

    def release(self, device_id: DeviceId) -> None:
        self._places.pop(device_id, None)

    def succeeded(self, device_id: DeviceId) -> None:
        self.release(device_id)
        self._failures.pop(device_id, None)

    def failed(self, device_id: DeviceId, now: float) -> bool:
        """Plans the next attempt; False when all have been used."""
        self.release(device_id)
        failures = self._failures.get(device_id, 0)
        if failures >= len(RETRIES_S):
            self._failures.pop(device_id, None)
            return False
        self._failures[device_id] = failures + 1
        self.want(device_id, now + RETRIES_S[failures])
        return True

    def expire(self, now: float) -> None:
        """Frees the places of those that stay silent, or never come to an end."""
        for device_id in [one for one, until in self._places.items() if min(until) <= now]:
            del self._places[device_id]
