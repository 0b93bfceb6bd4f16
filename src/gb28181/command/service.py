"""Commands to devices: information, state, guard, alarms, recording, key frames, restarts, cards, upgrades, pictures.

`async with` watches the orders that take minutes; everything else is asked and answered at once. A command that the device's
edition lacks is refused before it is sent (`NotInEdition`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from gb28181.background import Background
from gb28181.bus import Bus
from gb28181.clock import Clock
from gb28181.command.configuration import Configurations
from gb28181.command.footage import FootageSearch
from gb28181.command.maintenance import Maintenance
from gb28181.command.model import Guard, Order, RebootDetail, UpgradeDetail
from gb28181.command.orders import Orders
from gb28181.command.progress import Event
from gb28181.command.snapshots import Snapshots
from gb28181.command.upgrades import Upgrades
from gb28181.config import CommandSettings
from gb28181.device.model import DeviceOffline, DeviceRegistered
from gb28181.errors import Gb28181Error, NotFound, Unavailable
from gb28181.exchange import Exchanges
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.control import (
    AlarmCmd,
    ControlInfo,
    DeviceControl,
    DragZoom,
    GuardCmd,
    IFrameCmd,
    RecordCmd,
    TargetTrack,
)
from gb28181.manscdp.commands.device import (
    DeviceInfoQuery,
    DeviceInfoResponse,
    DeviceStatusQuery,
    DeviceStatusResponse,
)
from gb28181.manscdp.commands.notify import DeviceUpgradeResult, UploadSnapShotFinished
from gb28181.manscdp.element import Result
from gb28181.messages import Transfer
from gb28181.ports import Channels, Deposit, Devices, OrderStore
from gb28181.router import Inbound
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

T = TypeVar("T")

_TICK_S: Final = 1.0
#: Answers to the same question that are this young are given again: a page that many have open asks a device once.
_FRESH_S: Final = 2.0
_MOST_SHARED: Final = 1000
#: What happens to orders at once; the rest of a burst waits in the event loop, where each is small.
_MOST_TASKS: Final = 5000


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """DeviceInfo as a device told it (A.2.6.5); None where it did not tell."""

    asked_at: datetime
    name: str | None
    manufacturer: str | None
    model: str | None
    firmware: str | None
    channels: int | None


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """DeviceStatus as a device told it (A.2.6.3).

    Args:
        time_offset_s: How far its clock is ahead of ours, None where it tells no time; it has no parts of a second.
        guards: Guard state of its alarm inputs.
    """

    asked_at: datetime
    is_online: bool
    is_well: bool
    reason: str | None
    encode: bool | None
    record: bool | None
    device_time: datetime | None
    time_offset_s: float | None
    guards: tuple[Guard, ...]


class CommandService:
    """Everything that a device can be told or asked, but PTZ, catalogue and media.

    Args:
        base_url: Where a device reaches our HTTP port, without a slash at the end.
        link_key: Signs links; the edge has the same one.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        settings: CommandSettings,
        *,
        exchanges: Exchanges,
        devices: Devices,
        channels: Channels,
        store: OrderStore,
        deposit: Deposit,
        bus: Bus,
        clock: Clock,
        base_url: Callable[[DeviceId], str],
        link_key: bytes,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchanges = exchanges
        self._devices = devices
        self._clock = clock
        self._monotonic = monotonic
        self.orders = Orders(store, bus=bus, clock=clock)
        self.deposit = deposit
        self.configurations = Configurations(exchanges, devices=devices, channels=channels, clock=clock, monotonic=monotonic)
        self.footage = FootageSearch(exchanges, devices=devices, clock=clock, monotonic=monotonic)
        self.maintenance = Maintenance(self.orders, exchanges, devices=devices, clock=clock, monotonic=monotonic)
        self.snapshots = Snapshots(
            self.orders,
            self.configurations,
            devices=devices,
            deposit=deposit,
            clock=clock,
            base_url=base_url,
            link_key=link_key,
            margin_s=settings.snapshot_margin_s,
        )
        self.upgrades = Upgrades(
            self.orders,
            exchanges,
            devices=devices,
            deposit=deposit,
            clock=clock,
            base_url=base_url,
            link_key=link_key,
            lasts_s=settings.upgrade_timeout_s,
        )
        self._shared: dict[tuple[str, DeviceId, str], tuple[float, asyncio.Future[Any]]] = {}
        self._background = Background(most=_MOST_TASKS)
        bus.subscribe(DeviceOffline, self._offline)
        bus.subscribe(DeviceRegistered, self._registered)

    # --- life ------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        await self.orders.load()

    async def __aenter__(self) -> CommandService:
        await self._background.__aenter__()
        self._background.spawn(self._run_timer, "order timer", forever=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._background.__aexit__(*error)

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return {**self.orders.counters, "background_failures": self._background.failures}

    def _start(self, work: Coroutine[Any, Any, None]) -> bool:
        return self._background.start(work, "command to a device") is not None

    async def _run_timer(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            await self.tick()

    async def tick(self) -> None:
        """Ends what is overdue, and asks how far formats are."""
        for order in self.orders.due():
            self._start(self._expire(order))
        for order in self.maintenance.polls():
            self._start(self.maintenance.poll(order))

    async def _expire(self, order: Order) -> None:
        if order.kind == "snapshot":
            await self.snapshots.expire(order)
        elif order.kind == "upgrade":
            await self.upgrades.expire(order)
        else:
            await self.maintenance.expire(order)

    # --- questions -------------------------------------------------------------------------------------------------

    async def info(self, device_id: DeviceId, channel_id: str = "") -> DeviceInfo:
        """Raises: NotFound, CommandFailed, Unavailable."""
        return await self._once("info", device_id, channel_id, self._info)

    async def _info(self, device_id: DeviceId, target: DeviceId) -> DeviceInfo:
        asked_at = self._clock.utc()
        (answer, *_) = await self._exchanges.query(
            device_id, DeviceInfoQuery(device_id=target), expects=DeviceInfoResponse, to=target
        )
        return DeviceInfo(asked_at, answer.device_name, answer.manufacturer, answer.model, answer.firmware, answer.channel)

    async def status(self, device_id: DeviceId, channel_id: str = "") -> DeviceStatus:
        """Raises: NotFound, CommandFailed, Unavailable."""
        return await self._once("status", device_id, channel_id, self._status)

    async def _status(self, device_id: DeviceId, target: DeviceId) -> DeviceStatus:
        asked_at = self._clock.utc()
        (answer, *_) = await self._exchanges.query(
            device_id, DeviceStatusQuery(device_id=target), expects=DeviceStatusResponse, to=target
        )
        told, offset = answer.device_time, None
        if told is not None:
            # The device read its clock between our question and its answer.
            now = self._clock.utc()
            offset = round((told - (asked_at + (now - asked_at) / 2)).total_seconds(), 1)
        return DeviceStatus(
            asked_at,
            answer.online.strip().upper() != "OFFLINE",
            answer.status == Result.OK,
            answer.reason,
            _switch(answer.encode),
            _switch(answer.record),
            told,
            offset,
            tuple(Guard(item.device_id, item.duty_status.strip().upper()) for item in answer.alarm_status),
        )

    # --- controls --------------------------------------------------------------------------------------------------

    async def guard(self, device_id: DeviceId, channel_id: str, *, on: bool) -> None:
        """Sets or resets the guard of an alarm input or of all of a device (A.2.3.1.5).

        Raises:
            NotFound, CommandFailed, Unavailable: As for every control here.
        """
        command = DeviceControl(
            device_id=_target(device_id, channel_id), guard_cmd=GuardCmd.SET_GUARD if on else GuardCmd.RESET_GUARD
        )
        await self._control(device_id, command, answered=True)

    async def reset_alarm(
        self, device_id: DeviceId, channel_id: str, *, alarm_method: str | None = None, alarm_type: str | None = None
    ) -> None:
        """Resets alarms, so that the device reports new ones (A.2.3.1.6)."""
        info = ControlInfo(alarm_method=alarm_method, alarm_type=alarm_type) if alarm_method or alarm_type else None
        command = DeviceControl(device_id=_target(device_id, channel_id), alarm_cmd=AlarmCmd.RESET_ALARM, info=info)
        await self._control(device_id, command, answered=True)

    async def record(self, device_id: DeviceId, channel_id: str, *, on: bool, stream_number: int | None = None) -> None:
        """Begins or ends a recording in the device itself (A.2.3.1.4); a stream number needs edition 2022."""
        command = DeviceControl(
            device_id=_target(device_id, channel_id),
            record_cmd=RecordCmd.RECORD if on else RecordCmd.STOP_RECORD,
            stream_number=stream_number,
        )
        await self._control(device_id, command, answered=True)

    async def key_frame(self, device_id: DeviceId, channel_id: str) -> None:
        """Has a running stream begin anew with a key frame (A.2.3.1.7): IFameCmd before 2022, IFrameCmd since."""
        command = DeviceControl(device_id=_target(device_id, channel_id), i_frame_cmd=IFrameCmd.SEND)
        await self._control(device_id, command, answered=False)

    async def track(
        self,
        device_id: DeviceId,
        channel_id: str,
        mode: TargetTrack,
        *,
        panorama: DeviceId | None = None,
        area: DragZoom | None = None,
    ) -> None:
        """Has a dome follow a target, by itself or from an area of its own or a panorama's picture (A.2.3.1.14)."""
        command = DeviceControl(
            device_id=_target(device_id, channel_id), target_track=mode, device_id2=panorama, target_area=area
        )
        await self._control(device_id, command, answered=False)

    async def _control(self, device_id: DeviceId, command: DeviceControl, *, answered: bool) -> None:
        await self._exchanges.control(device_id, command, answered=answered, to=command.device_id)

    # --- what arrives (see handlers.py) ----------------------------------------------------------------------------

    async def pictures_uploaded(self, inbound: Inbound[UploadSnapShotFinished]) -> None:
        await self.snapshots.finished(inbound.device_id, inbound.command)

    async def upgraded(self, inbound: Inbound[DeviceUpgradeResult]) -> None:
        await self.upgrades.reported(inbound.device_id, inbound.command)

    def transferred(self, transfer: Transfer) -> None:
        """The edge says how far a device is with a file of ours or of its own."""
        order = self.orders.find(transfer.session_id)
        if order is None:
            return
        if order.kind == "upgrade":
            self._start(self.upgrades.fetched(order.order_id, transfer.done, transfer.total))
        elif order.kind == "snapshot":
            self._start(self.snapshots.came(order.order_id))

    def _offline(self, event: DeviceOffline) -> None:
        if event.cause == "deleted":
            for order in self.orders.open(event.device_id):
                self._start(self._advance(order, Event.FAILED, "the device was removed from the platform"))
            return
        for order in self.orders.open(event.device_id, "reboot", "upgrade"):
            self._start(self._advance(order, Event.LOST))

    def _registered(self, event: DeviceRegistered) -> None:
        for order in self.orders.open(event.device_id, "reboot", "upgrade"):
            if event.is_new or self._is_new_registration(order):
                self._start(self._advance(order, Event.BACK))

    def _is_new_registration(self, order: Order) -> bool:
        """Whether the device registered with another Call-ID than before the order: a restart too quick to be missed."""
        try:
            registration = self._devices.get(order.device_id).registration
        except NotFound:
            return False
        known = order.detail.call_id if isinstance(order.detail, RebootDetail | UpgradeDetail) else ""
        return registration is not None and bool(known) and registration.call_id != known

    async def _advance(self, order: Order, event: Event, message: str | None = None) -> None:
        await self.orders.advance(order.order_id, event, message=message)

    # --- sharing ---------------------------------------------------------------------------------------------------

    async def _once(
        self, what: str, device_id: DeviceId, channel_id: str, ask: Callable[[DeviceId, DeviceId], Awaitable[T]]
    ) -> T:
        """The answer to a question, asked once for all who want it at about the same time."""
        key, now = (what, device_id, channel_id), self._monotonic()
        known = self._shared.get(key)
        if known is not None and (not known[1].done() or now - known[0] < _FRESH_S):
            shared: T = await asyncio.shield(known[1])
            return shared
        if len(self._shared) >= _MOST_SHARED:
            self._shared = {key: kept for key, kept in self._shared.items() if not kept[1].done()}
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_seen)
        self._shared[key] = (now, answer)
        if not self._start(_answer(answer, ask(device_id, _target(device_id, channel_id)))):
            answer.cancel()
            raise Unavailable(say("command.too_many"))
        return await asyncio.shield(answer)


async def _answer(answer: asyncio.Future[T], asking: Awaitable[T]) -> None:
    try:
        answer.set_result(await asking)
    except Gb28181Error as error:
        answer.set_exception(error)
    finally:
        answer.cancel()  # of no effect on one that is set


def _seen(answer: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more is none."""
    if not answer.cancelled():
        answer.exception()


def _target(device_id: DeviceId, channel_id: str) -> DeviceId:
    return DeviceId(channel_id or device_id)


def _switch(text: str | None) -> bool | None:
    return None if text is None else text.strip().upper() in ("ON", "OK", "1", "TRUE")
