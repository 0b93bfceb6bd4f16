"""What is being watched: live pictures and recordings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from gb28181.accounts.rights import may
from gb28181.accounts.throttle import TooManyRequests
from gb28181.api import views
from gb28181.api.fields import Moment, Shown
from gb28181.api.routing import Call, Model, Route, route
from gb28181.api.views import SessionView
from gb28181.clock import from_us, to_us
from gb28181.errors import Denied, NotFound
from gb28181.session.playback import FASTEST, SLOWEST, Playback
from gb28181.texts.text import say


class PlaybackView(Model):
    """What the viewer was last told to do; where he is he knows himself, by the wall clock in his stream."""

    session_id: str
    device_id: str
    channel_id: str
    user: str
    opened_at: Shown
    expires_at: Shown
    start: Shown
    end: Shown
    paused: bool
    speed: float


class SessionList(Model):
    """`items` are live pictures."""

    items: list[SessionView]
    playbacks: list[PlaybackView]


class SessionChange(Model):
    action: Literal["pause", "resume", "seek", "speed"]
    position: Moment | None = Field(None, description="where to go on, for `seek`")
    speed: Annotated[float, Field(ge=SLOWEST, le=FASTEST, description="for `speed`; from 8 on only key frames")] | None = None


@route("GET", "/sessions", right="view", response=SessionList)
async def list_sessions(call: Call[None, None]) -> SessionList:
    """Lists the sessions that are open."""
    services = call.services
    return SessionList(
        items=[views.session(found) for found in services.sessions.sessions()],
        playbacks=[_playback(found) for found in services.playbacks.sessions()],
    )


@route("PATCH", "/sessions/{session_id}", right="watch", request=SessionChange, response=PlaybackView, errors=(404, 503))
async def change_session(call: Call[None, SessionChange]) -> PlaybackView:
    """Pauses, resumes, seeks or changes the speed of a playback session. A viewer may change only what it opened itself."""
    session = _playback_of(call, call.path["session_id"])
    if session is None:
        raise NotFound(say("recording.no_session"))
    position = to_us(call.body.position) if call.body.position is not None else None
    changed = call.services.playbacks.control(
        session.session_id, call.body.action, position=position, speed=call.body.speed
    )  # fmt: skip
    return _playback(changed)


@route("DELETE", "/sessions/{session_id}", right="watch", errors=(404, 503))
async def close_session(call: Call[None, None]) -> None:
    """Ends a session; the stream ends with it when nobody else uses it. A viewer may end only what it opened itself."""
    played = _playback_of(call, call.path["session_id"])
    if played is not None:
        call.services.playbacks.close(played.session_id)
        await call.audit("session.close", played.key, session=played.session_id)
        return
    session = call.services.sessions.session(call.path["session_id"])
    _demand_own(call, session.user)
    await call.services.sessions.close(session.session_id)
    await call.audit("session.close", session.key, session=session.session_id)


def limit_sessions(call: Call[Any, Any]) -> None:
    """Raises: TooManyRequests: The caller has as many sessions open as one user may."""
    most = call.services.limits.sessions_per_user
    users = [found.user for found in call.services.sessions.sessions()]
    users += [found.user for found in call.services.playbacks.sessions()]
    mine = users.count(call.caller.username)
    if mine >= most:
        raise TooManyRequests(say("live.sessions_full", mine=mine), 5.0)


def _demand_own(call: Call[Any, Any], user: str) -> None:
    if user != call.caller.username and not may(call.caller, "operate"):
        raise Denied(say("live.session_foreign"), authenticated=True)


def _playback_of(call: Call[Any, Any], session_id: str) -> Playback | None:
    """A playback session that the caller may touch; None where it is none."""
    session = call.services.playbacks.find(session_id)
    if session is not None:
        _demand_own(call, session.user)
    return session


def _playback(session: Playback) -> PlaybackView:
    return PlaybackView(
        session_id=session.session_id,
        device_id=session.key.device_id,
        channel_id=session.key.channel_id,
        user=session.user,
        opened_at=session.opened_at,
        expires_at=session.expires_at,
        start=from_us(session.start),
        end=from_us(session.end),
        paused=session.is_paused,
        speed=session.speed,
    )


ROUTES: tuple[Route, ...] = (list_sessions, change_session, close_session)
