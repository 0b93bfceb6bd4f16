from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gb28181.accounts.model import User
from gb28181.database import Database, sqlite_url
from tests.database.database_samples import AT, stream


async def test_stream_comes_back_with_its_whole_dialog(database: Database):
    await database.save_stream(stream())
    await database.save_stream(stream("s2"))
    assert await database.load_streams() == [stream(), stream("s2")]


async def test_stream_saved_again_replaces_and_deleted_is_gone(database: Database):
    await database.save_stream(stream())
    await database.save_stream(stream(cseq=2, closing=True))
    assert await database.load_streams() == [stream(cseq=2, closing=True)]
    await database.delete_stream("s1")
    await database.delete_stream("s1")
    assert await database.load_streams() == []


async def test_stream_is_committed_when_the_call_returns(tmp_path):
    async with Database(sqlite_url(tmp_path / "a.db"), flush_ms=60_000) as database:
        await database.migrate()
        await database.save_stream(stream())
        with closing(sqlite3.connect(tmp_path / "a.db")) as other:
            assert other.execute("SELECT stream_id FROM streams").fetchall() == [("s1",)]


async def test_dialogs_and_segments_are_synced_at_each_commit(sqlite: Database):
    async with sqlite._engines.durable() as connection:
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 2  # FULL
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() == "wal"
    async with sqlite._engines.behind() as connection:
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar() == 1  # NORMAL


async def test_user_comes_back(database: Database):
    user = User("admin", "$argon2id$x", "admin", disabled=True)
    assert await database.load_user("admin") is None
    await database.save_user(user)
    assert await database.load_user("admin") == user
    assert await database.load_user("Admin") is None
    assert await database.load_user("a\0\ud800' OR 1=1 --") is None


async def test_audit_is_kept(database: Database):
    await database.add_audit(AT, "admin\0", "login", "设备", {"source": "192.0.2.1", "n": 1})
    async with database._engines.reading() as connection:
        rows = (await connection.exec_driver_sql("SELECT username, action, target FROM audit")).all()
    assert [tuple(row) for row in rows] == [("admin", "login", "设备")]


async def test_a_call_that_is_cancelled_while_it_connects_leaves_no_connection_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The thread of the driver opens the file whoever waits for it."""
    opened: list[sqlite3.Connection] = []
    closed: list[sqlite3.Connection] = []

    class Counted(sqlite3.Connection):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            opened.append(self)

        def close(self) -> None:
            closed.append(self)
            super().close()

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *arguments, **named: connect(*arguments, **named, factory=Counted))
    async with Database(sqlite_url(tmp_path / "gb28181.db")) as made:
        await made.migrate()
    for step in range(40):
        async with Database(sqlite_url(tmp_path / "gb28181.db")) as database:
            call = asyncio.ensure_future(database.load_streams())
            await asyncio.sleep(step / 4000)
            call.cancel()
            await asyncio.wait([call])
    assert len(opened) > 40
    assert {id(connection) for connection in opened} == {id(connection) for connection in closed}


async def test_cancelled_call_leaves_the_database_usable(database: Database):
    """A caller of the API may hang up at any step of a write."""
    for steps in range(40):
        call = asyncio.ensure_future(database.save_stream(stream(f"c{steps}")))
        for _ in range(steps):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
    await database.save_stream(stream("last"))
    assert "last" in {found.stream_id for found in await database.load_streams()}
