"""Where channels are, and where they were."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pydantic import Field

from gb28181.api import views
from gb28181.api.fields import Moment, Page, Shown
from gb28181.api.paging import Cursors
from gb28181.api.routing import Call, Model, Route, route
from gb28181.api.services import Services
from gb28181.clock import to_us
from gb28181.errors import Invalid, NotFound
from gb28181.position.model import Position
from gb28181.texts.text import say

_LONGEST: Final = timedelta(days=31)


class PositionsQuery(Page):
    device_id: str = Field("", max_length=64)
    q: str = Field("", max_length=128, description="part of the name or of the identifier")


class TrackQuery(Page):
    """`end` is not included."""

    start: Moment
    end: Moment


class PositionView(Model):
    """Coordinates in WGS-84; `told_…` as the device told them, in `system`.

    Speed in km/h, direction in degrees clockwise from north, altitude above the sea and height above ground in metres.
    """

    device_id: str
    channel_id: str
    name: str
    at: Shown
    received_at: Shown
    longitude: float
    latitude: float
    told_longitude: float
    told_latitude: float
    system: str
    speed_kmh: float | None
    direction_deg: float | None
    altitude_m: float | None
    height_m: float | None
    via: str


class PositionPage(Model):
    items: list[PositionView]
    next: str | None


@route("GET", "/positions", right="view", query=PositionsQuery, response=PositionPage)
async def list_positions(call: Call[PositionsQuery, None]) -> PositionPage:
    """Lists the last position of every channel that has told one, by identifier."""
    services, query = call.services, call.query
    named = ((found, _name(services, found)) for found in services.positions.positions())
    rows = (
        (found, name)
        for found, name in named
        if query.device_id in ("", found.key.device_id) and views.matches(query.q, name, found.key.channel_id)
    )
    cursors = Cursors(services.link_key, f"positions {query.device_id}\n{query.q}")
    page, following = cursors.page(
        rows, key=lambda row: (row[0].key.device_id, row[0].key.channel_id), limit=query.limit, cursor=query.cursor
    )
    return PositionPage(items=[_view(found, name) for found, name in page], next=following)


@route("GET", "/devices/{device_id}/channels/{channel_id}/position", right="view", response=PositionView, errors=(404,))
async def get_position(call: Call[None, None]) -> PositionView:
    """Shows where a channel is."""
    found = call.services.positions.last(call.key)
    return _view(found, _name(call.services, found))


@route(
    "GET",
    "/devices/{device_id}/channels/{channel_id}/track",
    right="view",
    query=TrackQuery,
    response=PositionPage,
)
async def get_track(call: Call[TrackQuery, None]) -> PositionPage:
    """Lists where a channel was, oldest first; at most 31 days at once."""
    query, key = call.query, call.key
    if not timedelta(0) < query.end - query.start <= _LONGEST:
        raise Invalid(say("alarm.track_range", start=query.start, end=query.end))
    cursors = Cursors(call.services.link_key, f"track {key}")
    after: tuple[int, int] | None = None
    if query.cursor is not None:
        at, number = cursors.read(query.cursor)
        after = (int(at), int(number))
    found = await call.services.positions.track(key, to_us(query.start), to_us(query.end), limit=query.limit + 1, after=after)
    page = found[: query.limit]
    following = cursors.write((to_us(page[-1].at), page[-1].position_id)) if len(found) > query.limit else None
    name = _name(call.services, page[0]) if page else ""
    return PositionPage(items=[_view(position, name) for position in page], next=following)


def _view(found: Position, name: str) -> PositionView:
    return PositionView(
        device_id=found.key.device_id,
        channel_id=found.key.channel_id,
        name=name,
        at=found.at,
        received_at=found.received_at,
        longitude=found.longitude,
        latitude=found.latitude,
        told_longitude=found.told_longitude,
        told_latitude=found.told_latitude,
        system=found.system,
        speed_kmh=found.speed_kmh,
        direction_deg=found.direction_deg,
        altitude_m=found.altitude_m,
        height_m=found.height_m,
        via=found.via,
    )


def _name(services: Services, found: Position) -> str:
    """The channel's name, or the device's where it tells its own position."""
    try:
        return views.shown_name(services.catalog.channel(found.key))
    except NotFound:
        pass
    try:
        return services.devices.get(found.key.device_id).name
    except NotFound:
        return ""


ROUTES: tuple[Route, ...] = (list_positions, get_position, get_track)
