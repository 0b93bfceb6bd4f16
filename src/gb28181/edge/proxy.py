"""`/api/…`, `/health` and `/metrics`: passed on to control over its Unix socket, as streams, WebSocket too.

Control may be restarting: the answer is then 503 at once, never a wait without end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from gb28181.edge.replies import problem
from gb28181.texts.text import say

#: RFC 9110 §7.6.1, and what each hop says for itself.
_HOP: Final = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "forwarded",
        "x-real-ip",
    ]
)
_WS_HOP: Final = frozenset(
    ["sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol", "sec-websocket-accept"]
)
_CONNECT_S: Final = 3.0
#: Longer than control takes for its slowest answer: an INVITE and the wait for the first key frame.
_ANSWER_S: Final = 90.0
_ENDS: Final = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)
#: Close codes that only note how a connection ended (RFC 6455 §7.4.1): no code, broken, no TLS.
_NEVER_SENT: Final = (1005, 1006, 1015)
_MAX_MESSAGE: Final = 1 << 20
_UNAVAILABLE: Final = "control_unavailable"
_AWAY: Final = say("server.control_away")


class _Body:
    """The body of a request on its way, cut off where it grows too long or takes too long; `fault` says so afterwards."""

    def __init__(self, request: web.Request, limit: int, body_s: float) -> None:
        self._request = request
        self._limit = limit
        self._until = asyncio.get_running_loop().time() + body_s
        self.fault: web.Response | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        while data := await self._next():
            total += len(data)
            if total > self._limit:
                self.fault = _too_large(self._limit)
                raise ConnectionResetError("the body is too long")
            yield data

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout_at(self._until):
                return await self._request.content.readany()
        except TimeoutError:
            self.fault = problem(408, "too_slow", say("http.body_slow"))
            raise ConnectionResetError("the body is too slow") from None


class Proxy:
    """Passes requests on to control.

    Args:
        max_body_bytes: A longer body is refused with 413.
        body_s: A body that takes longer is refused with 408.
    """

    def __init__(self, control_socket: Path, *, max_body_bytes: int, body_s: float) -> None:
        self._path = str(control_socket)
        self._limit = max_body_bytes
        self._body_s = body_s
        self._session: aiohttp.ClientSession | None = None

    def add_to(self, app: web.Application) -> None:
        app.router.add_route("*", "/api", self.serve)
        app.router.add_route("*", "/api/{path:.*}", self.serve)
        app.router.add_get("/health", self.serve)
        app.router.add_get("/metrics", self.serve)

    async def __aenter__(self) -> Proxy:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(self._path, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_S, sock_connect=_CONNECT_S, sock_read=_ANSWER_S),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if (request.content_length or 0) > self._limit:
            return _too_large(self._limit)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request)
        return await self._http(request)

    async def _http(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        response: web.StreamResponse | None = None
        body = _Body(request, self._limit, self._body_s)
        try:
            async with self._session.request(
                request.method,
                self._url(request),
                headers=_forwarded(request),
                data=body if request.body_exists else None,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            ) as answer:
                headers = CIMultiDict((name, value) for name, value in answer.headers.items() if name.lower() not in _HOP)
                if request.method == "HEAD" or answer.status in (204, 304):
                    return web.Response(status=answer.status, headers=headers)
                response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
                response.content_length = answer.content_length
                await response.prepare(request)
                async for data in answer.content.iter_any():
                    await response.write(data)
                await response.write_eof()
                return response
        except TimeoutError:
            return self._broken(
                request, response, problem(504, "control_timeout", say("server.control_slow", seconds=_ANSWER_S))
            )
        except (aiohttp.ClientError, ConnectionError):
            if body.fault is not None and response is None:
                return body.fault
            return self._broken(request, response, problem(503, _UNAVAILABLE, _AWAY))

    def _broken(self, request: web.Request, begun: web.StreamResponse | None, instead: web.Response) -> web.StreamResponse:
        """An answer that has begun cannot become an error any more: the connection is cut so that nobody takes it for whole."""
        if begun is None or not begun.prepared:
            return instead
        if request.transport is not None:
            request.transport.abort()
        return begun

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None
        headers = CIMultiDict((name, value) for name, value in _forwarded(request).items() if name.lower() not in _WS_HOP)
        offered = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if part.strip()]
        try:
            behind = await self._session.ws_connect(
                self._url(request, scheme="ws"),
                headers=headers,
                protocols=offered,
                max_msg_size=_MAX_MESSAGE,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            )
        except aiohttp.WSServerHandshakeError as error:
            return problem(error.status, "refused", say("http.websocket_refused"))
        except (TimeoutError, aiohttp.ClientError):
            return problem(503, _UNAVAILABLE, _AWAY)
        async with behind:
            front = web.WebSocketResponse(
                protocols=(behind.protocol,) if behind.protocol else (), max_msg_size=_MAX_MESSAGE, heartbeat=30.0, timeout=2.0
            )
            await front.prepare(request)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(front, behind))
                group.create_task(_pump(behind, front))
        return front

    def _url(self, request: web.Request, scheme: str = "http") -> URL:
        return URL(f"{scheme}://control{request.raw_path}", encoded=True)


def _too_large(limit: int) -> web.Response:
    return problem(413, "too_large", say("http.too_long", limit=limit))


def _forwarded(request: web.Request) -> CIMultiDict[str]:
    """Headers for control. What a client says about its own address is dropped: the edge is the door and knows."""
    named = {part.strip().lower() for part in request.headers.get("Connection", "").split(",")}
    headers = CIMultiDict(
        (name, value) for name, value in request.headers.items() if name.lower() not in _HOP and name.lower() not in named
    )
    headers["X-Forwarded-For"] = request.remote or ""
    headers["X-Forwarded-Proto"] = request.scheme
    return headers


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pump(source: _Socket, target: _Socket) -> None:
    """Carries messages one way until either side closes, then code and reason of the close."""
    reason = ""
    with contextlib.suppress(ConnectionError):  # the other side has gone; closing below tells this one
        while (message := await source.receive()).type not in _ENDS:
            if message.type == WSMsgType.TEXT:
                await target.send_str(message.data)
            elif message.type == WSMsgType.BINARY:
                await target.send_bytes(message.data)
        reason = message.extra or "" if message.type == WSMsgType.CLOSE else ""
    code = source.close_code
    await target.close(code=1001 if code is None or code in _NEVER_SENT else code, message=reason.encode())
