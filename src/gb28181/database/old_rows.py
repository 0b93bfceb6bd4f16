"""Deletes of rows that have been kept long enough, a bounded number at a time."""

from __future__ import annotations

import sqlalchemy as sa

from gb28181.database import tables
from gb28181.database.rows import Rows


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

    async def _delete(self, statement: sa.Delete) -> int:
        async with self._engines.durable() as connection:
            return int((await connection.execute(statement)).rowcount)
