"""Rows of orders to devices: each is on disk when the call returns, because the device's answer may find us restarted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from gb28181.clock import to_us
from gb28181.command.model import DETAILS, Detail, Order, State
from gb28181.database import tables
from gb28181.database.rows import Rows, microseconds, moment, text, upsert
from gb28181.ids import DeviceId
from gb28181.texts.text import packed, unpacked


class OrderRows(Rows):
    """`ports.OrderStore`."""

    async def load_orders(self, *, limit: int) -> list[Order]:
        columns = tables.device_orders.c
        newest = sa.select(tables.device_orders).order_by(columns.ordered_at.desc(), columns.order_id).limit(limit + 1)
        async with self._engines.reading() as connection:
            rows = (await connection.execute(newest)).mappings().all()
        if len(rows) > limit:
            async with self._engines.durable() as connection:
                await connection.execute(sa.delete(tables.device_orders).where(columns.ordered_at <= rows[limit]["ordered_at"]))
        return [_order(row) for row in reversed(rows[:limit]) if row["kind"] in DETAILS]

    async def save_order(self, order: Order) -> None:
        row = {
            "order_id": order.order_id,
            "kind": order.kind,
            "device_id": order.device_id,
            "channel_id": order.channel_id,
            "username": text(order.user),
            "state": str(order.state),
            "ordered_at": to_us(order.ordered_at),
            "deadline": to_us(order.deadline),
            "ended_at": microseconds(order.ended_at),
            "message": text(packed(order.message)),
            "detail": dataclasses.asdict(order.detail),
        }
        async with self._engines.durable() as connection:
            await connection.execute(upsert(tables.device_orders, connection.dialect.name), [row])

    async def delete_orders(self, order_ids: Sequence[str]) -> None:
        named = tables.device_orders.c.order_id.in_(list(order_ids))
        async with self._engines.durable() as connection:
            await connection.execute(sa.delete(tables.device_orders).where(named))


def _order(row: sa.RowMapping) -> Order:
    ordered_at, deadline = moment(row["ordered_at"]), moment(row["deadline"])
    assert ordered_at is not None
    assert deadline is not None
    return Order(
        row["order_id"],
        row["kind"],
        DeviceId(row["device_id"]),
        row["channel_id"],
        row["username"],
        State(row["state"]),
        ordered_at,
        deadline,
        _detail(row["kind"], row["detail"]),
        moment(row["ended_at"]),
        unpacked(row["message"]),
    )


def _detail(kind: str, data: dict[str, object]) -> Detail:
    """A field of a newer version is left out, a missing one has its default."""
    made = DETAILS[kind]
    known = {field.name for field in dataclasses.fields(made)}
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items() if name in known
    }
    return made(**fields)
