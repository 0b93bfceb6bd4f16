"""SIP messages as a device reads and writes them (RFC 3261 §7, §20, §22), written from the standard for the simulator alone."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from gb28181.errors import SipSyntaxError

_COMPACT: Final = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
    "s": "subject",
}
_MOST_HEADER_BYTES: Final = 16_384
_MOST_BODY_BYTES: Final = 1 << 20
_URI: Final = re.compile(r"sips?:(?:([^@>;?\s]*)@)?(\[[^\]]*\]|[^:;>?\s]+)(?::(\d{1,5}))?", re.IGNORECASE)
_TAG: Final = re.compile(r";\s*tag\s*=\s*([^;,\s>]+)", re.IGNORECASE)
_DIGEST_PARAMETER: Final = re.compile(r'([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    500: "Server Internal Error",
}


@dataclass(slots=True)
class Message:
    """A request or a response.

    Args:
        method: Of the request; of a response that from its CSeq.
        uri: Request-URI, "" for a response.
        status: Of the response, 0 for a request.
        headers: Names as they are on the wire, values without line ends, in order.
        body: Bytes; their number is written as Content-Length.
    """

    method: str
    uri: str = ""
    status: int = 0
    reason: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def get(self, name: str) -> str:
        """First value of a header, "" where it is absent; the name in lower case and long form."""
        return next(iter(self.all(name)), "")

    def all(self, name: str) -> list[str]:
        """Every value of a header that may stand several times."""
        return [value for key, value in self.headers if _COMPACT.get(key.lower(), key.lower()) == name]

    @property
    def call_id(self) -> str:
        return self.get("call-id")

    @property
    def cseq(self) -> int:
        """Number of the CSeq, 0 where it is no number."""
        number = self.get("cseq").split(" ", 1)[0]
        return int(number) if number.isascii() and number.isdigit() and len(number) < 11 else 0

    @property
    def branch(self) -> str:
        """Branch of the topmost Via, "" where old devices leave it out."""
        return parameter(self.get("via"), "branch")

    def to_bytes(self) -> bytes:
        first = f"SIP/2.0 {self.status} {self.reason}" if self.status else f"{self.method} {self.uri} SIP/2.0"
        lines = [first, *(f"{name}: {value}" for name, value in self.headers), f"Content-Length: {len(self.body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def parameter(value: str, name: str) -> str:
    """Value of a `;name=value` parameter, "" where it is absent or has none."""
    match = re.search(rf";\s*{name}\s*=\s*([^;,\s]+)", value, re.IGNORECASE)
    return match[1].strip('"') if match else ""


def tag_of(value: str) -> str:
    """Tag of a From or To value, "" where it has none."""
    match = _TAG.search(value)
    return match[1] if match else ""


def uri_parts(value: str) -> tuple[str, str, int]:
    """User, host and port (5060 where it is left out) of the first SIP URI in a header value.

    Raises:
        SipSyntaxError: There is none.
    """
    match = _URI.search(value)
    if match is None:
        raise SipSyntaxError(f"no SIP URI in {value[:60]!r}", clause="RFC 3261 §19.1")
    return match[1] or "", match[2].strip("[]"), int(match[3] or 5060)


def uri_of(value: str) -> str:
    """The SIP URI of a Contact or From value, with its parameters if it stands in angle brackets.

    Raises:
        SipSyntaxError: There is none.
    """
    match = re.search(r"<\s*(sips?:[^>]+?)\s*>", value, re.IGNORECASE) or re.search(r"(sips?:[^;,\s]+)", value, re.IGNORECASE)
    if match is None:
        raise SipSyntaxError(f"no SIP URI in {value[:60]!r}", clause="RFC 3261 §19.1")
    return match[1]


def parse(data: bytes) -> Message:
    """One whole message; of a datagram what follows Content-Length bytes of body is ignored.

    Raises:
        SipSyntaxError: It is none, or shorter than it says.
    """
    head, separator, body = data.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not separator or len(head) > _MOST_HEADER_BYTES:
        raise SipSyntaxError("no end of the headers found", clause="RFC 3261 §7")
    message = _parse_head(head)
    length = message.get("content-length")
    size = int(length) if length.isascii() and length.isdigit() and len(length) < 8 else len(body)
    if len(body) < size:
        raise SipSyntaxError(f"body has {len(body)} of {size} bytes", clause="RFC 3261 §18.3")
    message.body = body[:size]
    message.headers = [pair for pair in message.headers if pair[0].lower() not in ("content-length", "l")]
    return message


def _parse_head(head: bytes) -> Message:
    text = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace"))
    first, *lines = text.split("\r\n")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise SipSyntaxError(f"header line without colon: {line[:60]!r}", clause="RFC 3261 §7.3")
        headers.append((name.strip(), value.strip()))
    words = first.split(" ", 2)
    if len(words) == 3 and words[0].upper() == "SIP/2.0" and re.fullmatch("[1-6][0-9]{2}", words[1]):
        message = Message("", status=int(words[1]), reason=words[2], headers=headers)
        message.method = message.get("cseq").rpartition(" ")[2].upper()
        return message
    if len(words) == 3 and words[2].upper() == "SIP/2.0":
        return Message(words[0].upper(), uri=words[1], headers=headers)
    raise SipSyntaxError(f"first line is neither request nor status: {first[:60]!r}", clause="RFC 3261 §7.1")


class StreamReader:
    """Cuts a TCP connection into messages by Content-Length; holds at most one message."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now.

        Raises:
            SipSyntaxError: The connection cannot be followed any more.
        """
        self._buffer += data
        messages: list[Message] = []
        while True:
            while self._buffer[:2] == b"\r\n":  # keepalive of RFC 5626
                del self._buffer[:2]
            end = self._buffer.find(b"\r\n\r\n", 0, _MOST_HEADER_BYTES + 4)
            if end < 0:
                if len(self._buffer) > _MOST_HEADER_BYTES:
                    raise SipSyntaxError("headers without end on a connection", clause="RFC 3261 §7")
                return messages
            length = _parse_head(bytes(self._buffer[:end])).get("content-length") or "0"
            if not re.fullmatch("[0-9]{1,7}", length) or int(length) > _MOST_BODY_BYTES:
                raise SipSyntaxError(f"Content-Length {length[:20]!r} on a connection", clause="RFC 3261 §18.3")
            total = end + 4 + int(length)
            if len(self._buffer) < total:
                return messages
            messages.append(parse(bytes(self._buffer[:total])))
            del self._buffer[:total]


def response_to(
    request: Message,
    status: int,
    *,
    to_tag: str = "",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    source: tuple[str, int],
) -> Message:
    """The response with the headers that RFC 3261 §8.2.6 and RFC 3581 §4 ask for."""
    copied = []
    for index, via in enumerate(request.all("via")):
        if index == 0:
            via = re.sub(r";\s*rport(?=\s*(;|$))", f";rport={source[1]}", via, flags=re.IGNORECASE)
            via = f"{via};received={source[0]}" if ";received=" not in via.lower() else via
        copied.append(("Via", via))
    to = request.get("to")
    if to_tag and not tag_of(to):
        to = f"{to};tag={to_tag}"
    copied += [("From", request.get("from")), ("To", to), ("Call-ID", request.call_id), ("CSeq", request.get("cseq"))]
    return Message(request.method, status=status, reason=_REASONS[status], headers=[*copied, *headers], body=body)


def new_branch() -> str:
    return "z9hG4bK" + secrets.token_hex(8)


def new_tag() -> str:
    return secrets.token_hex(5)


def authorization(challenge: str, *, username: str, password: str, method: str, uri: str) -> str | None:
    """Value of the Authorization header that answers a Digest challenge, None where it asks for what we cannot do.

    MD5 and SHA-256, with `qop=auth` or without (RFC 2617 §3.2.2, RFC 8760).
    """
    scheme, _, rest = challenge.strip().partition(" ")
    given = {name.lower(): quoted or plain for name, quoted, plain in _DIGEST_PARAMETER.findall(rest)}
    algorithm = given.get("algorithm", "MD5")
    hashes = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
    if scheme.lower() != "digest" or algorithm.upper() not in hashes or "nonce" not in given:
        return None
    realm, nonce = given.get("realm", ""), given["nonce"]
    new_hash = hashes[algorithm.upper()]

    def digest(text: str) -> str:
        return new_hash(text.encode()).hexdigest()

    ha1, ha2 = digest(f"{username}:{realm}:{password}"), digest(f"{method}:{uri}")
    common = f'Digest username="{username}",realm="{realm}",nonce="{nonce}",uri="{uri}"'
    if "opaque" in given:
        common += f',opaque="{given["opaque"]}"'
    if "auth" in [choice.strip() for choice in given.get("qop", "").split(",")]:
        cnonce, count = secrets.token_hex(4), "00000001"
        answer = digest(f"{ha1}:{nonce}:{count}:{cnonce}:auth:{ha2}")
        return f'{common},response="{answer}",algorithm={algorithm},qop=auth,nc={count},cnonce="{cnonce}"'
    return f'{common},response="{digest(f"{ha1}:{nonce}:{ha2}")}",algorithm={algorithm}'
