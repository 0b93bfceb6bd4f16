"""`/api/v1/events`: what happens, as it happens, over a WebSocket.

The token comes in the Authorization header, or, from a browser, in the first message `{"token": "…"}`; never in the URL,
where proxies would log it. A reader that is too slow misses the oldest events; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from aiohttp import WSMsgType, web

from gb28181.accounts.rights import Right, demand, may
from gb28181.alarm.model import AlarmAcknowledged, AlarmFlood, AlarmRaised, AlarmReset
from gb28181.api.routing import SERVICES, bearer, language_of, session_of
from gb28181.api.services import Services
from gb28181.catalog.model import CatalogFinished, ChannelKey, ChannelsChanged, SubtreeChanged
from gb28181.clock import rfc3339
from gb28181.command.model import OrderChanged
from gb28181.device.model import (
    ChannelsFaulty,
    DeviceChanged,
    DeviceMoved,
    DeviceOffline,
    DeviceOnline,
    DeviceQuarantined,
    DeviceRegistered,
    RegistrationRefused,
)
from gb28181.errors import Denied, Gb28181Error, Unavailable
from gb28181.position.model import PositionReported, PtzPositionReported
from gb28181.ptz.model import PtzChanged
from gb28181.recording.model import RecordingChanged, SegmentStored
from gb28181.session.model import MediaFinished, StreamDown, StreamFailed, StreamUp
from gb28181.subscription.model import SubscriptionChanged
from gb28181.texts.language import Language
from gb28181.texts.text import rendered, say

logger = logging.getLogger(__name__)

#: Name of each event that leaves the server, and who may see it. What is not here stays inside.
EVENTS: Final[dict[type, tuple[str, Right]]] = {
    DeviceRegistered: ("device_registered", "view"),
    DeviceOnline: ("device_online", "view"),
    DeviceOffline: ("device_offline", "view"),
    DeviceMoved: ("device_moved", "view"),
    DeviceChanged: ("device_changed", "view"),
    PtzChanged: ("ptz_changed", "view"),
    DeviceQuarantined: ("device_quarantined", "operate"),
    RegistrationRefused: ("registration_refused", "operate"),
    ChannelsFaulty: ("channels_faulty", "view"),
    ChannelsChanged: ("channels_changed", "view"),
    SubtreeChanged: ("subtree_changed", "view"),
    CatalogFinished: ("catalog_finished", "view"),
    OrderChanged: ("order_changed", "view"),
    StreamUp: ("stream_up", "view"),
    StreamDown: ("stream_down", "view"),
    StreamFailed: ("stream_failed", "view"),
    MediaFinished: ("media_finished", "view"),
    RecordingChanged: ("recording_changed", "view"),
    SegmentStored: ("segment_stored", "view"),
    AlarmRaised: ("alarm_raised", "view"),
    AlarmAcknowledged: ("alarm_acknowledged", "view"),
    AlarmReset: ("alarm_reset", "view"),
    AlarmFlood: ("alarm_flood", "view"),
    PositionReported: ("position_reported", "view"),
    PtzPositionReported: ("ptz_position_reported", "view"),
    SubscriptionChanged: ("subscription_changed", "view"),
}

_FIRST_MESSAGE_S: Final = 10.0
#: What a close frame holds of a reason (RFC 6455 §5.5).
_REASON_BYTES: Final = 123
_SEND_S: Final = 20.0
#: How long a login that ended, or lost a right, still hears; the user is remembered, so asking costs little.
_CHECK_S: Final = 10.0
_LISTENERS: Final = 500
#: Of one user: one careless program must not take the places of all others.
_LISTENERS_OF_ONE: Final = 50
#: Who has not said who it is yet: strangers have places of their own.
_STRANGERS: Final = 200
#: A reader has nothing to say after its token; one that talks on is cut off.
_MOST_SAID: Final = 1000
_QUEUE: Final = 1000
_LONGEST_LIST: Final = 500
_UNAUTHENTICATED: Final = 4401
_FORBIDDEN: Final = 4403
_TRY_LATER: Final = 1013


class EventStream:
    """Serves the WebSocket and counts its readers."""

    def __init__(self) -> None:
        self.readers: Counter[str] = Counter()
        self._sessions: Counter[str] = Counter()
        self._strangers = 0
        self._sockets: dict[web.WebSocketResponse, Language] = {}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=30.0, max_msg_size=8192)
        await socket.prepare(request)
        language = language_of(request)
        if self._strangers >= _STRANGERS:
            await socket.close(code=_TRY_LATER, message=_reason(say("http.strangers_full"), language))
            return socket
        self._sockets[socket] = language
        try:
            await self._serve(request.app[SERVICES], request, socket)
        except Denied as refusal:
            code = _FORBIDDEN if refusal.authenticated else _UNAUTHENTICATED
            await socket.close(code=code, message=_reason(str(refusal), language))
        except Gb28181Error as error:
            await socket.close(code=_TRY_LATER, message=_reason(str(error), language))
        except (TimeoutError, ConnectionError):
            await socket.close(code=_TRY_LATER, message=_reason(say("http.reader_slow"), language))
        finally:
            self._sockets.pop(socket, None)
        return socket

    async def close(self, _app: web.Application) -> None:
        for socket, language in list(self._sockets.items()):
            await socket.close(code=1001, message=_reason(say("server.stops"), language))

    async def _serve(self, services: Services, request: web.Request, socket: web.WebSocketResponse) -> None:
        self._strangers += 1
        try:
            token = bearer(request) or await _first_message(socket)
            caller = await services.accounts.authenticate(token)
            demand(caller, "view")
        finally:
            self._strangers -= 1
        with (
            self._place(caller.username),
            self._attended(services, session_of(token)),
            services.bus.listen(size=_QUEUE) as queue,
        ):
            # The reader is told when it misses nothing any more: what it asks for after this, it hears changes of.
            await _send(socket, {"type": "ready", "at": rfc3339(services.clock.utc())})
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(_write(services, token, queue, socket, language_of(request)))
                await _until_it_leaves(socket, language_of(request))
                writer.cancel()

    @contextmanager
    def _attended(self, services: Services, session: str) -> Iterator[None]:
        """When the last reader of a login leaves, nobody watches the cameras that it moves."""
        self._sessions[session] += 1
        try:
            yield
        finally:
            self._sessions[session] -= 1
            if not self._sessions[session]:
                del self._sessions[session]
                services.ptz.caller_gone(session)

    @contextmanager
    def _place(self, username: str) -> Iterator[None]:
        """Raises: Unavailable: This user, or all together, have as many readers as there may be."""
        if self.readers.total() >= _LISTENERS or self.readers[username] >= _LISTENERS_OF_ONE:
            raise Unavailable(say("http.readers_full"))
        self.readers[username] += 1
        try:
            yield
        finally:
            self.readers[username] -= 1
            if not self.readers[username]:
                del self.readers[username]


async def _until_it_leaves(socket: web.WebSocketResponse, language: Language) -> None:
    """Whatever a reader says is ignored; the end of the connection ends this."""
    said = 0
    async for _message in socket:
        said += 1
        if said > _MOST_SAID:
            await socket.close(code=_TRY_LATER, message=_reason(say("http.reader_talks"), language))


async def _first_message(socket: web.WebSocketResponse) -> str:
    try:
        async with asyncio.timeout(_FIRST_MESSAGE_S):
            message = await socket.receive()
    except TimeoutError:
        raise Denied(say("http.first_message")) from None
    if message.type is WSMsgType.TEXT:
        try:
            token = json.loads(message.data)["token"]
        except (ValueError, KeyError, TypeError, RecursionError):
            token = None
        if isinstance(token, str):
            return token
    raise Denied(say("http.first_message"))


async def _write(
    services: Services, token: str, queue: asyncio.Queue[object], socket: web.WebSocketResponse, language: Language
) -> None:
    loop = asyncio.get_running_loop()
    check_at = 0.0
    while not socket.closed:
        if loop.time() >= check_at:
            try:
                caller = await services.accounts.authenticate(token)
            except Denied as refusal:
                await socket.close(code=_UNAUTHENTICATED, message=_reason(str(refusal), language))
                return
            check_at = loop.time() + _CHECK_S
        try:
            async with asyncio.timeout_at(check_at):
                event = await queue.get()
        except TimeoutError:
            continue
        known = EVENTS.get(type(event))
        if known is None or not may(caller, known[1]):
            continue
        try:
            await _send(socket, {"type": known[0], "at": rfc3339(services.clock.utc()), **_fields(event, language)})
        except (TimeoutError, ConnectionError):
            await socket.close(code=_TRY_LATER, message=_reason(say("http.reader_slow"), language))
            return


async def _send(socket: web.WebSocketResponse, event: dict[str, Any]) -> None:
    async with asyncio.timeout(_SEND_S):
        await socket.send_str(json.dumps(event, ensure_ascii=False, separators=(",", ":")))


def _fields(event: object, language: Language) -> dict[str, Any]:
    """The event's fields; a channel's key as its two identifiers. A list too long for a message is cut and says so."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(event):  # type: ignore[arg-type]  # every type in EVENTS is a dataclass
        value = getattr(event, field.name)
        if isinstance(value, ChannelKey):
            out |= {"device_id": value.device_id, "channel_id": value.channel_id}
        elif isinstance(value, tuple):
            out[field.name] = list(value[:_LONGEST_LIST])
            if len(value) > _LONGEST_LIST:
                out["truncated"] = True
        elif isinstance(value, datetime) or (field.name in ("start", "end") and isinstance(value, int)):
            out[field.name] = rfc3339(value)
        elif isinstance(value, str):
            out[field.name] = rendered(value, language)
        else:
            out[field.name] = value
    return out


def _reason(said: str, language: Language) -> bytes:
    """Cut where a close frame is full, between characters: half of one would fail the connection instead."""
    return rendered(said, language).encode()[:_REASON_BYTES].decode(errors="ignore").encode()
