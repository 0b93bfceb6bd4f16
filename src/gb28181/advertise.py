"""Which address of ours a peer is told, by rule: `sip.advertise` and `media.advertise`.

A rule is `network = address` or an address alone, which is for everybody. The smallest network that holds the peer decides.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from gb28181.errors import Invalid
from gb28181.texts.text import say


@dataclass(frozen=True, slots=True)
class Rule:
    """Peers in `network` (None: all) are told `host`; port 0 means the one that we listen on."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None
    host: str
    port: int


def split_host(text: str) -> tuple[str, int]:
    """`host`, `host:port`, `[v6]:port` or a bare IPv6 address; port 0 where none is given."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        host, port = host if bracket else "", rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    return host, int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0


def parse_rules(texts: Sequence[str]) -> tuple[Rule, ...]:
    """The rules, those of the smallest networks first.

    Raises:
        Invalid: A network that is none, or a rule without an address.
    """
    rules = [_rule(text) for text in texts if text.strip()]
    return tuple(sorted(rules, key=lambda rule: -1 if rule.network is None else rule.network.prefixlen, reverse=True))


def _rule(text: str) -> Rule:
    left, equals, right = text.partition("=")
    host, port = split_host((right if equals else left).strip())
    if not host or port > 65535 or any(character in host for character in " \t\r\n/<>;\"'"):
        raise Invalid(say("start.advertise_address", text=text))
    if not equals:
        return Rule(None, host, port)
    try:
        return Rule(ipaddress.ip_network(left.strip(), strict=False), host, port)
    except ValueError:
        raise Invalid(say("start.advertise_network", text=text, left=left.strip())) from None


def advertised(rules: Sequence[Rule], host: str) -> Rule | None:
    """The rule for a peer at this address, None where there is none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return next((rule for rule in rules if rule.network is None), None)
    return next((rule for rule in rules if rule.network is None or address in rule.network), None)
