"""Rows of alarms: written behind, numbered by their arrival, removed by age and number."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from gb28181.alarm.model import Alarm, AlarmFilter
from gb28181.clock import from_us, to_us
from gb28181.database import tables
from gb28181.database.rows import Row, Rows, microseconds, moment, text
from gb28181.ids import DeviceId

_a: Final = tables.alarms.c
#: Written out, so that the partial index is seen to fit.
_IS_OPEN: Final = _a.acknowledged_by == sa.literal_column("''")


class AlarmRows(Rows):
    """`ports.AlarmStore`."""

    def save_alarm(self, alarm: Alarm) -> None:
        self._behind.put(tables.alarms, alarm.alarm_id, "", _row(alarm))

    async def save_alarm_now(self, alarm: Alarm) -> None:
        await self._behind.put_now(tables.alarms, alarm.alarm_id, "", _row(alarm))

    async def alarm(self, alarm_id: int) -> Alarm | None:
        async with self._engines.reading() as connection:
            rows = await connection.execute(sa.select(tables.alarms).where(_a.alarm_id == alarm_id))
            row = rows.mappings().first()
            return None if row is None else _alarm(row)

    async def last_alarms(self, limit: int) -> list[Alarm]:
        newest = sa.select(tables.alarms).order_by(_a.alarm_id.desc()).limit(limit)
        async with self._engines.reading() as connection:
            rows = (await connection.execute(newest)).mappings().all()
            return [_alarm(row) for row in reversed(rows)]

    async def alarms_page(self, wanted: AlarmFilter, *, limit: int, before: tuple[int, int] | None = None) -> list[Alarm]:
        async with self._engines.reading() as connection:
            rows = await connection.execute(page(wanted, limit=limit, before=before))
            return [_alarm(row) for row in rows.mappings()]


def page(wanted: AlarmFilter, *, limit: int, before: tuple[int, int] | None) -> sa.Select[tuple[object, ...]]:
    """Newest first; a range of an index by time, of one device where one is named."""
    statement = sa.select(tables.alarms)
    if before is not None:
        # Said twice: the plain comparison bounds the index range on every backend.
        statement = statement.where(_a.at <= before[0], sa.or_(_a.at < before[0], _a.alarm_id < before[1]))
    for column, value in (
        (_a.device_id, wanted.device_id),
        (_a.channel_id, wanted.channel_id),
        (_a.method, wanted.method),
        (_a.alarm_type, wanted.alarm_type),
    ):
        if value is not None and value != "":
            statement = statement.where(column == value)
    if wanted.priority is not None:
        statement = statement.where(_a.priority > 0, _a.priority <= wanted.priority)
    if wanted.acknowledged is not None:
        statement = statement.where(sa.not_(_IS_OPEN) if wanted.acknowledged else _IS_OPEN)
    if wanted.start is not None:
        statement = statement.where(_a.at >= wanted.start)
    if wanted.end is not None:
        statement = statement.where(_a.at < wanted.end)
    return statement.order_by(_a.at.desc(), _a.alarm_id.desc()).limit(limit)


def _row(alarm: Alarm) -> Row:
    return {
        "alarm_id": alarm.alarm_id,
        "device_id": alarm.device_id,
        "channel_id": alarm.channel_id,
        "source_id": alarm.source_id,
        "at": to_us(alarm.at),
        "received_at": to_us(alarm.received_at),
        "told_time": microseconds(alarm.told_time),
        "priority": alarm.priority,
        "method": alarm.method,
        "alarm_type": alarm.alarm_type,
        "event_type": alarm.event_type,
        "description": text(alarm.description),
        "longitude": alarm.longitude,
        "latitude": alarm.latitude,
        "via": alarm.via,
        "extra": dict(alarm.extra),
        "acknowledged_by": text(alarm.acknowledged_by),
        "acknowledged_at": microseconds(alarm.acknowledged_at),
        "note": text(alarm.note),
    }


def _alarm(row: sa.RowMapping) -> Alarm:
    fields = dict(row)
    fields |= {name: from_us(fields[name]) for name in ("at", "received_at")}
    fields |= {name: moment(fields[name]) for name in ("told_time", "acknowledged_at")}
    return Alarm(**fields | {"device_id": DeviceId(fields["device_id"])})
