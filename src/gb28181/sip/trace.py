"""The last SIP messages, as bytes, for whoever asks what was said to a device and by it.

Two rings by bytes: keepalives and their answers, of which there are more than of everything else together, push nothing else
out. Nothing is parsed when a message passes; secrets are masked when it is shown.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, NamedTuple

from gb28181.clock import rfc3339
from gb28181.sip.uri import host_port

#: What an entry costs beside its bytes.
_OVERHEAD: Final = 300
#: Of a message that is shown as text; only a capture has it whole.
_READABLE: Final = 64 << 10
#: Share of the room that keepalives and their answers get.
_PULSE_SHARE: Final = 0.25
_KEEPALIVE: Final = b">Keepalive<"
#: Keepalives whose answers are waited for; some are never answered.
_MOST_ASKED: Final = 1000

_NAMES: Final = (
    rb"password|passwd|pwd|passphrase|secret|community|credential"
    rb"|cryptkey|privatekey|authkey|privkey|(?:access|auth|api)_?(?:token|key)"
)
#: The value of an element, CDATA too.
_VALUE: Final = rb"((?:<!\[CDATA\[(?:.{0,1024}?\]\]>)?|[^<])*)"
#: Bounds stand wherever a name may be long: a body of megabytes is searched in one pass.
_SECRETS: Final = (
    # What was computed from a password, in Authorization and what is like it (RFC 3261 §22, 2016 9.1.2.2), on folded lines too.
    re.compile(rb'(?i)((?<![a-z_-])(?:response|cnonce|rspauth)(?:\s*=|%3d)\s*)("(?:[^"\\]|\\.){0,1024}"|[^\s,;\r\n]+)'),
    # Schemes that send the secret itself; those of GB 35114 do not.
    re.compile(
        rb"(?im)^((?:proxy-)?authorization\s*:\s*(?!(?:digest|capability|(?:uni|bi)direction|asymmetric)\b)[\w-]{1,40}\s+)"
        rb"([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)"
    ),
    re.compile(rb"(?is)(<\s{0,8}[\w.:-]{0,40}(?:" + _NAMES + rb")[\w.-]{0,40}(?:\s[^<>]{0,400})?>)" + _VALUE),
    re.compile(rb"(?i)((?:" + _NAMES + rb")[\w.-]{0,20}[\"']?\s{0,8}[=:]\s{0,8})(\"[^\"<>]*\"|'[^'<>]*'|[^\s&;,<>\"']+)"),
    # Passwords in addresses of cameras and users (RFC 3261 §19.1.1).
    re.compile(rb"(?i)(\b(?:[a-z]{2,10}://|sips?:)[^\s:/@;<>\"]{1,100}:)([^\s@/;<>\"]{1,200})(?=@)"),
    # Links that are a right by themselves.
    re.compile(
        rb"(?is)(<\s{0,8}[\w.:-]{0,40}(?:uploadurl|fileurl)(?:\s[^<>]{0,400})?>\s*(?:<!\[CDATA\[\s*)?\w{1,20}://[^/<\s\]]*)([^<]*)"
    ),
    re.compile(rb"(/media/(?:upload|firmware)/)([^\s<>\"']+)"),
    re.compile(rb"(?i)([?&;]token=)([^&\s<;>\"]*)"),
    # Keys of media (RFC 4568, RFC 4566 §5.12).
    re.compile(rb"(?im)^(a=crypto:|k=)([^\r\n]*)"),
)
_MASK: Final = rb"\1***"
_COMMAND: Final = re.compile(rb"<\s*CmdType\s*>\s*([\w.]{1,40})")
_CSEQ_METHOD: Final = re.compile(rb"(?im)^CSeq\s*:\s*\d+\s+([A-Z]+)")


class TracedMessage(NamedTuple):
    """One message as it went over the wire.

    Args:
        at_us: UTC microseconds.
        host, port: The peer's.
        data: As received or sent; of a stream one message. It holds secrets.
    """

    at_us: int
    is_inbound: bool
    transport: str
    host: str
    port: int
    data: bytes

    @property
    def remote(self) -> str:
        """Address and port of the peer as text."""
        return host_port(self.host, self.port)

    @property
    def status(self) -> int:
        """Of a response; 0 for a request."""
        return int(self.data[8:11]) if self.data.startswith(b"SIP/2.0 ") and self.data[8:11].isdigit() else 0

    def summary(self) -> str:
        """One line: the method or status, and the command inside."""
        line = self.data.split(b"\n", 1)[0].strip()
        if self.status:
            method = _CSEQ_METHOD.search(self.data)
            told = _printable(line[8:])[:60]
            return f"{told} ({method[1].decode()})" if method else told
        told = _printable(line.split(b" ", 1)[0])[:20]
        command = _COMMAND.search(self.data)
        return f"{told} {command[1].decode('ascii', 'replace')}" if command else told

    def masked(self) -> bytes:
        """Its bytes without passwords, what was computed of them, and links that are rights."""
        data = self.data
        for secret in _SECRETS:
            data = secret.sub(_MASK, data)
        return data

    def text(self) -> str:
        """Masked, readable whatever character set its body has; what is longer than anybody reads is cut."""
        data = self._replace(data=self.data[:_READABLE]).masked()
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode("gb18030", "replace")


class _Ring:
    def __init__(self, room: int) -> None:
        self.messages: deque[TracedMessage] = deque()
        self._left = room

    def add(self, message: TracedMessage) -> None:
        self.messages.append(message)
        self._left -= len(message.data) + _OVERHEAD
        while self._left < 0 and self.messages:
            self._left += len(self.messages.popleft().data) + _OVERHEAD


class Trace:
    """Keeps what passes.

    Args:
        room: Bytes that may be kept, all peers together.
    """

    def __init__(self, room: int) -> None:
        pulse = int(room * _PULSE_SHARE)
        self._talk, self._pulse = _Ring(room - pulse), _Ring(pulse)
        self._asked_by: set[tuple[str, int]] = set()  # who sent keepalives whose answers come next; many are read at once

    def take(self, message: TracedMessage) -> None:
        """Every message passes here, in the order of the wire."""
        if message.is_inbound:
            if _KEEPALIVE in message.data:
                if len(self._asked_by) >= _MOST_ASKED:
                    self._asked_by.clear()
                self._asked_by.add((message.host, message.port))
                self._pulse.add(message)
                return
        elif self._asked_by and message.data.startswith(b"SIP/2.0 200"):
            asked_by = message.host, message.port
            if asked_by in self._asked_by:
                self._asked_by.discard(asked_by)
                self._pulse.add(message)
                return
        self._talk.add(message)

    def messages_of(
        self, device_id: str, *, limit: int, remotes: frozenset[tuple[str, int]] = frozenset()
    ) -> list[TracedMessage]:
        """The last messages that name the device, or went to or came from where it spoke.

        Args:
            remotes: Hosts and ports that it is known to have, beside those it is seen to speak from.
        """
        name = device_id.encode()
        # Its identifier stands in From; others name it in bodies and in To.
        sender = re.compile(rb"(?im)^(?:From|f)\s*:[^\r\n]*" + re.escape(name))
        spoken = {
            (message.host, message.port)
            for ring in (self._talk, self._pulse)
            for message in ring.messages
            if message.is_inbound and name in message.data and sender.search(message.data)
        }
        spoken |= remotes
        found = [
            message
            for ring in (self._talk, self._pulse)
            for message in ring.messages
            if (message.host, message.port) in spoken or name in message.data
        ]
        found.sort(key=lambda message: message.at_us)
        return found[-limit:] if limit else []


def hex_dump(messages: list[TracedMessage]) -> str:
    """Text that Wireshark's text2pcap turns into a capture; secrets are masked."""
    lines = ["# text2pcap -D -t ISO -u 5060,5060 trace.txt trace.pcap"]
    for message in messages:
        lines.append(f"# {message.summary()}, {message.transport}, {'from' if message.is_inbound else 'to'} {message.remote}")
        lines.append(f"{'I' if message.is_inbound else 'O'} {rfc3339(message.at_us)}")
        data = message.masked()
        lines += [f"{at:06x} {data[at : at + 16].hex(' ')}" for at in range(0, len(data), 16)]
        lines.append(f"{len(data):06x}")
    return "\n".join(lines) + "\n"


def _printable(data: bytes) -> str:
    return "".join(letter if letter.isprintable() else "·" for letter in data.decode("utf-8", "replace"))
