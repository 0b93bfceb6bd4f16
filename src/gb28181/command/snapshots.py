"""Pictures that a device takes and uploads to us (2022 §9.14).

The device gets a link that opens for one order, for so many pictures, until they ought to have come. The pictures lie with the
edge; what counts is what lies there: the device's own report only ends the wait.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from gb28181 import tokens
from gb28181.clock import Clock
from gb28181.command.configuration import Configurations
from gb28181.command.editions import demand
from gb28181.command.model import Detail, Order, SnapshotDetail
from gb28181.command.orders import Orders
from gb28181.command.progress import Event
from gb28181.errors import CommandFailed, NotFound
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.config import DeviceConfig
from gb28181.manscdp.commands.config_blocks import SnapShotConfig
from gb28181.manscdp.commands.notify import UploadSnapShotFinished
from gb28181.ports import Deposit, Devices
from gb28181.texts.text import say

#: After its report a device may still be sending its last picture.
_LATE_S: Final = 10.0
_NOTHING: Final = say("command.no_picture")


class Snapshots:
    """Orders for pictures.

    Args:
        base_url: Where a device reaches our HTTP port, without a slash at the end.
        link_key: Signs the links; the edge has the same one.
        margin_s: How long pictures may come after the last one was due.
    """

    def __init__(
        self,
        orders: Orders,
        configurations: Configurations,
        *,
        devices: Devices,
        deposit: Deposit,
        clock: Clock,
        base_url: Callable[[DeviceId], str],
        link_key: bytes,
        margin_s: float,
    ) -> None:
        self._orders = orders
        self._configurations = configurations
        self._devices = devices
        self._deposit = deposit
        self._clock = clock
        self._base_url = base_url
        self._link_key = link_key
        self._margin_s = margin_s

    async def order(self, device_id: DeviceId, channel_id: str, *, count: int, interval_s: int, user: str) -> Order:
        """Has the device take pictures; returns when it has accepted.

        Args:
            count: 1 to 10; `interval_s`: seconds between two of them.

        Raises:
            NotInEdition, NotFound, CommandFailed, Conflict, Unavailable, StorageError.
        """
        target = DeviceId(channel_id or device_id)
        demand(self._devices, device_id, _command(target, count, interval_s, "http://", "0" * 32))
        url = self._base_url(device_id)
        lasts_s = count * interval_s + self._margin_s
        order = await self._orders.begin(
            "snapshot", device_id, channel_id, user=user, lasts_s=lasts_s, detail=SnapshotDetail(count, interval_s)
        )
        expires_at = int(order.deadline.timestamp())
        token = tokens.sign(self._link_key, "upload", f"{order.order_id}/{count}", expires_at)
        upload_url = f"{url}/media/upload/{order.order_id}/{count}/{token}"
        command = _command(target, count, interval_s, upload_url, order.order_id)
        try:
            await self._configurations.send(device_id, command)
        except CommandFailed as error:
            if error.stage == "no_response":
                return order  # it may well be taking them: the pictures, or the deadline, will tell
            await self._orders.advance(order.order_id, Event.REFUSED, message=str(error))
            raise
        return await self._orders.advance(order.order_id, Event.ACCEPTED) or self._orders.get(order.order_id)

    def get(self, order_id: str) -> Order:
        """Raises: NotFound: It is no order for pictures."""
        order = self._orders.get(order_id)
        if order.kind != "snapshot":
            raise NotFound(say("command.no_picture_order", order_id=order_id[:40]))
        return order

    async def finished(self, device_id: DeviceId, report: UploadSnapShotFinished) -> None:
        """The device says which pictures it uploaded."""
        order = self._orders.find(report.session_id)
        if order is None or order.kind != "snapshot" or order.device_id != device_id:
            self._orders.counters["snapshot_report_unknown"] += 1
            return
        ids = tuple(text[:128] for text in report.snap_shot_list[:10])

        def told(detail: Detail) -> Detail:
            return dataclasses.replace(_of(detail), file_ids=ids)

        await self._orders.advance(order.order_id, Event.MOVED, change=told)
        order = await self.look(order.order_id)
        if not order.is_open:
            return
        kept = _of(order.detail).kept
        if kept >= len(ids):
            await self._end(order)
        else:
            await self._orders.advance(order.order_id, Event.MOVED, deadline_s=_LATE_S)

    async def came(self, order_id: str) -> None:
        """The edge says that a picture came."""
        order = self._orders.find(order_id)
        if order is not None and order.kind == "snapshot":
            order = await self.look(order_id)
            told = _of(order.detail).file_ids
            if order.is_open and told is not None and _of(order.detail).kept >= len(told):
                await self._end(order)

    async def look(self, order_id: str) -> Order:
        """The order with as many pictures as lie with us now."""
        order = self._orders.get(order_id)
        kept = len(await self._deposit.pictures(order_id))
        detail = _of(order.detail)
        if kept <= detail.kept:
            return order

        def counted(known: Detail) -> Detail:
            return dataclasses.replace(_of(known), kept=max(kept, _of(known).kept))

        event = Event.ALL if kept >= detail.count else Event.MOVED if order.is_open else Event.PARTLY
        return await self._orders.advance(order_id, event, change=counted) or self._orders.get(order_id)

    async def expire(self, order: Order) -> None:
        """Its deadline has passed."""
        order = await self.look(order.order_id)
        if order.is_open:
            await self._end(order)

    async def _end(self, order: Order) -> None:
        detail = _of(order.detail)
        if detail.kept:
            message = say("command.some_pictures", kept=detail.kept, count=detail.count)
            await self._orders.advance(order.order_id, Event.PARTLY, message=message)
        else:
            await self._orders.advance(order.order_id, Event.FAILED, message=_NOTHING)


def _of(detail: Detail) -> SnapshotDetail:
    assert isinstance(detail, SnapshotDetail)
    return detail


def _command(target: DeviceId, count: int, interval_s: int, url: str, session: str) -> DeviceConfig:
    wanted = SnapShotConfig(snap_num=count, interval=interval_s, upload_url=url, session_id=session)
    return DeviceConfig(device_id=target, snap_shot_config=wanted)
