"""What the API asks of the other parts. `control/app.py` fills it; a test puts a fake where the real part needs a world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gb28181.accounts.service import AccountService
from gb28181.alarm.service import AlarmService
from gb28181.bus import Bus
from gb28181.catalog.service import CatalogService
from gb28181.clock import Clock
from gb28181.command.service import CommandService
from gb28181.device.service import DeviceService
from gb28181.messages import VolumeState
from gb28181.position.service import PositionService
from gb28181.ptz.memory import PtzMemory
from gb28181.ptz.service import PtzService
from gb28181.recording.archive import Archive
from gb28181.recording.service import RecordingService
from gb28181.session.playback import PlaybackService
from gb28181.session.service import SessionService
from gb28181.sip.trace import Trace
from gb28181.subscription.service import SubscriptionService


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

    devices: DeviceService
    catalog: CatalogService
    sessions: SessionService
    playbacks: PlaybackService
    recordings: RecordingService
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
