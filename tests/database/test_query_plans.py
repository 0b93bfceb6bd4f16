"""The segment index stays fast because every query reads a range of one index; the plan says so, whatever the machine."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from gb28181.database import Database, tables
from gb28181.database.segments import between, oldest
from tests.database.database_samples import KEY, segment

CHANNELS = 300
PER_CHANNEL = 1000
US = 1_000_000


@pytest.fixture
async def filled(sqlite: Database) -> Database:
    await sqlite.add_segments([segment(0, 300 * US)])  # the channel and volume that the test asks for have number 1
    async with sqlite._engines.durable() as connection:
        columns = {"bytes": 1, "sha256": "", "chain": "", "end_cause": "rotated", "lost": 0, "key_frames": 1, "adopted": False}
        for track in range(1, CHANNELS + 1):
            rows = [
                columns
                | {
                    "track_id": track,
                    "volume_id": 1,
                    "start_us": n * 300 * US,
                    "end_us": (n + 1) * 300 * US,
                    "path": f"{track}/{n}",
                }
                for n in range(PER_CHANNEL)
            ]
            await connection.execute(sa.insert(tables.segments), rows)
    return sqlite


async def plan(database: Database, statement: sa.Select) -> list[str]:
    async with database._engines.reading() as connection:
        compiled = statement.compile(connection.sync_connection, compile_kwargs={"literal_binds": True})
        return [row[3] for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]


async def test_queries_of_300_000_segments_read_a_range_of_an_index(filled: Database):
    day = await plan(filled, between(1, 0, 86400 * US, longest=360 * US, limit=500, after=(100 * US, 5)))
    assert any("segments_by_time (track_id=? AND start_us>? AND start_us<?)" in step for step in day), day
    aged = await plan(filled, oldest(1, limit=100))
    assert any("segments_by_age (volume_id=?)" in step for step in aged), aged
    for steps in (day, aged):
        assert not any("SCAN segments" in step or "TEMP B-TREE" in step for step in steps), steps


async def test_a_day_is_found_whole_among_300_000_segments(filled: Database):
    found = await filled.segments_between(KEY, 500 * 300 * US, 500 * 300 * US + 86400 * US, limit=1000)
    assert len(found) == 288
    assert found[0].start == 500 * 300 * US
