"""Recordings as HLS: `/media/hls/<device>/<channel>/<start>-<end>/<token>/index.m3u8` and what it names.

Start and end are milliseconds since 1970, UTC. The token stands in the path, so that the relative names in a playlist inherit
it; it is bound to this range. Everything is made on request and nothing is kept.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from aiohttp import web

from gb28181 import tokens
from gb28181.clock import rfc3339
from gb28181.edge.hls_format import Formats
from gb28181.edge.hls_media import EntryMaker
from gb28181.edge.hls_plan import Entry, plan, playlist
from gb28181.edge.recorded import Recordings
from gb28181.edge.replies import problem
from gb28181.errors import Denied, NotFound, StorageError
from gb28181.texts.text import say

LONGEST_MS: Final = 2 * 3600 * 1000
"""A playlist covers no more; its header `X-Next-Start` says where the next one begins."""

_PART: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_RANGE: Final = re.compile(r"(\d{1,14})-(\d{1,14})", re.ASCII)
_INITIALISATION: Final = re.compile(r"init-([0-9a-f]{16})-(\d{1,17})\.mp4", re.ASCII)
#: Each holds one entry in memory and one thread.
_AT_ONCE: Final = 4
_LAST_MS: Final = 253_370_764_800_000
_PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
_KEEP: Final = "private, max-age=86400, immutable"

T = TypeVar("T")


class HlsRoutes:
    """Serves playlists of recordings.

    Args:
        link_key: Checks the tokens of links.
    """

    def __init__(self, recordings: Recordings, link_key: bytes) -> None:
        self._recordings = recordings
        self._key = link_key
        self._formats = Formats()
        self._maker = EntryMaker(recordings, self._formats)
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/media/hls/{device}/{channel}/{range}/{token}/{name}", self.serve)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        device, channel, name = (request.match_info[part] for part in ("device", "channel", "name"))
        asked = _RANGE.fullmatch(request.match_info["range"])
        if asked is None or not _PART.fullmatch(device) or not _PART.fullmatch(channel):
            return problem(404, "not_found", say("media.hls_path"))
        resource = f"{device}/{channel}/{asked[0]}"
        try:
            tokens.check(self._key, "hls", resource, request.match_info["token"], time.time())
        except Denied as error:
            return problem(403, "link_refused", str(error))
        start, end = int(asked[1]) * 1000, int(asked[2]) * 1000
        if not 0 <= start < end <= _LAST_MS * 1000:
            return problem(404, "not_found", say("media.range_empty"))
        try:
            return await self._answer(request, device, channel, name, start, end)
        except NotFound as error:
            return problem(404, "not_found", str(error))
        except StorageError as error:
            return problem(503, "storage", str(error))

    async def _answer(
        self, request: web.Request, device: str, channel: str, name: str, start: int, end: int
    ) -> web.StreamResponse:
        if name == "index.m3u8":
            return await self._playlist(device, channel, start, end)
        mark = f'"{hashlib.sha256(request.path.encode()).hexdigest()[:32]}"'
        headers = {"Cache-Control": _KEEP, "ETag": mark}
        if (wanted := _INITIALISATION.fullmatch(name)) is not None:
            moment, tag = int(wanted[2]), wanted[1]
            make: Callable[[], bytes] = partial(self._maker.initialisation, device, channel, moment, tag)
            inside = moment < end
        else:
            entry = Entry.parse(name)
            if entry is None:
                raise NotFound(say("media.no_playlist_file"))
            make = partial(self._maker.entry, device, channel, entry, start)
            inside = entry.start_us < end
        if not inside:
            raise NotFound(say("media.playlist_foreign"))
        if mark in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        return web.Response(body=await self._in_turn(make), headers=headers, content_type="video/mp4")

    async def _playlist(self, device: str, channel: str, start: int, end: int) -> web.Response:
        last = min(end, start + LONGEST_MS * 1000)
        text = await self._in_turn(lambda: self._planned(device, channel, start, last))
        headers = {"Cache-Control": "no-cache"}
        if last < end:
            headers["X-Next-Start"] = rfc3339(last)
            text = text.replace("\n", f"\n# the next playlist begins at {rfc3339(last)}\n", 1)
        return web.Response(body=text.encode(), headers=headers, content_type=_PLAYLIST_TYPE)

    def _planned(self, device: str, channel: str, start: int, end: int) -> str:
        groups = self._recordings.groups(device, channel, start, end)
        entries = plan(
            groups,
            self._formats.of,
            lambda entry: (
                group
                for group in self._recordings.groups(device, channel, entry.start_us, entry.end_us)
                if group.utc_us >= entry.start_us
            ),
        )
        if not entries:
            raise NotFound(say("media.nothing_recorded", start=rfc3339(start), end=rfc3339(end)))
        return playlist(
            entries, start_us=start, clock=rfc3339, initialisations=lambda entry: f"init-{entry.tag}-{entry.start_us}.mp4"
        )

    async def _in_turn(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(work)
