"""Why there is no picture, in words: the stage reached and the answer seen, turned into cause and remedy (W25)."""

from __future__ import annotations

from typing import Final

from gb28181.messages import MediaTransport
from gb28181.session.model import Stage
from gb28181.sip.sdp import SessionDescription
from gb28181.texts.text import Text, say

#: What an operator is told when a stage was the last one reached before the time was up.
_STUCK: Final[dict[Stage, str]] = {
    Stage.RESERVED: "live.stuck.reserved",
    Stage.INVITED: "live.stuck.invited",
    Stage.TRYING: "live.stuck.trying",
    Stage.ANSWERED: "live.stuck.answered",
    Stage.CONNECTED: "live.stuck.connected",
    Stage.FIRST_RTP: "live.stuck.first_rtp",
    Stage.FIRST_PS: "live.stuck.first_ps",
    Stage.FIRST_KEY_FRAME: "live.stuck.first_key_frame",
}

_REFUSED: Final[dict[int, str]] = {
    status: f"live.refused.{status}" for status in (400, 403, 404, 415, 480, 481, 486, 487, 488, 500, 503, 603)
}
_BEFORE_THE_ANSWER: Final = frozenset({Stage.RESERVED, Stage.INVITED, Stage.TRYING})


def doubt(answer: SessionDescription, offered: MediaTransport) -> str:
    """Why media may never come after this answer to our offer; "" for a good one (quirks Q89, Q90).

    It is no refusal: some devices write this and send all the same.
    """
    if not answer.port:
        return say("live.doubt.port_zero")
    if answer.media == "audio":
        return say("live.doubt.sound_alone")
    if offered == "udp" and answer.transport == "tcp":
        return say("live.doubt.says_tcp")
    if offered == "tcp" and answer.setup == "passive":
        return say("live.doubt.both_wait")
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
) -> Text:
    """Sentence for a stream that went no further than `stage`."""
    if doubt and stage is Stage.ANSWERED:
        return say("live.stuck.doubtful", peer=peer, media=media, waited=waited, doubt=doubt)
    known = note or say("live.unknown_payload")
    return say(_STUCK[stage], peer=peer, media=media, transport=transport.upper(), waited=waited, note=known)


def unanswered(stage: Stage, *, peer: str, waited: float) -> Text:
    """Sentence for an INVITE without a final answer; media may have come all the same."""
    if stage in _BEFORE_THE_ANSWER:
        return stuck(stage, peer=peer, waited=waited)
    return say("live.stuck.unanswered", peer=peer, waited=waited)


def refused(status: int, reason: str, *, peer: str) -> Text:
    """Sentence for a final answer other than 2xx."""
    said = reason or say("live.refused.answered", status=status)
    return say("live.refused", peer=peer, said=said, meaning=say(_REFUSED.get(status, "live.refused.other")))
