"""Recordings as files, and single pictures. The edge makes both; what is answered here is where to fetch them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, Literal, NoReturn

from aiohttp import web

from gb28181.api import links
from gb28181.api.endpoints.recordings import GapView
from gb28181.api.fields import Moment, Shown
from gb28181.api.routing import BadRequest, Call, Model, Route, route
from gb28181.clock import from_us, rfc3339, to_us
from gb28181.texts.text import say

LONGEST: Final = timedelta(hours=24)
_MOST_SEGMENTS: Final = 1000


class ExportQuery(Model):
    """At most 24 hours. The file begins with the picture of `start`; a `ps` with the key frame before it."""

    start: Moment
    end: Moment
    format: Literal["mp4", "ps"] = "mp4"


class ExportAnswer(Model):
    """Where to fetch an export.

    `url` gives the file at once, `ps` from any place in it (Range); an `mp4` is made while it is sent. For one that takes
    minutes POST to `job_url`: its answer has a `progress_url`, and in the end a `url` that can be fetched from any place.
    In an `mp4` gaps take no time; chapters say what time it was where it goes on.
    """

    url: str
    job_url: str | None
    start: Shown
    end: Shown
    bytes_estimate: int
    segments: int
    gaps: list[GapView]


class SnapshotQuery(Model):
    """The live picture, or the one that was recorded at this moment."""

    at: Moment | None = None


@route(
    "GET", "/devices/{device_id}/channels/{channel_id}/recordings/export", right="watch", query=ExportQuery, status=307,
    errors=(404,),
)  # fmt: skip
async def export(call: Call[ExportQuery, None]) -> NoReturn:
    """Redirects to the file: MP4 as it is made, or the program stream as received."""
    path = await _link(call, call.query)
    raise web.HTTPTemporaryRedirect(path, headers={"Cache-Control": "no-store"})


@route(
    "POST", "/devices/{device_id}/channels/{channel_id}/recordings/export", right="watch", request=ExportQuery,
    response=ExportAnswer, errors=(404,),
)  # fmt: skip
async def plan_export(call: Call[None, ExportQuery]) -> ExportAnswer:
    """Says what an export would hold, and gives links to it."""
    asked = call.body
    path = await _link(call, asked)
    start, end = to_us(asked.start), to_us(asked.end)
    page = await call.services.recordings.recordings(call.key, start, end, limit=_MOST_SEGMENTS, after=None)
    estimate = 0
    for found in page.segments:
        inside = min(found.end, end) - max(found.start, start)
        estimate += found.bytes * max(0, inside) // max(1, found.end - found.start)
    return ExportAnswer(
        url=path,
        job_url=path if asked.format == "mp4" else None,
        start=asked.start,
        end=asked.end,
        bytes_estimate=estimate,
        segments=len(page.segments),
        gaps=[
            GapView(start=from_us(gap.start), end=from_us(gap.end) if gap.end else None, cause=gap.cause) for gap in page.gaps
        ],
    )


@route(
    "GET", "/devices/{device_id}/channels/{channel_id}/snapshot", right="watch", query=SnapshotQuery, status=307,
    errors=(404, 502, 503, 504),
)  # fmt: skip
async def snapshot(call: Call[SnapshotQuery, None]) -> NoReturn:
    """Redirects to a JPEG: the live picture, of a stream that is opened for it, or a recorded moment.

    When no picture can be had, the error names the stage that was reached and what to do.
    """
    at = call.query.at
    if at is None:
        # The session lasts as long as one that nobody watches.
        await call.services.sessions.open_live(call.key, user=call.caller.username)
    else:
        await call.services.recordings.check_known(call.key)
    path = links.snapshot(call.services, call.key, None if at is None else to_us(at) // 1000)
    raise web.HTTPTemporaryRedirect(path, headers={"Cache-Control": "no-store"})


async def _link(call: Call[Any, Any], asked: ExportQuery) -> str:
    if not timedelta() < asked.end - asked.start <= LONGEST:
        raise BadRequest([{"location": "end", "message": say("export.end_expected")}])
    await call.services.recordings.check_known(call.key)
    await call.audit("recording.export", call.key, start=rfc3339(asked.start), end=rfc3339(asked.end), format=asked.format)
    return links.export(call.services, call.key, to_us(asked.start) // 1000, -(-to_us(asked.end) // 1000), asked.format)


ROUTES: tuple[Route, ...] = (export, plan_export, snapshot)
