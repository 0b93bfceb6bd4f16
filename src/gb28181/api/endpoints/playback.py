"""Watching what was recorded."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gb28181.api import links
from gb28181.api.endpoints.sessions import limit_sessions
from gb28181.api.fields import Moment, Shown
from gb28181.api.routing import Call, Model, Route, route
from gb28181.clock import from_us, rfc3339, to_us
from gb28181.errors import Unsupported
from gb28181.texts.text import say


class PlaybackRequest(Model):
    start: Moment
    end: Moment
    source: Literal["platform", "device"] = Field("platform", description="whose recording")


class PlaybackUrls(Model):
    """Paths on this server; `ws_flv` is opened as WebSocket. `hls` shows at most two hours from the start on."""

    hls: str
    ws_flv: str
    flv: str


class PlaybackAnswer(Model):
    session_id: str
    urls: PlaybackUrls
    start: Shown
    end: Shown


@route(
    "POST", "/devices/{device_id}/channels/{channel_id}/playback", right="watch", request=PlaybackRequest,
    response=PlaybackAnswer, errors=(404, 429, 501),
)  # fmt: skip
async def open_playback(call: Call[None, PlaybackRequest]) -> PlaybackAnswer:
    """Opens what was recorded of a channel in a range of time. Recordings outlive their device.

    Where nothing was recorded, the error names the nearest recording.
    """
    if call.body.source == "device":
        raise Unsupported(say("recording.no_device_playback"))
    limit_sessions(call)
    services = call.services
    await services.recordings.check_known(call.key)
    start, end = to_us(call.body.start), to_us(call.body.end)
    session = await services.playbacks.open(call.key, start, end, user=call.caller.username)
    await call.audit("playback.open", call.key, session=session.session_id, start=rfc3339(call.body.start))
    flv = links.playback(services, session)
    return PlaybackAnswer(
        session_id=session.session_id,
        urls=PlaybackUrls(hls=links.hls(services, session), ws_flv=flv, flv=flv),
        start=from_us(session.start),
        end=from_us(session.end),
    )


ROUTES: tuple[Route, ...] = (open_playback,)
