"""Rows of channels: written behind like devices, never removed by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern
from typing import Final

import sqlalchemy as sa

from gb28181.catalog.model import Channel, ChannelKey
from gb28181.database import tables
from gb28181.database.rows import Row, Rows, microseconds, moment, text
from gb28181.ids import DeviceId

_LOAD: Final = 5000
#: Columns whose texts thousands of rows share: each is kept once.
_SHARED: Final = ("manufacturer", "model", "civil_code", "parent_id", "elements")


class ChannelRows(Rows):
    """`ports.ChannelStore`."""

    async def load_channels(self) -> list[Channel]:
        key = tables.channels.c
        out: list[Channel] = []
        async with self._engines.reading() as connection:
            result = await connection.stream(sa.select(tables.channels).order_by(key.device_id, key.channel_id))
            async for part in result.mappings().partitions(_LOAD):
                out += [_channel(row) for row in part]
        return out

    def save_channels(self, channels: Sequence[Channel]) -> None:
        for channel in channels:
            self._behind.put(tables.channels, channel.key, channel.key.device_id, _row(channel))

    async def save_channel_now(self, channel: Channel) -> None:
        await self._behind.put_now(tables.channels, channel.key, channel.key.device_id, _row(channel))


def _row(channel: Channel) -> Row:
    return {
        "device_id": channel.key.device_id,
        "channel_id": channel.key.channel_id,
        "name": text(channel.name),
        "manufacturer": text(channel.manufacturer),
        "model": text(channel.model),
        "civil_code": text(channel.civil_code),
        "parent_id": text(channel.parent_id),
        "parental": channel.parental,
        "status_on": channel.status_on,
        "longitude": channel.longitude,
        "latitude": channel.latitude,
        "ptz_type": channel.ptz_type,
        "is_gone": channel.is_gone,
        "missed": channel.missed,
        "synthetic": channel.synthetic,
        "seen_on": channel.seen_on,
        "item": text(channel.elements),
        "updated_at": microseconds(channel.updated_at),
        "alias": text(channel.alias),
        "recording_mode": channel.recording_mode,
        "retention_hours": channel.retention_hours,
    }


def _channel(row: sa.RowMapping) -> Channel:
    fields = dict(row)
    key = ChannelKey(DeviceId(intern(fields.pop("device_id"))), fields.pop("channel_id"))
    fields["updated_at"] = moment(fields["updated_at"])
    fields["elements"] = fields.pop("item")
    for name in _SHARED:
        fields[name] = intern(fields[name])
    return Channel(key=key, **fields)
