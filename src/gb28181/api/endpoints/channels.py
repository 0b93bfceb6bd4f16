"""Channels: of one device, of all, and found by a part of name, identifier or pinyin initials."""

from __future__ import annotations

from typing import cast

from pydantic import Field

from gb28181.api import views
from gb28181.api.fields import Page
from gb28181.api.paging import Cursors
from gb28181.api.routing import Call, Route, route
from gb28181.api.services import Services
from gb28181.api.views import ChannelPage, ChannelView

_Q = "part of the name, of the identifier or of the pinyin initials (`cbcrk` for 城北出入口); all words have to match"


class ChannelsOfDeviceQuery(Page):
    online: bool | None = None
    q: str = Field("", max_length=128, description=_Q)
    unused: bool = Field(
        False, description="the places of a recorder into which no camera was ever put; they are in no other list"
    )


class ChannelsQuery(Page):
    online: bool | None = None
    q: str = Field("", max_length=128, description=_Q)
    device: str = Field("", max_length=64, description="only channels of this device")


@route("GET", "/devices/{device_id}/channels", right="view", query=ChannelsOfDeviceQuery, response=ChannelPage, errors=(404,))
async def list_channels_of_device(call: Call[ChannelsOfDeviceQuery, None]) -> ChannelPage:
    """Lists the channels of a device by identifier."""
    device = call.services.devices.get(call.device_id)
    if call.query.unused:
        return _unused(call.services, device.device_id, call.query)
    return await _page(call.services, call.query, call.query.q, call.query.online, device.device_id)


@route("GET", "/channels", right="view", query=ChannelsQuery, response=ChannelPage)
async def list_channels(call: Call[ChannelsQuery, None]) -> ChannelPage:
    """Lists or finds channels of all devices, by device and identifier."""
    return await _page(call.services, call.query, call.query.q, call.query.online, call.query.device)


@route("GET", "/devices/{device_id}/channels/{channel_id}", right="view", response=ChannelView, errors=(404,))
async def get_channel(call: Call[None, None]) -> ChannelView:
    """Shows one channel with its stream and recording."""
    return views.channel(call.services, call.services.catalog.channel(call.key))


async def _page(services: Services, page: Page, q: str, online: bool | None, device_id: str) -> ChannelPage:
    cursors = Cursors(services.link_key, f"channels {device_id}")
    after = None if page.cursor is None else cast("tuple[str, str]", cursors.read(page.cursor))
    rows = await services.catalog.search(q, device_id=device_id, online=online, limit=page.limit + 1, after=after)
    shown = rows[: page.limit]
    following = cursors.write((shown[-1].key.device_id, shown[-1].key.channel_id)) if len(rows) > page.limit else None
    return ChannelPage(items=[views.channel(services, found) for found in shown], next=following)


def _unused(services: Services, device_id: str, page: Page) -> ChannelPage:
    rows, following = Cursors(services.link_key, f"unused {device_id}").page(
        services.catalog.unused(device_id), key=lambda found: (found.key.channel_id,), limit=page.limit, cursor=page.cursor
    )
    return ChannelPage(items=[views.channel(services, found) for found in rows], next=following)


ROUTES: tuple[Route, ...] = (list_channels_of_device, list_channels, get_channel)
