"""Deletes of rows that have been kept long enough, or are too many, a bounded number at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from typing import Final

import sqlalchemy as sa

from gb28181.database import tables
from gb28181.database.rows import Rows

#: Between two parts of a long removal: others write in it.
_PAUSE_S: Final = 0.05
#: Devices whose rows are looked for at once, those with the most too many first.
_DEVICES_AT_ONCE: Final = 10_000

#: Tables that all devices fill. The number of a row is the microsecond of its arrival, so that what is old is a range of them.
NUMBERS: Final = {"alarms": tables.alarms.c.alarm_id, "track_points": tables.track_points.c.position_id}


def fair_share(counts: Collection[int], keep: int) -> int:
    """How many each may have so that all together have at most `keep`: who has fewer leaves the rest to the others."""
    left = keep
    for place, count in enumerate(sorted(counts)):
        share = left // (len(counts) - place)
        if count > share:
            return share
        left -= count
    return keep


class OldRows(Rows):
    """What `Upkeep` removes. `before` is UTC microseconds; each call returns how many rows went.

    `name` is one of `NUMBERS`.
    """

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

    async def purge_arrived(self, name: str, before: int, *, limit: int) -> int:
        """Alarms or points of tracks that arrived before."""
        number, removed = NUMBERS[name], 0
        oldest = sa.select(number).where(number < before).order_by(number).limit(limit)
        while gone := await self._delete(sa.delete(number.table).where(number.in_(oldest))):
            removed += gone
            await asyncio.sleep(_PAUSE_S)
        return removed

    async def arrived_after(self, name: str, after: int) -> tuple[int, int]:
        """How many rows have a higher number than `after`, and the highest; reads those alone."""
        number = NUMBERS[name]
        async with self._engines.reading() as connection:
            found = await connection.execute(sa.select(sa.func.count(), sa.func.max(number)).where(number > after))
            count, newest = found.one()
            return int(count), after if newest is None else int(newest)

    async def purge_beyond(self, name: str, *, keep: int, limit: int) -> int:
        """Down to `keep` rows: of devices that have more than their share of these, the oldest first.

        A device that reports without end loses its own rows, not those of others. Costs one look at all rows of an index by
        device, and a walk from the oldest row to the last one that goes.
        """
        number = NUMBERS[name]
        device = number.table.c.device_id
        async with self._engines.reading() as connection:
            counted = await connection.execute(sa.select(device, sa.func.count()).group_by(device))
            counts = {device_id: int(count) for device_id, count in counted}
        share = fair_share(counts.values(), keep)
        excess = Counter({device_id: count - share for device_id, count in counts.items() if count > share})
        too_many = sum(counts.values()) - keep
        removed = 0
        while excess and removed < too_many:
            some = dict(excess.most_common(_DEVICES_AT_ONCE))
            excess.subtract(some)
            excess = +excess
            removed += await self._purge_of(number, some, most=too_many - removed, limit=limit)
        return removed

    async def _purge_of(self, number: sa.Column[int], excess: dict[str, int], *, most: int, limit: int) -> int:
        """The oldest rows of some devices, so many of each, and at most so many of all."""
        device = number.table.c.device_id
        removed, last = 0, 0
        while removed < most and (left := [device_id for device_id, count in excess.items() if count]):
            # Not the bare column: by an index of devices every part would sort all rows of them, to take the oldest few.
            theirs = (device + "").in_(left)
            walk = sa.select(number, device).where(number > last, theirs).order_by(number).limit(limit)
            async with self._engines.reading() as connection:
                found = (await connection.execute(walk)).all()
            if not found:
                break  # others have removed them
            last = found[-1][0]
            going: list[int] = []
            for row, device_id in found:
                if excess[device_id] and len(going) < most - removed:
                    excess[device_id] -= 1
                    going.append(row)
            removed += await self._delete(sa.delete(number.table).where(number.in_(going)))
            await asyncio.sleep(_PAUSE_S)
        return removed

    async def _delete(self, statement: sa.Delete) -> int:
        async with self._engines.durable() as connection:
            return int((await connection.execute(statement)).rowcount)
