"""Streams and sessions. A *stream* is one INVITE dialog with one channel and its receiver in an ingest; a *session* is what
one API caller holds. There is one live stream per channel however many sessions, viewers and recordings use it (Annex K)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from gb28181.catalog.model import ChannelKey
from gb28181.device.model import Route
from gb28181.ids import DeviceId
from gb28181.messages import Snapshot


class Stage(StrEnum):
    """How far opening a stream has come; the last one reached is what an operator is told."""

    RESERVED = "reserved"
    INVITED = "invited"
    TRYING = "trying"
    ANSWERED = "answered"
    CONNECTED = "connected"
    FIRST_RTP = "first_rtp"
    FIRST_PS = "first_ps"
    FIRST_KEY_FRAME = "first_key_frame"


@dataclass(frozen=True, slots=True)
class Dialog:
    """An INVITE dialog of ours as UAC (RFC 3261 §12), complete enough to send BYE after a restart.

    Args:
        local_uri, remote_uri: From and To values without tags, in angle brackets as sent.
        target: Remote target: Contact of the answer, or the URI of the INVITE where Contact is missing.
        route_set: Route headers, first hop first.
        cseq: Of the last request sent in it; rises strictly (quirk Q149b).
        route: The way the INVITE went.
    """

    call_id: str
    local_uri: str
    local_tag: str
    remote_uri: str
    remote_tag: str
    target: str
    route_set: tuple[str, ...]
    cseq: int
    route: Route


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """What the database keeps of a running stream: written before the ACK, removed after the BYE was answered or given up.

    Args:
        ingest: Name of the ingest that holds the receiver.
        receiver_port: Its media port.
        closing: We have decided to end it; only the BYE is still due.
    """

    stream_id: str
    key: ChannelKey
    ingest: str
    ingest_epoch: int
    transport: Literal["udp", "tcp"]
    receiver_port: int
    ssrc: int
    dialog: Dialog
    created_at: datetime
    closing: bool = False


@dataclass(frozen=True, slots=True)
class StageTime:
    stage: Stage
    at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """What one caller of the API opened.

    Args:
        stages: Times at which the stream behind it reached each stage.
    """

    session_id: str
    key: ChannelKey
    user: str
    opened_at: datetime
    stages: tuple[StageTime, ...] = ()
    transport: Literal["", "udp", "tcp"] = ""
    viewers: int = 0
    recording: bool = False


@dataclass(frozen=True, slots=True)
class StreamUp:
    """A stream delivers pictures."""

    key: ChannelKey
    stream_id: str


@dataclass(frozen=True, slots=True)
class StreamDown:
    """A stream ended; `stage` is the last one it had reached."""

    key: ChannelKey
    stream_id: str
    cause: str
    stage: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class StreamFailed:
    """A stream could not be opened."""

    key: ChannelKey
    stage: str
    message: str
    detail: dict[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaFinished:
    """A device says that it has sent all there is (MediaStatus 121).

    Args:
        channel_id: "" where neither the dialog nor the message names a channel.
        call_id: Of the message; that of the session's dialog, or a fresh one.
        is_live: It came in the dialog of a live stream, which goes on all the same (quirk Q156).
    """

    device_id: DeviceId
    channel_id: str
    call_id: str
    is_live: bool


@dataclass(frozen=True, slots=True)
class IngestUp:
    """An ingest answered: what it holds. The same epoch as before means that it never stopped."""

    name: str
    epoch: int
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class IngestDown:
    """The connection to an ingest broke; whether its streams live shows when it answers again, or does not."""

    name: str
    epoch: int
