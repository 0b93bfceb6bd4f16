"""Recordings as a stream with speed, pause and seek: `/media/playback/<session>.flv`, by HTTP and as WebSocket.

The link says what may be watched (`device`, `channel`, `range` in milliseconds, all covered by the token), so the edge asks
nobody; a session that it does not know begins anew. Control comes from the API, by way of the control process, or from the
viewer's own WebSocket as text: `{"action": "pause" | "resume" | "seek" | "speed", "position": "<RFC 3339>", "speed": 2}`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections import OrderedDict
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from gb28181 import tokens
from gb28181.clock import parse_rfc3339, to_us
from gb28181.edge.playback_session import PlaybackSession
from gb28181.edge.recorded import Recordings
from gb28181.edge.replies import language_of, problem
from gb28181.errors import Denied, Gb28181Error, Invalid, StorageError, Unavailable
from gb28181.messages import PlaybackControl
from gb28181.texts.text import rendered, say

logger = logging.getLogger(__name__)

#: Sessions that are remembered; the one used least lately is forgotten, unless somebody watches it.
_KEPT: Final = 2000
#: Films at once: each reads, demuxes and muxes for one viewer alone.
_FILMS: Final = 200
_PART: Final = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_SESSION: Final = re.compile(r"([0-9a-f]{32})\.flv", re.ASCII)
_RANGE: Final = re.compile(r"(\d{1,14})-(\d{1,14})", re.ASCII)
_LAST_MS: Final = 253_370_764_800_000
#: Keeps a paused connection alive through whatever lies between.
_HEARTBEAT_S: Final = 20.0
_REASON_BYTES: Final = 120


class PlaybackRoutes:
    """Serves playback sessions.

    Args:
        link_key: Checks the tokens of links.
    """

    def __init__(self, recordings: Recordings, link_key: bytes) -> None:
        self._recordings = recordings
        self._key = link_key
        self._sessions: OrderedDict[str, PlaybackSession] = OrderedDict()
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._films = 0

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/media/playback/{name}", self.serve, allow_head=False)

    def heard(self, wish: PlaybackControl) -> None:
        """A wish from the API. A session that nobody has opened here yet is only remembered when it was closed."""
        session = self._sessions.get(wish.session_id)
        if wish.action == "close":
            self._closed[wish.session_id] = None
            while len(self._closed) > _KEPT:
                self._closed.popitem(last=False)
        if session is None:
            return
        try:
            session.control(wish.action, position_us=wish.position, speed=wish.speed)
        except Invalid as error:
            logger.warning("wish of a playback session", extra={"session": wish.session_id, "reason": str(error)})

    async def serve(self, request: web.Request) -> web.StreamResponse:
        named = _SESSION.fullmatch(request.match_info["name"])
        device, channel = request.query.get("device", ""), request.query.get("channel", "")
        asked = _RANGE.fullmatch(request.query.get("range", ""))
        if named is None or asked is None or not _PART.fullmatch(device) or not _PART.fullmatch(channel):
            return problem(404, "not_found", say("recording.playback_link"))
        try:
            resource = f"{named[1]}/{device}/{channel}/{asked[0]}"
            tokens.check(self._key, "playback", resource, request.query.get("token", ""), time.time())
        except Denied as error:
            return problem(403, "link_refused", str(error))
        start, end = int(asked[1]) * 1000, int(asked[2]) * 1000
        if not 0 <= start < end <= _LAST_MS * 1000:
            return problem(404, "not_found", say("media.range_empty"))
        if named[1] in self._closed:
            return problem(404, "not_found", say("recording.playback_closed"))
        try:
            session = self._session(named[1], PlaybackSession(self._recordings, device, channel, start, end))
        except Unavailable as error:
            return problem(503, "viewers_full", str(error))
        self._films += 1
        try:
            legacy = request.query.get("hevc") == "12"
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await _websocket(request, session, legacy=legacy)
            return await _http(request, session, legacy=legacy)
        finally:
            self._films -= 1

    def _session(self, session_id: str, fresh: PlaybackSession) -> PlaybackSession:
        if self._films >= _FILMS:
            raise Unavailable(say("recording.films_full", films=_FILMS))
        session = self._sessions.setdefault(session_id, fresh)
        self._sessions.move_to_end(session_id)
        while len(self._sessions) > _KEPT:
            oldest = next((name for name, kept in self._sessions.items() if not kept.is_watched), None)
            if oldest is None or oldest == session_id:
                break
            del self._sessions[oldest]
        return session


async def _http(request: web.Request, session: PlaybackSession, *, legacy: bool) -> web.StreamResponse:
    headers = {"Content-Type": "video/x-flv", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    if request.version >= (1, 1):
        response.enable_chunked_encoding()
    response.force_close()
    await response.prepare(request)
    try:
        await session.play(response.write, legacy_hevc=legacy)
    except StorageError as error:
        logger.warning("playback ended", extra={"reason": str(error)})
    return response


async def _websocket(request: web.Request, session: PlaybackSession, *, legacy: bool) -> web.StreamResponse:
    answer = web.WebSocketResponse(compress=False, max_msg_size=4096, timeout=5.0, heartbeat=_HEARTBEAT_S)
    await answer.prepare(request)

    async def film() -> None:
        reason: str = say("recording.the_end")
        try:
            await session.play(answer.send_bytes, legacy_hevc=legacy)
        except StorageError as error:
            reason = str(error)
        except ConnectionError:
            return
        cut = rendered(reason, language_of(request)).encode()[:_REASON_BYTES].decode(errors="ignore")
        await answer.close(code=WSCloseCode.OK, message=cut.encode())

    async with asyncio.TaskGroup() as group:
        task = group.create_task(film())
        async for message in answer:
            if message.type is WSMsgType.TEXT:
                try:
                    _obey(session, message.data)
                except Gb28181Error as error:
                    why = rendered(str(error), language_of(request)).encode()[:_REASON_BYTES].decode(errors="ignore")
                    await answer.close(code=WSCloseCode.UNSUPPORTED_DATA, message=why.encode())
        task.cancel()
    return answer


def _obey(session: PlaybackSession, text: str) -> None:
    """Raises: Invalid: It is no wish, or one that cannot be fulfilled."""
    try:
        wish = json.loads(text)
        action, position, speed = wish["action"], wish.get("position"), wish.get("speed")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Invalid(say("recording.action_json")) from None
    if action not in ("pause", "resume", "seek", "speed"):
        raise Invalid(say("recording.action"))
    if speed is not None and (isinstance(speed, bool) or not isinstance(speed, int | float)):
        raise Invalid(say("recording.speed_number"))
    try:
        moment = to_us(parse_rfc3339(position)) if isinstance(position, str) else None
    except OverflowError:
        raise Invalid(say("recording.position_moment")) from None
    session.control(action, position_us=moment, speed=float(speed) if speed is not None else None)
