"""Networks from which devices may register, as operators write them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from gb28181.errors import Invalid
from gb28181.texts.text import say

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def checked_networks(texts: Iterable[str]) -> tuple[str, ...]:
    """Networks as they are kept: an address is a network of one, bits behind the mask are dropped.

    Raises:
        Invalid: One is none.
    """
    return tuple(dict.fromkeys(str(_network(text)) for text in texts))


def is_within(host: str, networks: tuple[str, ...]) -> bool:
    """Whether an address is in one of the networks; without any, everyone is."""
    if not networks:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in _parsed(networks))


@lru_cache(maxsize=1024)
def _parsed(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(_network(text) for text in networks)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise Invalid(say("device.network", text=text[:60])) from None
