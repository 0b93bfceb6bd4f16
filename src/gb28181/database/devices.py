"""Rows of devices and their channels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gb28181.clock import from_us, to_us
from gb28181.database import tables
from gb28181.database.rows import Row, Rows, microseconds, moment, text, upsert
from gb28181.database.write_behind import Batch
from gb28181.device.model import NO_FAULTS, NOTHING, Address, Device, Fault, ProfileValue, Registration, Route
from gb28181.device.profile import checked
from gb28181.errors import Invalid
from gb28181.ids import DeviceId

logger = logging.getLogger(__name__)


class DeviceRows(Rows):
    """`ports.DeviceStore`."""

    async def load_devices(self) -> list[Device]:
        async with self._engines.reading() as connection:
            rows = await connection.execute(sa.select(tables.devices).order_by(tables.devices.c.device_id))
            return [_device(row) for row in rows.mappings()]

    def save_device(self, device: Device) -> None:
        self._behind.put(tables.devices, device.device_id, device.device_id, _row(device))

    async def save_device_now(self, device: Device) -> None:
        await self._behind.put_now(tables.devices, device.device_id, device.device_id, _row(device))

    async def delete_device(self, device_id: DeviceId) -> None:
        await self._behind.remove(device_id)


async def write_batch(connection: AsyncConnection, batch: Batch) -> None:
    """Removals with their channels, then rows; `executemany` throughout."""
    if batch.removed:
        owners = [{"owner": owner} for owner in batch.removed]
        for table in (tables.devices, tables.channels, tables.subscriptions, tables.positions):
            await connection.execute(sa.delete(table).where(table.c.device_id == sa.bindparam("owner")), owners)
    for table, rows in batch.rows.items():
        await connection.execute(upsert(table, connection.dialect.name), rows)


def route_out(route: Route) -> dict[str, Any]:
    remote, local = route.remote, route.local
    return {
        "transport": route.transport,
        "remote": {"host": remote.host, "port": remote.port},
        "local": {"host": local.host, "port": local.port},
        "connection": route.connection,
    }


def route_in(data: dict[str, Any]) -> Route:
    return Route(
        transport=data["transport"],
        remote=Address(**data["remote"]),
        local=Address(**data["local"]),
        connection=data["connection"],
    )


def _row(device: Device) -> Row:
    registration = device.registration
    return {
        "device_id": device.device_id,
        "name": text(device.name),
        "manufacturer": text(device.manufacturer),
        "model": text(device.model),
        "firmware": text(device.firmware),
        "user_agent": text(device.user_agent),
        "gb_version": text(device.gb_version),
        "password": device.password,
        "registration": None if registration is None else _registration_out(registration),
        "last_seen_at": microseconds(device.last_seen_at),
        "keepalive_interval_s": device.keepalive_interval_s,
        "media_transport": device.media_transport,
        "catalog_at": microseconds(device.catalog_at),
        "catalog_announced": device.catalog_announced,
        "catalog_received": device.catalog_received,
        "created_at": microseconds(device.created_at),
        "faults": _faults_out(device.faults),
        "profile": dict(device.overrides),
        "edition_hint": device.edition_hint,
        "networks": list(device.networks),
        "redirect": device.redirect,
        "clock_offset_s": device.clock_offset_s,
        "clock_offset_at": microseconds(device.clock_offset_at),
    }


def _registration_out(registration: Registration) -> dict[str, Any]:
    return {
        "route": route_out(registration.route),
        "contact": registration.contact,
        "call_id": registration.call_id,
        "registered_at": to_us(registration.registered_at),
        "expires_at": to_us(registration.expires_at),
        "behind_nat": registration.behind_nat,
    }


def _registration_in(data: dict[str, Any]) -> Registration:
    return Registration(
        route=route_in(data["route"]),
        contact=data["contact"],
        call_id=data["call_id"],
        registered_at=from_us(data["registered_at"]),
        expires_at=from_us(data["expires_at"]),
        behind_nat=data.get("behind_nat", False),
    )


def _overrides_in(data: dict[str, Any]) -> Mapping[str, ProfileValue]:
    """What this version does not know (written by a newer one) is left out."""
    found: dict[str, ProfileValue] = {}
    for name, value in data.items():
        try:
            found[name] = checked(name, value)
        except Invalid:
            logger.warning("setting of a device is unknown and left out", extra={"setting": name})
    return MappingProxyType(found) if found else NOTHING


def _faults_out(faults: Mapping[str, Fault]) -> dict[str, Any]:
    return {name: [fault.count, microseconds(fault.last_at), text(fault.detail)] for name, fault in faults.items()}


def _faults_in(data: dict[str, Any]) -> Mapping[str, Fault]:
    if not data:
        return NO_FAULTS
    return {name: Fault(count, moment(last_at), detail) for name, (count, last_at, detail) in data.items()}


def _device(row: sa.RowMapping) -> Device:
    fields = dict(row)
    registration = fields["registration"]
    fields["registration"] = None if registration is None else _registration_in(registration)
    for name in ("last_seen_at", "catalog_at", "created_at", "clock_offset_at"):
        fields[name] = moment(fields[name])
    fields["faults"] = _faults_in(fields["faults"])
    fields["networks"] = tuple(fields["networks"])
    fields["overrides"] = _overrides_in(fields.pop("profile"))
    return Device(**fields)
