"""Which address of ours a peer is told (Via, Contact, SDP): configured, else the one that the kernel routes to it from."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

from gb28181.advertise import Rule, advertised

_MAX_CACHED: Final = 65_536
_KEPT_S: Final = 300.0


class LocalAddresses:
    """Finds and remembers the local address of the route to each host.

    Args:
        rules: Of `sip.advertise`; they go before everything else.
        bound: Address that the socket is bound to; told to everybody else unless it is the unspecified one.
    """

    def __init__(self, *, rules: Sequence[Rule], bound: str) -> None:
        self._rules = rules
        self._bound = "" if ipaddress.ip_address(bound).is_unspecified else bound
        self._cache: dict[str, tuple[float, str, Rule | None]] = {}

    def towards(self, host: str, now: float, *, met_at: str = "") -> tuple[str, int]:
        """Address and port for this host; port 0 where none is configured.

        Args:
            met_at: Our address that this host has written to, where that is known: better than what the kernel would choose.
        """
        found, rule = self._look(host, now)
        if rule is not None:
            return rule.host, rule.port
        return self._bound or met_at or found, 0

    def routed(self, host: str, now: float) -> str:
        """What the kernel would send from; its answer serves for five minutes, because routes change."""
        return self._look(host, now)[0]

    def _look(self, host: str, now: float) -> tuple[str, Rule | None]:
        known = self._cache.get(host)
        if known is None or now >= known[0]:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            found = self._bound or _route_source(host) or (known[1] if known else "127.0.0.1")
            known = self._cache[host] = (now + _KEPT_S, found, advertised(self._rules, host))
        return known[1:]


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
