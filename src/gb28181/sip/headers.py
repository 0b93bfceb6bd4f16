"""Names and structured values of SIP headers (RFC 3261 §7.3, §20), read leniently (quirk Q5)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

#: RFC 3261 §7.3.3 and later registrations.
COMPACT: Final[Mapping[str, str]] = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
}

#: Spelling on the wire: the frequent ones, and those where title case is not it.
_SPELLED: Final[Mapping[str, str]] = {
    name.lower(): name
    for name in [
        *["Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Contact", "Expires", "Date", "User-Agent", "Event"],
        *["Content-Type", "Content-Length", "Subject", "Route", "Record-Route", "Authorization", "WWW-Authenticate"],
        *["Subscription-State", "Allow", "Accept", "Retry-After", "Unsupported", "MIME-Version"],
        *["X-GB-Ver", "X-RoutePath", "X-PreferredPath", "Monitor-User-Identity", "Note", "SecurityInfo"],
    ]
}

#: Lower-case names by the usual spelling: most headers of most messages are found here at once.
KNOWN: Final[Mapping[str, str]] = {spelling: name for name, spelling in _SPELLED.items()}

#: Headers whose values may be joined by commas in one line, as far as this package looks at them one by one.
_LISTS: Final = frozenset({"via", "route", "record-route", "contact", "require", "allow", "supported"})

_TAG: Final = re.compile(r";\s*tag\s*=\s*([^;,\s>]*)", re.IGNORECASE | re.ASCII)
_VIA: Final = re.compile(
    r"SIP/2\.0/([A-Za-z]{2,8}) ([^\s;]+)(?:;[^\s;=]+(?:=[^\s;]*)?)*?;branch=([^\s;]*)(?:;[^\s]*)?", re.ASCII
)
_CSEQ: Final = re.compile(r"(\d{1,10})\s+([!-~]+)", re.ASCII)

#: Sequence numbers are below 2^31 (RFC 3261 §8.1.1.5); devices that count to 2^32 are tolerated.
MAX_CSEQ: Final = (1 << 32) - 1


class CSeq(NamedTuple):
    number: int
    method: str


class Via(NamedTuple):
    """The topmost Via: what identifies a transaction and a hop.

    Args:
        transport: UDP, TCP, TLS in upper case.
        sent_by: `host[:port]` as the sender wrote it; replies never go there (quirk Q7).
        branch: "" where it is missing.
        text: The value as received.
        rest: What follows it in the line, with its comma; "" as a rule.
    """

    transport: str
    sent_by: str
    branch: str
    text: str
    rest: str


def spelled(name: str) -> str:
    """A header name as it is sent; one that we do not know keeps its capitals."""
    known = _SPELLED.get(name) or _SPELLED.get(name.lower())
    if known is not None:
        return known
    return name if name != name.lower() else "-".join(part.capitalize() for part in name.split("-"))


def is_list(name: str) -> bool:
    return name in _LISTS


def split_list(value: str) -> Iterator[str]:
    """Values of one line, split at commas outside quotes and angle brackets."""
    start = depth = 0
    quoted = escaped = False
    for position, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted:
            escaped = character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = True
        elif character == "<":
            depth += 1
        elif character == ">":
            depth = max(0, depth - 1)
        elif character == "," and not depth:
            if part := value[start:position].strip():
                yield part
            start = position + 1
    if part := value[start:].strip():
        yield part


def parse_via(value: str) -> Via | None:
    """Reads the first value of a Via line; None where it names no sender."""
    if value.startswith("SIP/2.0/") and value.count(" ") == 1 and "," not in value and (found := _VIA.fullmatch(value)):
        return Via(found[1].upper(), found[2], found[3], value, "")  # as nearly everybody writes it
    text, comma, rest = value.partition(",")
    head, *parameters = text.split(";")
    # "SIP/2.0/UDP host:port"; blanks around the slashes and the colon are allowed (RFC 3261 §25.1).
    protocol = head.split("/", 2)
    if len(protocol) < 3:
        return None
    transport, _, sent_by = protocol[2].strip().partition(" ")
    sent_by = "".join(sent_by.split())
    if not sent_by:
        return None
    branch = ""
    for parameter in parameters:
        name, _, content = parameter.partition("=")
        if name.strip().lower() == "branch":
            branch = content.strip()
            break
    return Via(transport.upper(), sent_by, branch, text.strip(), comma + rest)


def stamped_via(via: Via, host: str, port: int) -> str:
    """The Via line of an answer: `received` and `rport` say where the request came from (RFC 3581 §4).

    Both are always added, asked for or not: a device behind NAT learns its public address, and the answer goes to the
    packet's source anyway.
    """
    text = via.text
    if text.count("rport") == 1 and ";rport;" in text and "eceived" not in text and "ECEIVED" not in text:
        return text.replace(";rport;", f";rport={port};received={host};") + via.rest
    parts = []
    asked = False
    for part in text.split(";"):
        name = part.partition("=")[0].strip().lower()
        if name == "rport" and not asked:
            asked = True
            part = f"rport={port};received={host}"
        elif name in ("rport", "received"):
            continue  # what the sender says of itself is not evidence
        parts.append(part)
    if not asked:
        parts.append(f"rport={port};received={host}")
    return ";".join(parts) + via.rest


def parse_cseq(value: str) -> CSeq | None:
    """Reads `4711 INVITE`; None where it is something else or beyond 32 bits. The method keeps its case."""
    match = _CSEQ.fullmatch(value)
    if match is None or (number := int(match[1])) > MAX_CSEQ:
        return None
    return CSeq(number, match[2])


def address_uri(value: str) -> str:
    """URI of a From, To, Contact or Route value, without brackets, display name and header parameters."""
    start = value.find("<")
    if start >= 0:
        if '"' in value[:start]:
            # A quoted display name may hold "<" itself.
            start = value.find("<", value.rfind('"', 0, value.rfind("<")))
        end = value.find(">", start)
        return value[start + 1 : end if end >= 0 else None].strip()
    return value.partition(";")[0].strip()


def address_tag(value: str) -> str:
    """Tag of a From or To value; a `tag` inside the brackets belongs to the URI."""
    start = value.rfind(">") + 1
    if value.startswith(";tag=", start) and ";" not in (tag := value[start + 5 :]) and tag.isalnum():
        return tag
    match = _TAG.search(value, start)
    return match[1] if match else ""


def without_tag(value: str) -> str:
    """The value up to its header parameters, in angle brackets: what a dialog keeps as its URI."""
    end = value.rfind(">")
    return value[: end + 1].strip() if end >= 0 else f"<{value.partition(';')[0].strip()}>"
