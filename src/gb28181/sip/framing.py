"""SIP messages out of a TCP stream (RFC 3261 §18.3), whatever Content-Length says (quirks Q1-Q4).

A body that is XML ends where its root element closes; Content-Length decides only where there is no XML. So a length that
is 0, missing, too small (counted in characters) or too large neither cuts a message nor holds up the next one. Where the
bytes do not tell yet whether more belongs to a message, a short deadline decides.

Invariant: however the stream is cut into pieces, the same messages come out of it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gb28181.sip.parser import BARE_LF, MAX_HEAD, MISSING_LENGTH, START_LINE, WRONG_LENGTH, content_length

_PADDING: Final = b"\r\n\0 \t"
_LENGTH: Final = re.compile(rb"\n(?:content-length|l)[ \t]{0,8}:[ \t]{0,8}([^\r\n]{0,40})", re.IGNORECASE)
_TYPE: Final = re.compile(rb"\n(?:content-type|c)[ \t]{0,8}:[ \t]{0,8}([^\r\n;]{0,80})", re.IGNORECASE)
#: Requests that have a body as a rule; some peers leave Content-Type out.
_CARRIERS: Final = (b"MESSAGE ", b"NOTIFY ")
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
#: The root element, behind the declaration and comments. Names are ASCII in every MANSCDP message.
_ROOT: Final = re.compile(rb"<([A-Za-z_][\w.-]{0,60})[\s/>]")
_ROOT_WITHIN: Final = 2048
_LINE_WITHIN: Final = 2048
#: A start line directly behind a body; only known methods, or the body's last letters would count as part of one.
_NEXT_START: Final = re.compile(
    rb"(?:REGISTER|MESSAGE|NOTIFY|INVITE|ACK|BYE|CANCEL|OPTIONS|INFO|SUBSCRIBE|PUBLISH|UPDATE|PRACK|REFER)"
    rb" {1,8}sips?:[^\r\n ]{1,500} {1,8}SIP/2\.0|SIP/2\.0 {1,8}\d{3}[ \r\n]"
)
#: No tag of a root element is longer; so far back a search goes on in bytes that it has seen.
_TAG_WITHIN: Final = 300
_START_WITHIN: Final = 600
#: Blanks behind a root element that a true Content-Length may count.
_BLANKS: Final = 8


class Framed(NamedTuple):
    """One message as cut out: `head` without the blank line."""

    head: bytes
    body: bytes
    faults: tuple[str, ...]


class StreamFramer:
    """Cuts one connection's bytes into messages.

    Args:
        max_message: Bytes of a body; may be raised when the peer has proved who it is.
        max_junk: Bytes that were no SIP before the connection is given up.
        patience: Seconds of silence after which bytes that might still belong to a message are not waited for.
    """

    def __init__(self, *, max_message: int, max_junk: int = 64 << 10, patience: float = 1.0) -> None:
        self.max_message = max_message
        #: Too much junk or too large a message: the connection must be closed.
        self.is_broken = False
        #: Double CRLFs since it was last set to 0; each is answered with CRLF (RFC 5626 §3.5.1).
        self.pings = 0
        self.junk_bytes = 0
        self._max_junk = max_junk
        self._patience = patience
        self._buffer = bytearray()
        self._newlines = 0
        self._owed = 0  # blanks that the last Content-Length counted behind the root: no keep-alive
        self._searched = 0  # in the buffer: nothing is found before it
        self._starts_searched = 0  # the same for start lines in a body
        self._deadline: float | None = None
        # Of the message whose head is complete:
        self._head: bytes | None = None
        self._faults: tuple[str, ...] = ()
        self._length = 0
        self._expects_xml = False
        self._tag: re.Pattern[bytes] | None = None
        self._depth = 0

    @property
    def buffered(self) -> int:
        """Bytes held of a message that is not complete."""
        return len(self._buffer) + (len(self._head) if self._head is not None else 0)

    def feed(self, data: bytes, now: float) -> list[Framed]:
        """Takes bytes; returns the messages that they complete."""
        if self.is_broken:
            return []
        self._buffer += data
        messages: list[Framed] = []
        while self._head is not None or self._read_head():
            end = self._body_end()
            if end is None:
                break
            messages.append(self._take(end))
        if self._head is None or len(self._buffer) < self._length:
            self._deadline = None  # nothing begun, or the rest is on its way: Content-Length says so
        else:
            self._deadline = now + self._patience
        return messages

    def next_deadline(self) -> float | None:
        return self._deadline

    def expire(self, now: float) -> list[Framed]:
        """Ends a wait: the message is as long as its Content-Length says, without one as long as what is there."""
        if self._deadline is None or now < self._deadline or self._head is None:
            return []
        first = self._take(self._length or len(self._buffer))
        return [first, *self.feed(b"", now)]

    # --- head

    def _read_head(self) -> bool:
        """Goes to the next start line, past padding and junk; True when a whole head was taken out."""
        buffer = self._buffer
        if not self._searched and not self._find_start_line():
            return False
        found = _BLANK_LINE.search(buffer, max(0, self._searched - 2), MAX_HEAD + 4)
        if found is None:
            self._searched = len(buffer)
            if len(buffer) > MAX_HEAD:
                self._break()
            return False
        head = bytes(buffer[: found.start()])
        del buffer[: found.end()]
        self._begin(head)
        return True

    def _find_start_line(self) -> bool:
        buffer = self._buffer
        while True:
            padding = len(buffer) - len(buffer.lstrip(_PADDING))
            if padding:
                owed = min(self._owed, padding)
                self._owed -= owed
                self._newlines += buffer.count(b"\n", owed, padding)
                self.pings += self._newlines // 2
                self._newlines %= 2
                del buffer[:padding]
            end = buffer.find(b"\n", 0, _LINE_WITHIN)
            if end < 0 and len(buffer) < _LINE_WITHIN:
                return False
            if end >= 0 and START_LINE.match(buffer, 0, end + 1):
                self._newlines = self._owed = 0
                return True
            size = end + 1 if end >= 0 else _LINE_WITHIN
            self.junk_bytes += size
            del buffer[:size]
            if self.junk_bytes > self._max_junk:
                self._break()
                return False

    def _begin(self, head: bytes) -> None:
        self._faults = () if head.endswith(b"\r") or b"\r\n" in head else (BARE_LF,)
        self._head = head.removesuffix(b"\r")
        self._searched = self._starts_searched = self._depth = 0
        self._tag = None
        said = _LENGTH.search(head)
        length = content_length(said[1].strip().decode("latin-1")) if said else None
        if length is None:
            self._faults = (*self._faults, WRONG_LENGTH if said else MISSING_LENGTH)
        self._length = length or 0
        kind = _TYPE.search(head)
        self._expects_xml = b"xml" in kind[1].lower() if kind else head[:8].upper().startswith(_CARRIERS)
        if self._length > self.max_message:
            self._break()

    # --- body

    def _body_end(self) -> int | None:
        """Where the body ends in the buffer; None while that cannot be told."""
        buffer, length = self._buffer, self._length
        if self.is_broken:
            return None
        if self._tag is None:
            # A body that is padding as far as its length goes is no XML, whatever has come behind it by now.
            first = buffer[: min(length or _ROOT_WITHIN, _ROOT_WITHIN)].lstrip(_PADDING + b"\xef\xbb\xbf")[:1]
            if not first and (self._expects_xml or length):
                return length if 0 < length <= len(buffer) else None
            if first != b"<" or not (self._expects_xml or length):
                return length if length <= len(buffer) else None
            root = _ROOT.search(buffer, 0, _ROOT_WITHIN)
            if root is None:
                # Decided by the same bytes however they were cut: those in which a root would have to be.
                start = self._next_start()
                if start is not None and start < _ROOT_WITHIN:
                    return start
                return length if _ROOT_WITHIN <= len(buffer) >= length else None
            self._searched = root.start()
            self._tag = re.compile(rb"<(/?)" + re.escape(root[1]) + rb"(?=[\s/>])([^<>]{0,%d})>" % _TAG_WITHIN)
        # XML that the peer cut short has the next message behind it, or silence.
        start = self._next_start()
        end = self._root_end(self._tag, len(buffer) if start is None else start)
        if end is None and start is None and len(buffer) > self.max_message:
            self._break()
        return start if end is None else end

    def _root_end(self, tag: re.Pattern[bytes], within: int) -> int | None:
        """End of the root element, where tags of its name balance."""
        for match in tag.finditer(self._buffer, self._searched, within):
            self._searched = match.end()
            if match[1]:
                self._depth -= 1
            elif not match[2].endswith(b"/"):
                self._depth += 1
            if self._depth <= 0:
                return match.end()
        self._searched = max(self._searched, within - 2 * _TAG_WITHIN)
        return None

    def _next_start(self) -> int | None:
        """Where the start line of another message stands in the body."""
        buffer = self._buffer
        at = self._starts_searched
        while (at := buffer.find(b"SIP/2.0", at)) >= 0:
            window = max(0, at - _START_WITHIN)
            found = _NEXT_START.search(buffer, window, at + 16)
            if found is not None:
                return found.start()
            at += 7
        self._starts_searched = max(0, len(buffer) - _START_WITHIN)
        return None

    def _take(self, end: int) -> Framed:
        head, faults = self._head, self._faults
        assert head is not None
        body = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._head = None
        self._deadline = None
        self._searched = 0
        self._owed = self._length - end if end < self._length <= end + _BLANKS else 0
        wrong = end > self._length or self._length > end + _BLANKS
        if wrong and not faults and body.strip(_PADDING):
            faults = (WRONG_LENGTH,)
        return Framed(head, body, faults)

    def _break(self) -> None:
        self.is_broken = True
        self._buffer.clear()
        self._head = None
        self._deadline = None
