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
        self._cache: dict[str, tuple[float, str, int, bool]] = {}

    def towards(self, host: str, now: float, *, met_at: str = "") -> tuple[str, int]:
        """Address and port for this host; port 0 where none is configured.

        An answer of the kernel serves for five minutes, because routes change.

        Args:
            met_at: Our end of the connection with this host, where there is one: better than what the kernel would choose.
        """
        known = self._cache.get(host)
        if known is None or now >= known[0]:
            known = self._look(host, now, known[1] if known else "127.0.0.1")
        _, found, port, is_configured = known
        return (found, port) if is_configured or not met_at else (met_at, 0)

    def _look(self, host: str, now: float, before: str) -> tuple[float, str, int, bool]:
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        rule = advertised(self._rules, host)
        if rule is not None:
            known = (now + _KEPT_S, rule.host, rule.port, True)
        else:
            known = (now + _KEPT_S, self._bound or _route_source(host) or before, 0, bool(self._bound))
        self._cache[host] = known
        return known


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
