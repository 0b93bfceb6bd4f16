"""Numbers of channels and volumes in the recording tables, found or given inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gb28181.catalog.model import ChannelKey
from gb28181.database import tables
from gb28181.database.rows import insert_new

_t = tables.tracks.c
_v = tables.volumes.c


@dataclass(frozen=True, slots=True)
class Track:
    """A channel's number and the length of its longest segment and closed gap, in microseconds."""

    track_id: int
    longest_us: int
    longest_gap_us: int


async def track(connection: AsyncConnection, key: ChannelKey) -> Track | None:
    statement = sa.select(_t.track_id, _t.longest_us, _t.longest_gap_us).where(
        _t.device_id == key.device_id, _t.channel_id == key.channel_id
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else Track(*row)


async def make_track(connection: AsyncConnection, key: ChannelKey) -> Track:
    found = await track(connection, key)
    if found is None:
        statement = insert_new(tables.tracks, connection.dialect.name, ("device_id", "channel_id"))
        await connection.execute(statement, [{"device_id": key.device_id, "channel_id": key.channel_id}])
        found = await track(connection, key)
        assert found is not None
    return found


async def volume(connection: AsyncConnection, root: str) -> int | None:
    return await connection.scalar(sa.select(_v.volume_id).where(_v.root == root))


async def make_volume(connection: AsyncConnection, root: str) -> int:
    found = await volume(connection, root)
    if found is None:
        await connection.execute(insert_new(tables.volumes, connection.dialect.name, ("root",)), [{"root": root}])
        found = await volume(connection, root)
        assert found is not None
    return found


async def stretch(connection: AsyncConnection, column: sa.Column[int], longest: dict[int, int]) -> None:
    """Raises `longest_us` or `longest_gap_us` of tracks where a longer one came."""
    statement = (
        sa.update(tables.tracks)
        .where(_t.track_id == sa.bindparam("number"), column < sa.bindparam("length"))
        .values({column: sa.bindparam("length")})
    )
    await connection.execute(statement, [{"number": number, "length": length} for number, length in longest.items()])
