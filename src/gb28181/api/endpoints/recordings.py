"""What is to be recorded, and what was."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from gb28181.api import links, views
from gb28181.api.fields import Limit, Moment, Page, Shown
from gb28181.api.paging import Cursors
from gb28181.api.routing import Call, Model, Route, route
from gb28181.api.services import Services
from gb28181.api.views import RecordingView
from gb28181.clock import from_us, to_us
from gb28181.recording.model import Gap, Segment

_DEFAULT_RANGE = timedelta(hours=24)


class RecordingChange(Model):
    """What is not given stays as it is."""

    mode: Literal["always", "off"]
    transport: Literal["auto", "udp", "tcp"] | None = None
    retention_hours: float | None = Field(None, gt=0, le=24 * 366 * 20)


class RecordingsQuery(Page):
    """The last 24 hours unless said otherwise."""

    start: Moment | None = None
    end: Moment | None = None
    limit: Limit = 1000


class SegmentView(Model):
    """`url` gives the program stream as received; null when its volume is not configured any more."""

    id: int
    start: Shown
    end: Shown
    bytes: int
    sha256: str
    url: str | None
    lost: int
    adopted: bool


class GapView(Model):
    """`end` is null while the gap lasts."""

    start: Shown
    end: Shown | None
    cause: str


class SpanView(Model):
    start: Shown
    end: Shown


class RecordingsAnswer(Model):
    """`recorded`, `gaps` and `coverage` (0 to 1) are of the whole range on every page.

    `recorded` joins segments that follow each other and includes the one being written; it is what a timeline draws.
    """

    segments: list[SegmentView]
    recorded: list[SpanView]
    gaps: list[GapView]
    coverage: float
    next: str | None


@route(
    "PUT", "/devices/{device_id}/channels/{channel_id}/recording", right="operate", request=RecordingChange,
    response=RecordingView, errors=(404,),
)  # fmt: skip
async def set_recording(call: Call[None, RecordingChange]) -> RecordingView:
    """Records a channel from now on, by itself after every fault, or no longer."""
    wish = None if call.body.transport == "auto" else call.body.transport
    await call.services.recordings.set_mode(call.key, call.body.mode, transport=wish, retention_hours=call.body.retention_hours)
    await call.audit("recording.set", call.key, **call.body.model_dump(exclude_none=True))
    return views.recording(call.services.recordings.status(call.key))


@route("GET", "/devices/{device_id}/channels/{channel_id}/recording", right="view", response=RecordingView, errors=(404,))
async def get_recording(call: Call[None, None]) -> RecordingView:
    """Shows whether a channel is recorded, and why not."""
    return views.recording(call.services.recordings.status(call.key))


@route(
    "GET", "/devices/{device_id}/channels/{channel_id}/recordings", right="watch", query=RecordingsQuery,
    response=RecordingsAnswer, errors=(404,),
)  # fmt: skip
async def list_recordings(call: Call[RecordingsQuery, None]) -> RecordingsAnswer:
    """Lists closed segments that overlap a range, and the holes in it. Recordings outlive their device."""
    services, query = call.services, call.query
    await services.recordings.check_known(call.key)
    end = query.end or services.clock.utc()
    start = query.start or end - _DEFAULT_RANGE
    cursors = Cursors(services.link_key, f"recordings {call.key}")
    after = None
    if query.cursor is not None:
        last_start, last_id = cursors.read(query.cursor)
        after = (int(last_start), int(last_id))
    page = await services.recordings.recordings(call.key, to_us(start), to_us(end), limit=query.limit, after=after)
    return RecordingsAnswer(
        segments=[_segment(services, found) for found in page.segments],
        recorded=[SpanView(start=from_us(begin), end=from_us(stop)) for begin, stop in page.recorded],
        gaps=[_gap(found) for found in page.gaps],
        coverage=page.coverage,
        next=None if page.next is None else cursors.write(page.next),
    )


class CalendarQuery(Model):
    month: str = Field(max_length=20, description="such as 2026-11")
    zone: str = Field(
        "", max_length=20, description="offset from UTC at which a day begins, such as +08:00, which it is by default"
    )


class DayView(Model):
    """`coverage`: share of the day, of today up to now, 0 to 1. `bytes`: of the closed segments that began on it."""

    date: str
    recorded_s: float
    coverage: float
    bytes: int


class CalendarAnswer(Model):
    month: str
    days: list[DayView]


@route(
    "GET", "/devices/{device_id}/channels/{channel_id}/recordings/calendar", right="watch", query=CalendarQuery,
    response=CalendarAnswer, errors=(404,),
)  # fmt: skip
async def recordings_calendar(call: Call[CalendarQuery, None]) -> CalendarAnswer:
    """Shows on which days of a month how much was recorded; days to come are left out."""
    await call.services.recordings.check_known(call.key)
    days = await call.services.archive.calendar(call.key, call.query.month, call.query.zone)
    return CalendarAnswer(
        month=call.query.month,
        days=[
            DayView(date=day.date.isoformat(), recorded_s=day.recorded / 1e6, coverage=round(day.coverage, 4), bytes=day.bytes)
            for day in days
        ],
    )


def _segment(services: Services, found: Segment) -> SegmentView:
    return SegmentView(
        id=found.segment_id,
        start=from_us(found.start),
        end=from_us(found.end),
        bytes=found.bytes,
        sha256=found.sha256,
        url=links.segment(services, found),
        lost=found.lost,
        adopted=found.adopted,
    )


def _gap(found: Gap) -> GapView:
    return GapView(start=from_us(found.start), end=from_us(found.end) if found.end else None, cause=found.cause)


ROUTES: tuple[Route, ...] = (set_recording, get_recording, list_recordings, recordings_calendar)
