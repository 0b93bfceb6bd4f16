"""Which registered devices are alive (§9.6.1 d-e).

A device is online from a REGISTER or keepalive until nothing was heard for `max(offline_after_s, misses x the interval that
it really keeps)`; the interval is learned from its keepalives, unless an operator has set it: then it is offline after exactly
`misses x interval`. One heap of deadlines serves all devices: a keepalive costs a
few dictionary operations, because an entry that comes up too early is simply put back.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

from gb28181.ids import DeviceId

#: Keepalives closer together are copies of one (quirk Q14).
DUPLICATE_S: Final = 10.0
#: Longest interval believed; a longer gap is an outage.
LONGEST_INTERVAL_S: Final = 600.0
_REMEMBERED: Final = 5
_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class WentOnline:
    device_id: DeviceId


@dataclass(frozen=True, slots=True)
class WentOffline:
    device_id: DeviceId


@dataclass(slots=True)
class _Watch:
    """Args:
    deadline: None while offline.
    queued: The deadline of its one valid heap entry, None when there is none.
    interval: Learned, or set when `is_set`; 0 unknown.
    ends: When it is offline whatever was heard.
    """

    device_id: DeviceId
    interval: float
    misses: int
    is_set: bool = False
    ends: float = _NEVER
    deadline: float | None = None
    queued: float | None = None
    last_keepalive: float | None = None
    gaps: tuple[float, ...] = ()


class Presence:
    """Decides for all devices. Times are monotonic seconds.

    Args:
        offline_after_s: Shortest silence that means offline.
        misses: Consecutive missed keepalives that mean offline, of a device that has no number of its own.
        interval_s: Interval of a device that has not shown its own yet.
    """

    def __init__(self, *, offline_after_s: float = 180.0, misses: int = 3, interval_s: float = 60.0) -> None:
        self._offline_after_s = offline_after_s
        self._misses = misses
        self._interval_s = interval_s
        self._watches: dict[DeviceId, _Watch] = {}
        self._heap: list[tuple[float, DeviceId]] = []
        self._online = 0

    @property
    def online(self) -> int:
        """Number of devices that are online."""
        return self._online

    def is_online(self, device_id: DeviceId) -> bool:
        watch = self._watches.get(device_id)
        return watch is not None and watch.deadline is not None

    def interval_s(self, device_id: DeviceId) -> float:
        """The interval that the device keeps, 0 while it is unknown."""
        watch = self._watches.get(device_id)
        return watch.interval if watch is not None else 0.0

    def restore(self, device_id: DeviceId, interval_s: float, now: float) -> None:
        """A device that was registered before our restart is online, with full patience; no event."""
        watch = self._watch(device_id)
        if not watch.is_set:
            watch.interval = interval_s
        self._heard(watch, now)

    def agree(self, device_id: DeviceId, *, interval_s: float, misses: int, ends: float = _NEVER) -> None:
        """What holds for a device from its next sign of life on.

        Args:
            interval_s: 0: learned from its keepalives.
            ends: When it is offline whatever is heard: the end of a registration that nothing revives.
        """
        watch = self._watch(device_id)
        if watch.is_set or interval_s:
            watch.interval, watch.is_set, watch.gaps = interval_s, bool(interval_s), ()
        watch.misses, watch.ends = misses, ends

    def registered(self, device_id: DeviceId, now: float) -> list[WentOnline]:
        """A REGISTER was accepted; it tells nothing about the interval of keepalives."""
        watch = self._watch(device_id)
        watch.last_keepalive = None
        return self._heard(watch, now)

    def keepalive(self, device_id: DeviceId, now: float) -> list[WentOnline]:
        watch = self._watches.get(device_id) or self._watch(device_id)
        if watch.is_set:
            pass
        elif watch.last_keepalive is None:
            watch.last_keepalive = now
        elif (gap := now - watch.last_keepalive) >= DUPLICATE_S:
            watch.last_keepalive = now
            if gap <= LONGEST_INTERVAL_S:
                self._learn(watch, gap)
        return self._heard(watch, now)

    def gone(self, device_id: DeviceId) -> bool:
        """The device deregistered; whether it was online."""
        watch = self._watches.get(device_id)
        if watch is None or watch.deadline is None:
            return False
        watch.deadline = watch.last_keepalive = None
        self._online -= 1
        return True

    def forget(self, device_id: DeviceId) -> bool:
        """The device was deleted; whether it was online."""
        was_online = self.gone(device_id)
        self._watches.pop(device_id, None)
        return was_online

    def next_deadline(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def expire(self, now: float, *, most: int = 10_000) -> list[WentOffline]:
        """Args:
        most: Devices that are looked at in one call; after a restart all deadlines are one.
        """
        silent: list[WentOffline] = []
        while self._heap and self._heap[0][0] <= now and (most := most - 1) >= 0:
            queued, device_id = heapq.heappop(self._heap)
            watch = self._watches.get(device_id)
            if watch is None or watch.queued != queued:
                continue
            watch.queued = None
            if watch.deadline is None:
                continue
            if watch.deadline > now:
                self._enqueue(watch)
                continue
            watch.deadline = None
            self._online -= 1
            silent.append(WentOffline(device_id))
        return silent

    def _watch(self, device_id: DeviceId) -> _Watch:
        watch = self._watches.get(device_id)
        if watch is None:
            watch = self._watches[device_id] = _Watch(device_id, 0.0, self._misses)
        return watch

    def _heard(self, watch: _Watch, now: float) -> list[WentOnline]:
        was_online = watch.deadline is not None
        if watch.is_set:
            patience = watch.misses * watch.interval
        else:
            patience = max(self._offline_after_s, watch.misses * (watch.interval or self._interval_s))
        watch.deadline = min(now + patience, watch.ends)
        # A later entry would find an earlier deadline too late; an earlier one is put back when it comes up.
        if watch.queued is None or watch.deadline < watch.queued:
            self._enqueue(watch)
        if was_online:
            return []
        self._online += 1
        return [WentOnline(watch.device_id)]

    def _enqueue(self, watch: _Watch) -> None:
        assert watch.deadline is not None
        watch.queued = watch.deadline
        heapq.heappush(self._heap, (watch.deadline, watch.device_id))

    def _learn(self, watch: _Watch, gap: float) -> None:
        """The median of the last gaps: a lost keepalive or an outage does not move it; one gap alone proves nothing."""
        watch.gaps = (*watch.gaps, gap)[-_REMEMBERED:]
        if len(watch.gaps) >= 2:
            watch.interval = sorted(watch.gaps)[(len(watch.gaps) - 1) // 2]
