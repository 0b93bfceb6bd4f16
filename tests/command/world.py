"""Commands to one device that answers by a script, over the real exchanges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from gb28181.bus import Bus
from gb28181.catalog.model import Channel, ChannelKey
from gb28181.command.model import OrderChanged
from gb28181.command.service import CommandService
from gb28181.config import CommandSettings
from gb28181.device.model import Device, Profile, Registration, Route
from gb28181.errors import NotFound, Unreachable
from gb28181.exchange import Exchanges
from gb28181.ids import DeviceId
from gb28181.ports import SipResponse
from gb28181.router import Inbound
from tests.fakes import CAMERA, DEVICE, FakeDeposit, FakeOrderStore, FakeSignalling, ManualClock, Sent, request, udp

KEY = ChannelKey(DEVICE, CAMERA)
OTHER = DeviceId("34020000001320000002")
LINK_KEY = b"k" * 32

#: What the device answers to a command: Responses, in order.
Script = Callable[[Any], Iterable[object]]


@dataclass
class Registry:
    """Devices that are there, and how they are treated."""

    clock: ManualClock
    known: dict[DeviceId, Device] = field(default_factory=dict)
    online: bool = True
    sn: int = 0

    def get(self, device_id: str) -> Device:
        if device_id not in self.known:
            raise NotFound(f"there is no device {device_id}")
        return self.known[DeviceId(device_id)]

    def is_online(self, device_id: str) -> bool:
        return self.online

    def route(self, device_id: str) -> Route:
        if not self.online:
            raise Unreachable(f"device {device_id} is offline")
        return udp()

    def profile(self, device_id: str) -> Profile:
        return self.get(device_id).profile

    def next_sn(self) -> int:
        self.sn += 1
        return self.sn

    def remember_media_transport(self, device_id: str, transport: str) -> None:
        return None

    def change(self, **changes: object) -> None:
        self.known[DEVICE] = self.known[DEVICE].with_changes(**changes)

    def speaks(self, edition: str, **more: object) -> None:
        """From now on the device is of this edition."""
        self.change(profile=replace(self.known[DEVICE].profile, edition=edition, **more))  # type: ignore[arg-type]  # by name

    def registered(self, call_id: str) -> None:
        now = self.clock.utc()
        self.change(registration=Registration(udp(), "sip:x", call_id, now, now))


@dataclass
class Catalogue:
    keys: list[ChannelKey]

    def channels(self, device_id: str) -> list[Channel]:
        return [Channel(key) for key in self.keys if key.device_id == device_id]


class World:
    """One device of the 2022 edition with one camera.

    Attributes:
        script: What it answers.
        status: Of its SIP answer to every MESSAGE.
        patience: Seconds for an answer; tests that wait in vain make it short.
    """

    def __init__(self, *, patience: float = 5.0) -> None:
        self.clock = ManualClock()
        self.bus = Bus()
        self.events: list[OrderChanged] = []
        self.bus.subscribe(OrderChanged, self.events.append)
        self.script: Script = lambda command: ()
        self.status = 200
        self.signalling = FakeSignalling(answer=self._answer)
        self.devices = Registry(self.clock, {DEVICE: Device(DEVICE)})
        self.devices.speaks("2022")
        self.devices.registered("first")
        self.catalogue = Catalogue([KEY])
        self.exchanges = Exchanges(self.signalling, self.devices, timeout_s=patience)
        self.store = FakeOrderStore()
        self.deposit = FakeDeposit()
        self.commands = self.serve()

    def serve(self) -> CommandService:
        """The service as a new process would make it."""
        return CommandService(
            CommandSettings(),
            exchanges=self.exchanges,
            devices=self.devices,
            channels=self.catalogue,
            store=self.store,
            deposit=self.deposit,
            bus=self.bus,
            clock=self.clock,
            base_url=lambda device_id: "http://192.0.2.10:8080",
            link_key=LINK_KEY,
            monotonic=self.clock.monotonic,
        )

    def _answer(self, sent: Sent) -> SipResponse:
        command = sent.command
        for response in self.script(command):
            asyncio.get_running_loop().call_soon(self.says, response)
        return SipResponse(self.status, "as told", {}, b"")

    def says(self, response: object) -> None:
        """The device sends a Response."""
        self.exchanges.answered(self.inbound(response))

    def inbound(self, command: object) -> Inbound[Any]:
        return Inbound(command, DEVICE, request("MESSAGE"))

    @property
    def asked(self) -> list[Any]:
        """Commands that the device got."""
        return [sent.command for sent in self.signalling.sent]

    @property
    def states(self) -> list[str]:
        return [str(event.state) for event in self.events]
