"""What the processes say to each other over Unix sockets (`frames.py`: as bytes).

Every message is idempotent: said twice, it changes nothing the second time. A reader ignores fields that it does not know, so
that two versions can talk during an upgrade.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

MediaTransport = Literal["udp", "tcp"]
EndCause = Literal["rotated", "silent", "closed", "stalled", "volume", "crash", "stopped", "restart", "clock"]


# --- control -> ingest ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attach:
    """First message of a control process; the newest one is obeyed, an older connection is closed.

    Args:
        epoch: Start of that control process, UTC microseconds.
        version: Version of the package.
    """

    epoch: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Asks for `Snapshot`: what runs and what of the journal is not acknowledged."""

    request_id: int


@dataclass(frozen=True, slots=True)
class OpenReceiver:
    """Reserves a port for one stream. The same `stream_id` again gives the same port.

    Args:
        transport: `udp`, or `tcp` for a passive TCP listener.
        ssrc: The y= that was offered; a hint only, the socket names the stream (quirk Q80).
        deadline_s: With no medium after so long and no control attached, the receiver closes itself.
    """

    request_id: int
    stream_id: str
    device_id: str
    channel_id: str
    transport: MediaTransport
    ssrc: int
    deadline_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ConfirmReceiver:
    """What the SDP answer said: where media and RTCP will come from. Hints, never a filter on a port of its own."""

    stream_id: str
    ssrc: int
    peer_host: str
    peer_port: int


@dataclass(frozen=True, slots=True)
class SetRecording:
    """Writes the stream to disk, or stops doing so; the stream itself goes on."""

    stream_id: str
    recording: bool


@dataclass(frozen=True, slots=True)
class CloseReceiver:
    """Closes the stream: its segment is closed with `cause`, its port rests for the quarantine."""

    request_id: int
    stream_id: str
    cause: EndCause = "closed"


@dataclass(frozen=True, slots=True)
class DeleteSegments:
    """Removes closed segments of one volume (with index and manifest row) in the volume's writer thread.

    Args:
        paths: Relative to the volume, without suffix: `device/channel/20260301/080000.000`.
    """

    request_id: int
    volume: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The journal up to and including `seq` is in the database and may be forgotten."""

    seq: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Closes every segment and ends the process."""

    request_id: int = 0


# --- ingest -> control ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of an ingest to whoever connects.

    Args:
        name: `ingest-0`, `ingest-1`, …
        epoch: Start of that ingest process, UTC microseconds.
    """

    name: str
    epoch: int
    pid: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class ReceiverOpened:
    request_id: int
    stream_id: str
    port: int


@dataclass(frozen=True, slots=True)
class Done:
    """A request was carried out. `failed` names the parts that could not be (paths of `DeleteSegments`)."""

    request_id: int
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A request could not be carried out; `message` says why and what to do."""

    request_id: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class StreamState:
    """One stream as the ingest sees it; the figures of the stream page. Times are UTC microseconds, 0 = never.

    Args:
        bytes: Payload bytes (PS) since the start.
        lost: Packets lost since the start; `late`: came after their place was given up; `reordered`: came out of order and
            were put right; `duplicate`: came twice.
        source: `host:port` that media comes from, "" before the first packet.
        format: What the payload is: `ps`, `ts`, `es-h264`, `es-h265`, "" unknown.
        width, height, fps: Of the pictures, as a sequence parameter set and the packs of a GOP tell; 0 unknown.
        segment_start: Start of the segment being written, 0 when not recording.
        port: The local media port.
    """

    stream_id: str
    device_id: str
    channel_id: str
    transport: MediaTransport
    port: int
    ssrc: int = 0
    recording: bool = False
    watched: bool = False
    connected_at: int = 0
    first_rtp_at: int = 0
    first_ps_at: int = 0
    first_key_frame_at: int = 0
    last_media_at: int = 0
    last_key_frame_at: int = 0
    packets: int = 0
    bytes: int = 0
    lost: int = 0
    late: int = 0
    reordered: int = 0
    duplicate: int = 0
    foreign: int = 0
    bitrate_kbps: float = 0.0
    jitter_ms: float = 0.0
    gop_s: float = 0.0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    source: str = ""
    format: str = ""
    note: str = ""
    segment_start: int = 0
    volume: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    request_id: int
    streams: tuple[StreamState, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """A stream reached a stage for the first time, or lost or found its media.

    Args:
        what: `connected` (TCP accepted), `first_rtp`, `first_ps`, `first_key_frame`, `silent` (no medium for
            `media.silence_s`), `resumed`, `disconnected` (TCP closed by the peer), `recording` (a segment was opened).
        at: UTC microseconds.
        detail: For people: source address, what was seen instead of media.
    """

    stream_id: str
    what: Literal["connected", "first_rtp", "first_ps", "first_key_frame", "silent", "resumed", "disconnected", "recording"]
    at: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SegmentClosed:
    """A segment is on disk for good; journalled until acknowledged.

    Args:
        seq: Number in the journal of this ingest, rising, over restarts too.
        volume: Root folder of the volume.
        path: Relative to the volume, without suffix.
        start, end: UTC microseconds of the first byte and of the last medium.
        sha256: Hex digest of the PS file, "" where hashing is off; `chain`: digest over the previous chain value of the
            channel and `sha256`.
        end_cause: Why it ended; anything but `rotated` and `clock` (it was set: another one follows at once) begins a gap.
        lost: RTP packets missing inside.
        adopted: Found after a crash and cut to its last whole GOP.
    """

    seq: int
    stream_id: str
    device_id: str
    channel_id: str
    volume: str
    path: str
    start: int
    end: int
    bytes: int
    sha256: str
    chain: str
    end_cause: EndCause
    lost: int = 0
    key_frames: int = 0
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The ingest gave a stream up by itself (deadline, volume gone); control decides what follows."""

    stream_id: str
    at: int
    cause: str


@dataclass(frozen=True, slots=True)
class VolumeState:
    """One recording volume as its writer thread sees it.

    Args:
        suspect: A call has taken longer than `recording.suspect_seconds`; its channels move away.
        pending_bytes: Waiting to be written.
    """

    volume: str
    total_bytes: int
    free_bytes: int
    pending_bytes: int = 0
    suspect: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures every 5 s: the process, its volumes, its streams.

    Args:
        tick_late: Ticks that began more than one period late, since the start.
        tick_late_max_ms: The worst since the last `Statistics`.
        cpu_s: CPU seconds of the process since its start.
    """

    at: int
    tick_late: int
    tick_late_max_ms: float
    cpu_s: float
    rss_bytes: int
    ports_free: int
    volumes: tuple[VolumeState, ...]
    streams: tuple[StreamState, ...]


# --- edge -> ingest ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watch:
    """Wants the PS bytes of a channel from its last key frame on."""

    watch_id: int
    device_id: str
    channel_id: str


@dataclass(frozen=True, slots=True)
class Unwatch:
    watch_id: int


# --- ingest -> edge ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WatchStarted:
    """The watch runs; `MediaChunk`s follow.

    Args:
        file: Absolute path of the segment being written, "" when the last key frame is not on disk. It may be renamed
            (without `.part`) before it is opened.
        file_from, file_until: Bytes of that file to read first: from the last key frame to where the chunks begin.
    """

    watch_id: int
    stream_id: str
    file: str = ""
    file_from: int = 0
    file_until: int = 0


@dataclass(frozen=True, slots=True)
class WatchEnded:
    """No such stream (cause `not_found`), it was closed, or this reader was too slow (`overrun`: watch again)."""

    watch_id: int
    cause: str


# --- edge <-> control ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Viewers:
    """How many viewers every watched channel has now; the whole truth each time, so a lost one does no harm.

    Args:
        epoch: Start of the edge process, UTC microseconds.
        channels: `(device_id, channel_id, viewers)`.
    """

    epoch: int
    pid: int
    channels: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class WantStream:
    """A viewer came with a valid link for a channel that does not run (any more): open it."""

    device_id: str
    channel_id: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """How far a device is with what it fetches from us or leaves with us; the newest one of a session counts.

    Args:
        session_id: SessionID of the upgrade or of the snapshots.
        done, total: Bytes of a firmware, or number of pictures.
    """

    session_id: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class PlaybackControl:
    """A wish of the API for a playback session: control to edge. An edge that does not know the session ignores it.

    Args:
        position: UTC microseconds, for `seek`.
        speed: For `speed`.
    """

    session_id: str
    action: Literal["pause", "resume", "seek", "speed", "close"]
    position: int | None = None
    speed: float | None = None


Message = Any
"""One of the dataclasses above."""

KINDS: Final[dict[str, type]] = {
    kind.__name__: kind
    for kind in (
        Attach, SnapshotRequest, OpenReceiver, ConfirmReceiver, SetRecording, CloseReceiver, DeleteSegments,
        Acknowledge, Stop, Hello, ReceiverOpened, Done, Failed, Snapshot, Progress, SegmentClosed, StreamEnded,
        Statistics, Watch, Unwatch, WatchStarted, WatchEnded, Viewers, WantStream, Transfer, PlaybackControl,
    )
}  # fmt: skip
"""By the name that stands in a frame."""

LOSS: Final = 1
"""Flag of a chunk: bytes before it are missing; the parser starts anew at the next start code."""
RECORDED: Final = 2
"""Flag of a chunk: these bytes also go to the segment file."""


@dataclass(slots=True)
class MediaChunk:
    """A run of one stream's PS bytes on its way to the edge.

    Args:
        offset: Position of `data[0]` in the stream, counted from its start.
        at: Arrival, UTC microseconds.
    """

    watch_id: int
    flags: int
    offset: int
    at: int
    data: bytes
