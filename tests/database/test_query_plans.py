"""The segment index stays fast because every query reads a range of one index; the plan says so, whatever the machine."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from gb28181.database import Database, tables
from gb28181.database.gaps import by_cause
from gb28181.database.segments import (
    DAY_US,
    between,
    by_day,
    named,
    newest_of_volumes,
    oldest,
    oldest_of_tracks,
    oldest_of_volumes,
    spans,
)
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


async def test_calendar_spans_and_the_overview_are_read_from_indexes_alone(filled: Database):
    month = [
        await plan(filled, by_day(1, 0, 31, longest=360 * US)),
        await plan(filled, spans(1, 0, 31 * DAY_US, longest=360 * US, bridge=5 * US)),
    ]
    for steps in month:
        assert any("USING COVERING INDEX segments_by_time (track_id=? AND start_us>? AND start_us<?)" in s for s in steps), (
            steps
        )
        assert not any("SCAN segments" in step for step in steps), steps
    known = await plan(filled, named(1, ["a", "b"]))
    assert any("USING COVERING INDEX segments_by_path (volume_id=? AND path=?)" in step for step in known), known
    ends = [(await plan(filled, statement()), "age") for statement in (oldest_of_volumes, newest_of_volumes)]
    for steps, index in (*ends, (await plan(filled, oldest_of_tracks()), "time")):
        assert any(f"SEARCH segments USING COVERING INDEX segments_by_{index}" in step for step in steps), steps
    causes = await plan(filled, by_cause(0, DAY_US))
    assert any("gaps_by_end (end_us>?)" in step for step in causes), causes
    assert not any("SCAN gaps" in step for step in causes), causes


async def test_a_month_is_summed_right_among_300_000_segments(filled: Database):
    days = await filled.recorded_by_day(KEY, 0, 4)
    assert [recorded for recorded, _ in days] == [DAY_US, DAY_US, DAY_US, PER_CHANNEL * 300 * US - 3 * DAY_US]


@pytest.mark.parametrize("kind", ["page", "month", "spans"])
async def test_postgresql_reads_a_range_of_the_index_too(postgres_url: str, kind: str):
    statement = {
        "page": between(1, 0, 86400 * US, longest=360 * US, limit=500, after=(100 * US, 5)),
        "month": by_day(1, 0, 31, longest=360 * US),
        "spans": spans(1, 0, 31 * DAY_US, longest=360 * US, bridge=5 * US),
    }[kind]
    async with Database(postgres_url, flush_ms=1) as database:
        await database.migrate()
        async with database._engines.durable() as connection:
            await connection.exec_driver_sql(
                "INSERT INTO segments (track_id, start_us, end_us, bytes, sha256, chain, volume_id, path, end_cause, lost,"
                " key_frames, adopted) SELECT t, n * 300000000::bigint, (n + 1) * 300000000::bigint, 1, '', '', 1,"
                " t || '/' || n, 'rotated', 0, 1, false FROM generate_series(1, 100) t, generate_series(0, 299) n"
            )
        async with database._engines.durable() as connection:
            await connection.exec_driver_sql("ANALYZE segments")
        async with database._engines.reading() as connection:
            compiled = statement.compile(connection.sync_connection, compile_kwargs={"literal_binds": True})
            rows = [row[0] for row in await connection.exec_driver_sql(f"EXPLAIN {compiled}")]
    text = "\n".join(rows)
    assert "segments_by_time" in text, text
    assert "Seq Scan on segments" not in text, text
