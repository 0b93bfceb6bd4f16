from __future__ import annotations

import pytest

from gb28181.database import Database, sqlite_url
from gb28181.device.model import Device, Fault
from gb28181.errors import StorageError
from tests.database.database_samples import AT, CAMERA, DEVICE, channel, device


async def test_device_comes_back_as_it_was_saved(database: Database):
    bare = Device(device_id=device("2").device_id)
    await database.save_device_now(device())
    await database.save_device_now(bare)
    assert await database.load_devices() == [bare, device()]


async def test_channel_comes_back_as_it_was_saved(database: Database):
    await database.save_channel_now(channel())
    assert await database.load_channels() == [channel()]


async def test_last_state_of_a_device_wins(database: Database):
    for number in range(50):
        database.save_device(device(name=f"n{number}"))
    await database.save_device_now(device(name="last"))
    assert [found.name for found in await database.load_devices()] == ["last"]


async def test_what_waits_is_written_on_close(tmp_path):
    async with Database(sqlite_url(tmp_path / "a.db"), flush_ms=60_000) as first:
        await first.migrate()
        first.save_device(device())
        first.save_channels([channel(str(1000 + number)) for number in range(5000)])
    async with Database(sqlite_url(tmp_path / "a.db")) as second:
        assert await second.load_devices() == [device()]
        assert len(await second.load_channels()) == 5000


async def test_deleting_a_device_takes_its_channels_and_what_waits_for_it(database: Database):
    await database.save_device_now(device())
    await database.save_channel_now(channel())
    await database.save_channel_now(channel(device_id="other"))
    database.save_channels([channel("34020000001310000002")])
    database.save_device(device(name="too late"))
    await database.delete_device(DEVICE)
    assert await database.load_devices() == []
    assert [found.key.device_id for found in await database.load_channels()] == ["other"]


async def test_device_saved_after_its_deletion_is_there(database: Database):
    import asyncio

    await database.save_device_now(device())
    deletion = asyncio.ensure_future(database.delete_device(DEVICE))
    await asyncio.sleep(0)
    database.save_device(device(name="new"))
    await deletion
    await database.save_channel_now(channel(CAMERA))  # whatever waited before it is written now
    assert [found.name for found in await database.load_devices()] == ["new"]


async def test_hostile_text_is_stored_without_what_no_database_takes(database: Database):
    await database.save_device_now(device(name="a\0b\ud800c", faults={"x\0": Fault(1, None, "\0\ud800")}))
    assert (await database.load_devices())[0].name == "ab?c"


async def test_row_that_the_database_refuses_does_not_hold_back_the_others(database: Database):
    for number in range(20):
        database.save_device(device(str(number), catalog_announced=10**30 if number == 7 else 1))
    with pytest.raises(StorageError, match="refuses devices"):
        await database.save_device_now(device("99", catalog_received=10**30))
    assert len(await database.load_devices()) == 19
    assert database.state().refused == 2
    assert database.state().waiting == 0


async def test_times_are_exact_to_the_microsecond(database: Database):
    await database.save_device_now(device())
    assert (await database.load_devices())[0].last_seen_at == AT
