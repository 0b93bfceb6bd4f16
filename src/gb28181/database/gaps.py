"""Rows of the gap ledger: at most one gap of a channel is open, its end is 0."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from gb28181.catalog.model import ChannelKey
from gb28181.database import tables, tracks
from gb28181.database.rows import Rows, insert_new, text
from gb28181.recording.model import Gap, GapTotal

_g: Final = tables.gaps.c


class GapRows(Rows):
    """The gaps of `ports.SegmentStore`."""

    async def open_gap(self, gap: Gap) -> None:
        async with self._engines.durable() as connection:
            track = await tracks.make_track(connection, gap.key)
            row = {"track_id": track.track_id, "start_us": gap.start, "end_us": gap.end, "cause": text(gap.cause)}
            if gap.end:
                await connection.execute(sa.insert(tables.gaps), [row])
                await tracks.stretch(connection, tables.tracks.c.longest_gap_us, {track.track_id: gap.end - gap.start})
                return
            statement = insert_new(tables.gaps, connection.dialect.name, ("track_id",), where=sa.text("end_us = 0"))
            await connection.execute(statement, [row])

    async def close_gap(self, key: ChannelKey, end: int, *, shortest: int) -> None:
        async with self._engines.durable() as connection:
            track = await tracks.track(connection, key)
            if track is None:
                return
            is_open = sa.and_(_g.track_id == track.track_id, _g.end_us == sa.literal_column("0"))
            start = await connection.scalar(sa.select(_g.start_us).where(is_open))
            if start is None:
                return
            if end - start < max(shortest, 1):  # no gap may end before it began, nor at 0, which means open
                await connection.execute(sa.delete(tables.gaps).where(is_open))
                return
            await connection.execute(sa.update(tables.gaps).where(is_open).values(end_us=end))
            await tracks.stretch(connection, tables.tracks.c.longest_gap_us, {track.track_id: end - start})

    async def gaps_between(self, key: ChannelKey, start: int, end: int, *, limit: int) -> list[Gap]:
        async with self._engines.reading() as connection:
            track = await tracks.track(connection, key)
            if track is None:
                return []
            closed = (
                sa.select(tables.gaps)
                .where(_g.track_id == track.track_id, _g.start_us > start - track.longest_gap_us, _g.start_us < end)
                .where(_g.end_us > start)
                .order_by(_g.start_us)
                .limit(limit)
            )
            still_open = sa.select(tables.gaps).where(
                _g.track_id == track.track_id, _g.end_us == sa.literal_column("0"), _g.start_us < end
            )
            rows = [*(await connection.execute(closed)).mappings(), *(await connection.execute(still_open)).mappings()]
        found = [Gap(key, row["start_us"], row["end_us"], row["cause"], row["gap_id"]) for row in rows]
        return sorted(found, key=lambda gap: (gap.start, gap.gap_id))[:limit]

    async def open_gaps(self, *, limit: int) -> list[Gap]:
        track = tables.tracks.c
        statement = (
            sa.select(track.device_id, track.channel_id, _g.start_us, _g.cause, _g.gap_id)
            .select_from(tables.gaps.join(tables.tracks, track.track_id == _g.track_id))
            .where(_g.end_us == sa.literal_column("0"))
            .order_by(_g.start_us, _g.gap_id)
            .limit(limit)
        )
        async with self._engines.reading() as connection:
            rows = await connection.execute(statement)
            return [Gap(ChannelKey(device, channel), start, 0, cause, number) for device, channel, start, cause, number in rows]

    async def gaps_by_cause(self, start: int, end: int) -> list[GapTotal]:
        """Gaps of all channels that overlap [start, end), summed by cause, the longest first."""
        async with self._engines.reading() as connection:
            rows = [GapTotal(*row) for row in await connection.execute(by_cause(start, end))]
        return sorted(rows, key=lambda total: (-total.length, total.cause))


def by_cause(start: int, end: int) -> sa.Select[str, int, int, int, int]:
    """Cause, gaps, channels, gaps that last, and microseconds inside [start, end)."""
    lasts = _g.end_us == sa.literal_column("0")
    columns = (_g.track_id, _g.cause, _g.start_us, _g.end_us)
    # Two ranges of the index by end: what ended since, and what has not ended.
    found = sa.union_all(
        sa.select(*columns).where(_g.end_us > start, _g.start_us < end), sa.select(*columns).where(lasts, _g.start_us < end)
    ).subquery()
    stop = sa.case((found.c.end_us == 0, end), (found.c.end_us > end, end), else_=found.c.end_us)
    begin = sa.case((found.c.start_us < start, start), else_=found.c.start_us)
    return sa.select(
        found.c.cause,
        sa.func.count(),
        sa.func.count(sa.distinct(found.c.track_id)),
        sa.cast(sa.func.sum(sa.case((found.c.end_us == 0, 1), else_=0)), sa.BigInteger),
        sa.cast(sa.func.sum(stop - begin), sa.BigInteger),
    ).group_by(found.c.cause)
