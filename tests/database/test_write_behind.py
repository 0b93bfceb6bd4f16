from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from gb28181.database import tables
from gb28181.database.write_behind import Batch, WriteBehind
from gb28181.errors import StorageError


class Target:
    """Keeps what was written; fails while `broken`, and holds while `held`."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.batches: list[int] = []
        self.broken = False
        self.free = asyncio.Event()
        self.free.set()
        self.entered = asyncio.Event()

    async def write(self, batch: Batch) -> None:
        self.entered.set()
        await self.free.wait()
        if self.broken:
            raise OSError("disk on fire")
        rows = batch.rows.get(tables.devices, [])
        if any(row["name"] == "poison" for row in rows):
            raise ValueError("poison")
        for owner in batch.removed:
            self.rows.pop(owner, None)
        self.rows |= {row["device_id"]: row["name"] for row in rows}
        self.batches.append(len(rows))


@pytest.fixture
def target() -> Target:
    return Target()


@pytest.fixture
def behind(target: Target) -> WriteBehind:
    return WriteBehind(target.write, interval_s=0.001)


def put(behind: WriteBehind, device_id: str, name: str) -> None:
    behind.put(tables.devices, device_id, device_id, {"device_id": device_id, "name": name})


async def put_now(behind: WriteBehind, device_id: str, name: str, table: sa.Table = tables.devices) -> None:
    await behind.put_now(table, device_id, device_id, {"device_id": device_id, "name": name})


async def test_states_of_one_row_become_one_write(behind: WriteBehind, target: Target):
    for number in range(1000):
        put(behind, "a", str(number))
    assert behind.waiting == 1
    await behind.close()
    assert target.rows == {"a": "999"}
    assert target.batches == [1]


async def test_failed_batch_is_kept_and_written_later(behind: WriteBehind, target: Target):
    target.broken = True
    put(behind, "a", "1")
    with pytest.raises(StorageError, match="disk on fire"):
        await put_now(behind, "b", "1")
    assert behind.failures >= 1
    assert behind.last_error == "disk on fire"
    target.broken = False
    await put_now(behind, "c", "1")
    assert target.rows == {"a": "1", "b": "1", "c": "1"}
    assert behind.last_error == ""
    await behind.close()


async def test_newer_state_is_not_overwritten_by_a_batch_that_failed(behind: WriteBehind, target: Target):
    target.broken = True
    target.free.clear()
    put(behind, "a", "old")
    await target.entered.wait()
    put(behind, "a", "new")
    target.free.set()
    with pytest.raises(StorageError):
        await put_now(behind, "b", "1")
    target.broken = False
    await behind.close()
    assert target.rows["a"] == "new"


async def test_row_removed_while_its_batch_fails_stays_removed(behind: WriteBehind, target: Target):
    target.broken = True
    target.free.clear()
    put(behind, "a", "old")
    await target.entered.wait()
    removal = asyncio.ensure_future(behind.remove("a"))
    await asyncio.sleep(0)
    target.free.set()
    with pytest.raises(StorageError):
        await removal
    target.broken = False
    await behind.close()
    assert target.rows == {}


async def test_refused_row_is_found_and_only_it_is_dropped(behind: WriteBehind, target: Target):
    for number in range(100):
        put(behind, str(number), "poison" if number in (3, 50, 51) else "good")
    await behind.close()
    assert len(target.rows) == 97
    assert behind.refused == 3


async def test_close_says_what_could_not_be_written(behind: WriteBehind, target: Target):
    target.broken = True
    put(behind, "a", "1")
    with pytest.raises(StorageError, match="1 rows could not be written before the end: disk on fire"):
        await behind.close()


async def test_what_waits_is_bounded(target: Target):
    behind = WriteBehind(target.write, interval_s=60, capacity=2)
    for name in "abc":
        put(behind, name, "1")
    put(behind, "a", "2")
    with pytest.raises(StorageError, match="too many rows"):
        await put_now(behind, "d", "1")
    assert behind.refused == 2
    await behind.close()
    assert target.rows == {"a": "2", "b": "1"}


async def test_large_backlog_is_written_in_batches(behind: WriteBehind, target: Target):
    for number in range(5000):
        put(behind, str(number), "1")
    await behind.close()
    assert target.batches == [2000, 2000, 1000]


async def test_close_without_any_write_returns(behind: WriteBehind):
    await behind.close()
