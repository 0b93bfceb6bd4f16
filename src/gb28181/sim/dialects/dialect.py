"""What a dialect may change: one value with a hook for each place where a device leaves the standard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from gb28181.sim.catalog import Item


class Trait(Enum):
    """Behaviour that is no matter of writing."""

    #: Keepalives leave from a second port.
    KEEPALIVE_OTHER_PORT = auto()
    #: Never renews; goes on reporting after the registration has ended.
    KEEPALIVE_AFTER_EXPIRY = auto()
    #: Unanswered keepalives are no reason to register; only a refusal is.
    NO_REGISTER_AFTER_RESTART = auto()
    #: Messages about a channel carry the channel in From, and come from a second port.
    MESSAGE_FROM_CHANNEL = auto()
    #: Registers twice, the first time with Expires 0.
    UNREGISTERS_FIRST = auto()
    #: The second registration has the same Call-ID and no credentials.
    REGISTERS_OFTEN = auto()
    #: NOTIFY tells all channels OFF and ON again.
    FLAPPING_NOTIFY = auto()
    #: Items of a NOTIFY have no Event.
    NOTIFY_WITHOUT_EVENT = auto()
    #: NOTIFY has no Subscription-State, 200 to SUBSCRIBE no Expires.
    NO_SUBSCRIPTION_STATE = auto()
    #: Alarms come as MESSAGE though they are subscribed to.
    ALARM_BY_MESSAGE = auto()
    #: Alarms come twice, as MESSAGE and as NOTIFY.
    ALARM_TWICE = auto()
    #: Positions come as alarms of method 4.
    POSITION_AS_ALARM = auto()
    #: The catalogue is never answered.
    NO_CATALOG = auto()
    #: Every Item in a message of its own, all sent at once.
    UNPACED = auto()
    #: The last part of an answer is never sent.
    LAST_PART_LOST = auto()
    #: RTP has another SSRC than y= says.
    OTHER_RTP_SSRC = auto()
    #: A 180 and a pause come before the 200 to INVITE.
    RINGS = auto()
    #: MediaStatus comes outside of the call, from the channel.
    MEDIA_STATUS_OUTSIDE = auto()
    #: MediaStatus comes two times.
    MEDIA_STATUS_TWICE = auto()
    #: A recording that has ended is told by nothing: RTP stops.
    NO_MEDIA_STATUS = auto()
    #: A recording that has ended is told by BYE alone.
    BYE_AT_END = auto()
    #: A recording goes on after its end.
    ENDLESS_PLAYBACK = auto()
    #: After an INFO a BYE whose CSeq does not rise above it is not understood.
    STRICT_CSEQ = auto()
    #: Above normal speed only key pictures are sent.
    KEYS_ONLY = auto()
    #: Timestamps follow the clock on the wall at any speed.
    RESTAMPED = auto()
    #: The answer to INVITE has another y= than the offer, and RTP has that one.
    OTHER_SSRC = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way of leaving the standard.

    Args:
        name: Says the symptom.
        rows: Quirk rows that it reproduces.
        zh: What it does, for operators.
        en: The same in English.
        message: Rewrites every SIP message before it is sent.
        text: Rewrites every body before it is encoded.
        charset: Label of the XML declaration ("" for none at all) and codec of the bytes.
        items: Rewrites the catalogue; gets the device's own code too.
        total: Rewrites SumNum.
        sdp: Rewrites the answer to an offer.
        payload_type: Of RTP.
        settings: Fields of `Settings` that it changes.
        parts: Other dialects that it is made of.
    """

    name: str
    rows: str
    zh: str
    en: str
    message: Callable[[bytes], bytes] | None = None
    text: Callable[[str], str] | None = None
    charset: tuple[str, str] | None = None
    items: Callable[[list[Item], str], list[Item]] | None = None
    total: Callable[[int], int] | None = None
    sdp: Callable[[str], str] | None = None
    payload_type: int | None = None
    traits: frozenset[Trait] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


def traits(*names: Trait) -> frozenset[Trait]:
    """Traits as a dialect holds them."""
    return frozenset(names)
