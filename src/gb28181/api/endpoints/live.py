"""Live pictures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gb28181.api import links, views
from gb28181.api.endpoints.sessions import limit_sessions
from gb28181.api.routing import Call, Model, Route, route
from gb28181.api.views import StageView


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


ROUTES: tuple[Route, ...] = (open_live,)
