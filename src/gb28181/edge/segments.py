"""Closed segments as received: `/media/segment/<volume number>/<device>/<channel>/<day>/<time>.ps`."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from gb28181 import tokens
from gb28181.edge.replies import problem
from gb28181.errors import Denied
from gb28181.texts.text import say

#: No part begins with a dot: neither `..` nor the writer's own folders can be named.
_PART: Final = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.-]{0,63}")
_SUFFIX: Final = ".ps"


class SegmentRoutes:
    """Serves files of the volumes, by number as in the configuration."""

    def __init__(self, volumes: Sequence[Path], link_key: bytes) -> None:
        self._volumes = tuple(volumes)
        self._key = link_key

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/media/segment/{volume}/{device}/{channel}/{day}/{name}", self.serve)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["volume"]
        device, channel, day, name = (request.match_info[part] for part in ("device", "channel", "day", "name"))
        parts = (device, channel, day, name.removesuffix(_SUFFIX))
        if not name.endswith(_SUFFIX) or not all(_PART.fullmatch(part) for part in parts):
            return problem(404, "not_found", say("media.segment_path"))
        resource = "/".join((number, *parts))
        try:
            tokens.check(self._key, "segment", resource, request.query.get("token", ""), time.time())
        except Denied as error:
            return problem(403, "link_refused", str(error))
        if not re.fullmatch(r"[0-9]{1,4}", number) or int(number) >= len(self._volumes):
            return problem(404, "not_found", say("media.no_volume", number=number[:8]))
        path = await asyncio.to_thread(_inside, self._volumes[int(number)], parts)
        if path is None:
            return problem(404, "not_found", say("media.segment_gone"))
        headers = {
            "Content-Type": "video/mp2p",
            "Content-Disposition": f'attachment; filename="{channel}_{day}_{name}"',
            "Cache-Control": "private, max-age=3600",
        }
        return web.FileResponse(path, headers=headers)


def _inside(volume: Path, parts: Sequence[str]) -> Path | None:
    """The file, if it is one and lies in the volume, links followed."""
    try:
        root = volume.resolve(strict=True)
        path = root.joinpath(*parts[:-1], parts[-1] + _SUFFIX).resolve(strict=True)
    except OSError:
        return None
    return path if path.is_relative_to(root) and path.is_file() else None
