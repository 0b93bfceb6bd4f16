"""What is on the volumes and not in the database comes into it: a real volume, a real SQLite, and the figures of an ingest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.database import Database, sqlite_url
from gb28181.ids import DeviceId
from gb28181.messages import Snapshot, Statistics, VolumeState
from gb28181.recording.inventory import Inventory
from gb28181.recording.model import Segment
from gb28181.session.model import IngestUp
from gb28181.storage.io.manifests import ManifestThreads
from gb28181.storage.io.reader import rebuild
from tests.recording.world import At
from tests.storage.io.disk import CHANNEL, DEVICE, T0, Camera, Disk, disk, record

__all__ = ["disk"]
KEY = ChannelKey(DeviceId(DEVICE), DeviceId(CHANNEL))
HOUR = 3_600_000_000


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(sqlite_url(tmp_path / "db"), flush_ms=1) as made:
        await made.migrate()
        yield made


def inventory(database: Database, *volumes: Path, bus: Bus | None = None, now: int = T0) -> Inventory:
    roots = [str(volume) for volume in volumes]
    return Inventory(roots, manifests=ManifestThreads(), store=database, bus=bus or Bus(), clock=At(now))  # type: ignore[arg-type]


async def starts(database: Database, since: int = 0) -> list[int]:
    return [segment.start for segment in await database.segments_between(KEY, since, T0 + 1000 * HOUR, limit=10_000)]


def recorded(disk: Disk, *starts_us: int) -> None:
    writer = disk.writer()
    for start in starts_us:
        record(writer, Camera(start_us=start), 10)


def in_use(disk: Disk, error: str = "") -> Statistics:
    return Statistics(T0, 0, 0.0, 0.0, 0, 0, (VolumeState(str(disk.volume.root), 100, 50, error=error),), ())


async def test_a_new_database_learns_every_segment_of_a_volume(disk: Disk, database: Database) -> None:
    recorded(disk, T0, T0 + 30 * HOUR, T0 + 60 * HOUR)
    assert await inventory(database, disk.volume.root).take(str(disk.volume.root)) == 3
    (first, *_) = await database.segments_between(KEY, 0, T0 + HOUR, limit=10)
    (row, *_) = rebuild(disk.volume)
    assert (first.start, first.end, first.bytes, first.sha256, first.chain) == (
        row.start,
        row.end,
        row.bytes,
        row.sha256,
        row.chain,
    )
    assert await starts(database) == [T0, T0 + 30 * HOUR, T0 + 60 * HOUR]
    assert await inventory(database, disk.volume.root).take(str(disk.volume.root)) == 0


async def test_what_an_older_copy_of_the_database_lacks_is_added(disk: Disk, database: Database) -> None:
    recorded(disk, T0, T0 + 30 * HOUR)
    await inventory(database, disk.volume.root).take(str(disk.volume.root))
    recorded(disk, T0 + 30 * HOUR + 400_000_000, T0 + 55 * HOUR)
    assert await inventory(database, disk.volume.root, now=T0 + 900 * HOUR).take(str(disk.volume.root)) == 2
    assert len(await starts(database)) == 4


async def test_rows_of_the_future_do_not_hide_what_comes_after_them(disk: Disk, database: Database) -> None:
    recorded(disk, T0 + 500 * HOUR)  # the clock was wrong
    await inventory(database, disk.volume.root).take(str(disk.volume.root))
    recorded(disk, T0)
    assert await inventory(database, disk.volume.root, now=T0).take(str(disk.volume.root)) == 1


async def test_manifests_that_nobody_wrote_to_since_are_not_read(disk: Disk) -> None:
    recorded(disk, T0, T0 + 30 * HOUR)
    (day,) = disk.volume.root.glob("*/*/20260301/manifest.jsonl")
    os.utime(day, (T0 // 1_000_000, T0 // 1_000_000))
    assert [row.start for row in rebuild(disk.volume, since_us=T0 + HOUR)] == [T0 + 30 * HOUR]


async def test_rows_of_a_volume_that_was_moved_are_taken_over(disk: Disk, database: Database, tmp_path: Path) -> None:
    recorded(disk, T0)
    old, new = disk.volume.root, tmp_path / "elsewhere"
    await inventory(database, old).take(str(old))
    disk.writers.pop().stop(10)
    old.rename(new)
    assert await inventory(database, new).take(str(new)) == 1
    found = await database.segments_between(KEY, 0, T0 + HOUR, limit=10)
    assert [segment.volume for segment in found] == [str(new)]


async def test_the_same_path_on_another_volume_in_use_stays(disk: Disk, database: Database, tmp_path: Path) -> None:
    recorded(disk, T0)
    (row,) = rebuild(disk.volume)
    other = str(tmp_path / "other")
    await database.add_segments([Segment(KEY, row.start, row.end, 1, "", "", other, row.path, "rotated")])
    assert await inventory(database, disk.volume.root, Path(other)).take(str(disk.volume.root)) == 1
    assert len(await starts(database)) == 2


async def until(database: Database, count: int) -> None:
    async with asyncio.timeout(20):
        while len(await starts(database)) < count:
            await asyncio.sleep(0)


async def test_stock_is_taken_when_a_volume_comes_into_use_and_when_a_media_process_was_started(
    disk: Disk, database: Database
) -> None:
    bus = Bus()
    recorded(disk, T0)
    async with inventory(database, disk.volume.root, bus=bus) as service:
        bus.publish(in_use(disk, "does not answer yet"))
        bus.publish(in_use(disk))
        await until(database, 1)
        recorded(disk, T0 + 400_000_000)
        bus.publish(in_use(disk))  # nothing happened to it: what is closed comes by itself
        bus.publish(IngestUp("ingest-0", 2, Snapshot(0, ())))  # killed between the manifest and its journal
        bus.publish(in_use(disk))
        await until(database, 2)
        recorded(disk, T0 + 800_000_000)
        bus.publish(in_use(disk, "another file system is mounted here now"))
        bus.publish(in_use(disk))
        await until(database, 3)
    assert service.counters()["background_failures"] == 0


async def test_segments_whose_manifest_was_lost_are_found_again_when_the_volume_comes_into_use(
    disk: Disk, database: Database
) -> None:
    recorded(disk, T0, T0 + 30 * HOUR)
    expected = list(rebuild(disk.volume))
    for manifest in disk.volume.root.glob("*/*/*/manifest.jsonl"):
        manifest.unlink()
    bus = Bus()
    async with inventory(database, disk.volume.root, bus=bus) as taking:
        bus.publish(in_use(disk))
        async with asyncio.timeout(10):
            while taking.counters()["orphans"] < 2:
                await asyncio.sleep(0.01)
    found = await database.segments_between(KEY, 0, T0 + 1000 * HOUR, limit=10)
    assert [(one.start, one.end, one.sha256, one.adopted) for one in found] == [
        (row.start, row.end, row.sha256, True) for row in expected
    ]
    assert [row.path for row in rebuild(disk.volume)] == [row.path for row in expected]


async def test_a_row_that_the_database_still_has_keeps_its_hash_when_the_manifest_was_lost(
    disk: Disk, database: Database
) -> None:
    recorded(disk, T0)
    taking = inventory(database, disk.volume.root)
    await taking.take(str(disk.volume.root))
    (before,) = await database.segments_between(KEY, 0, T0 + HOUR, limit=10)
    (manifest,) = disk.volume.root.glob("*/*/*/manifest.jsonl")
    manifest.unlink()
    assert await taking.search(str(disk.volume.root)) == 1
    assert await database.segments_between(KEY, 0, T0 + HOUR, limit=10) == [before]
