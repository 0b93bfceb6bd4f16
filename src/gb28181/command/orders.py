"""All orders of this platform: in memory, each change committed, told on the bus, given up at its deadline.

What ended stays listed until newer orders take its place. Orders are loaded when we start, so an upgrade that takes half an
hour does not notice our restart.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Final

from gb28181.bus import Bus
from gb28181.clock import Clock
from gb28181.command.model import Detail, Kind, Order, OrderChanged, State
from gb28181.command.progress import Event, advance
from gb28181.errors import Conflict, NotFound, StorageError, Unavailable
from gb28181.ids import DeviceId
from gb28181.ports import OrderStore
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

_MOST: Final = 2000
"""Orders that are remembered."""
_MOST_OPEN: Final = 1000
_MOST_OPEN_OF_DEVICE: Final = 16
#: Kinds that a device does one at a time.
_ALONE: Final = frozenset({"reboot", "upgrade", "format"})
#: Kinds during which a device is gone for a while.
_ABSENT: Final = frozenset({"reboot", "upgrade"})


class Orders:
    """The orders."""

    def __init__(self, store: OrderStore, *, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._orders: dict[str, Order] = {}
        self._saving = asyncio.Lock()
        self.counters: Counter[str] = Counter()

    async def load(self) -> None:
        self._orders = {order.order_id: order for order in await self._store.load_orders(limit=_MOST)}

    # --- what others ask -------------------------------------------------------------------------------------------

    def get(self, order_id: str) -> Order:
        """Raises: NotFound: There is none, or it was long ago."""
        order = self._orders.get(order_id)
        if order is None:
            raise NotFound(say("command.no_order", order_id=order_id[:40]))
        return order

    def find(self, order_id: str) -> Order | None:
        return self._orders.get(order_id)

    def all(self) -> Iterable[Order]:
        """The oldest first."""
        return self._orders.values()

    def open(self, device_id: DeviceId | None = None, *kinds: Kind) -> Iterator[Order]:
        """Orders that have not ended, of a device or all, of some kinds or all."""
        for order in tuple(self._orders.values()):
            if order.is_open and device_id in (None, order.device_id) and (not kinds or order.kind in kinds):
                yield order

    # --- life of one -----------------------------------------------------------------------------------------------

    async def begin(
        self, kind: Kind, device_id: DeviceId, channel_id: str, *, user: str, lasts_s: float, detail: Detail
    ) -> Order:
        """Enters an order, committed when it returns, so that what the device says of it finds it after a crash too.

        Raises:
            Conflict: The device has such an order, or too many orders.
            Unavailable: Too many devices have.
            StorageError: It cannot be written.
        """
        mine = list(self.open(device_id))
        if kind in _ALONE and (other := next((order for order in mine if order.kind in _ALONE), None)) is not None:
            under_way = say(f"command.kind.{other.kind}")
            raise Conflict(say("command.order_under_way", device_id=device_id, kind=under_way, order_id=other.order_id))
        if len(mine) >= _MOST_OPEN_OF_DEVICE:
            raise Conflict(say("command.device_orders_full", device_id=device_id, mine=len(mine)))
        if sum(1 for _ in self.open()) >= _MOST_OPEN:
            raise Unavailable(say("command.orders_full", most=_MOST_OPEN))
        now = self._clock.utc()
        order = Order(
            secrets.token_hex(16),
            kind,
            device_id,
            channel_id,
            user,
            State.ORDERED,
            now,
            now + timedelta(seconds=lasts_s),
            detail,
        )
        await self._store.save_order(order)
        self._orders[order.order_id] = order
        self._publish(order)
        self.counters[f"{kind}_ordered"] += 1
        await self._forget_oldest()
        return order

    async def advance(
        self,
        order_id: str,
        event: Event,
        *,
        message: str | None = None,
        change: Callable[[Detail], Detail] | None = None,
        deadline_s: float | None = None,
    ) -> Order | None:
        """Lets an order go on; None where it is unknown or nothing changed.

        Args:
            change: Makes the new detail of the old one.
            deadline_s: Seconds from now that are left, where that is less than there were.
        """
        order = self._orders.get(order_id)
        if order is None:
            return None
        now = self._clock.utc()
        changed = advance(order, event, now, detail=change(order.detail) if change else None, message=message)
        if deadline_s is not None:
            sooner = now + timedelta(seconds=deadline_s)
            if sooner < order.deadline:
                changed = dataclasses.replace(changed or order, deadline=sooner)
        if changed is None:
            return None
        self._orders[order_id] = changed
        if changed.state != order.state:
            self.counters[f"{order.kind}_{changed.state}"] += 1
            logger.info(
                "order went on",
                extra={"order": order_id, "kind": order.kind, "device_id": order.device_id, "state": str(changed.state)},
            )
            self._publish(changed)
        if changed.state != order.state or event is not Event.MOVED:
            await self._save(order_id)  # how far a transfer is, is not worth a commit
        return changed

    def due(self) -> list[Order]:
        """Orders whose deadline has passed."""
        now = self._clock.utc()
        return [order for order in self.open() if order.deadline <= now]

    async def _save(self, order_id: str) -> None:
        """Writes the newest state, one at a time, so that no older one comes last. A database that fails costs nothing but what
        a restart would forget."""
        try:
            async with self._saving:
                if (order := self._orders.get(order_id)) is not None:
                    await self._store.save_order(order)
        except StorageError as error:
            self.counters["not_saved"] += 1
            logger.error("order not saved", extra={"order": order_id, "reason": str(error)})

    async def _forget_oldest(self) -> None:
        surplus = len(self._orders) - _MOST
        if surplus <= 0:
            return
        old = [order.order_id for order in self._orders.values() if not order.is_open][:surplus]
        for order_id in old:
            del self._orders[order_id]
        try:
            await self._store.delete_orders(old)
        except StorageError as error:  # they are deleted at the next start
            logger.error("old orders not deleted", extra={"reason": str(error)})

    def _publish(self, order: Order) -> None:
        absent = order.is_open and order.kind in _ABSENT
        self._bus.publish(OrderChanged(order.order_id, order.kind, order.device_id, order.channel_id, order.state, absent))
