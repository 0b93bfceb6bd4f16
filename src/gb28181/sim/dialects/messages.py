"""Dialects of SIP: bytes of a whole message in, bytes out (RFC 3261 §7, §20)."""

from __future__ import annotations

import re
from typing import Final

_LENGTH: Final = re.compile(rb"(?i)(\r\nContent-Length[ \t]*:[ \t]*)\d+")
_TYPE: Final = re.compile(rb"(?i)\r\nContent-Type[ \t]*:[^\r\n]*")
_NAME: Final = re.compile(rb"(?m)^([A-Za-z][A-Za-z-]*):[ \t]*")
_VIA: Final = re.compile(rb"(?m)^(Via: SIP/2\.0/\w+ )[^;\r\n]+")
_CONTACT: Final = re.compile(rb"(?m)^(Contact: <sip:[^@>]+@)[^>;]+")
_TAG: Final = re.compile(rb"(?m)^((?:From|To): [^\r\n]*?);tag=[^;\r\n]*")
_EXPIRES: Final = re.compile(rb"\r\nExpires: (\d+)")
_COMPACT: Final = {
    b"Via": b"v",
    b"From": b"f",
    b"To": b"t",
    b"Call-ID": b"i",
    b"Contact": b"m",
    b"Content-Length": b"l",
    b"Content-Type": b"c",
}
_CREDENTIALS: Final = re.compile(rb"(?m)^Authorization: .*")
_RESPONSE: Final = re.compile(rb'response="(\w+)"')
PRIVATE: Final = b"192.168.1.64:5060"


def _split(data: bytes) -> tuple[bytes, bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def _is_response(data: bytes) -> bool:
    return data.startswith(b"SIP/2.0 ")


def length_zero(data: bytes) -> bytes:
    """Content-Length 0 though a body follows."""
    head, body = _split(data)
    return _LENGTH.sub(rb"\g<1>0", head) + b"\r\n\r\n" + body if body and not _is_response(data) else data


def length_short(data: bytes) -> bytes:
    """Content-Length counts characters where it should count bytes."""
    head, body = _split(data)
    if not body or _is_response(data):
        return data
    return _LENGTH.sub(rb"\g<1>%d" % max(len(body.decode("gb18030", "replace")) - 2, 1), head) + b"\r\n\r\n" + body


def length_long(data: bytes) -> bytes:
    """Content-Length counts line ends that were never sent."""
    head, body = _split(data)
    if not body or _is_response(data):
        return data
    return _LENGTH.sub(rb"\g<1>%d" % (len(body) + 2), head) + b"\r\n\r\n" + body


def no_length(data: bytes) -> bytes:
    """No Content-Length at all."""
    head, body = _split(data)
    return re.sub(rb"(?i)\r\nContent-Length[^\r\n]*", b"", head) + b"\r\n\r\n" + body


def no_content_type(data: bytes) -> bytes:
    """A body of which nothing says what it is."""
    head, body = _split(data)
    return data if _is_response(data) else _TYPE.sub(b"", head) + b"\r\n\r\n" + body


def line_noise(data: bytes) -> bytes:
    """Empty lines before every message."""
    return b"\r\n\r\n" + data


def lower_case(data: bytes) -> bytes:
    """Header names in small letters, no blank after the colon."""
    head, body = _split(data)
    return _NAME.sub(lambda found: found[1].lower() + b":", head) + b"\r\n\r\n" + body


def compact(data: bytes) -> bytes:
    """Compact forms of the header names (RFC 3261 §7.3.3)."""
    head, body = _split(data)
    return _NAME.sub(lambda found: _COMPACT.get(found[1], found[1]) + b": ", head) + b"\r\n\r\n" + body


def line_feed(data: bytes) -> bytes:
    """Lines that end with LF alone."""
    head, body = _split(data)
    return head.replace(b"\r\n", b"\n") + b"\n\n" + body


def unknown_headers(data: bytes) -> bytes:
    """Headers that nobody knows, and a Route to the server itself."""
    head, body = _split(data)
    first, _, rest = head.partition(b"\r\n")
    if _is_response(data):
        return data
    return (
        first
        + b"\r\nX-Vendor-Build: 190713;hw=7\r\nRoute: <sip:34020000002000000001@127.0.0.1;lr>\r\n"
        + rest
        + b"\r\n\r\n"
        + body
    )


def private_via(data: bytes) -> bytes:
    """Via and Contact name a private address that nobody can reach."""
    head, body = _split(data)
    if not _is_response(data):
        head = _VIA.sub(rb"\g<1>" + PRIVATE, head)
    return _CONTACT.sub(rb"\g<1>" + PRIVATE, head) + b"\r\n\r\n" + body


def no_tags(data: bytes) -> bytes:
    """From of a request and To of a response without tag."""
    head, body = _split(data)
    name = b"To: " if _is_response(data) else b"From: "
    lines = [_TAG.sub(rb"\1", line) if line.startswith(name) else line for line in head.split(b"\r\n")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def contact_expires(data: bytes) -> bytes:
    """The lifetime stands in Contact only."""
    found = _EXPIRES.search(data)
    if not data.startswith(b"REGISTER ") or found is None:
        return data
    return re.sub(rb"(?m)^(Contact: <[^>]*>)", rb"\1;expires=" + found[1], _EXPIRES.sub(b"", data))


def digest_capitals(data: bytes) -> bytes:
    """Digest parameters with blanks around `=`, the response in capitals."""
    return _CREDENTIALS.sub(
        lambda line: _RESPONSE.sub(lambda found: b'response = "' + found[1].upper() + b'"', line[0]),
        data,
    )
