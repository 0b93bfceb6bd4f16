"""Small fakes of the services that the API calls, with a real AccountService, bus and clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from aiohttp.test_utils import TestClient
from argon2 import PasswordHasher

from gb28181.accounts.model import Role, User
from gb28181.accounts.service import AccountService
from gb28181.alarm.service import AlarmService
from gb28181.alarm.sources import Sources
from gb28181.api.services import Health, Part, Services, SipAccess
from gb28181.bus import Bus
from gb28181.catalog.levels import Level, Levels
from gb28181.catalog.model import Channel, ChannelKey, Counts, Job
from gb28181.catalog.registry import Registry
from gb28181.clock import Clock
from gb28181.command.service import CommandService
from gb28181.config import AlarmSettings, CommandSettings, PositionSettings, PtzSettings, SubscriptionSettings
from gb28181.device.model import (
    Address,
    Device,
    DeviceChange,
    Fault,
    Profile,
    Registration,
    RegistrationRefused,
    Route,
    Stranger,
)
from gb28181.device.networks import checked_networks
from gb28181.device.profile import Profiles
from gb28181.device.quarantine import Quarantine
from gb28181.errors import Conflict, Gb28181Error, Invalid, NotFound, Unreachable
from gb28181.exchange import Exchanges
from gb28181.ids import DeviceId
from gb28181.messages import PlaybackControl, StreamState, VolumeState
from gb28181.position.service import PositionService
from gb28181.ptz.memory import PtzMemory
from gb28181.ptz.service import PtzService
from gb28181.recording.archive import Day, Kept, Missing, Overview
from gb28181.recording.ledger import RecordingPage
from gb28181.recording.model import Gap, GapTotal, Segment, Span
from gb28181.recording.service import RecordingStatus
from gb28181.session.model import Session, Stage, StageTime
from gb28181.session.playback import PlaybackService
from gb28181.sip.trace import Trace
from gb28181.subscription.service import SubscriptionService
from tests.fakes import (
    FakeAlarmStore,
    FakeDeposit,
    FakeOrderStore,
    FakePositionStore,
    FakeSignalling,
    FakeSubscriptionStore,
    FakeUserStore,
)
from tests.ptz.world import FakeNotes

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
D1, D2 = DeviceId("34020000001110000001"), DeviceId("34020000001110000002")
D3 = DeviceId("34020000001110000003")
C1, C2 = DeviceId("34020000001310000001"), DeviceId("34020000001310000002")
K1 = ChannelKey(D1, C1)
US = 1_000_000


class SetClock(Clock):
    def utc(self) -> datetime:
        return NOW

    def utc_us(self) -> int:
        return int(NOW.timestamp()) * US


class FakeDevices:
    def __init__(self) -> None:
        route = Route("udp", Address("192.168.1.64", 5060), Address("192.168.1.1", 5060))
        registered = Registration(route, "sip:x", "call", NOW, NOW)
        self.known = {
            D1: Device(
                D1, name="东门摄像机", registration=registered, last_seen_at=NOW, faults={"odd-thing": Fault(2, NOW, "x")}
            ),
            D2: Device(D2, name="West gate"),
        }
        self.passwords: dict[str, str] = {}
        self.faulty: set[tuple[str, str]] = set()
        self.quarantine = Quarantine()
        self.quarantine.noticed(D3, "unknown", source="192.0.2.9:5060", user_agent="Cam", at=NOW)

    def devices(self) -> list[Device]:
        return list(self.known.values())

    def get(self, device_id: str) -> Device:
        if device_id not in self.known:
            raise NotFound(f"no device {device_id}")
        return self.known[DeviceId(device_id)]

    def is_online(self, device_id: str) -> bool:
        return device_id in self.known and self.known[DeviceId(device_id)].registration is not None

    def profile(self, device_id: str) -> Profile:
        return self.get(device_id).profile

    def route(self, device_id: str) -> Route:
        registration = self.get(device_id).registration
        if registration is None:
            raise Unreachable(f"device {device_id} is offline")
        return registration.route

    def next_sn(self) -> int:
        return 1

    async def send(self, device_id: str, command: object) -> None:
        self.get(device_id)

    def is_faulty(self, device_id: str, channel_id: str) -> bool:
        return (device_id, channel_id) in self.faulty

    def refusals(self) -> list[RegistrationRefused]:
        return [RegistrationRefused(D2, "1.2.3.4:5060", "wrong password", NOW)]

    async def provision(self, device_id: str, *, name: str = "", password: str = "") -> Device:
        if device_id in self.known:
            raise Conflict(f"device {device_id} exists already")
        self.passwords[device_id] = password
        self.known[DeviceId(device_id)] = Device(DeviceId(device_id), name=name)
        return self.get(device_id)

    async def update(self, device_id: str, change: DeviceChange) -> Device:
        device = self.get(device_id)
        changes = {
            "name": change.name,
            "networks": None if change.networks is None else checked_networks(change.networks),
            "redirect": change.redirect,
            "overrides": Profiles().merged(device.overrides, change.overrides),
        }
        device = device.with_changes(**{name: value for name, value in changes.items() if value is not None})
        device = device.with_changes(profile=Profiles().resolve(device))
        self.known[device.device_id] = device
        if change.password is not None:
            self.passwords[device_id] = change.password
        return device

    def keepalive_interval_s(self, device_id: str) -> float:
        return 60.0 if self.is_online(device_id) else 0.0

    def one_source(self) -> str:
        return ""

    def strangers(self) -> list[Stranger]:
        return self.quarantine.newest_first()

    async def accept(self, device_id: str, *, name: str = "", password: str = "") -> Device:
        self.quarantine.get(device_id)
        self.quarantine.remove(device_id)
        return await self.provision(device_id, name=name, password=password)

    def dismiss(self, device_id: str) -> None:
        self.quarantine.remove(self.quarantine.get(device_id).device_id)

    async def remove(self, device_id: str) -> None:
        del self.known[self.get(device_id).device_id]


class FakeCatalog:
    def __init__(self, devices: FakeDevices) -> None:
        self._devices = devices
        self.rows = [
            Channel(ChannelKey(D1, C2), name="停车场", status_on=False, seen_on=True),
            Channel(ChannelKey(D1, C1), name="大门", alias="东大门"),
            Channel(ChannelKey(D2, C1), name="Hall"),
        ]
        self.jobs = {"j1": Job("j1", "catalog", D1, "running", 3, 16, "", NOW)}
        self.refused: Gb28181Error | None = None

    def channels(self, device_id: str) -> list[Channel]:
        self._devices.get(device_id)
        return [row for row in self.rows if row.key.device_id == device_id]

    def all_channels(self) -> list[Channel]:
        return self.rows

    def channel(self, key: ChannelKey) -> Channel:
        for row in self.rows:
            if row.key == key:
                return row
        raise NotFound(f"no channel {key}")

    def is_online(self, key: ChannelKey) -> bool:
        return self.channel(key).status_on and self._devices.is_online(key.device_id)

    def refresh(self, device_id: str) -> Job:
        if self.refused:
            raise self.refused
        self._devices.get(device_id)
        return self.jobs["j1"]

    def job(self, job_id: str) -> Job:
        if job_id not in self.jobs:
            raise NotFound(f"no job {job_id}")
        return self.jobs[job_id]

    def unused(self, device_id: str) -> list[Channel]:
        return [row for row in self.rows if row.key.device_id == device_id and row.is_unused_slot]

    def shown(self, device_id: str) -> int:
        return sum(row.key.device_id == device_id for row in self.rows)

    def counts(self) -> Counts:
        cameras = [row for row in self.rows if row.is_camera]
        return Counts(len(cameras), sum(self.is_online(row.key) for row in cameras))

    def _levels(self) -> Levels:
        registry = Registry(max_items=1000)
        registry.restore(self.rows)
        levels = Levels(registry, self._devices, monotonic=time.monotonic)
        for device_id, _ in registry.holdings():
            levels.changed(device_id)
        return levels

    async def search(self, query: str = "", **how: Any) -> list[Channel]:
        return await self._levels().search(query, **how)

    async def level(self, parent: str = "", **how: Any) -> Level:
        return await self._levels().level(parent, **how)


class FakeSessions:
    def __init__(self) -> None:
        self.open: dict[str, Session] = {}
        self.wishes: list[str | None] = []
        self.failure: BaseException | None = None
        self.states: dict[ChannelKey, StreamState] = {}

    async def open_live(self, key: ChannelKey, *, user: str, transport: str | None = None) -> Session:
        self.wishes.append(transport)
        if self.failure:
            raise self.failure
        stages = tuple(StageTime(stage, NOW) for stage in (Stage.RESERVED, Stage.FIRST_KEY_FRAME))
        session = Session(f"s{len(self.open) + 1}", key, user, NOW, stages, "udp")
        self.open[session.session_id] = session
        return session

    def sessions(self) -> list[Session]:
        return list(self.open.values())

    def session(self, session_id: str) -> Session:
        if session_id not in self.open:
            raise NotFound(f"no session {session_id}")
        return self.open[session_id]

    async def close(self, session_id: str) -> None:
        del self.open[session_id]

    def stream_state(self, key: ChannelKey) -> StreamState | None:
        return self.states.get(key)


class FakeRecordings:
    def __init__(self, catalog: FakeCatalog) -> None:
        self._catalog = catalog
        self.modes: dict[ChannelKey, tuple[str, str | None, float | None]] = {}
        self.segments = [
            Segment(
                K1,
                start * US,
                (start + 300) * US,
                1000,
                "ab",
                "cd",
                "/v1",
                f"{D1}/{C1}/19700101/{start}",
                "rotated",
                segment_id=n,
            )
            for n, start in enumerate(range(0, 1500, 300), 1)
        ]
        self.asked: list[tuple[int, int]] = []

    async def set_mode(
        self, key: ChannelKey, mode: str, *, transport: str | None = None, retention_hours: float | None = None
    ) -> None:
        self._catalog.channel(key)
        self.modes[key] = (mode, transport, retention_hours)

    def status(self, key: ChannelKey) -> RecordingStatus:
        self._catalog.channel(key)
        mode = self.modes.get(key, ("off", None, None))[0]
        if mode == "always":
            return RecordingStatus("always", "failed", NOW, "the device does not answer", 360)
        return RecordingStatus("off", "off", None, "", 360)

    async def check_known(self, key: ChannelKey) -> None:
        if key not in {segment.key for segment in self.segments}:
            self._catalog.channel(key)

    def counts(self) -> dict[str, int]:
        return {"due": 2, "recording": 1}

    async def recordings(
        self, key: ChannelKey, start: int, end: int, *, limit: int, after: tuple[int, int] | None
    ) -> RecordingPage:
        self.asked.append((start, end))
        rows = [row for row in self.segments if after is None or (row.start, row.segment_id) > after]
        page = rows[:limit]
        following = (page[-1].start, page[-1].segment_id) if len(rows) > limit else None
        gaps = [Gap(key, 1500 * US, 1600 * US, "no_media"), Gap(key, 1700 * US, 0, "x")]
        return RecordingPage(page, gaps, 0.5, following, [(0, 1500 * US), (1600 * US, 1700 * US)])


class FakeSpans:
    """Recorded from an hour before to the very `NOW`."""

    async def spans_between(self, key: ChannelKey, start: int, end: int, *, bridge: int) -> list[Span]:
        now = int(NOW.timestamp()) * US
        found = Span(now - 3600 * US, now, "rotated")
        return [found] if key == K1 and found.start < end and found.end > start else []


class FakeArchive:
    def __init__(self, catalog: FakeCatalog, recordings: FakeRecordings) -> None:
        self._catalog = catalog
        self._recordings = recordings
        self.asked: list[tuple[ChannelKey, str, str]] = []

    async def calendar(self, key: ChannelKey, month: str, zone: str = "") -> list[Day]:
        self.asked.append((key, month, zone))
        if month == "soon":
            raise Invalid("not a month")
        return [Day(date(2026, 2, 28), 43_200 * US, 0.5, 9000), Day(date(2026, 3, 1), 0, 0.0, 0)]

    async def overview(self, *, limit: int) -> Overview:
        hour = 3600 * US
        status = RecordingStatus("always", "failed", None, "no answer to INVITE", 360)
        return Overview(
            oldest={"/v1": self.now - 48 * hour},
            kept=[Kept(360.0, 2, 24 * hour, 48 * hour)],
            missing=[Missing(self._catalog.rows[1], status, Gap(K1, self.now - hour, 0, "no_picture"))][:limit],
            missing_total=7,
            gaps=[GapTotal("no_media", 3, 2, 1, 90 * US)],
        )

    @property
    def now(self) -> int:
        return int(NOW.timestamp()) * US


@dataclass
class World:
    """The services of one test and the client that calls the API."""

    users: FakeUserStore = field(default_factory=FakeUserStore)
    devices: FakeDevices = field(default_factory=FakeDevices)
    sessions: FakeSessions = field(default_factory=FakeSessions)
    bus: Bus = field(default_factory=Bus)
    clock: SetClock = field(default_factory=SetClock)
    link_key: bytes = b"l" * 32
    trace: Trace = field(default_factory=lambda: Trace(1 << 20))
    health: Health = field(
        default_factory=lambda: Health("degraded", [Part("control", "running", 7), Part("edge", "failed")], "0")
    )
    client: TestClient[Any, Any] = field(init=False)
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.catalog = FakeCatalog(self.devices)
        self.recordings = FakeRecordings(self.catalog)
        self.archive = FakeArchive(self.catalog, self.recordings)
        self.spans = FakeSpans()
        self.told: list[PlaybackControl] = []
        self.playbacks = PlaybackService(
            store=self.spans, written=lambda key: None, tell=self.told.append, clock=self.clock, ttl_s=600
        )
        self.alarm_store, self.position_store = FakeAlarmStore(), FakePositionStore()
        self.resets: list[tuple[str, str]] = []
        sources = Sources(self.catalog)
        self.alarms = AlarmService(
            AlarmSettings(),
            devices=self.devices,
            commands=self,
            sources=sources,
            store=self.alarm_store,
            bus=self.bus,
            clock=self.clock,
        )
        self.positions = PositionService(
            PositionSettings(),
            devices=self.devices,
            channel_of=sources.channel_of,
            store=self.position_store,
            bus=self.bus,
            clock=self.clock,
        )
        self.subscriptions = SubscriptionService(
            SubscriptionSettings(),
            signalling=FakeSignalling(),
            devices=self.devices,
            store=FakeSubscriptionStore(),
            bus=self.bus,
            clock=self.clock,
        )
        self.signalling = FakeSignalling()
        exchanges = Exchanges(self.signalling, self.devices, timeout_s=0.5)
        self.ptz = PtzService(
            PtzSettings(),
            exchanges=exchanges,
            devices=self.devices,
            channels=self.catalog,
            bus=self.bus,
            clock=self.clock,
            notes=FakeNotes(),
        )
        self.ptz_memory = PtzMemory(exchanges=exchanges, devices=self.devices, channels=self.catalog)
        self.answered = exchanges.answered
        self.deposit = FakeDeposit()
        self.commands = CommandService(
            CommandSettings(),
            exchanges=exchanges,
            devices=self.devices,
            channels=self.catalog,
            store=FakeOrderStore(),
            deposit=self.deposit,
            bus=self.bus,
            clock=self.clock,
            base_url=lambda device_id: "http://192.168.1.1:8080",
            link_key=self.link_key,
        )
        self.hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.accounts = AccountService(
            self.users, secret=b"s" * 32, clock=self.clock, ttl_s=3600, attempts_per_minute=3, hasher=self.hasher
        )

    async def guard(self, device_id: DeviceId, channel_id: str, *, on: bool) -> None:
        self.devices.get(device_id)

    async def reset_alarm(
        self, device_id: DeviceId, channel_id: str, *, alarm_method: str | None = None, alarm_type: str | None = None
    ) -> None:
        self.resets.append((device_id, channel_id))

    def services(self) -> Services:
        return Services(
            devices=self.devices,
            catalog=self.catalog,
            sessions=self.sessions,
            playbacks=self.playbacks,
            recordings=self.recordings,
            archive=self.archive,
            commands=self.commands,
            alarms=self.alarms,
            positions=self.positions,
            subscriptions=self.subscriptions,
            ptz=self.ptz,
            ptz_memory=self.ptz_memory,
            accounts=self.accounts,
            bus=self.bus,
            clock=self.clock,
            link_key=self.link_key,
            link_ttl_s=600,
            volumes=["/v0", "/v1"],
            volume_states=lambda: [VolumeState("/v1", 100, 40, 5), VolumeState("/gone", 1, 1)],
            sip=lambda: SipAccess("34020000002000000001", "3402000000", "192.168.1.1", 5060),
            health=lambda: self.health,
            metrics=lambda: b"gb28181_up 1\n",
            trace=self.trace,
        )

    async def log_in(self) -> None:
        for role in ("admin", "operator", "viewer"):
            await self.add_user(role, role)

    async def add_user(self, name: str, role: Role) -> None:
        self.users.users[name] = User(name, self.hasher.hash("pass word"), role)
        self.tokens[name] = (await self.accounts.login(name, "pass word", source=name)).token

    async def call(self, method: str, path: str, *, user: str = "admin", status: int = 200, **more: Any) -> Any:
        """The JSON of an answer that has this status."""
        headers = {"Authorization": f"Bearer {self.tokens[user]}"} if user else {}
        async with self.client.request(method, f"/api/v1{path}", headers=headers | more.pop("headers", {}), **more) as answer:
            text = await answer.text()
            assert answer.status == status, f"{answer.status}: {text}"
            return await answer.json() if text else None
