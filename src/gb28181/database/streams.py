"""Rows of running streams: each is on disk when the call returns, because the ACK of its INVITE waits for it."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from gb28181.catalog.model import ChannelKey
from gb28181.clock import from_us, to_us
from gb28181.database import tables
from gb28181.database.dialogs import dialog_in
from gb28181.database.rows import Rows, upsert
from gb28181.session.model import StreamRecord


class StreamRows(Rows):
    """`ports.StreamStore`."""

    async def load_streams(self) -> list[StreamRecord]:
        async with self._engines.reading() as connection:
            rows = await connection.execute(sa.select(tables.streams).order_by(tables.streams.c.created_at))
            return [_record(row) for row in rows.mappings()]

    async def save_stream(self, record: StreamRecord) -> None:
        row = {
            "stream_id": record.stream_id,
            "device_id": record.key.device_id,
            "channel_id": record.key.channel_id,
            "ingest": record.ingest,
            "ingest_epoch": record.ingest_epoch,
            "transport": record.transport,
            "receiver_port": record.receiver_port,
            "ssrc": record.ssrc,
            "dialog": dataclasses.asdict(record.dialog),
            "created_at": to_us(record.created_at),
            "closing": record.closing,
        }
        async with self._engines.durable() as connection:
            await connection.execute(upsert(tables.streams, connection.dialect.name), [row])

    async def delete_stream(self, stream_id: str) -> None:
        async with self._engines.durable() as connection:
            await connection.execute(sa.delete(tables.streams).where(tables.streams.c.stream_id == stream_id))


def _record(row: sa.RowMapping) -> StreamRecord:
    fields = dict(row)
    key = ChannelKey(fields.pop("device_id"), fields.pop("channel_id"))
    fields["created_at"] = from_us(fields["created_at"])
    return StreamRecord(key=key, **fields | {"dialog": dialog_in(fields["dialog"])})
