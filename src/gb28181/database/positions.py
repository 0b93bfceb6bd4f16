"""Rows of positions: where each channel is, and where it was. Written behind; what is old goes by its number."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from gb28181.catalog.model import ChannelKey
from gb28181.clock import from_us, to_us
from gb28181.database import tables
from gb28181.database.rows import Row, Rows
from gb28181.ids import DeviceId
from gb28181.position.model import Position

_p: Final = tables.track_points.c


class PositionRows(Rows):
    """`ports.PositionStore`."""

    def save_position(self, position: Position, *, is_last: bool, in_track: bool) -> None:
        row = _row(position)
        if is_last:
            self._behind.put(tables.positions, position.key, position.key.device_id, row)
        if in_track:
            self._behind.put(tables.track_points, position.position_id, "", row)

    async def last_positions(self, *, limit: int) -> list[Position]:
        statement = sa.select(tables.positions).order_by(tables.positions.c.position_id.desc()).limit(limit)
        async with self._engines.reading() as connection:
            return [_position(row) for row in (await connection.execute(statement)).mappings()]

    async def track(
        self, key: ChannelKey, start: int, end: int, *, limit: int, after: tuple[int, int] | None = None
    ) -> list[Position]:
        async with self._engines.reading() as connection:
            rows = await connection.execute(points(key, start, end, limit=limit, after=after))
            return [_position(row) for row in rows.mappings()]


def points(
    key: ChannelKey, start: int, end: int, *, limit: int, after: tuple[int, int] | None
) -> sa.Select[tuple[object, ...]]:
    """Positions of one channel in [start, end), a range of one index."""
    statement = sa.select(tables.track_points).where(
        _p.device_id == key.device_id, _p.channel_id == key.channel_id, _p.at >= start, _p.at < end
    )
    if after is not None:
        statement = statement.where(_p.at >= after[0], sa.or_(_p.at > after[0], _p.position_id > after[1]))
    return statement.order_by(_p.at, _p.position_id).limit(limit)


def _row(position: Position) -> Row:
    return {
        "position_id": position.position_id,
        "device_id": position.key.device_id,
        "channel_id": position.key.channel_id,
        "at": to_us(position.at),
        "received_at": to_us(position.received_at),
        "longitude": position.longitude,
        "latitude": position.latitude,
        "told_longitude": position.told_longitude,
        "told_latitude": position.told_latitude,
        "system": position.system,
        "speed_kmh": position.speed_kmh,
        "direction_deg": position.direction_deg,
        "altitude_m": position.altitude_m,
        "height_m": position.height_m,
        "via": position.via,
    }


def _position(row: sa.RowMapping) -> Position:
    fields = dict(row)
    key = ChannelKey(DeviceId(fields.pop("device_id")), DeviceId(fields.pop("channel_id")))
    fields |= {name: from_us(fields[name]) for name in ("at", "received_at")}
    return Position(key=key, **fields)
