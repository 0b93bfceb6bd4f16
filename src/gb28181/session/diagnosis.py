"""Why there is no picture, in words: the stage reached and the answer seen, turned into cause and remedy (W25)."""

from __future__ import annotations

from typing import Final

from gb28181.messages import MediaTransport
from gb28181.session.model import Stage
from gb28181.sip.sdp import SessionDescription

#: What an operator is told when a stage was the last one reached before the time was up.
_STUCK: Final[dict[Stage, str]] = {
    Stage.RESERVED: "the INVITE could not be sent to {peer}: check the network to the device",
    Stage.INVITED: (
        "{peer} did not answer the INVITE within {waited:.0f} s: the device may be asleep, overloaded or behind a NAT that "
        "has closed; check that its keepalives arrive and that it may send from its SIP port"
    ),
    Stage.TRYING: (
        "{peer} acknowledged the INVITE but sent no final answer within {waited:.0f} s: its encoder may be busy; "
        "close other viewers of this channel on the device or restart it"
    ),
    Stage.ANSWERED: (
        "{peer} accepted the INVITE but no {transport} media arrived at {media} within {waited:.0f} s: check the firewall for "
        "this port, and that the device can reach the address told to it (media.advertise)"
    ),
    Stage.CONNECTED: (
        "{peer} opened its media connection to {media} but sent nothing within {waited:.0f} s: restart the channel's "
        "encoder on the device"
    ),
    Stage.FIRST_RTP: (
        "RTP arrives at {media} but it holds no program stream after {waited:.0f} s ({note}): set the device's GB/T 28181 "
        "stream format to PS"
    ),
    Stage.FIRST_PS: (
        "a program stream arrives but no key frame came within {waited:.0f} s ({note}): lower the key frame interval of the "
        "device, and switch its stream encryption off"
    ),
    Stage.FIRST_KEY_FRAME: "the stream runs",
}

_REFUSED: Final[dict[int, str]] = {
    400: "the device found the INVITE malformed: check that its server ID and domain are ours",
    403: "the device forbids it: check its access list and that its server ID and domain are ours",
    404: "the device knows no such channel: ask for its catalogue again",
    415: "the device does not accept the offered media description",
    480: "the channel is not available: it may be offline behind the device",
    481: "the device says the call does not exist: it may have been restarted, try again",
    486: "the device serves no more streams of this channel: close other viewers on the device",
    487: "the device cancelled the call",
    488: "the device cannot serve the offered media",
    500: "the device reports an internal error: restart it",
    503: "the device is overloaded: close other streams on it",
    603: "the device declines the call",
}


def doubt(answer: SessionDescription, offered: MediaTransport) -> str:
    """Why media may never come after this answer to our offer; "" for a good one (quirks Q89, Q90).

    It is no refusal: some devices write this and send all the same.
    """
    if not answer.port:
        return "its answer refuses the media (port 0): the channel has no picture, or the device serves no more streams"
    if answer.media == "audio":
        return "its answer names sound alone: the channel has no picture"
    if offered == "udp" and answer.transport == "tcp":
        return "its answer says TCP to an offer of UDP: set this device's media transport to TCP"
    if offered == "tcp" and answer.setup == "passive":
        return "its answer says a=setup:passive as ours does, so both wait: set this device's media transport to UDP"
    return ""


def stuck(
    stage: Stage,
    *,
    peer: str,
    media: str = "",
    transport: str = "",
    waited: float = 0.0,
    note: str = "",
    doubt: str = "",
) -> str:
    """Sentence for a stream that went no further than `stage`."""
    if doubt and stage is Stage.ANSWERED:
        return f"{peer} accepted the INVITE and no media arrived at {media} within {waited:.0f} s: {doubt}"
    return _STUCK[stage].format(
        peer=peer, media=media, transport=transport.upper(), waited=waited, note=note or "unknown payload"
    )


def refused(status: int, reason: str, *, peer: str) -> str:
    """Sentence for a final answer other than 2xx."""
    known = _REFUSED.get(status, "the device refused the call")
    return f"{peer}: {reason or f'answered {status}'}: {known}"
