"""Restart of a device, and its storage cards (§9.3, A.2.3.1.3, A.2.3.1.13, A.2.4.14).

Neither command has a Response: what was sent counts as obeyed (quirk Q56) until it is seen otherwise. A restart is seen by the
device's going and by a new registration, a format by asking for the state of the cards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final

from gb28181.clock import Clock
from gb28181.command.editions import demand
from gb28181.command.model import Detail, FormatDetail, Order, RebootDetail, State
from gb28181.command.orders import Orders
from gb28181.command.progress import Event
from gb28181.errors import CommandFailed, Unavailable
from gb28181.exchange import Exchanges
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.card import SDCard, SDCardStatusQuery, SDCardStatusResponse
from gb28181.manscdp.commands.control import DeviceControl, TeleBoot
from gb28181.ports import Devices
from gb28181.texts.text import say

_REBOOT_S: Final = 600.0
_FORMAT_S: Final = 1800.0
_POLL_S: Final = 5.0
_POLL_TIMEOUT_S: Final = 5.0
_NOT_SEEN: Final = say("command.not_restarted")
_NOT_FORMATTED: Final = say("command.format_silent")


class Maintenance:
    """Restarts and formats.

    Args:
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        orders: Orders,
        exchanges: Exchanges,
        *,
        devices: Devices,
        clock: Clock,
        monotonic: Callable[[], float],
    ) -> None:
        self._orders = orders
        self._exchanges = exchanges
        self._devices = devices
        self._clock = clock
        self._monotonic = monotonic
        self._polled: dict[str, float] = {}  # bounded by the formats that are under way

    # --- restart ---------------------------------------------------------------------------------------------------

    async def reboot(self, device_id: DeviceId, channel_id: str, *, user: str) -> Order:
        """Has a device, or a channel of it, restart; returns when the command is sent.

        Raises:
            NotFound, CommandFailed, Conflict, Unavailable, StorageError.
        """
        target = DeviceId(channel_id or device_id)
        command = DeviceControl(device_id=target, tele_boot=TeleBoot.BOOT)
        demand(self._devices, device_id, command)
        registration = self._devices.get(device_id).registration
        detail = RebootDetail(registration.call_id if registration else "")
        order = await self._orders.begin("reboot", device_id, channel_id, user=user, lasts_s=_REBOOT_S, detail=detail)
        return await self._send(order, command)

    # --- cards -----------------------------------------------------------------------------------------------------

    async def cards(self, device_id: DeviceId, channel_id: str, *, timeout_s: float | None = None) -> tuple[SDCard, ...]:
        """The storage cards of a device, or of a channel of it, by number.

        Raises:
            NotFound, NotInEdition, CommandFailed, Unavailable.
        """
        target = DeviceId(channel_id or device_id)

        def has_all(parts: Sequence[SDCardStatusResponse]) -> bool:
            announced = max((part.sum_num for part in parts if part.sum_num is not None), default=None)
            return announced is not None and len(_by_number(parts)) >= announced

        parts = await self._exchanges.query(
            device_id,
            SDCardStatusQuery(device_id=target),
            expects=SDCardStatusResponse,
            complete=has_all,
            timeout_s=timeout_s,
            to=target,
        )
        found = _by_number(parts)
        return tuple(found[number] for number in sorted(found))

    async def format(self, device_id: DeviceId, channel_id: str, *, card: int, user: str) -> Order:
        """Has a device format a card; 0 means all. Returns when the command is sent.

        Raises:
            NotFound, NotInEdition, CommandFailed, Conflict, Unavailable, StorageError.
        """
        target = DeviceId(channel_id or device_id)
        command = DeviceControl(device_id=target, format_sd_card=card)
        demand(self._devices, device_id, command)
        order = await self._orders.begin(
            "format", device_id, channel_id, user=user, lasts_s=_FORMAT_S, detail=FormatDetail(card)
        )
        self._polled[order.order_id] = self._monotonic()
        return await self._send(order, command)

    def polls(self) -> list[Order]:
        """Formats whose cards are to be asked for now."""
        under_way = list(self._orders.open(None, "format"))
        known = {order.order_id for order in under_way}
        self._polled = {order_id: at for order_id, at in self._polled.items() if order_id in known}
        now, due = self._monotonic(), []
        for order in under_way:
            if order.state is not State.ORDERED and now - self._polled.get(order.order_id, float("-inf")) >= _POLL_S:
                self._polled[order.order_id] = now
                due.append(order)
        return due

    async def poll(self, order: Order) -> None:
        """Asks how far a format is; a device that does not answer meanwhile is busy with it."""
        try:
            cards = await self.cards(order.device_id, order.channel_id, timeout_s=_POLL_TIMEOUT_S)
        except (CommandFailed, Unavailable):
            return
        wanted = _of(order.detail).card
        mine = [card for card in cards if wanted in (0, card.id)]
        states = [(card.status or "").strip().lower() for card in mine]
        if "formatting" in states:
            percents = [card.format_progress for card, state in zip(mine, states, strict=True) if state == "formatting"]
            known = [min(100, max(0, percent)) for percent in percents if percent is not None]
            await self._orders.advance(order.order_id, Event.MOVED, change=_progress(min(known, default=None)))
        elif "error" in states:
            broken = [card.id for card, state in zip(mine, states, strict=True) if state == "error"]
            message = say("command.card_error", cards=", ".join(map(str, broken)))
            await self._orders.advance(order.order_id, Event.FAILED, message=message)
        elif mine and all(state in ("ok", "idle") for state in states):
            await self._orders.advance(order.order_id, Event.ALL, change=_progress(100))
        elif "unformatted" in states and _of(order.detail).seen:
            message = say("command.not_formatted")
            await self._orders.advance(order.order_id, Event.FAILED, message=message)

    # --- time ------------------------------------------------------------------------------------------------------

    async def expire(self, order: Order) -> None:
        """Its deadline has passed."""
        message = _NOT_SEEN if order.kind == "reboot" else _NOT_FORMATTED
        await self._orders.advance(order.order_id, Event.EXPIRED, message=message)

    async def _send(self, order: Order, command: DeviceControl) -> Order:
        try:
            await self._exchanges.control(order.device_id, command, answered=False, to=command.device_id)
        except CommandFailed as error:
            if order.kind == "reboot" and error.stage == "no_sip_answer":
                # It may have gone down before it could answer.
                return await self._orders.advance(order.order_id, Event.ACCEPTED) or order
            await self._orders.advance(order.order_id, Event.REFUSED, message=str(error))
            raise
        return await self._orders.advance(order.order_id, Event.ACCEPTED) or self._orders.get(order.order_id)


def _by_number(parts: Sequence[SDCardStatusResponse]) -> dict[int, SDCard]:
    return {card.id: card for part in parts for card in part.sd_card_status_info}


def _progress(percent: int | None) -> Callable[[Detail], Detail]:
    return lambda known: dataclasses.replace(_of(known), progress=percent, seen=True)


def _of(detail: Detail) -> FormatDetail:
    assert isinstance(detail, FormatDetail)
    return detail
