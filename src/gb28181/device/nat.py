"""Devices behind a NAT: its hole closes after half a minute without traffic, and with it the way to the device (quirk Q9)."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
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
    topmost = parse_via(via)
    claims = (contact, topmost.sent_by if topmost is not None else "")
    return any(place not in (None, (route.remote.host, route.remote.port)) for place in map(literal_address, claims))


def literal_address(uri: str) -> tuple[str, int] | None:
    """Host and port of a URI or sent-by whose host is an address; a name says nothing about where its owner is."""
    parsed = parse_uri(uri)
    if parsed is None:
        return None
    try:
        ipaddress.ip_address(parsed.host)
    except ValueError:
        return None
    return parsed.host, parsed.port or DEFAULT_PORT


class KeepAlives:
    """Says whose hole is to be kept open now. Times are monotonic seconds.

    Args:
        period_s: Between two keep-alives of one device; 0 for none at all.
        burst: Most that are due in one call; the rest comes with the next.
    """

    def __init__(self, period_s: float, *, burst: int = 200) -> None:
        self._period_s = period_s
        self._burst = burst
        self._due: OrderedDict[DeviceId, float] = OrderedDict()  # all wait equally long: the first is the next

    def __len__(self) -> int:
        return len(self._due)

    def add(self, device_id: DeviceId, now: float) -> None:
        """Begins; a device that is there keeps its turn."""
        if self._period_s > 0:
            self._due.setdefault(device_id, now + self._period_s)

    def remove(self, device_id: DeviceId) -> None:
        self._due.pop(device_id, None)

    def due(self, now: float) -> list[DeviceId]:
        """Whose turn it is; each is due again a period later."""
        found: list[DeviceId] = []
        while self._due and len(found) < self._burst:
            device_id, when = next(iter(self._due.items()))
            if when > now:
                break
            found.append(device_id)
            self._due[device_id] = now + self._period_s
            self._due.move_to_end(device_id)
        return found
