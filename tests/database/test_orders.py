from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gb28181.command.model import (
    Detail,
    FormatDetail,
    Kind,
    Order,
    RebootDetail,
    SnapshotDetail,
    State,
    UpgradeDetail,
)
from gb28181.database import Database
from gb28181.ids import DeviceId

AT = datetime(2026, 3, 1, 8, 0, 0, 123_456, tzinfo=UTC)
DEVICE = DeviceId("34020000001110000001")


def order(number: int, kind: Kind = "reboot", detail: Detail | None = None) -> Order:
    made = AT + timedelta(seconds=number)
    return Order(
        f"{number:032x}", kind, DEVICE, "", "ann", State.ACCEPTED, made, made + timedelta(hours=1),
        RebootDetail("c1") if detail is None else detail,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("reboot", RebootDetail("c1")),
        ("format", FormatDetail(1, 40, True)),
        ("upgrade", UpgradeDetail("f", "V2", "Hik", 1, 2, "c1", "V2")),
        ("snapshot", SnapshotDetail(3, 2, 1, ("a", "b"))),
        ("snapshot", SnapshotDetail(3, 2, 1, None)),
    ],
)
async def test_an_order_comes_back_as_it_was(database: Database, kind: Kind, detail: Detail):
    await database.save_order(order(1, kind, detail))
    assert await database.load_orders(limit=10) == [order(1, kind, detail)]


async def test_the_newest_are_loaded_and_older_ones_deleted(database: Database):
    for number in (3, 1, 4, 2):
        await database.save_order(order(number))
    assert await database.load_orders(limit=2) == [order(3), order(4)]
    assert await database.load_orders(limit=10) == [order(3), order(4)]
    await database.delete_orders([order(3).order_id, "unknown"])
    assert await database.load_orders(limit=10) == [order(4)]
