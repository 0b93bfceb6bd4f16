"""Channels that are to be recorded, and when each is looked at next: nothing here costs more when nothing happens.

A channel is *queued* with the moment of its next try, *parked* while its device has enough openings, or neither while it
records or its device is away. Whatever event is missed: `some` passes all channels by, over and over, so that each is looked at
again within seconds (W27).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import count
from typing import Final

from gb28181.catalog.model import ChannelKey
from gb28181.ids import DeviceId

#: All channels are passed by within so many turns of `some`, and at least so many a turn.
_TURNS: Final = 5
_LEAST: Final = 500


class Attempt:
    """What is known of the recording of one due channel.

    Attributes:
        next_at: Not tried before this, monotonic seconds.
        is_running: It is being opened.
        queued_at: Its moment in the queue, None while it is in none.
        since: Since when bytes have been written without a break.
        message: Why it does not record.
        transport: The caller's wish.
    """

    __slots__ = ("failures", "is_running", "message", "next_at", "queued_at", "since", "transport")

    def __init__(self) -> None:
        self.failures = 0
        self.next_at = 0.0
        self.is_running = False
        self.queued_at: float | None = None
        self.message = ""
        self.since: datetime | None = None
        self.transport: str | None = None


class DueChannels:
    """The due channels of all devices."""

    def __init__(self) -> None:
        self._attempts: dict[ChannelKey, Attempt] = {}
        self._by_device: dict[DeviceId, set[ChannelKey]] = defaultdict(set)
        self._parked: dict[DeviceId, dict[ChannelKey, None]] = {}  # in order
        self._queue: list[tuple[float, int, ChannelKey]] = []
        self._numbers = count()
        self._round: Iterator[ChannelKey] = iter(())

    def __len__(self) -> int:
        return len(self._attempts)

    def __contains__(self, key: ChannelKey) -> bool:
        return key in self._attempts

    def __iter__(self) -> Iterator[ChannelKey]:
        return iter(tuple(self._attempts))

    def get(self, key: ChannelKey) -> Attempt | None:
        return self._attempts.get(key)

    def add(self, key: ChannelKey) -> Attempt:
        """The attempt of a channel, which is due from now on."""
        attempt = self._attempts.get(key)
        if attempt is None:
            attempt = self._attempts[key] = Attempt()
            self._by_device[key.device_id].add(key)
        return attempt

    def drop(self, key: ChannelKey) -> None:
        if self._attempts.pop(key, None) is not None:
            of_device = self._by_device[key.device_id]
            of_device.discard(key)
            if not of_device:
                del self._by_device[key.device_id]

    def of_device(self, device_id: DeviceId) -> Iterable[ChannelKey]:
        return tuple(self._by_device.get(device_id, ()))

    def queue(self, key: ChannelKey, at: float) -> None:
        """The channel is ready at this moment, or earlier where it was to be ready earlier."""
        attempt = self._attempts.get(key)
        if attempt is None or (attempt.queued_at is not None and attempt.queued_at <= at):
            return
        attempt.queued_at = at
        heapq.heappush(self._queue, (at, next(self._numbers), key))

    def park(self, key: ChannelKey) -> None:
        """The channel waits until another one of its device is done."""
        self._parked.setdefault(key.device_id, {})[key] = None

    def unpark(self, device_id: DeviceId, at: float) -> None:
        """One parked channel of the device is ready."""
        parked = self._parked.get(device_id)
        if parked is None:
            return
        key = next(iter(parked))
        del parked[key]
        if not parked:
            del self._parked[device_id]
        self.queue(key, at)

    def ready(self, now: float) -> Iterator[ChannelKey]:
        """Takes what is ready out of the queue, the longest waiting first; stop asking and the rest stays."""
        while self._queue and self._queue[0][0] <= now:
            at, _, key = heapq.heappop(self._queue)
            attempt = self._attempts.get(key)
            if attempt is None or attempt.queued_at != at:
                continue  # it was dropped, or queued for an earlier moment since
            attempt.queued_at = None
            yield key

    def some(self) -> list[ChannelKey]:
        """The next ones in the round."""
        wanted = max(_LEAST, len(self._attempts) // _TURNS)
        found: list[ChannelKey] = []
        for key in self._round:
            found.append(key)
            if len(found) == wanted:
                return found
        self._round = iter(tuple(self._attempts))
        return found
