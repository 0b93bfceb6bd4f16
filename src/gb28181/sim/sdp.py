"""Offers of a platform and answers of a media sender (Annex G)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from gb28181.errors import MediaRefused
from gb28181.ids import Ssrc

Transport = Literal["udp", "tcp-active", "tcp-passive"]


@dataclass(frozen=True, slots=True)
class Offer:
    """What the receiver asks for.

    Args:
        operation: s= in lower case: `play`, `playback`, `download`, `talk`.
        address: Media address: that of the media if it has one, else that of the session.
        port: RTP port, or TCP port.
        transport: What *we* do: send datagrams, open the connection, or wait for it.
        ssrc: y=, None where it is missing.
        ssrc_text: y= as it was written; it is echoed.
        start, end: t=, UTC seconds; 0 for live.
        speed: a=downloadspeed.
    """

    operation: str
    address: str
    port: int
    transport: Transport
    ssrc: Ssrc | None
    ssrc_text: str
    start: int = 0
    end: int = 0
    speed: float = 1.0


def parse_offer(body: bytes) -> Offer:
    """Reads an offer; unknown lines are ignored, y= may stand anywhere.

    Raises:
        MediaRefused: It has no video that a camera could send (488).
        WireError: y= is no number.
    """
    operation, address, ssrc_text, setup = "", "", "", ""
    times, speed = (0, 0), 1.0
    media: list[str] | None = None
    is_ours = True  # the session part, or that of the first video
    for line in body.decode("utf-8", "replace").replace("\r", "\n").split("\n"):
        kind, _, value = line.strip().partition("=")
        value = value.strip()
        if kind == "m":
            is_ours = value.lower().startswith("video") and media is None
            media = value.split() if is_ours else media
        elif kind == "s":
            operation = value.lower()
        elif kind == "c" and is_ours:
            address = value.split()[-1].split("/")[0] if value else ""
        elif kind == "y":
            ssrc_text = value
        elif kind == "t" and (found := re.fullmatch(r"(\d{1,12})\s+(\d{1,12})", value)):
            times = (int(found[1]), int(found[2]))
        elif kind == "a" and (found := re.fullmatch(r"downloadspeed:\s*(\d{1,2})", value, re.IGNORECASE)):
            speed = float(found[1]) or 1.0
        elif kind == "a" and value.lower().startswith("setup:") and is_ours:
            setup = value[6:].strip().lower()
    if (
        media is None
        or len(media) < 4
        or not re.fullmatch("[0-9]{1,5}", media[1])
        or not 0 < int(media[1]) < 65_536
        or not address
    ):
        raise MediaRefused("the offer has no m=video line with a port, or no c= line", status=488, clause="Annex G")
    transport: Transport = "udp"
    if "TCP" in media[2].upper():
        # Without a=setup the device is the client (Annex D).
        transport = "tcp-passive" if setup == "active" else "tcp-active"
    ssrc = Ssrc.parse(ssrc_text) if ssrc_text else None
    return Offer(operation, address, int(media[1]), transport, ssrc, ssrc_text, *times, speed)


def answer(offer: Offer, *, channel_id: str, address: str, port: int) -> bytes:
    """The answer of a sender of PS; y= is echoed as it came."""
    family = "IP6" if ":" in address else "IP4"
    lines = [
        "v=0",
        f"o={channel_id} 0 0 IN {family} {address}",
        f"s={offer.operation.capitalize() or 'Play'}",
        f"c=IN {family} {address}",
        f"t={offer.start} {offer.end}",
        f"m=video {port} {'RTP/AVP' if offer.transport == 'udp' else 'TCP/RTP/AVP'} 96",
        "a=sendonly",
        "a=rtpmap:96 PS/90000",
    ]
    if offer.transport != "udp":
        lines += [f"a=setup:{'active' if offer.transport == 'tcp-active' else 'passive'}", "a=connection:new"]
    if offer.ssrc_text:
        lines.append(f"y={offer.ssrc_text}")
    return ("\r\n".join(lines) + "\r\n").encode()
