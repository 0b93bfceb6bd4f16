"""A catalogue service with a device service that is told who is online."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gb28181.bus import Bus
from gb28181.catalog.model import CatalogFinished, Channel, ChannelKey, ChannelsChanged, SubtreeChanged, TreeNode
from gb28181.catalog.service import CatalogService
from gb28181.config import CatalogSettings
from gb28181.device.model import Device, DeviceOffline, DeviceRegistered, Profile, Route
from gb28181.errors import NotFound, PeerTimeout, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.catalog import CatalogItem, CatalogNotify, CatalogQuery, CatalogResponse
from gb28181.manscdp.element import Status
from gb28181.router import Inbound
from tests.fakes import DEVICE, FakeChannelStore, ManualClock, message, settle, udp


class FakeDevices:
    def __init__(self) -> None:
        self.known: dict[str, Device] = {}
        self.online: set[str] = set()
        self.silent: set[str] = set()
        self.asked: list[CatalogQuery] = []
        self._sn = 0

    def devices(self) -> list[Device]:
        return list(self.known.values())

    def get(self, device_id: str) -> Device:
        if device_id not in self.known:
            raise NotFound(device_id)
        return self.known[device_id]

    def is_online(self, device_id: str) -> bool:
        return device_id in self.online

    def profile(self, device_id: str) -> Profile:
        return self.get(device_id).profile

    def route(self, device_id: str) -> Route:
        self.get(device_id)
        if device_id not in self.online:
            raise Unreachable(f"device {device_id} is offline")
        return udp()

    def next_sn(self) -> int:
        self._sn += 1
        return self._sn

    async def send(self, device_id: str, command: object) -> None:
        assert isinstance(command, CatalogQuery)
        self.route(device_id)
        self.asked.append(command)
        if device_id in self.silent:
            raise PeerTimeout(f"device {device_id} did not answer")


def item(number: int, name: str = "", *, status: Status = Status.ON, **fields: object) -> CatalogItem:
    channel_id = DeviceId(f"3402000000132000{number:04d}")
    return CatalogItem(device_id=channel_id, name=name or f"Camera {number}", status=status, **fields)  # type: ignore[arg-type]


def key(number: int, device_id: DeviceId = DEVICE) -> ChannelKey:
    return ChannelKey(device_id, DeviceId(f"3402000000132000{number:04d}"))


class World:
    def __init__(self, store: FakeChannelStore | None = None, **settings: object) -> None:
        self.clock = ManualClock()
        self.bus = Bus()
        self.devices = FakeDevices()
        self.store = store or FakeChannelStore()
        self.finished: list[CatalogFinished] = []
        self.changes: list[ChannelsChanged] = []
        self.bus.subscribe(CatalogFinished, self._note_finished)
        self.subtrees: list[SubtreeChanged] = []
        self.bus.subscribe(ChannelsChanged, self.changes.append)
        self.bus.subscribe(SubtreeChanged, self.subtrees.append)
        self.catalog = CatalogService(
            CatalogSettings.model_validate(settings),
            devices=self.devices,
            store=self.store,
            bus=self.bus,
            clock=self.clock,
            monotonic=self.clock.monotonic,
            jitter=lambda: 0.0,
        )

    def _note_finished(self, event: CatalogFinished) -> None:
        self.finished.append(event)
        if event.complete:
            device = self.devices.known[event.device_id]
            self.devices.known[event.device_id] = device.with_changes(catalog_at=self.clock.utc())

    def come_online(self, device_id: DeviceId = DEVICE, *, catalog_at: datetime | None = None) -> None:
        self.devices.known.setdefault(device_id, Device(device_id, catalog_at=catalog_at))
        self.devices.online.add(device_id)
        self.bus.publish(DeviceRegistered(device_id, is_new=True))

    def go_offline(self, device_id: DeviceId = DEVICE) -> None:
        self.devices.online.discard(device_id)
        self.bus.publish(DeviceOffline(device_id, "keepalive_timeout"))

    async def pass_time(self, seconds: float, *, step: float = 5.0) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.advance(min(step, end - self.clock.monotonic()))
            self.catalog.expire()
            await settle()

    async def tick(self) -> None:
        self.catalog.expire()
        await settle()

    def answer(self, *items: CatalogItem, announced: int | None, device_id: DeviceId = DEVICE, sn: int | None = None) -> None:
        """One part of an answer to the last query of the device."""
        if sn is None:
            sn = next((query.sn for query in reversed(self.devices.asked) if query.device_id == device_id), 0)
        response = CatalogResponse(sn=sn, device_id=device_id, sum_num=announced, items=items)
        self.catalog.arrived(Inbound(response, device_id, message(response, device_id)))

    def notify(self, *items: CatalogItem, device_id: DeviceId = DEVICE) -> None:
        notification = CatalogNotify(sn=1, device_id=device_id, sum_num=len(items), items=items)
        self.catalog.notified(Inbound(notification, device_id, message(notification, device_id)))

    async def nodes(self, parent: str = "", **how: Any) -> list[TreeNode]:
        """One level of a tree."""
        return (await self.catalog.level(parent, limit=1000, **how)).nodes

    async def asked_again(self) -> None:
        """Asks now; the query has been sent when this returns."""
        self.catalog.refresh(DEVICE)
        await settle()

    def shown(self, device_id: DeviceId = DEVICE) -> list[Channel]:
        return self.catalog.channels(device_id)

    def names(self, device_id: DeviceId = DEVICE) -> list[str]:
        return [channel.name for channel in self.shown(device_id)]
