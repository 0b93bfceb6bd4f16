"""A PTZ service before a camera that answers as told, and a clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gb28181.bus import Bus
from gb28181.catalog.model import Channel, ChannelKey
from gb28181.config import PtzSettings
from gb28181.device.model import Device, Profile, Route
from gb28181.errors import NotFound, Unreachable
from gb28181.exchange import Exchanges
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.control import DeviceControl, DeviceControlResponse
from gb28181.manscdp.element import Result
from gb28181.manscdp.ptz_code import PtzAction, parse
from gb28181.ports import SipResponse
from gb28181.ptz.memory import PtzMemory
from gb28181.ptz.model import Holder, PtzChanged
from gb28181.ptz.service import PtzService
from gb28181.router import Inbound
from tests.fakes import CAMERA, DEVICE, FakeSignalling, ManualClock, Sent, request, settle, udp

KEY = ChannelKey(DEVICE, CAMERA)
OTHER = ChannelKey(DEVICE, DeviceId("34020000001320000002"))
ANN = Holder("ann", 5, "session-of-ann")
BOB = Holder("bob", 5, "session-of-bob")
CHIEF = Holder("chief", 9, "session-of-chief")


@dataclass(slots=True)
class FakeDevices:
    treated: Profile = field(default_factory=lambda: Profile(edition="2022", charset="gb18030"))
    online: bool = True
    sn: int = 0

    def get(self, device_id: DeviceId) -> Device:
        return Device(device_id)

    def route(self, device_id: DeviceId) -> Route:
        if not self.online:
            raise Unreachable("the device is offline")
        return udp()

    def profile(self, device_id: DeviceId) -> Profile:
        return self.treated

    def next_sn(self) -> int:
        self.sn += 1
        return self.sn


class FakeChannels:
    def channel(self, key: ChannelKey) -> Channel:
        if key not in (KEY, OTHER):
            raise NotFound(f"no channel {key}")
        return Channel(key)


@dataclass(slots=True)
class FakeNotes:
    moving: list[ChannelKey] = field(default_factory=list)

    def load(self) -> list[ChannelKey]:
        return list(self.moving)

    def save(self, keys: Sequence[ChannelKey]) -> None:
        self.moving = list(keys)


class SlowSignalling(FakeSignalling):
    """Answers a MESSAGE when `gate` is open, which it is at first."""

    def __init__(self, answer: Callable[[Sent], SipResponse]) -> None:
        super().__init__(answer=answer)
        self.gate = asyncio.Event()
        self.gate.set()

    async def message(self, route: Route, *, to: str, body: bytes, timeout_s: float | None = None) -> SipResponse:
        sent = Sent(route, to, body)
        self.sent.append(sent)
        await self.gate.wait()
        return self.answer(sent)


class World:
    """Its `async with` is the service's."""

    def __init__(self, answer: Callable[[Any], object] = lambda command: None, **settings: float) -> None:
        self.clock = ManualClock()
        self.signalling = SlowSignalling(self._accept)
        self.devices = FakeDevices()
        self.bus = Bus()
        self.events: list[PtzChanged] = []
        self.bus.subscribe(PtzChanged, self.events.append)
        self.exchanges = Exchanges(self.signalling, self.devices, timeout_s=5)
        self.notes = FakeNotes()
        self.ptz = PtzService(
            PtzSettings.model_validate(settings),
            exchanges=self.exchanges,
            devices=self.devices,
            channels=FakeChannels(),
            bus=self.bus,
            clock=self.clock,
            notes=self.notes,
            monotonic=self.clock.monotonic,
        )
        self.memory = PtzMemory(exchanges=self.exchanges, devices=self.devices, channels=FakeChannels())
        #: Outcomes of the next MESSAGEs; 200 when there is none.
        self.outcomes: list[int | Exception] = []
        self._answer = answer

    def _accept(self, sent: Sent) -> SipResponse:
        outcome = self.outcomes.pop(0) if self.outcomes else 200
        if isinstance(outcome, Exception):
            raise outcome
        if (response := self._answer(sent.command)) is not None:
            self.arrives(response)
        return SipResponse(outcome, "", {}, b"")

    def arrives(self, response: object) -> None:
        self.exchanges.answered(Inbound(response, DEVICE, request("MESSAGE")))

    async def __aenter__(self) -> World:
        await self.ptz.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.outcomes.clear()
        self.signalling.gate.set()
        await self.ptz.__aexit__(*error)

    @property
    def controls(self) -> list[DeviceControl]:
        return [command for sent in self.signalling.sent if isinstance(command := sent.command, DeviceControl)]

    @property
    def codes(self) -> list[PtzAction]:
        """PTZ codes that were sent."""
        return [parse(control.ptz_cmd).action for control in self.controls if control.ptz_cmd is not None]

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.ptz.expire()
        await settle()


def accepted(command: Any) -> DeviceControlResponse:
    return DeviceControlResponse(sn=command.sn, device_id=command.device_id, result=Result.OK)


def refused(command: Any) -> DeviceControlResponse:
    return DeviceControlResponse(sn=command.sn, device_id=command.device_id, result=Result.ERROR)
