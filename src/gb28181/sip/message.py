"""SIP messages in memory (RFC 3261 §7). Header names are lower case and full; values are text in which any byte survives:
decoded as UTF-8 with surrogate escapes, so that GB 18030 in a header comes out again as it came in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gb28181.errors import MisuseError
from gb28181.sip.headers import CSeq, Via, address_tag, is_list, parse_cseq, parse_via, spelled, split_list

Headers = list[tuple[str, str]]

REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    423: "Interval Too Brief",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    603: "Decline",
}


class Message:
    """What requests and responses share. Mutable only while the parser builds it; no frozen dataclass, because it is
    made once per datagram (STYLE §10).

    Args:
        headers: In the order received.
        first: First value of each header, by name.
        faults: Names of what was tolerated.
    """

    __slots__ = ("_cseq", "_from_tag", "_to_tag", "_via", "body", "faults", "first", "headers")

    def __init__(self, headers: Headers, body: bytes, faults: tuple[str, ...] = ()) -> None:
        self.headers = headers
        self.body = body
        self.faults = faults
        self.first = dict(reversed(headers))  # the first of several is set last and stays
        self._via: Via | None = None
        self._cseq: CSeq | None = None
        self._from_tag: str | None = None
        self._to_tag: str | None = None

    def header(self, name: str) -> str:
        """First value of a header, "" where it is missing."""
        return self.first.get(name, "")

    def values(self, name: str) -> list[str]:
        """Every value of a header; lists joined by commas are split where the header is one."""
        lines = [value for other, value in self.headers if other == name]
        return [part for line in lines for part in split_list(line)] if is_list(name) else lines

    @property
    def via(self) -> Via | None:
        """The topmost Via; None where it is missing or unreadable."""
        if self._via is None and (line := self.first.get("via")) is not None:
            self._via = parse_via(line)
        return self._via

    @property
    def call_id(self) -> str:
        return self.first.get("call-id", "")

    @property
    def cseq(self) -> CSeq | None:
        if self._cseq is None:
            self._cseq = parse_cseq(self.first.get("cseq", ""))
        return self._cseq

    @property
    def from_tag(self) -> str:
        if self._from_tag is None:
            self._from_tag = address_tag(self.first.get("from", ""))
        return self._from_tag

    @property
    def to_tag(self) -> str:
        if self._to_tag is None:
            self._to_tag = address_tag(self.first.get("to", ""))
        return self._to_tag

    @property
    def content_type(self) -> str:
        """Media type in lower case without parameters."""
        return self.first.get("content-type", "").partition(";")[0].strip().lower()


class Request(Message):
    """A request; `method` is upper case, `version` as received in upper case."""

    __slots__ = ("method", "uri", "version")

    def __init__(
        self,
        method: str,
        uri: str,
        headers: Headers,
        body: bytes = b"",
        faults: tuple[str, ...] = (),
        version: str = "SIP/2.0",
    ) -> None:
        super().__init__(headers, body, faults)
        self.method = method
        self.uri = uri
        self.version = version


class Response(Message):
    """A response; `status` 100 to 699."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, headers: Headers, body: bytes = b"", faults: tuple[str, ...] = ()) -> None:
        super().__init__(headers, body, faults)
        self.status = status
        self.reason = reason


def reason_of(status: int) -> str:
    return REASONS.get(status) or REASONS.get(status // 100 * 100) or "Unknown"


def request_bytes(method: str, uri: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """A request as it is sent; Content-Length is added and must not stand among the headers."""
    return _assemble(f"{method} {uri} SIP/2.0", headers, body)


def response_bytes(status: int, reason: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """A response as it is sent; Content-Length is added."""
    return _assemble(f"SIP/2.0 {status} {reason or reason_of(status)}", headers, body)


def response_copying(
    request: Request, via: str, status: int, reason: str, to_tag: str, extra: Iterable[tuple[str, str]], body: bytes
) -> bytes:
    """As `response_bytes` with the headers that an answer takes over from its request (RFC 3261 §8.2.6.2), many times a second.

    They came out of the parser, so no line break is in them.

    Args:
        via: Its topmost Via as it is returned, "" where it had none.
        to_tag: Is added to To where that has none.
    """
    first = request.first
    lines = [f"SIP/2.0 {status} {reason or reason_of(status)}"]
    if via:
        lines.append(f"Via: {via}")
        if len(request.headers) != len(first):
            lines += [f"Via: {value}" for value in [value for name, value in request.headers if name == "via"][1:]]
    if "from" in first:
        lines.append(f"From: {first['from']}")
    if (to := first.get("to")) is not None:
        lines.append(f"To: {to};tag={to_tag}" if to_tag and not request.to_tag else f"To: {to}")
    if "call-id" in first:
        lines.append(f"Call-ID: {first['call-id']}")
    if "cseq" in first:
        lines.append(f"CSeq: {first['cseq']}")
    return _closed(lines, extra, body)


def message_bytes(message: Request | Response) -> bytes:
    """A parsed message in canonical form, with the true Content-Length."""
    headers = [(name, value) for name, value in message.headers if name != "content-length"]
    if isinstance(message, Request):
        return request_bytes(message.method, message.uri, headers, message.body)
    return response_bytes(message.status, message.reason, headers, message.body)


def _assemble(start: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    return _closed([start], headers, body)


def _closed(lines: list[str], headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    for name, value in headers:
        lines.append(f"{spelled(name)}: {value}")
    lines.append(f"Content-Length: {len(body)}\r\n\r\n")
    head = "\r\n".join(lines)
    # Each line brings one break and the last one two more; any other came in through a value.
    if head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1:
        raise MisuseError("a header value holds a line break")
    return head.encode("utf-8", "surrogateescape") + body
