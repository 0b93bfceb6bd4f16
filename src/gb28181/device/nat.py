"""Devices behind a NAT: its hole closes after half a minute without traffic, and with it the way to the device (quirk Q9)."""

from __future__ import annotations

import heapq
import ipaddress
from functools import lru_cache
from typing import Final

from gb28181.device.model import Route
from gb28181.ids import DeviceId
from gb28181.sip.headers import parse_via
from gb28181.sip.uri import parse_uri

DEFAULT_PORT: Final = 5060


def is_behind_nat(route: Route, contact: str, via: str) -> bool:
    """Whether a REGISTER came from elsewhere than its sender believes.

    Args:
        contact: URI of its Contact.
        via: Its topmost Via.
    """
    if route.transport != "udp":
        return False  # a TCP connection is kept open by itself
    here = str(route.remote)
    if contact.partition("@")[2] == here and via.partition(";")[0].rpartition(" ")[2] == here:
        return False  # as nearly everybody writes it
    topmost = parse_via(via)
    claims = (contact, topmost.sent_by if topmost is not None else "")
    return any(place not in (None, (route.remote.host, route.remote.port)) for place in map(literal_address, claims))


def literal_address(uri: str) -> tuple[str, int] | None:
    """Host and port of a URI or sent-by whose host is an address; a name says nothing about where its owner is."""
    parsed = parse_uri(uri)
    if parsed is None or not _is_address(parsed.host):
        return None
    return parsed.host, parsed.port or DEFAULT_PORT


@lru_cache(maxsize=4096)
def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class KeepAlives:
    """Says whose hole is to be kept open now. Times are monotonic seconds.

    Args:
        burst: Most that are due in one call; the rest comes with the next.
    """

    def __init__(self, *, burst: int = 200) -> None:
        self._burst = burst
        self._periods: dict[DeviceId, float] = {}
        self._due: dict[DeviceId, float] = {}
        self._heap: list[tuple[float, DeviceId]] = []  # an entry whose time is not the one in `_due` is old

    def __len__(self) -> int:
        return len(self._periods)

    def add(self, device_id: DeviceId, now: float, period_s: float) -> None:
        """Begins; a device that is there keeps its turn, unless its period changes.

        Args:
            period_s: Between two keep-alives; 0 for none at all.
        """
        if self._periods.get(device_id) == period_s:
            return
        self.remove(device_id)
        if period_s > 0:
            self._periods[device_id] = period_s
            self._enqueue(device_id, now + period_s)

    def remove(self, device_id: DeviceId) -> None:
        self._periods.pop(device_id, None)
        self._due.pop(device_id, None)

    def due(self, now: float) -> list[DeviceId]:
        """Whose turn it is; each is due again a period later."""
        found: list[DeviceId] = []
        while self._heap and self._heap[0][0] <= now and len(found) < self._burst:
            when, device_id = heapq.heappop(self._heap)
            if self._due.get(device_id) == when:
                found.append(device_id)
                self._enqueue(device_id, now + self._periods[device_id])
        return found

    def _enqueue(self, device_id: DeviceId, when: float) -> None:
        self._due[device_id] = when
        heapq.heappush(self._heap, (when, device_id))
