"""What the API asks of the other parts. `control/app.py` fills it; a test fills it with small fakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gb28181.accounts.service import AccountService
from gb28181.alarm.service import AlarmService
from gb28181.bus import Bus
from gb28181.catalog.levels import Level
from gb28181.catalog.model import Channel, ChannelKey, Counts, Job, View
from gb28181.catalog.tree import NodeKey
from gb28181.clock import Clock
from gb28181.command.service import CommandService
from gb28181.device.model import Device, DeviceChange, RegistrationRefused, Stranger
from gb28181.messages import StreamState, VolumeState
from gb28181.position.service import PositionService
from gb28181.ptz.memory import PtzMemory
from gb28181.ptz.service import PtzService
from gb28181.recording.archive import Day, Overview
from gb28181.recording.service import RecordingPage, RecordingStatus
from gb28181.session.model import Session
from gb28181.session.playback import Playback
from gb28181.sip.trace import Trace
from gb28181.subscription.service import SubscriptionService


class Devices(Protocol):
    """`device.service.DeviceService`."""

    def devices(self) -> Sequence[Device]: ...

    def get(self, device_id: str) -> Device: ...

    def is_online(self, device_id: str) -> bool: ...

    def is_faulty(self, device_id: str, channel_id: str) -> bool: ...

    def refusals(self) -> Sequence[RegistrationRefused]: ...

    async def provision(self, device_id: str, *, name: str = "", password: str = "") -> Device: ...

    async def update(self, device_id: str, change: DeviceChange) -> Device: ...

    def keepalive_interval_s(self, device_id: str) -> float: ...

    def strangers(self) -> Sequence[Stranger]: ...

    async def accept(self, device_id: str, *, name: str = "", password: str = "") -> Device: ...

    def dismiss(self, device_id: str) -> None: ...

    def one_source(self) -> str: ...

    async def remove(self, device_id: str) -> None: ...


class Catalog(Protocol):
    """`catalog.service.CatalogService`."""

    def channels(self, device_id: str) -> Sequence[Channel]: ...

    def all_channels(self) -> Sequence[Channel]: ...

    def unused(self, device_id: str) -> Sequence[Channel]: ...

    def shown(self, device_id: str) -> int: ...

    def counts(self) -> Counts: ...

    async def search(
        self,
        query: str = "",
        *,
        device_id: str = "",
        online: bool | None = None,
        limit: int,
        after: tuple[str, str] | None = None,
    ) -> Sequence[Channel]: ...

    async def level(
        self, parent: str = "", *, by: View = "device", device_id: str = "", limit: int, after: NodeKey | None = None
    ) -> Level: ...

    def channel(self, key: ChannelKey) -> Channel: ...

    def is_online(self, key: ChannelKey) -> bool: ...

    def refresh(self, device_id: str) -> Job: ...

    def job(self, job_id: str) -> Job: ...


class Sessions(Protocol):
    """`session.service.SessionService`."""

    async def open_live(self, key: ChannelKey, *, user: str, transport: str | None = None) -> Session: ...

    def sessions(self) -> Sequence[Session]: ...

    def session(self, session_id: str) -> Session: ...

    async def close(self, session_id: str) -> None: ...

    def stream_state(self, key: ChannelKey) -> StreamState | None: ...


class Playbacks(Protocol):
    """`session.playback.PlaybackService`."""

    async def open(self, key: ChannelKey, start: int, end: int, *, user: str) -> Playback: ...

    def sessions(self) -> Sequence[Playback]: ...

    def find(self, session_id: str) -> Playback | None: ...

    def control(
        self,
        session_id: str,
        action: Literal["pause", "resume", "seek", "speed"],
        *,
        position: int | None = None,
        speed: float | None = None,
    ) -> Playback: ...

    def close(self, session_id: str) -> None: ...


class Recordings(Protocol):
    """`recording.service.RecordingService`."""

    async def set_mode(
        self, key: ChannelKey, mode: str, *, transport: str | None = None, retention_hours: float | None = None
    ) -> object: ...

    def status(self, key: ChannelKey) -> RecordingStatus: ...

    def counts(self) -> Mapping[str, int]: ...

    async def recordings(
        self, key: ChannelKey, start: int, end: int, *, limit: int, after: tuple[int, int] | None
    ) -> RecordingPage: ...


class Archive(Protocol):
    """`recording.archive.Archive`."""

    async def calendar(self, key: ChannelKey, month: str, zone: str = "") -> Sequence[Day]: ...

    async def overview(self, *, limit: int) -> Overview: ...


@dataclass(frozen=True, slots=True)
class Part:
    """One process, or a part of control.

    Args:
        state: `running`, or in one word what else.
        detail: For people: why it is not running.
    """

    name: str
    state: str
    pid: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    status: Literal["ok", "degraded"]
    parts: Sequence[Part]
    version: str


@dataclass(frozen=True, slots=True)
class SipAccess:
    """What is typed into a camera, but the password. `tls_port`: 0 where SIP over TLS is not offered."""

    server_id: str
    domain: str
    host: str
    port: int
    transports: Sequence[str] = ("udp", "tcp")
    tls_port: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller may have of the API (`http.…` in the configuration).

    Args:
        requests_per_s: Of one user; a source address that is not logged in has the same.
        sessions_per_user: Open at once.
    """

    requests_per_s: float = 100.0
    sessions_per_user: int = 100


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that an endpoint may use.

    Args:
        link_key: Signs links to media; the edge has the same one.
        link_ttl_s: How long a link opens something.
        volumes: Root folders in the order of the configuration; a link names a volume by its place in it.
        volume_states: Newest state of every volume that an ingest serves.
        sip: The data for cameras, asked each time because the address may follow the route.
        metrics: Prometheus text.
    """

    devices: Devices
    catalog: Catalog
    sessions: Sessions
    playbacks: Playbacks
    recordings: Recordings
    archive: Archive
    commands: CommandService
    alarms: AlarmService
    positions: PositionService
    subscriptions: SubscriptionService
    ptz: PtzService
    ptz_memory: PtzMemory
    accounts: AccountService
    bus: Bus
    clock: Clock
    link_key: bytes
    link_ttl_s: int
    volumes: Sequence[str]
    volume_states: Callable[[], Sequence[VolumeState]]
    sip: Callable[[], SipAccess]
    health: Callable[[], Health]
    metrics: Callable[[], bytes]
    trace: Trace
    limits: Limits = Limits()
