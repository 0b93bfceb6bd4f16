"""Which address of ours a peer is told (Via, Contact, SDP): configured, else the one that the kernel routes to it from."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

_MAX_CACHED: Final = 65_536
_KEPT_S: Final = 300.0


class LocalAddresses:
    """Finds and remembers the local address of the route to each host.

    Args:
        advertise: Told to everybody when not "".
        bound: Address that the socket is bound to; told to everybody unless it is the unspecified one.
    """

    def __init__(self, *, advertise: str, bound: str) -> None:
        self._fixed = advertise or ("" if ipaddress.ip_address(bound).is_unspecified else bound)
        self._cache: dict[str, tuple[float, str]] = {}

    @property
    def fixed(self) -> str:
        return self._fixed

    def towards(self, host: str, now: float) -> str:
        """The address for this host; an answer of the kernel serves for five minutes, because routes change."""
        if self._fixed:
            return self._fixed
        known = self._cache.get(host)
        if known is not None and now < known[0]:
            return known[1]
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        found = _route_source(host) or (known[1] if known else "127.0.0.1")
        self._cache[host] = (now + _KEPT_S, found)
        return found


def _route_source(host: str) -> str:
    """Source address that the kernel would use; connecting a UDP socket sends nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def is_address(host: str) -> bool:
    """Whether a host is an IP address: names are never resolved on the event loop."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def plain(host: str) -> str:
    """An IPv4 address as such, where a dual-stack socket shows it as IPv6."""
    return host[7:] if host.startswith("::ffff:") and "." in host else host


def split_host(text: str) -> tuple[str, int]:
    """`host`, `host:port`, `[v6]:port` or a bare IPv6 address; port 0 where none is given."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    return host, int(port) if port.isascii() and port.isdigit() else 0
