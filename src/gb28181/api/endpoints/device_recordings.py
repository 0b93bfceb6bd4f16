"""What a device itself has recorded (§9.7)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gb28181.api.fields import Moment, Shown
from gb28181.api.routing import Call, Model, Route, route
from gb28181.command.footage import FootageWish


class DeviceRecordingsQuery(Model):
    """At most 31 days. `indistinct`: search the device's centre too; `stream_number`, `alarm_method` need edition 2022."""

    start: Moment
    end: Moment
    type: Literal["time", "alarm", "manual", "all"] = "all"
    indistinct: bool = False
    stream_number: int | None = Field(None, ge=0, le=31)
    alarm_method: str | None = Field(None, max_length=16, pattern=r"^[0-9]+(/[0-9]+)*$")
    alarm_type: str | None = Field(None, max_length=16, pattern=r"^[0-9]+(/[0-9]+)*$")
    file_path: str | None = Field(None, max_length=256)
    address: str | None = Field(None, max_length=128)
    recorder_id: str | None = Field(None, max_length=64)
    secrecy: int | None = Field(None, ge=0, le=1)


class DeviceRecording(Model):
    """`start` and `end` are cut to the range; `bytes` is null where the device did not tell."""

    start: Shown
    end: Shown
    name: str
    type: str
    file_path: str
    address: str
    recorder_id: str
    bytes: int | None
    secrecy: int
    location: str
    stream_number: int | None


class RangeView(Model):
    start: Shown
    end: Shown


class DayView(Model):
    """`state`: complete, incomplete (less came than `announced`, or nobody said how much), no_answer, not_asked."""

    date: str
    state: str
    received: int
    announced: int | None


class DeviceRecordings(Model):
    """`recorded` joins `items`; `gaps` are reckoned only for days (Beijing) that were answered whole, and only up to now."""

    asked_at: Shown
    complete: bool
    items: list[DeviceRecording]
    recorded: list[RangeView]
    gaps: list[RangeView]
    days: list[DayView]


@route(
    "GET", "/devices/{device_id}/channels/{channel_id}/device-recordings", right="watch", query=DeviceRecordingsQuery,
    response=DeviceRecordings, errors=(404, 409, 502, 503, 504),
)  # fmt: skip
async def list_device_recordings(call: Call[DeviceRecordingsQuery, None]) -> DeviceRecordings:
    """Asks a device what it has recorded of a channel."""
    query = call.query
    key = call.services.catalog.channel(call.key).key
    wish = FootageWish(
        query.start, query.end, query.type, query.indistinct, query.stream_number, query.alarm_method, query.alarm_type,
        query.file_path, query.address, query.recorder_id, query.secrecy,
    )  # fmt: skip
    found = await call.services.commands.footage.search(key, wish)
    return DeviceRecordings(
        asked_at=found.asked_at,
        complete=found.is_complete,
        items=[
            DeviceRecording(
                start=item.start,
                end=item.end,
                name=item.name,
                type=item.kind,
                file_path=item.file_path,
                address=item.address,
                recorder_id=item.recorder_id,
                bytes=item.bytes,
                secrecy=item.secrecy,
                location=item.location,
                stream_number=item.stream_number,
            )
            for item in found.items
        ],
        recorded=[RangeView(start=start, end=end) for start, end in found.recorded],
        gaps=[RangeView(start=start, end=end) for start, end in found.gaps],
        days=[DayView(date=day.date, state=day.state, received=day.received, announced=day.announced) for day in found.days],
    )


ROUTES: tuple[Route, ...] = (list_device_recordings,)
