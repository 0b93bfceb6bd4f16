"""MANSRTSP: control of playback in the body of INFO, RTSP without a URI (Annex B).

Reading is lenient: either version token, LF or CRLF, names in any letter case. Any bytes give an `Order`, a `Reply` or
`WireError`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from gb28181.errors import MisuseError, WireError

CONTENT_TYPE: Final = "Application/MANSRTSP"
Method = Literal["PLAY", "PAUSE", "TEARDOWN"]
#: What Annex B prints, and what the examples of 2016 print.
Version = Literal["RTSP/1.0", "MANSRTSP/1.0"]

_MAX_BYTES: Final = 16 << 10
_METHODS: Final[dict[str, Method]] = {"PLAY": "PLAY", "PAUSE": "PAUSE", "TEARDOWN": "TEARDOWN"}
_START: Final = re.compile(
    r"(?:([A-Za-z]{1,20})\s+(?:MANS)?RTSP/1\.[01]|(?:MANS)?RTSP/1\.[01]\s+(\d{3})\s*(.{0,200}))", re.ASCII | re.IGNORECASE
)
_SECONDS: Final = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_CLOCK: Final = re.compile(r"(\d{1,4}):(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)(?::\d{1,2}(?:\.\d{1,2})?)?", re.ASCII)
_RTP_INFO: Final = re.compile(r"\b(seq|rtptime)\s*=\s*(\d{1,10})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Range:
    """Part of a recording, in seconds from its start (`t=`), not of the clock.

    Args:
        start: None means now.
        stop: None means the end, or the begin where it plays backwards.
    """

    start: float | None = None
    stop: float | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What a receiver wants of a running playback.

    Args:
        cseq: Counts the orders of a session; not the CSeq of SIP. 0 where the peer wrote none.
        scale: Speed; negative is backwards (2022). None leaves it as it is.
        range: Where to go on; None is from here.
    """

    method: Method
    cseq: int
    scale: float | None = None
    range: Range | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer, which may stand in the 200 to INFO.

    Args:
        seq, rtptime: The RTP packet with which the order takes effect (RTP-Info).
    """

    status: int
    cseq: int
    reason: str = ""
    scale: float | None = None
    range: Range | None = None
    seq: int | None = None
    rtptime: int | None = None


def parse(body: bytes) -> Order | Reply:
    """Reads a body.

    Raises:
        WireError: It is neither an order of Annex B nor a reply.
    """
    if len(body) > _MAX_BYTES:
        raise WireError(f"MANSRTSP of {len(body)} bytes, accepted are {_MAX_BYTES}", status=413, clause="Annex B")
    lines = body.decode("utf-8", "replace").strip(" \t\r\n\0").splitlines() or [""]
    start = _START.fullmatch(lines[0].strip())
    if start is None:
        raise WireError(f"no MANSRTSP: {lines[0][:40]!r}, expected PLAY RTSP/1.0", clause="Annex B")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip(" \t\0"))
    cseq = headers.get("cseq", "")
    number = int(cseq) if cseq.isascii() and cseq.isdigit() and len(cseq) <= 9 else 0
    scale = _scale(headers.get("scale", ""))
    wanted = _range(headers.get("range", ""))
    if start[2]:
        info = {name.lower(): int(value) for name, value in _RTP_INFO.findall(headers.get("rtp-info", ""))}
        reason = (start[3] or "").strip()
        return Reply(int(start[2]), number, reason, scale, wanted, info.get("seq"), info.get("rtptime"))
    method = _METHODS.get(start[1].upper())
    if method is None:
        raise WireError(f"MANSRTSP method {start[1]!r}, expected PLAY, PAUSE or TEARDOWN", clause="Annex B")
    return Order(method, number, scale, wanted)


def build(message: Order | Reply, *, version: Version = "RTSP/1.0") -> bytes:
    """Writes a body, its empty line included.

    Raises:
        MisuseError: A number that is none, or a reason with a line break.
    """
    if isinstance(message, Order):
        lines = [f"{message.method} {version}", f"CSeq: {message.cseq}"]
    else:
        lines = [f"{version} {message.status} {message.reason}".rstrip(), f"CSeq: {message.cseq}"]
    if message.scale is not None:
        lines.append(f"Scale: {_decimal(message.scale)}")
    if message.range is not None:
        start = "now" if message.range.start is None else _decimal(message.range.start).removesuffix(".0")
        stop = "" if message.range.stop is None else _decimal(message.range.stop).removesuffix(".0")
        lines.append(f"Range: npt={start}-{stop}")
    if isinstance(message, Order):
        if message.method == "PAUSE":
            lines.append("PauseTime: now")
    elif message.seq is not None and message.rtptime is not None:
        lines.append(f"RTP-Info: seq={message.seq};rtptime={message.rtptime}")
    text = "".join(f"{line}\r\n" for line in lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        raise MisuseError("a MANSRTSP value holds a line break")
    return f"{text}\r\n".encode()


def _decimal(number: float) -> str:
    if not math.isfinite(number) or abs(number) >= 1e9:
        raise MisuseError(f"{number!r} is no number of MANSRTSP")
    text = f"{number:.6f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _scale(text: str) -> float | None:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    return sign * float(digits) if _SECONDS.fullmatch(digits) else None


def _range(text: str) -> Range | None:
    """`npt=100-`, `npt=now-`, `npt=600-120` or `smpte=0:10:20-`; other units say nothing to us."""
    unit, equals, value = text.partition("=")
    start, dash, stop = value.partition("-")
    if not equals or unit.strip().lower() not in {"npt", "smpte"}:
        return None
    first = _seconds(start)
    if first is None and start.strip().lower() not in {"now", ""}:
        return None
    return Range(first, _seconds(stop) if dash else None)


def _seconds(text: str) -> float | None:
    text = text.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    clock = _CLOCK.fullmatch(text)
    return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3]) if clock else None
