"""Bytes to SIP messages (RFC 3261 §7, §25), lenient in (quirks Q1-Q6). The one invariant: any bytes give a message or
`SipSyntaxError`, in time and memory linear in their length.

A message that can be read but is wrong (no Call-ID, two To) is returned all the same; `faulty` in `endpoint.py` decides
what it is answered with.
"""

from __future__ import annotations

import re
from typing import Final

from gb28181.errors import SipSyntaxError
from gb28181.sip.headers import COMPACT, KNOWN
from gb28181.sip.message import Headers, Message, Request, Response

MAX_HEAD: Final = 64 << 10
MAX_HEADERS: Final = 200
MAX_LINE: Final = 16 << 10

#: Tolerated faults, by the names that `Message.faults` carries.
WRONG_LENGTH: Final = "wrong-content-length"
MISSING_LENGTH: Final = "missing-content-length"
TRAILING_BYTES: Final = "trailing-bytes"
BARE_LF: Final = "bare-line-feed"
NO_BLANK_LINE: Final = "missing-blank-line"
BAD_HEADER: Final = "unreadable-header"
BAD_CHARSET: Final = "header-not-utf-8"
LOWER_CASE: Final = "lower-case-start-line"

_METHOD: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]{1,80}", re.ASCII)
_METHODS: Final = frozenset({"REGISTER", "MESSAGE", "NOTIFY", "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "SUBSCRIBE"})
_VERSION: Final = re.compile(r"SIP/\d{1,3}\.\d{1,3}", re.IGNORECASE | re.ASCII)
#: Where a message could begin, in a stream of junk or behind another message.
START_LINE: Final = re.compile(
    rb"(?:[A-Z]{3,20} {1,8}sips?:[^\r\n ]{1,500} {1,8}SIP/2\.0|SIP/2\.0 {1,8}\d{3}[ \r\n])", re.IGNORECASE
)
_PADDING: Final = b"\r\n\0 \t"


def parse_datagram(data: bytes) -> Request | Response:
    """Reads one UDP datagram; its end is the end of the body, whatever Content-Length says (quirks Q1-Q3).

    Raises:
        SipSyntaxError: It is no SIP message.
    """
    data = data.lstrip(_PADDING)
    head, rest, faults = _split(data)
    message = parse_head(head, faults)
    if rest or "content-length" in message.first:
        _bound_body(message, rest)
    return message


def is_padding(data: bytes) -> bool:
    """Whether a datagram is only a keep-alive: CRLF, NUL, blanks (quirk Q4)."""
    return len(data) < 64 and not data.strip(_PADDING)


def parse_head(head: bytes, faults: tuple[str, ...] = (), body: bytes = b"") -> Request | Response:
    """Reads start line and headers, without the blank line.

    Args:
        faults: What was tolerated already while the bytes were cut out.
        body: Given as it was cut out; Content-Length is not looked at.

    Raises:
        SipSyntaxError: No start line, too long, or too many headers.
    """
    if len(head) > MAX_HEAD:
        raise SipSyntaxError(f"head of {len(head)} bytes, accepted are {MAX_HEAD}", status=413, clause="RFC 3261 §7")
    try:
        text = head.decode()
    except UnicodeDecodeError:
        text = head.decode("utf-8", "surrogateescape")
        faults = (*faults, BAD_CHARSET)
    lines = text.split("\r\n")
    if text.count("\n") >= len(lines):
        lines = text.split("\n")  # some lines end in LF alone
    if len(lines) > MAX_HEADERS + 1:
        raise SipSyntaxError(f"{len(lines) - 1} header lines, accepted are {MAX_HEADERS}", clause="RFC 3261 §7.3")
    if "\n " in text or "\n\t" in text:
        lines = _unfolded(lines)
    if len(text) > MAX_LINE and (longest := max(map(len, lines))) > MAX_LINE:
        raise SipSyntaxError(f"header line of {longest} characters, accepted are {MAX_LINE}", clause="RFC 3261 §7.3")
    headers: Headers = []
    for line in lines[1:]:
        spelled, colon, value = line.partition(":")
        name = KNOWN.get(spelled) or _name(spelled)
        if not colon or not name:
            if line.strip(" \t\r\0") and BAD_HEADER not in faults:
                faults = (*faults, BAD_HEADER)
            continue
        value = value.strip(" \t\r\0")
        if "\r" in value:
            value = value.replace("\r", " ")
        headers.append((name, value))
    return _start(lines[0].strip(" \t\r\0"), headers, body, faults)


def _name(spelled: str) -> str:
    """Full lower-case name of a header in any spelling, "" where it is none."""
    name = spelled.strip(" \t\r").lower()
    return COMPACT.get(name, name) if name.isprintable() and " " not in name else ""


def _start(line: str, headers: Headers, body: bytes, faults: tuple[str, ...]) -> Request | Response:
    words = line.split(" ")
    if len(words) == 3 and words[2] == "SIP/2.0" and words[0] in _METHODS and words[1].isprintable():
        return Request(words[0], words[1], headers, body, faults)  # as nearly everybody writes it
    words = line.replace("\r", " ").split(None, 2)
    if len(words) >= 2 and _VERSION.fullmatch(words[0]):
        status = words[1]
        if not (len(status) == 3 and status.isascii() and status.isdigit() and 100 <= int(status) <= 699):
            raise SipSyntaxError(f"status {status[:20]!r} is not in 100..699", clause="RFC 3261 §7.2")
        return Response(int(status), words[2].strip() if len(words) == 3 else "", headers, body, faults)
    if len(words) == 3 and _METHOD.fullmatch(words[0]):
        # A blank inside the URI is wrong, but the version still stands last.
        uri, _, version = f"{words[1]} {words[2]}".strip().rpartition(" ")
        if _VERSION.fullmatch(version):
            method = words[0].upper()
            if method != words[0] or version != version.upper():
                faults = (*faults, LOWER_CASE)
            return Request(method, uri.strip(), headers, body, faults, version.upper())
    raise SipSyntaxError(f"not a SIP start line: {line[:60]!r}", clause="RFC 3261 §7.1")


def _unfolded(lines: list[str]) -> list[str]:
    """Continuation lines joined to the line before them (RFC 3261 §7.3.1)."""
    joined: list[list[str]] = []
    for line in lines:
        if joined and line[:1] in (" ", "\t"):
            joined[-1].append(line.strip(" \t\r"))
        else:
            joined.append([line.rstrip("\r")])
    return [" ".join(parts) for parts in joined]


def _split(data: bytes) -> tuple[bytes, bytes, tuple[str, ...]]:
    """Head, body and faults of a datagram; lines may end in LF alone."""
    end = data.find(b"\r\n\r\n", 0, MAX_HEAD + 4)
    bare = data.find(b"\n\n", 0, end if end >= 0 else MAX_HEAD + 2)
    mixed = data.find(b"\n\r\n", 0, end if end >= 0 else MAX_HEAD + 3)
    if end >= 0 and bare < 0 and mixed < 0:
        return data[:end], data[end + 4 :], ()
    if bare >= 0 and (mixed < 0 or bare < mixed):
        return data[:bare], data[bare + 2 :], (BARE_LF,)
    if mixed >= 0:
        return data[:mixed], data[mixed + 3 :], (BARE_LF,)
    return data.rstrip(_PADDING), b"", (NO_BLANK_LINE,)


def _bound_body(message: Message, rest: bytes) -> None:
    """Gives a datagram's message its body; see the quirks Q1 to Q3."""
    said = content_length(message.header("content-length"))
    if said == len(rest):
        message.body = rest
        return
    if said is None:
        message.body = rest.rstrip(b"\0")
        if "content-length" in message.first:
            message.faults = (*message.faults, WRONG_LENGTH)
        elif rest:
            message.faults = (*message.faults, MISSING_LENGTH)
        return
    tail = rest[said:].lstrip(_PADDING)
    if said < len(rest) and (not tail or START_LINE.match(tail)):
        # Padding, or a second message in the datagram, which RFC 3261 §18.3 has us discard.
        message.body = rest[:said]
        message.faults = (*message.faults, TRAILING_BYTES)
        return
    message.body = rest.rstrip(b"\0")
    message.faults = (*message.faults, WRONG_LENGTH)


def content_length(text: str) -> int | None:
    """Value of Content-Length, None where it is missing or no number a message can have."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None
