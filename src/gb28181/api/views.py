"""What the API shows of channels and sessions: one function each from the entity to its JSON."""

from __future__ import annotations

from typing import Literal

from gb28181.api.fields import Said, Shown
from gb28181.api.routing import Model
from gb28181.api.services import Services
from gb28181.catalog.model import Channel, Job
from gb28181.clock import from_us
from gb28181.messages import StreamState, VolumeState
from gb28181.recording.service import RecordingStatus
from gb28181.session.model import Session

_SILENT_US = 5_000_000


class VolumeView(Model):
    """`number`: as in links to segments; null when it is not configured any more."""

    number: int | None
    path: str
    total_bytes: int
    free_bytes: int
    pending_bytes: int
    suspect: bool
    error: Said


class RecordingView(Model):
    """`state`: recording, starting, failed (`message` says why) or off."""

    mode: str
    state: str
    since: Shown | None
    message: Said
    retention_hours: float


class StreamView(Model):
    """`state`: waiting (no media yet), running, or silent (no media for 5 s).

    `fps`, `width` and `height` are null until the stream has told them.
    """

    state: Literal["waiting", "running", "silent"]
    transport: str
    source: str
    format: str
    bitrate_kbps: float
    packets: int
    bytes: int
    lost: int
    late: int
    reordered: int
    duplicate: int
    jitter_ms: float
    gop_s: float
    watched: bool
    recording: bool
    key_frame_age_s: float | None
    fps: float | None
    width: int | None
    height: int | None
    first_key_frame_at: Shown | None
    last_media_at: Shown | None
    note: Said


class ChannelView(Model):
    """`faulty`: the device's keepalive says that it does not work; it may be online all the same."""

    device_id: str
    channel_id: str
    name: str
    online: bool
    faulty: bool
    manufacturer: str
    model: str
    parent_id: str
    civil_code: str
    longitude: float | None
    latitude: float | None
    ptz_type: int
    playable: bool
    recording: RecordingView
    stream: StreamView | None


class ChannelPage(Model):
    items: list[ChannelView]
    next: str | None


class JobView(Model):
    job_id: str
    kind: str
    device_id: str
    state: str
    received: int
    announced: int
    message: Said
    started_at: Shown
    finished_at: Shown | None


class StageView(Model):
    stage: str
    at: Shown


class SessionView(Model):
    session_id: str
    device_id: str
    channel_id: str
    user: str
    opened_at: Shown
    transport: str
    viewers: int
    recording: bool
    stages: list[StageView]


def channel(services: Services, found: Channel) -> ChannelView:
    state = services.sessions.stream_state(found.key)
    return ChannelView(
        device_id=found.key.device_id,
        channel_id=found.key.channel_id,
        name=shown_name(found),
        online=services.catalog.is_online(found.key),
        faulty=services.devices.is_faulty(found.key.device_id, found.key.channel_id),
        manufacturer=found.manufacturer,
        model=found.model,
        parent_id=found.parent_id,
        civil_code=found.civil_code,
        longitude=found.longitude,
        latitude=found.latitude,
        ptz_type=found.ptz_type,
        playable=found.is_playable,
        recording=recording(services.recordings.status(found.key)),
        stream=None if state is None else stream(state, services.clock.utc_us()),
    )


def shown_name(found: Channel) -> str:
    """The operator's name where there is one."""
    return found.alias or found.name


def volume(services: Services, state: VolumeState) -> VolumeView:
    roots = list(services.volumes)
    return VolumeView(
        number=roots.index(state.volume) if state.volume in roots else None,
        path=state.volume,
        total_bytes=state.total_bytes,
        free_bytes=state.free_bytes,
        pending_bytes=state.pending_bytes,
        suspect=state.suspect,
        error=state.error,
    )


def recording(status: RecordingStatus) -> RecordingView:
    return RecordingView(
        mode=status.mode,
        state=status.state,
        since=status.since,
        message=status.message,
        retention_hours=status.retention_hours,
    )


def stream(state: StreamState, now_us: int) -> StreamView:
    phase: Literal["waiting", "running", "silent"] = "running"
    if not state.first_key_frame_at:
        phase = "waiting"
    elif now_us - state.last_media_at > _SILENT_US:
        phase = "silent"
    return StreamView(
        state=phase,
        transport=state.transport,
        source=state.source,
        format=state.format,
        bitrate_kbps=round(state.bitrate_kbps, 1),
        packets=state.packets,
        bytes=state.bytes,
        lost=state.lost,
        late=state.late,
        reordered=state.reordered,
        duplicate=state.duplicate,
        jitter_ms=round(state.jitter_ms, 2),
        gop_s=round(state.gop_s, 3),
        key_frame_age_s=round(max(0, now_us - state.last_key_frame_at) / 1e6, 1) if state.last_key_frame_at else None,
        fps=round(state.fps, 2) or None,
        width=state.width or None,
        height=state.height or None,
        watched=state.watched,
        recording=state.recording,
        first_key_frame_at=from_us(state.first_key_frame_at) if state.first_key_frame_at else None,
        last_media_at=from_us(state.last_media_at) if state.last_media_at else None,
        note=state.note,
    )


def job(found: Job) -> JobView:
    return JobView(
        job_id=found.job_id,
        kind=found.kind,
        device_id=found.device_id,
        state=found.state,
        received=found.received,
        announced=found.announced,
        message=found.message,
        started_at=found.started_at,
        finished_at=found.finished_at,
    )


def stages(found: Session) -> list[StageView]:
    return [StageView(stage=reached.stage, at=reached.at) for reached in found.stages]


def session(found: Session) -> SessionView:
    return SessionView(
        session_id=found.session_id,
        device_id=found.key.device_id,
        channel_id=found.key.channel_id,
        user=found.user,
        opened_at=found.opened_at,
        transport=found.transport,
        viewers=found.viewers,
        recording=found.recording,
        stages=stages(found),
    )


def matches(query: str, *texts: str) -> bool:
    """Whether a search text occurs in one of these, whatever the case; two Chinese characters find a name."""
    wanted = query.casefold().strip()
    return not wanted or any(wanted in text.casefold() for text in texts)
