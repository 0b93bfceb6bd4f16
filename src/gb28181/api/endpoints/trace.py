"""What was said over SIP to a device and by it: as messages, as a ladder diagram, as text for a capture."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Literal

from pydantic import Field

from gb28181.api.routing import Call, Document, Model, Route, route
from gb28181.clock import from_us
from gb28181.sip.ladder import ladder
from gb28181.sip.trace import TracedMessage, hex_dump

#: Longer messages are cut in the JSON answer; the capture has them whole.
_SHOWN = 16 << 10


class TraceQuery(Model):
    limit: int = Field(100, ge=1, le=1000, description="the last so many messages")


class TracedMessageView(Model):
    """`status` is that of a response, null for a request. `text`: the message with its secrets masked."""

    at: datetime
    direction: Literal["in", "out"]
    transport: str
    remote: str
    status: int | None
    summary: str
    text: str


class TraceView(Model):
    """The oldest message first. How far back it goes depends on how much is said on the whole server (`sip.trace_mb`)."""

    messages: list[TracedMessageView]


@route("GET", "/devices/{device_id}/trace", right="operate", query=TraceQuery, response=TraceView, errors=(404,))
async def show_trace(call: Call[TraceQuery, None]) -> TraceView:
    """Shows the last SIP messages of a device; passwords, and what was computed from them, are masked."""
    # Masking megabytes takes a while: not where calls are answered.
    return await asyncio.to_thread(_shown, _messages(call))


@route(
    "GET", "/devices/{device_id}/trace.svg", right="operate", query=TraceQuery, produces="image/svg+xml", errors=(404,)
)  # fmt: skip
async def draw_trace(call: Call[TraceQuery, None]) -> Document:
    """Draws them as a ladder diagram (SVG)."""
    server_id = call.services.sip().server_id
    picture = await asyncio.to_thread(ladder, _messages(call), platform=server_id, peer=call.device_id)
    return Document(picture, f"{call.device_id}.svg")


@route("GET", "/devices/{device_id}/trace.txt", right="operate", query=TraceQuery, produces="text/plain", errors=(404,))
async def dump_trace(call: Call[TraceQuery, None]) -> Document:
    """Gives them as a hex dump, from which `text2pcap` makes a capture for Wireshark."""
    return Document(await asyncio.to_thread(hex_dump, _messages(call)), f"{call.device_id}.txt")


def _shown(messages: list[TracedMessage]) -> TraceView:
    return TraceView(
        messages=[
            TracedMessageView(
                at=from_us(message.at_us), direction="in" if message.is_inbound else "out", transport=message.transport,
                remote=message.remote, status=message.status or None, summary=message.summary(),
                text=message.text()[:_SHOWN],
            )
            for message in messages
        ]
    )  # fmt: skip


def _messages(call: Call[TraceQuery, None]) -> list[TracedMessage]:
    device = call.services.devices.get(call.device_id)
    remote = device.registration.route.remote if device.registration else None
    remotes = frozenset({(remote.host, remote.port)} if remote else ())
    return call.services.trace.messages_of(device.device_id, limit=call.query.limit, remotes=remotes)


ROUTES: tuple[Route, ...] = (show_trace, draw_trace, dump_trace)
