"""Deletes of rows that have been kept long enough, a bounded number at a time."""

from __future__ import annotations

import asyncio
from typing import Final

import sqlalchemy as sa

from gb28181.database import tables
from gb28181.database.rows import Rows

#: Between two parts of a long removal: others write in it.
_PAUSE_S: Final = 0.05


class OldRows(Rows):
    """What `Upkeep` removes. `before` is UTC microseconds; each call returns how many rows went."""

    async def track_ids(self) -> list[int]:
        async with self._engines.reading() as connection:
            return list((await connection.execute(sa.select(tables.tracks.c.track_id))).scalars())

    async def purge_audit(self, before: int, *, limit: int) -> int:
        columns = tables.audit.c
        oldest = sa.select(columns.audit_id).where(columns.at < before).order_by(columns.at).limit(limit)
        return await self._delete(sa.delete(tables.audit).where(columns.audit_id.in_(oldest)))

    async def purge_gaps(self, track_id: int, before: int, *, limit: int) -> int:
        """Gaps of one channel that ended before; an open one (end 0) never."""
        columns = tables.gaps.c
        oldest = (
            sa.select(columns.gap_id)
            .where(columns.track_id == track_id, columns.start_us < before, columns.end_us > 0, columns.end_us < before)
            .order_by(columns.start_us)
            .limit(limit)
        )
        return await self._delete(sa.delete(tables.gaps).where(columns.gap_id.in_(oldest)))

    async def purge_alarms(self, before: int, *, keep: int, limit: int) -> int:
        """Alarms that arrived before, and those beyond the newest `keep`."""
        return await self._purge_numbered(tables.alarms.c.alarm_id, before, keep=keep, limit=limit)

    async def purge_track_points(self, before: int, *, keep: int, limit: int) -> int:
        """Positions that arrived before, and those beyond the newest `keep`; the last one of each channel stays."""
        return await self._purge_numbered(tables.track_points.c.position_id, before, keep=keep, limit=limit)

    async def _purge_numbered(self, number: sa.Column[int], before: int, *, keep: int, limit: int) -> int:
        """Of a table whose numbers are the microseconds of arrival, so that what is old is a range of them."""
        async with self._engines.reading() as connection:
            first_too_many = await connection.scalar(sa.select(number).order_by(number.desc()).offset(keep).limit(1))
        end = max(before, 0 if first_too_many is None else first_too_many + 1)
        removed = 0
        while True:
            oldest = sa.select(number).where(number < end).order_by(number).limit(limit)
            gone = await self._delete(sa.delete(number.table).where(number.in_(oldest)))
            removed += gone
            if gone < limit:
                return removed
            await asyncio.sleep(_PAUSE_S)

    async def _delete(self, statement: sa.Delete) -> int:
        async with self._engines.durable() as connection:
            return int((await connection.execute(statement)).rowcount)
