"""An alarm service among fakes."""

from __future__ import annotations

from gb28181.alarm.handlers import routes
from gb28181.alarm.model import AlarmAcknowledged, AlarmFlood, AlarmLocated, AlarmRaised, AlarmReset
from gb28181.alarm.service import AlarmService
from gb28181.alarm.sources import Sources
from gb28181.bus import Bus
from gb28181.catalog.model import Channel, ChannelKey
from gb28181.config import AlarmSettings
from gb28181.device.model import Profile
from gb28181.errors import NotFound, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import parse
from gb28181.manscdp.commands.alarm import AlarmNotify, AlarmResponse
from gb28181.router import Inbound
from tests.fakes import CAMERA, DEVICE, FakeAlarmStore, ManualClock, request, settle

EVENTS = (AlarmRaised, AlarmAcknowledged, AlarmReset, AlarmFlood, AlarmLocated)


class Channels:
    """One device with one camera, unless a test adds others."""

    def __init__(self) -> None:
        self.known = {ChannelKey(DEVICE, CAMERA)}

    def channel(self, key: ChannelKey) -> Channel:
        if key not in self.known:
            raise NotFound(str(key))
        return Channel(key)

    def channels(self, device_id: str) -> list[Channel]:
        return [Channel(key) for key in sorted(self.known, key=str) if key.device_id == device_id]


class World:
    def __init__(self, *, store: FakeAlarmStore | None = None, **settings: float) -> None:
        self.clock = ManualClock()
        self.bus = Bus()
        self.events: list[object] = []
        for kind in EVENTS:
            self.bus.subscribe(kind, self.events.append)
        self.channels = Channels()
        self.store = store or FakeAlarmStore()
        self.answers: list[tuple[str, AlarmResponse]] = []
        self.resets: list[tuple[str, str]] = []
        self.guards: list[str] = []
        self.of_profile = Profile()
        self.is_dead = False
        self.dropped: list[DeviceId] = []
        self.service = AlarmService(
            AlarmSettings.model_validate(settings),
            devices=self,
            commands=self,
            sources=Sources(self.channels),
            store=self.store,
            bus=self.bus,
            clock=self.clock,
            count_dropped=self.dropped.append,
            monotonic=self.clock.monotonic,
        )

    async def __aenter__(self) -> World:
        await self.service.load()
        await self.service.__aenter__()
        await settle()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.service.__aexit__(*error)

    async def send(self, device_id: str, command: object) -> None:
        assert isinstance(command, AlarmResponse)
        if self.is_dead:
            raise Unreachable("it does not answer")
        self.answers.append((device_id, command))

    def profile(self, device_id: DeviceId) -> Profile:
        return self.of_profile

    async def guard(self, device_id: DeviceId, channel_id: str, *, on: bool) -> None:
        if self.is_dead:
            raise Unreachable("it does not answer")
        self.guards.append(device_id)

    async def reset_alarm(
        self, device_id: DeviceId, channel_id: str, *, alarm_method: str | None = None, alarm_type: str | None = None
    ) -> None:
        if self.is_dead:
            raise Unreachable("it does not answer")
        self.resets.append((device_id, channel_id))

    async def arrives(self, body: bytes | AlarmNotify, *, method: str = "MESSAGE", device_id: DeviceId = DEVICE) -> None:
        command = parse(body).command if isinstance(body, bytes) else body
        assert isinstance(command, AlarmNotify)
        [handler] = routes(self.service).values()
        await handler(Inbound(command, device_id, request(method, device_id)))  # type: ignore[arg-type, misc]
        await settle()

    def told(self, kind: type) -> list[object]:
        return [event for event in self.events if isinstance(event, kind)]


def body(
    *, source: str = CAMERA, method: int = 5, kind: str = "", time: str = "2026-03-01T08:00:00", more: str = "", sn: int = 7
) -> bytes:
    """A Notify as a device writes it."""
    info = f"<Info><AlarmType>{kind}</AlarmType></Info>" if kind else ""
    told = f"<AlarmTime>{time}</AlarmTime>" if time else ""
    return (
        '<?xml version="1.0" encoding="GB2312"?><Notify><CmdType>Alarm</CmdType>'
        f"<SN>{sn}</SN><DeviceID>{source}</DeviceID><AlarmPriority>1</AlarmPriority><AlarmMethod>{method}</AlarmMethod>"
        f"{told}{info}{more}</Notify>"
    ).encode("gb18030")
