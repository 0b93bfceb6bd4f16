"""New firmware for a device (2022 §9.13): ordered, downloaded from us, restarted, reported.

The download and the restart lie outside the protocol; what is seen of them (our own link, presence, registrations) is shown as
progress, and only the device's report decides. Where none comes, the firmware that it names after its restart does.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from gb28181 import tokens
from gb28181.clock import Clock
from gb28181.command.editions import demand
from gb28181.command.model import Detail, Firmware, Order, State, UpgradeDetail
from gb28181.command.orders import Orders
from gb28181.command.progress import Event
from gb28181.errors import CommandFailed, Conflict, NotFound
from gb28181.exchange import Exchanges
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.control import DeviceControl, DeviceUpgrade
from gb28181.manscdp.commands.notify import DeviceUpgradeResult
from gb28181.manscdp.element import Result
from gb28181.ports import Deposit, Devices
from gb28181.texts.text import say

MOST_FIRMWARES: Final = 50
"""Firmware files that are kept."""
#: Time to send a firmware file to us.
STORE_S: Final = 3600.0
#: What a device asked for another version than the one it runs means by UpgradeFailedReason (A.2.5.9).
_REASONS: Final = {
    "01": say("command.upgrade.01"),
    "02": say("command.upgrade.02"),
    "03": say("command.upgrade.03"),
    "99": say("command.upgrade.99"),
}
_SILENT: Final = say("command.upgrade_silent")


class Upgrades:
    """Firmware files, and orders to take them.

    Args:
        base_url, link_key: As of `Snapshots`.
        lasts_s: When an upgrade is given up.
    """

    def __init__(
        self,
        orders: Orders,
        exchanges: Exchanges,
        *,
        devices: Devices,
        deposit: Deposit,
        clock: Clock,
        base_url: Callable[[DeviceId], str],
        link_key: bytes,
        lasts_s: float,
    ) -> None:
        self._orders = orders
        self._exchanges = exchanges
        self._devices = devices
        self._deposit = deposit
        self._clock = clock
        self._base_url = base_url
        self._link_key = link_key
        self._lasts_s = lasts_s

    # --- firmware --------------------------------------------------------------------------------------------------

    async def enter_firmware(self, *, name: str, version: str, manufacturer: str) -> Firmware:
        """Makes a place for a firmware file; the file follows to a link of its own.

        Raises:
            Conflict: There are too many.
            StorageError: It cannot be written.
        """
        if len(await self._deposit.firmwares()) >= MOST_FIRMWARES:
            raise Conflict(say("command.firmwares_full", most=MOST_FIRMWARES))
        firmware = Firmware(secrets.token_hex(16), name, version, manufacturer, self._clock.utc())
        await self._deposit.describe_firmware(firmware)
        return firmware

    async def remove_firmware(self, firmware_id: str) -> None:
        """Raises:
        NotFound: There is none.
        Conflict: A device is taking it.
        """
        await self._deposit.firmware(firmware_id)
        for order in self._orders.open(None, "upgrade"):
            if _of(order.detail).firmware_id == firmware_id:
                raise Conflict(say("command.firmware_taken", device_id=order.device_id, order_id=order.order_id))
        await self._deposit.remove_firmware(firmware_id)

    # --- orders ----------------------------------------------------------------------------------------------------

    async def order(self, device_id: DeviceId, channel_id: str, *, firmware_id: str, user: str) -> Order:
        """Has the device upgrade; returns when it has accepted.

        Raises:
            NotFound: There is no such device or firmware, or the firmware's file has not been stored.
            NotInEdition, CommandFailed, Conflict, Unavailable, StorageError.
        """
        target = DeviceId(channel_id or device_id)
        firmware = await self._deposit.firmware(firmware_id)
        demand(self._devices, device_id, _command(target, firmware, "http://", "0" * 32))
        if not firmware.is_stored:
            raise NotFound(say("command.firmware_missing"))
        url = self._base_url(device_id)
        registration = self._devices.get(device_id).registration
        detail = UpgradeDetail(
            firmware_id,
            firmware.version,
            firmware.manufacturer,
            total=firmware.bytes,
            call_id=registration.call_id if registration else "",
        )
        order = await self._orders.begin("upgrade", device_id, channel_id, user=user, lasts_s=self._lasts_s, detail=detail)
        resource = f"{firmware_id}/{order.order_id}"
        token = tokens.sign(self._link_key, "firmware", resource, int(order.deadline.timestamp()))
        file_url = f"{url}/media/firmware/{resource}/{token}/{quote(firmware.name)}"
        try:
            await self._exchanges.control(
                device_id, _command(target, firmware, file_url, order.order_id), answered=True, to=target
            )
        except CommandFailed as error:
            if error.stage == "no_response":
                return self._orders.get(order.order_id)  # it may be downloading already
            await self._orders.advance(order.order_id, Event.REFUSED, message=str(error))
            raise
        return await self._orders.advance(order.order_id, Event.ACCEPTED) or self._orders.get(order.order_id)

    async def fetched(self, order_id: str, done: int, total: int) -> None:
        """The edge says how much of the file the device has."""

        def moved(detail: Detail) -> Detail:
            return dataclasses.replace(_of(detail), done=done, total=total)

        await self._orders.advance(order_id, Event.ALL if done >= total else Event.MOVED, change=moved)

    async def reported(self, device_id: DeviceId, result: DeviceUpgradeResult) -> None:
        """The device says how it went."""
        order = self._orders.find(result.session_id)
        if order is None or order.kind != "upgrade" or order.device_id != device_id:
            self._orders.counters["upgrade_report_unknown"] += 1
            return

        def told(detail: Detail) -> Detail:
            return dataclasses.replace(_of(detail), reported=(result.firmware or "")[:255])

        if result.upgrade_result == Result.OK:
            await self._orders.advance(order.order_id, Event.SUCCEEDED, change=told)
            return
        code = (result.upgrade_failed_reason or "99").strip().zfill(2)[:8]
        message = say("command.upgrade_failed", code=code, meaning=_REASONS.get(code, say("command.upgrade.unknown")))
        await self._orders.advance(order.order_id, Event.FAILED, message=message, change=told)

    async def expire(self, order: Order) -> None:
        """Its deadline has passed."""
        firmware = self._devices.get(order.device_id).firmware
        if order.state is State.RESTARTED and firmware and firmware == _of(order.detail).version:
            message = say("command.upgrade_seen")
            await self._orders.advance(order.order_id, Event.SUCCEEDED, message=message)
        else:
            await self._orders.advance(order.order_id, Event.EXPIRED, message=_SILENT)


def _of(detail: Detail) -> UpgradeDetail:
    assert isinstance(detail, UpgradeDetail)
    return detail


def _command(target: DeviceId, firmware: Firmware, url: str, session: str) -> DeviceControl:
    upgrade = DeviceUpgrade(firmware=firmware.version, file_url=url, manufacturer=firmware.manufacturer, session_id=session)
    return DeviceControl(device_id=target, device_upgrade=upgrade)
