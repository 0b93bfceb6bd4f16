"""Channels, and the tree in which the console shows them."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from gb28181.api import views
from gb28181.api.fields import Page
from gb28181.api.paging import Cursors
from gb28181.api.routing import Call, Model, Route, route
from gb28181.api.services import Services
from gb28181.api.views import ChannelPage, ChannelView
from gb28181.catalog.model import Channel


class ChannelsOfDeviceQuery(Page):
    online: bool | None = None
    q: str = Field("", max_length=128, description="part of the name or of the identifier")


class ChannelsQuery(ChannelsOfDeviceQuery):
    device_id: str = Field("", max_length=64)


class TreeQuery(Page):
    parent: str = Field("", max_length=160, description="`id` of a node; empty for the top")


class NodeView(Model):
    """`kind`: device, civil, system, group, organisation or channel; all but device and channel only hold others."""

    id: str
    name: str
    kind: str
    parent: str
    has_children: bool
    device_id: str
    channel_id: str | None
    online: bool
    playable: bool


class NodePage(Model):
    items: list[NodeView]
    next: str | None


@route("GET", "/devices/{device_id}/channels", right="view", query=ChannelsOfDeviceQuery, response=ChannelPage, errors=(404,))
async def list_channels_of_device(call: Call[ChannelsOfDeviceQuery, None]) -> ChannelPage:
    """Lists the channels of a device by identifier."""
    device = call.services.devices.get(call.device_id)
    return _page(call.services, call.services.catalog.channels(device.device_id), call.query, f"channels {call.device_id}")


@route("GET", "/channels", right="view", query=ChannelsQuery, response=ChannelPage)
async def list_channels(call: Call[ChannelsQuery, None]) -> ChannelPage:
    """Lists channels of all devices."""
    catalog, device_id = call.services.catalog, call.query.device_id
    if device_id:
        known = any(device_id == found.device_id for found in call.services.devices.devices())
        rows = catalog.channels(device_id) if known else ()
    else:
        rows = catalog.all_channels()
    return _page(call.services, rows, call.query, "channels")


@route("GET", "/devices/{device_id}/channels/{channel_id}", right="view", response=ChannelView, errors=(404,))
async def get_channel(call: Call[None, None]) -> ChannelView:
    """Shows one channel with its stream and recording."""
    return views.channel(call.services, call.services.catalog.channel(call.key))


@route("GET", "/tree", right="view", query=TreeQuery, response=NodePage, errors=(404,))
async def tree(call: Call[TreeQuery, None]) -> NodePage:
    """Lists the nodes directly below one, in the order in which they are shown."""
    nodes = call.services.catalog.tree(call.query.parent)
    cursors = Cursors(call.services.link_key, f"tree {call.query.parent}")
    page, following = cursors.page(
        enumerate(nodes), key=lambda row: (row[0],), limit=call.query.limit, cursor=call.query.cursor
    )
    items = [
        NodeView(
            id=node.node_id,
            name=node.name,
            kind=node.kind,
            parent=call.query.parent,
            has_children=node.has_children,
            device_id=node.device_id,
            channel_id=node.channel_id or None,
            online=node.online,
            playable=node.is_playable,
        )
        for _, node in page
    ]
    return NodePage(items=items, next=following)


def _page(services: Services, rows: Iterable[Channel], query: ChannelsOfDeviceQuery, listing: str) -> ChannelPage:
    wanted = (
        found
        for found in rows
        if not found.is_gone
        and views.matches(query.q, found.alias, found.name, found.key.channel_id)
        and query.online in (None, services.catalog.is_online(found.key))
    )
    page, following = Cursors(services.link_key, listing).page(
        wanted, key=lambda found: (found.key.device_id, found.key.channel_id), limit=query.limit, cursor=query.cursor
    )
    return ChannelPage(items=[views.channel(services, found) for found in page], next=following)


ROUTES: tuple[Route, ...] = (list_channels_of_device, list_channels, get_channel, tree)
