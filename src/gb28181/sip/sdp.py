"""Session descriptions of GB/T 28181 (Annex G, RFC 4566): our offer and the answers of devices.

`y=` and `f=` are not in RFC 4566 and come in any place, so this is a line parser of our own (quirk Q82). It reads what it
needs and passes over the rest; it fails only when there is no media line at all.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from gb28181.errors import MisuseError, WireError
from gb28181.ids import Ssrc

Transport = Literal["udp", "tcp"]
Setup = Literal["", "active", "passive", "actpass", "holdconn"]

#: PS first; the elementary streams after it keep devices quiet that refuse an offer of PS alone (quirk Q87). The numbers
#: are those that C.2 suggests.
LIVE_PAYLOADS: Final[tuple[tuple[int, str], ...]] = (
    (96, "PS/90000"),
    (98, "H264/90000"),
    (97, "MPEG4/90000"),
    (100, "H265/90000"),
)

_MAX_BYTES: Final = 64 << 10
_MAX_LINES: Final = 1000
_SPACE: Final = " \t\r\0"
_DIGITS: Final = re.compile(r"\d{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """What an SDP says about its first usable media, video before audio.

    Args:
        host: Where media comes from or goes to: `c=` of the media, else of the session, else of `o=`; "" unknown.
        port: Of the media line; 0 means refused (RFC 3264 §6).
        setup: `a=setup` in lower case, "" where there is none: then the complement of the offer holds.
        ssrc: `y=`, None where it is missing or no number (quirk Q80: keep the offered one).
        payloads: Payload types in the order of the media line.
        rtpmap: Encoding name in upper case by payload type ("PS", "H264"); vendors' names are kept.
        format: `f=` as sent.
        attributes: First value of every other `a=` line by lower-case name, of session and media together.
    """

    host: str
    port: int
    media: str
    transport: Transport
    setup: Setup = ""
    ssrc: Ssrc | None = None
    direction: str = ""
    name: str = ""
    uri: str = ""
    start: int = 0
    stop: int = 0
    payloads: tuple[int, ...] = ()
    rtpmap: Mapping[int, str] = field(default_factory=dict)
    format: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


def build_offer(
    *,
    owner: str,
    host: str,
    port: int,
    transport: Transport,
    ssrc: Ssrc,
    name: str = "Play",
    payloads: tuple[tuple[int, str], ...] = LIVE_PAYLOADS,
    session_id: int = 0,
) -> bytes:
    """Our offer to receive video: live by default; over TCP the device connects to our port.

    `y=` stands last: some devices answer 415 when an `a=` line follows it.

    Args:
        owner: Code in `o=`: ours, who send this description (Annex G).
        host: Address that the device sends to, told to it as `c=`.
        session_id: Of `o=`; a device that mixes sessions up wants it to differ (quirk Q100).
    """
    family = _family(host)
    protocol = "TCP/RTP/AVP" if transport == "tcp" else "RTP/AVP"
    numbers = " ".join(str(number) for number, _ in payloads)
    lines = [
        "v=0",
        f"o={owner} {session_id} {session_id} IN {family} {host}",
        f"s={name}",
        f"c=IN {family} {host}",
        "t=0 0",
        f"m=video {port} {protocol} {numbers}",
        "a=recvonly",
        *(f"a=rtpmap:{number} {encoding}" for number, encoding in payloads),
    ]
    if transport == "tcp":
        lines += ["a=setup:passive", "a=connection:new"]
    lines.append(f"y={ssrc}")
    return "".join(f"{line}\r\n" for line in lines).encode()


def parse(body: bytes) -> SessionDescription:
    """Reads an SDP of a peer: LF or CRLF, letters in any order, blanks after `=`.

    Raises:
        WireError: No media line that names a port, or a body beyond every bound (488).
    """
    if len(body) > _MAX_BYTES:
        raise WireError(f"SDP of {len(body)} bytes, accepted are {_MAX_BYTES}", status=488, clause="Annex G")
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n", _MAX_LINES)[:_MAX_LINES]
    reading = _Reading()
    for line in lines:
        letter, equals, value = line.strip(_SPACE).partition("=")
        if equals and (read := _LINES.get(letter.strip(_SPACE).lower())):
            read(reading, value.strip(_SPACE))
    section = reading.chosen()
    if section is None:
        raise WireError("SDP without a media line that names a port", status=488, clause="Annex G")
    return SessionDescription(
        host=section.host or reading.session.host or reading.origin,
        port=section.port,
        media=section.media,
        transport=section.transport,
        setup=_setup(section.attributes.get("setup") or reading.session.attributes.get("setup", "")),
        ssrc=reading.ssrc,
        direction=section.direction or reading.session.direction,
        name=reading.name,
        uri=reading.uri,
        start=reading.start,
        stop=reading.stop,
        payloads=section.payloads,
        rtpmap=section.rtpmap,
        format=reading.format,
        attributes={**reading.session.attributes, **section.attributes},
    )


class _Section:
    """The session part, or one media part."""

    def __init__(self, media: str = "", port: int = 0, transport: Transport = "udp", payloads: tuple[int, ...] = ()) -> None:
        self.media = media
        self.port = port
        self.transport: Transport = transport
        self.payloads = payloads
        self.host = ""
        self.direction = ""
        self.rtpmap: dict[int, str] = {}
        self.attributes: dict[str, str] = {}


class _Reading:
    def __init__(self) -> None:
        self.session = _Section()
        self.sections: list[_Section] = []
        self.current = self.session
        self.origin = ""
        self.name = ""
        self.uri = ""
        self.start = 0
        self.stop = 0
        self.format = ""
        self.ssrc: Ssrc | None = None

    def chosen(self) -> _Section | None:
        for media in ("video", "audio", ""):
            for wants_port in (True, False):
                for section in self.sections:
                    if section.media.startswith(media) and bool(section.port) == wants_port:
                        return section
        return None

    def read_origin(self, value: str) -> None:
        self.origin = _host(value)

    def read_name(self, value: str) -> None:
        self.name = value

    def read_uri(self, value: str) -> None:
        self.uri = value

    def read_connection(self, value: str) -> None:
        self.current.host = _host(value)

    def read_time(self, value: str) -> None:
        numbers = [int(part) for part in value.split() if _DIGITS.fullmatch(part)]
        if len(numbers) >= 2:
            self.start, self.stop = numbers[0], numbers[1]

    def read_media(self, value: str) -> None:
        parts = value.split()
        if len(parts) < 2:
            return
        # RFC 4566 §5.14: a port may carry a count, "5000/2".
        port = parts[1].partition("/")[0]
        if not _DIGITS.fullmatch(port) or int(port) > 65535:
            return
        transport: Transport = "tcp" if len(parts) > 2 and "TCP" in parts[2].upper() else "udp"
        payloads = tuple(int(part) for part in parts[3:] if _DIGITS.fullmatch(part) and int(part) < 128)
        self.current = _Section(parts[0].lower(), int(port), transport, payloads)
        self.sections.append(self.current)

    def read_attribute(self, value: str) -> None:
        name, _, rest = value.partition(":")
        name, rest = name.strip(_SPACE).lower(), rest.strip(_SPACE)
        if name in ("recvonly", "sendonly", "sendrecv", "inactive"):
            self.current.direction = name
        elif name == "rtpmap":
            number, _, encoding = rest.partition(" ")
            if _DIGITS.fullmatch(number) and int(number) < 128:
                self.current.rtpmap[int(number)] = encoding.strip(_SPACE).partition("/")[0].upper()
        else:
            self.current.attributes.setdefault(name, rest)

    def read_ssrc(self, value: str) -> None:
        try:
            self.ssrc = Ssrc.parse(value)
        except WireError:
            return  # never fail for y=: the offered SSRC and the port name the stream (quirk Q80)

    def read_format(self, value: str) -> None:
        self.format = value


_LINES: Final = {
    "o": _Reading.read_origin,
    "s": _Reading.read_name,
    "u": _Reading.read_uri,
    "c": _Reading.read_connection,
    "t": _Reading.read_time,
    "m": _Reading.read_media,
    "a": _Reading.read_attribute,
    "y": _Reading.read_ssrc,
    "f": _Reading.read_format,
}


def _host(value: str) -> str:
    """Address at the end of `IN IP4 <ip>`; "" where it is none or the unspecified one."""
    text = value.split()[-1].partition("/")[0] if value.split() else ""
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return text if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}", text, re.ASCII) and "." in text else ""
    return "" if address.is_unspecified else str(address)


def _setup(text: str) -> Setup:
    match text.lower():
        case "active":
            return "active"
        case "passive":
            return "passive"
        case "actpass":
            return "actpass"
        case "holdconn":
            return "holdconn"
    return ""


def _family(host: str) -> str:
    if any(character in host for character in "\r\n ") or not host:
        raise MisuseError(f"not a host for SDP: {host!r}")
    return "IP6" if ":" in host else "IP4"
