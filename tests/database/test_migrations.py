from __future__ import annotations

import asyncio
import importlib.resources
import json
import sqlite3
import threading
from contextlib import closing

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from gb28181.database import Database, sqlite_url, tables
from gb28181.device.model import Fault
from gb28181.errors import Invalid, StorageError
from tests.database.database_samples import device, segment


async def test_migrations_make_exactly_the_tables(url):
    async with Database(url) as database:
        await database.migrate()
        await database.migrate()
        async with database._engines.reading() as connection:

            def differences(sync: sa.Connection) -> list[object]:
                return compare_metadata(MigrationContext.configure(sync), tables.metadata)

            assert await connection.run_sync(differences) == []


async def test_migrations_go_back_and_forward_again(url):
    async with Database(url) as database:
        await database.migrate()
        await database.migrate("base")
        async with database._engines.reading() as connection:
            names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
        assert names == ["alembic_version"]
        await database.migrate()
        await database.add_segments([segment(0, 1)])


async def test_faults_and_switches_of_devices_survive_the_way_there_and_back(url):
    """0007: faults get a time, and only a switch that somebody turned on counts as set."""
    row = (
        "INSERT INTO devices (device_id, name, manufacturer, model, firmware, user_agent, gb_version, keepalive_interval_s,"
        " media_transport, catalog_announced, catalog_received, faults, profile) VALUES"
        " ('{}', '', '', '', '', '', '', 0, '', 0, 0, '{{\"bad-item\": 312}}', '{{\"ignore_notified_status\": {}}}')"
    )
    async with Database(url) as database:
        await database.migrate("0006")
        async with database._engines.durable() as connection:
            await connection.exec_driver_sql(row.format("1", "true"))
            await connection.exec_driver_sql(row.format("2", "false"))
        await database.migrate()
        on, off = await database.load_devices()
        assert (on.faults, on.overrides) == ({"bad-item": Fault(312)}, {"ignore_notified_status": True})
        assert off.overrides == {}
        await database.migrate("0006")
        async with database._engines.reading() as connection:
            rows = (await connection.execute(sa.text("SELECT faults, profile FROM devices ORDER BY device_id"))).all()
        assert [[json.loads(text) if isinstance(text, str) else text for text in found] for found in rows] == [
            [{"bad-item": 312}, {"ignore_notified_status": True}],
            [{"bad-item": 312}, {"ignore_notified_status": False}],
        ]


async def test_failed_migration_leaves_no_trace(tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.db")) as other:
        other.execute("CREATE TABLE users (x)")  # the migration creates other tables before it meets this one
    async with Database(sqlite_url(tmp_path / "a.db")) as database:
        with pytest.raises(StorageError, match="users already exists"):
            await database.migrate()
    with closing(sqlite3.connect(tmp_path / "a.db")) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("users",)]


def test_migrations_are_part_of_the_package():
    versions = importlib.resources.files("gb28181.database") / "migrations" / "versions"
    assert any(entry.name.startswith("0001") for entry in versions.iterdir())


async def test_database_of_a_newer_version_is_named(url):
    async with Database(url) as database:
        await database.migrate()
        async with database._engines.durable() as connection:
            await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(
            StorageError, match=r"of version 9999, which this version of gb28181 does not know: start the newer"
        ):
            await database.migrate()


async def test_damaged_file_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "gb28181.db"
    path.write_bytes(b"\x00garbage" * 1000)
    async with Database(sqlite_url(path)) as database:
        with pytest.raises(
            StorageError, match=r"gb28181\.db: file is not a database.*restore a backup; recordings are untouched"
        ):
            await database.migrate()


async def test_file_damaged_inside_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "gb28181.db"
    async with Database(sqlite_url(path)) as database:
        await database.migrate()
        for number in range(300):
            database.save_device(device(str(number)))
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    async with Database(sqlite_url(path)) as database:
        with pytest.raises(StorageError, match=r"malformed.*The file is damaged"):
            await database.load_devices()


async def test_locked_file_is_named_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("gb28181.database.engine._BUSY_TIMEOUT_S", 0.01)
    path = tmp_path / "gb28181.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    async with Database(sqlite_url(path)) as database:
        with pytest.raises(StorageError, match=r"gb28181\.db: database is locked\. Another program has the file open"):
            await database.migrate()
    holder.close()


async def test_missing_folder_is_named(tmp_path):
    async with Database(sqlite_url(tmp_path / "none" / "gb28181.db")) as database:
        with pytest.raises(StorageError, match=r"unable to open database file\. Check that the folder exists"):
            await database.migrate()


def test_a_file_that_cannot_be_opened_leaves_no_thread_that_speaks_to_a_loop_that_has_ended(tmp_path, monkeypatch):
    """Seen once in three: the driver's thread died of "Event loop is closed" below the explanation of a failed start."""
    died = []
    monkeypatch.setattr(threading, "excepthook", lambda death: died.append(repr(death.exc_value)))
    before = set(threading.enumerate())

    async def start() -> None:
        async with Database(sqlite_url(tmp_path / "none" / "gb28181.db")) as database:
            with pytest.raises(StorageError):
                await database.migrate()

    for _ in range(20):
        asyncio.run(start())
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert died == []


async def test_unreachable_postgresql_is_named_without_its_password(tmp_path):
    async with Database(f"postgresql://gb:s3cret@/x?host={tmp_path}") as database:
        with pytest.raises(StorageError, match=r"cannot be used.*Check that PostgreSQL runs") as caught:
            await database.migrate()
    assert "s3cret" not in str(caught.value)


async def test_missing_postgresql_database_is_named(postgres_folder):
    async with Database(f"postgresql://gb@/nowhere?host={postgres_folder}") as database:
        with pytest.raises(StorageError, match='"nowhere" does not exist'):
            await database.migrate()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_url_that_cannot_be_used_is_refused(url):
    with pytest.raises(Invalid, match=r"database\.url"):
        Database(url)


async def test_path_may_hold_any_character(tmp_path):
    path = tmp_path / "数据 %20?x=1#" / "gb.db"
    path.parent.mkdir()
    async with Database(sqlite_url(path)) as database:
        await database.migrate()
    assert path.exists()
