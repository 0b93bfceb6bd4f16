"""The web console: static files of one folder at `/`, `index.html` for every path that is the console's own.

The build leaves `<name>.gz` beside what is shorter so (`web/build.py`); aiohttp sends it, with an ETag of its own, to whoever
takes gzip.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

from aiohttp import web

from gb28181.edge.replies import language_of, problem
from gb28181.texts.language import Language
from gb28181.texts.text import rendered, say

#: Vite puts a hash into the names of what it builds: such a file never changes.
_HASHED: Final = re.compile(r".+-[0-9A-Za-z_-]{8,}\.[0-9a-z]+")
_NOT_BUILT: Final = (
    '<!doctype html><html lang="{tag}"><meta charset="utf-8"><title>gb28181</title>'
    '<h1>{running}</h1><p>{missing}</p><p><a href="/api/docs">/api/docs</a></p></html>'
)


class Site:
    """Serves the console.

    Args:
        folder: What the console's build wrote; may be missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/{path:.*}", self.serve)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        if path.split("/", 1)[0] in ("api", "media", "metrics", "health"):
            return problem(404, "not_found", say("media.nothing_at", path=request.path))
        found = await asyncio.to_thread(_find, self._folder, path)
        if found is None:
            return problem(404, "not_found", say("media.no_console_file", path=request.path))
        # Said with the plain file and with 304 too: a cache must not give one browser the answer that another asked for.
        headers = {"Vary": "Accept-Encoding"}
        if not found.is_absolute():
            return _not_built(language_of(request))
        is_hashed = found.parent != self._folder and _HASHED.fullmatch(found.name)
        headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_hashed else "no-cache"
        return web.FileResponse(found, headers=headers)


def _not_built(language: Language) -> web.Response:
    running, missing = rendered(say("media.running"), language), rendered(say("media.console_not_built"), language)
    page = _NOT_BUILT.format(tag="zh-CN" if language == "zh" else "en", running=running, missing=missing)
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Language", "Content-Language": language}
    return web.Response(text=page, content_type="text/html", headers=headers)


def _find(folder: Path, path: str) -> Path | None:
    """The file of a path; `index.html` for a path of the console's own; `.` when nothing is built; None for a lost file."""
    root = folder.resolve()
    index = root / "index.html"
    if not index.is_file():
        return Path(".")
    try:
        wanted = (root / path).resolve()
        if path and wanted.is_relative_to(root) and wanted.is_file():
            return wanted
    except (OSError, ValueError):
        return None
    # A file that a page asks for and that is not there must not be answered by a page.
    return None if path.startswith("assets/") else index
