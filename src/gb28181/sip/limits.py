"""Flood limits: token buckets by source, by device, and for sources that have not proved anything yet."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

_MAX_SOURCES: Final = 65_536
_MAX_KNOWN: Final = 262_144
#: Bytes of a body that count as one request more: what takes long to read is not had for the price of a keepalive.
_OCTETS_OF_ONE: Final = 4096
#: What may come at once is what so many seconds bring.
_BURST_S: Final = 2.0
_ROUNDING_S: Final = 1e-6


class Bucket:
    """Lets `rate` events a second pass, and as many at once as two seconds bring."""

    __slots__ = ("_at", "_level", "_rate")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._level = rate * _BURST_S
        self._at = now

    def take(self, now: float) -> bool:
        level = self._level + (now - self._at) * self._rate
        self._at = now
        self._level = min(level, self._rate * _BURST_S)
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def spend(self, count: int, now: float) -> float:
        """Takes so many whether they are there or not; returns the seconds until the debt is paid."""
        self._level = min(self._level + (now - self._at) * self._rate, self._rate * _BURST_S) - count
        self._at = now
        return max(0.0, -self._level / self._rate)


class _Rates:
    """A limit for each of many: as a `Bucket` for each, kept as the moment at which it will be full again.

    Who was silent for two seconds has a full bucket, which says nothing: keys are kept in two generations of that length.
    """

    def __init__(self, rate: float) -> None:
        self._cost = 1 / rate
        self._full_at: dict[Hashable, float] = {}
        self._older: dict[Hashable, float] = {}
        self._turned_at = 0.0

    def __len__(self) -> int:
        return len(self._full_at) + len(self._older)

    def take(self, key: Hashable, now: float, owed: int = 0) -> bool:
        """Args:
        owed: What it costs beyond one, whether that is there or not.
        """
        full_at = self._full_at.get(key)
        if full_at is None:
            if now - self._turned_at >= _BURST_S or len(self._full_at) >= _MAX_SOURCES // 2:
                # Spoofed sources fill this table; then the oldest are forgotten before their time.
                self._older, self._full_at, self._turned_at = self._full_at, {}, now
            full_at = self._older.get(key, now)
        full_at = (full_at if full_at > now else now) + self._cost
        if full_at - now > _BURST_S + _ROUNDING_S:
            return False
        self._full_at[key] = full_at + owed * self._cost
        return True


class FloodLimits:
    """Decides whether a packet is looked at at all, and whether a device's request is served.

    A whole town may sit behind one address, so the limit by source is high. A source is *known* once a service has
    answered a request of it with 2xx; requests of the others share one bucket, and those with credentials another: a flood of
    requests without any does not keep out who has answered a challenge.

    Args:
        per_source: Packets a second from one host.
        unauthenticated: Requests a second from all unknown hosts together, and as many with credentials.
        per_device: Requests a second of one From user at one host; so nobody uses up what is another's (quirk Q18).
    """

    def __init__(self, *, per_source: float, unauthenticated: float, per_device: float = 1e9, now: float = 0.0) -> None:
        self._sources = _Rates(per_source)
        self._devices = _Rates(per_device)
        self._unknown = Bucket(unauthenticated, now)
        self._answering = Bucket(unauthenticated, now)
        self._known: dict[str, None] = {}

    def admits_packet(self, host: str, now: float) -> bool:
        return self._sources.take(host, now)

    def admits_request(self, host: str, now: float, *, has_credentials: bool = False) -> bool:
        return host in self._known or (self._answering if has_credentials else self._unknown).take(now)

    def admits_device(self, user: str, host: str, now: float, *, octets: int = 0) -> bool:
        """Args:
        octets: Length of the body; a long one is paid for by the requests that follow.
        """
        return self._devices.take((user, host), now, octets // _OCTETS_OF_ONE)

    def is_known(self, host: str) -> bool:
        return host in self._known

    def proved(self, host: str) -> None:
        """A service accepted a request of this host."""
        if host not in self._known:
            if len(self._known) >= _MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[host] = None
