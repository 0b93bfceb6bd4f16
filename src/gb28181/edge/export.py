"""Exports: `/media/export/<device>/<channel>/<start>-<end>.mp4` and `.ps`, start and end as milliseconds since 1970, UTC.

A `.ps` is the recording as it came: its size is known, ranges are answered. An `.mp4` is sent while it is made, so it has
neither; who wants progress, or to go on after a broken line, makes a job of it with POST and fetches the finished file.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from aiohttp import web

from gb28181 import tokens
from gb28181.clock import from_us, rfc3339
from gb28181.edge import export_original, mp4
from gb28181.edge.export_codecs import CodecChange, codec_change
from gb28181.edge.export_jobs import Job, Jobs, Worker
from gb28181.edge.export_original import Original
from gb28181.edge.export_worker import Task
from gb28181.edge.recorded import Recordings
from gb28181.edge.replies import language_of, problem
from gb28181.errors import Denied, Invalid, NotFound, StorageError, Unavailable
from gb28181.texts.text import rendered, say

_PART: Final = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]{0,63}")
_NAME: Final = re.compile(r"((\d{1,14})-(\d{1,14}))\.(mp4|ps)", re.ASCII)
_JOB: Final = re.compile(r"[0-9A-Za-z_-]{10,40}")
_LAST_MS: Final = 253_370_764_800_000
LONGEST_MS: Final = 24 * 3600 * 1000
"""One export covers no more."""


class ExportRoutes:
    """Serves exports.

    Args:
        jobs: Entered and left by the owner.
        link_key: Checks the tokens of links.
    """

    def __init__(self, recordings: Recordings, volumes: Sequence[Path], jobs: Jobs, link_key: bytes) -> None:
        self._recordings = recordings
        self._volumes = tuple(str(volume) for volume in volumes)
        self._jobs = jobs
        self._key = link_key

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/media/export/{device}/{channel}/{name}", self.serve)
        app.router.add_post("/media/export/{device}/{channel}/{name}", self.begin)
        app.router.add_get("/media/exports/{job}", self.progress)
        app.router.add_delete("/media/exports/{job}", self.cancel)
        app.router.add_get("/media/exports/{job}/file", self.file)

    def _task(self, request: web.Request) -> tuple[Task, str]:
        """What a link asks for, and its format.

        Raises:
            NotFound: It is no such link.
            Denied: Its token is not good.
        """
        device, channel = request.match_info["device"], request.match_info["channel"]
        name = _NAME.fullmatch(request.match_info["name"])
        if name is None or not _PART.fullmatch(device) or not _PART.fullmatch(channel):
            raise NotFound(say("export.path"))
        tokens.check(self._key, "export", f"{device}/{channel}/{name[0]}", request.query.get("token", ""), time.time())
        start, end = int(name[2]), int(name[3])
        if not 0 <= start < end <= _LAST_MS or end - start > LONGEST_MS:
            raise NotFound(say("export.range"))
        return Task(self._volumes, device, channel, start * 1000, end * 1000), name[4]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        try:
            task, kind = self._task(request)
            if kind == "ps":
                return await self._original(request, task)
            return await self._movie(request, task)
        except (NotFound, Denied, Invalid, StorageError, Unavailable) as error:
            return _refusal(error)

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """Makes a job; answers its progress, with 202."""
        try:
            task, kind = self._task(request)
            if kind != "mp4":
                raise Invalid(say("export.only_mp4"))
            plan = await asyncio.to_thread(self._plan, task)
            if not plan.size:
                raise NotFound(_nothing(task))
            job = await self._jobs.begin(task, _file_name(task, "mp4"), plan.size)
        except (NotFound, Denied, Invalid, StorageError, Unavailable) as error:
            return _refusal(error)
        return web.json_response(_view(job, request), status=202, headers={"Cache-Control": "no-store"})

    async def progress(self, request: web.Request) -> web.StreamResponse:
        job = self._find(request)
        return web.json_response(_view(job, request), headers={"Cache-Control": "no-store"}) if job else _refusal(_GONE)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        job = self._find(request)
        if job is None:
            return _refusal(_GONE)
        await self._jobs.remove(job)
        return web.Response(status=204)

    async def file(self, request: web.Request) -> web.StreamResponse:
        job = self._find(request)
        if job is None or job.state != "done":
            return _refusal(_GONE if job is None else NotFound(say("export.unfinished")))
        return web.FileResponse(job.path, headers=_headers(job.name, mp4.CONTENT_TYPE))

    def _find(self, request: web.Request) -> Job | None:
        name = request.match_info["job"]
        return self._jobs.find(name) if _JOB.fullmatch(name) else None

    def _plan(self, task: Task) -> Original:
        return Original(self._recordings.groups(task.device_id, task.channel_id, task.start_us, task.end_us))

    def _change(self, task: Task) -> CodecChange | None:
        return codec_change(self._recordings.groups(task.device_id, task.channel_id, task.start_us, task.end_us))

    async def _original(self, request: web.Request, task: Task) -> web.StreamResponse:
        original = await asyncio.to_thread(self._plan, task)
        if not original.size:
            raise NotFound(_nothing(task))
        headers = _headers(_file_name(task, "ps"), export_original.CONTENT_TYPE)
        headers |= {"ETag": original.etag, "Accept-Ranges": "bytes"}
        start, end, status = 0, original.size, 200
        condition = request.headers.get("If-Range")
        if "Range" in request.headers and condition in (None, original.etag):
            found = _range(request, original.size)
            if found is None:
                answer = problem(416, "range_not_satisfiable", say("export.size", size=original.size))
                answer.headers["Content-Range"] = f"bytes */{original.size}"
                return answer
            (start, end), status = found, 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{original.size}"
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = end - start
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        pieces = original.pieces(start, end)
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                await response.write(piece)
        except StorageError:
            # The length was promised: what is missing must not look whole.
            return _cut(request, response)
        return response

    async def _movie(self, request: web.Request, task: Task) -> web.StreamResponse:
        if request.method == "HEAD":
            return web.Response(headers=_headers(_file_name(task, "mp4"), mp4.CONTENT_TYPE))
        groups = self._recordings.groups(task.device_id, task.channel_id, task.start_us, task.end_us)
        if await asyncio.to_thread(next, groups, None) is None:
            raise NotFound(_nothing(task))
        change = await asyncio.to_thread(self._change, task)
        if change is not None:
            said = say("export.codec_changed", before=change.before, after=change.after, at=rfc3339(change.at_us))
            raise Invalid(said)
        async with self._jobs.turn(), Worker(task) as worker:
            first = await worker.read()
            if not first:
                await worker.finished()
                raise worker.failure() or Unavailable(say("export.process_ended"))
            response = web.StreamResponse(
                headers=_headers(_file_name(task, "mp4"), mp4.CONTENT_TYPE) | {"Accept-Ranges": "none"}
            )
            await response.prepare(request)
            await response.write(first)
            while data := await worker.read():
                await response.write(data)
            await worker.finished()
            return response if worker.is_done else _cut(request, response)


_GONE: Final = NotFound(say("export.gone"))


def _refusal(error: Exception) -> web.Response:
    for kind, status, code in _ANSWERS:
        if isinstance(error, kind):
            return problem(status, code, str(error))
    raise error


_ANSWERS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (NotFound, 404, "not_found"),
    (Denied, 403, "link_refused"),
    (Invalid, 400, "invalid"),
    (Unavailable, 503, "unavailable"),
    (StorageError, 503, "storage"),
)


def _cut(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response


def _range(request: web.Request, size: int) -> tuple[int, int] | None:
    """The one range of a request as [start, end); None for what cannot be answered."""
    try:
        asked = request.http_range
    except ValueError:
        return None
    start, end = asked.start, asked.stop
    if start is None:
        return (0, size)
    if start < 0:
        start = max(0, size + start)
    end = size if end is None else min(end, size)
    return (start, end) if start < end else None


def _nothing(task: Task) -> str:
    return say("export.nothing", start=rfc3339(task.start_us), end=rfc3339(task.end_us))


def _file_name(task: Task, suffix: str) -> str:
    start: datetime = from_us(task.start_us)
    return f"{task.channel_id}_{start:%Y%m%dT%H%M%SZ}_{(task.end_us - task.start_us) // 1_000_000}s.{suffix}"


def _headers(name: str, content_type: str) -> dict[str, str]:
    return {
        "Content-Type": content_type,
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "private, no-store",
    }


def _view(job: Job, request: web.Request) -> dict[str, object]:
    return {
        "id": job.job_id,
        "state": job.state,
        "percent": round(job.share * 100, 1),
        "bytes": job.size,
        "bytes_estimate": job.estimate,
        "speed": round(job.speed, 1),
        "groups_left_out": job.left_out,
        "error": {"code": job.code, "message": rendered(job.error, language_of(request))} if job.error else None,
        "progress_url": f"/media/exports/{job.job_id}",
        "url": f"/media/exports/{job.job_id}/file" if job.state == "done" else None,
    }
