"""Live pictures and the sessions that hold them open."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gb28181.accounts.rights import may
from gb28181.accounts.throttle import TooManyRequests
from gb28181.api import links, views
from gb28181.api.routing import Call, Model, Route, route
from gb28181.api.views import SessionView, StageView
from gb28181.errors import Denied


class LiveRequest(Model):
    transport: Literal["auto", "udp", "tcp"] | None = Field(None, description="of the media; chosen for you when missing")
    stream: Literal["main"] | None = Field(None, description="which of the camera's streams")


class LiveUrls(Model):
    """Paths on this server; `ws_flv` is opened as WebSocket."""

    ws_flv: str
    flv: str
    ts: str


class LiveAnswer(Model):
    session_id: str
    urls: LiveUrls
    stages: list[StageView]


class SessionList(Model):
    items: list[SessionView]


@route(
    "POST", "/devices/{device_id}/channels/{channel_id}/live", right="watch", request=LiveRequest, response=LiveAnswer,
    errors=(404, 429, 502, 503, 504),
)  # fmt: skip
async def open_live(call: Call[None, LiveRequest]) -> LiveAnswer:
    """Opens a live picture, or joins the one that runs.

    Answers when the first key frame has come. When no picture can be had, the error names the stage that was reached and
    what to do.
    """
    limit_sessions(call)
    wish = None if call.body.transport == "auto" else call.body.transport
    session = await call.services.sessions.open_live(call.key, user=call.caller.username, transport=wish)
    await call.audit("live.open", call.key, session=session.session_id)
    flv, ts = (links.live(call.services, call.key, suffix) for suffix in ("flv", "ts"))
    return LiveAnswer(session_id=session.session_id, urls=LiveUrls(ws_flv=flv, flv=flv, ts=ts), stages=views.stages(session))


def limit_sessions(call: Call[Any, Any]) -> None:
    """Raises: TooManyRequests: The caller has as many sessions open as one user may."""
    most = call.services.limits.sessions_per_user
    mine = sum(found.user == call.caller.username for found in call.services.sessions.sessions())
    if mine >= most:
        raise TooManyRequests(f"{mine} sessions are open, the most for one user (http.max_sessions_per_user): close some", 5.0)


@route("GET", "/sessions", right="view", response=SessionList)
async def list_sessions(call: Call[None, None]) -> SessionList:
    """Lists the sessions that are open."""
    return SessionList(items=[views.session(found) for found in call.services.sessions.sessions()])


@route("DELETE", "/sessions/{session_id}", right="watch", errors=(404,))
async def close_session(call: Call[None, None]) -> None:
    """Ends a session; the stream ends with it when nobody else uses it. A viewer may end only what it opened itself."""
    session = call.services.sessions.session(call.path["session_id"])
    if session.user != call.caller.username and not may(call.caller, "operate"):
        raise Denied("this session was opened by somebody else: an operator may close it", authenticated=True)
    await call.services.sessions.close(session.session_id)
    await call.audit("session.close", session.key, session=session.session_id)


ROUTES: tuple[Route, ...] = (open_live, list_sessions, close_session)
