"""SIP URIs (RFC 3261 §19.1), as far as routing needs them. A peer is identified by the user part; hosts are often private
addresses or domains that no resolver knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from gb28181.sip.headers import address_uri

#: `sip:user:password@host:port;parameters?headers`; a missing scheme is tolerated, firmware leaves it out.
_URI: Final = re.compile(
    r"\s*(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?!\d+(?:[;?]|$)))?"
    r"(?:(?P<user>[^@:;?<>\s]*)(?::[^@]*)?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:;?@<>\s]*)(?::(?P<port>\d{0,5}))?"
    r"(?P<parameters>;[^?]*)?",
    re.ASCII,
)
#: `<sip:user@…` without a display name or anything escaped: as nearly everybody writes it.
_USER: Final = re.compile(r"<sips?:([A-Za-z0-9]+)@", re.ASCII)


@dataclass(frozen=True, slots=True)
class SipUri:
    """A parsed URI; `host` without brackets, `port` 0 where none is given."""

    scheme: str
    user: str
    host: str
    port: int
    parameters: str = ""

    @property
    def is_loose(self) -> bool:
        """Whether a route of this URI follows RFC 3261 routing (`;lr`)."""
        return any(part.partition("=")[0].strip().lower() == "lr" for part in self.parameters.split(";"))


def parse_uri(text: str) -> SipUri | None:
    """Reads a URI without angle brackets; None where it is none."""
    match = _URI.match(text)
    if match is None:
        return None
    port = int(match["port"] or 0)
    return SipUri(
        (match["scheme"] or "sip").lower(),
        unquote(match["user"] or ""),
        match["host"].strip("[]").lower(),
        port if port < 65536 else 0,
        match["parameters"] or "",
    )


def user_of(uri: str) -> str:
    """User part of a URI, "" where there is none. Cheap: it runs three times a message."""
    head, at, _ = uri.partition("@")
    if not at:
        return ""
    user = head.rpartition(":")[2] if head.count(":") < 2 else head.split(":")[1]
    return unquote(user.strip()) if "%" in user else user.strip()


def user_of_address(value: str) -> str:
    """User part of a From or To value, "" where there is none."""
    found = _USER.match(value)
    return found[1] if found is not None else user_of(address_uri(value))


def host_port(host: str, port: int) -> str:
    """`host:port` as it stands in a URI or Via, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
