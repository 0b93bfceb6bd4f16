"""Flood limits: token buckets by source, by device, and for sources that have not proved anything yet."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

_MAX_SOURCES: Final = 65_536
_MAX_KNOWN: Final = 262_144


class Bucket:
    """Lets `rate` events a second pass, and as many at once as two seconds bring."""

    __slots__ = ("_at", "_level", "_rate")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._level = rate * 2
        self._at = now

    def take(self, now: float) -> bool:
        level = self._level + (now - self._at) * self._rate
        self._at = now
        self._level = min(level, self._rate * 2)
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def spend(self, count: int, now: float) -> float:
        """Takes so many whether they are there or not; returns the seconds until the debt is paid."""
        self._level = min(self._level + (now - self._at) * self._rate, self._rate * 2) - count
        self._at = now
        return max(0.0, -self._level / self._rate)

    def is_full(self, now: float) -> bool:
        """Whether forgetting this bucket would change nothing."""
        return self._level + (now - self._at) * self._rate >= self._rate * 2


class _Buckets:
    """A bucket for each of many."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: dict[Hashable, Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Hashable, now: float) -> bool:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _MAX_SOURCES:
                self._forget(now)
            bucket = self._buckets[key] = Bucket(self._rate, now)
        return bucket.take(now)

    def _forget(self, now: float) -> None:
        # Spoofed sources fill this table; full buckets say nothing. All empty ones at once: begin anew, O(1) per packet.
        kept = {key: bucket for key, bucket in self._buckets.items() if not bucket.is_full(now)}
        self._buckets = kept if len(kept) < _MAX_SOURCES // 2 else {}


class FloodLimits:
    """Decides whether a packet is looked at at all, and whether a device's request is served.

    A whole town may sit behind one address, so the limit by source is high. A source is *known* once a service has
    answered a request of it with 2xx; requests of the others share one bucket.

    Args:
        per_source: Packets a second from one host.
        unauthenticated: Requests a second from all unknown hosts together.
        per_device: Requests a second of one From user at one host; so nobody uses up what is another's (quirk Q18).
    """

    def __init__(self, *, per_source: float, unauthenticated: float, per_device: float = 1e9, now: float = 0.0) -> None:
        self._sources = _Buckets(per_source)
        self._devices = _Buckets(per_device)
        self._unknown = Bucket(unauthenticated, now)
        self._known: dict[str, None] = {}

    def admits_packet(self, host: str, now: float) -> bool:
        return self._sources.take(host, now)

    def admits_request(self, host: str, now: float) -> bool:
        return host in self._known or self._unknown.take(now)

    def admits_device(self, user: str, host: str, now: float) -> bool:
        return self._devices.take((user, host), now)

    def is_known(self, host: str) -> bool:
        return host in self._known

    def proved(self, host: str) -> None:
        """A service accepted a request of this host."""
        if host not in self._known:
            if len(self._known) >= _MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[host] = None
