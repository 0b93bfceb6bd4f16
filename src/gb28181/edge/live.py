"""Live pictures: `/media/live/<device>/<channel>.flv` (WebSocket too) and `.ts`."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from typing import Final

from aiohttp import WSCloseCode, web

from gb28181 import tokens
from gb28181.edge.channel import LiveChannel
from gb28181.edge.feed import Format
from gb28181.edge.hub import Hub
from gb28181.edge.replies import language_of, problem
from gb28181.edge.viewer import Framing
from gb28181.errors import Denied, Unavailable
from gb28181.texts.text import rendered, say

_PART: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_TYPES: Final[dict[Format, str]] = {"flv": "video/x-flv", "flv-hevc12": "video/x-flv", "ts": "video/mp2t"}
#: A reason must fit into a WebSocket close frame.
_REASON_BYTES: Final = 120
_DEAD_MS: Final = 30_000


class LiveRoutes:
    """Serves viewers from the hub.

    Args:
        link_key: Checks the tokens of links.
    """

    def __init__(self, hub: Hub, link_key: bytes) -> None:
        self._hub = hub
        self._key = link_key

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/media/live/{device}/{name}", self.serve)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        device, name = request.match_info["device"], request.match_info["name"]
        channel, dot, suffix = name.rpartition(".")
        if not dot or suffix not in ("flv", "ts") or not _PART.fullmatch(device) or not _PART.fullmatch(channel):
            return problem(404, "not_found", say("media.live_path"))
        try:
            tokens.check(self._key, "live", f"{device}/{channel}", request.query.get("token", ""), time.time())
        except Denied as error:
            return problem(403, "link_refused", str(error))
        kind: Format = "ts" if suffix == "ts" else "flv-hevc12" if request.query.get("hevc") == "12" else "flv"
        if request.method == "HEAD":  # it looks at the link and never opens a stream
            return web.StreamResponse(headers=_headers(_TYPES[kind]))
        try:
            live = self._hub.enter(device, channel)
        except Unavailable as error:
            return problem(503, "viewers_full", str(error))
        if _is_websocket(request):
            return await self._websocket(request, live, kind)
        return await self._http(request, live, kind)

    async def _http(self, request: web.Request, live: LiveChannel, kind: Format) -> web.StreamResponse:
        viewer = None
        try:
            await asyncio.shield(live.ready)
            if live.failure:
                return problem(503, "no_picture", live.failure)
            response = web.StreamResponse(headers=_headers(_TYPES[kind]))
            framing: Framing = "plain"
            if request.version >= (1, 1):
                response.enable_chunked_encoding()
                framing = "chunked"
            response.force_close()
            await response.prepare(request)
            transport = _transport(request)
            viewer = self._hub.viewer(live, transport, framing, kind)
            await viewer.over
            return response
        finally:
            self._hub.leave(live, viewer)

    async def _websocket(self, request: web.Request, live: LiveChannel, kind: Format) -> web.StreamResponse:
        viewer = None
        # The size bounds what a viewer sends; it has nothing to say.
        socket_ = web.WebSocketResponse(compress=False, max_msg_size=4096, timeout=5.0)
        try:
            await socket_.prepare(request)
            viewer = self._hub.viewer(live, _transport(request), "websocket", kind)
            over = viewer.over

            async def close_when_over() -> None:
                reason = rendered(await over, language_of(request)).encode()[:_REASON_BYTES].decode(errors="ignore")
                await socket_.close(code=WSCloseCode.TRY_AGAIN_LATER, message=reason.encode())

            async with asyncio.TaskGroup() as group:
                closing = group.create_task(close_when_over())
                async for _ in socket_:
                    pass
                if not over.done():
                    closing.cancel()
            return socket_
        finally:
            self._hub.leave(live, viewer)


def _is_websocket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


def _headers(content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def _transport(request: web.Request) -> asyncio.Transport:
    """The connection itself: blocks shared by all viewers go there without a copy for each.

    A viewer that vanished without a word is found by the kernel.
    """
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the viewer has gone")
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_MS)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _DEAD_MS // 1000)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    return transport
