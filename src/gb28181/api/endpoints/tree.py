"""The three trees, a level at a time: devices with what they list, divisions of the country, business groups."""

from __future__ import annotations

from typing import Literal, cast

from pydantic import Field

from gb28181.api.fields import Page
from gb28181.api.paging import Cursors
from gb28181.api.routing import Call, Model, Route, route
from gb28181.catalog.model import TreeNode
from gb28181.catalog.tree import NodeKey


class TreeQuery(Page):
    parent: str = Field("", max_length=160, description="`id` of a node; empty for the top")
    by: Literal["device", "civil", "group"] = Field(
        "device", description="devices and their own links; divisions of the country; business groups and virtual organisations"
    )
    device: str = Field("", max_length=64, description="only what this device lists")


class NodeCounts(Model):
    total: int
    online: int


class NodeView(Model):
    """`kind`: device, civil, system, group, organisation or channel; all but device and channel only hold others.

    `channels` counts the cameras below the node. `device_id` is empty for a division.
    """

    id: str
    name: str
    kind: str
    parent: str
    has_children: bool
    device_id: str
    channel_id: str | None
    online: bool
    playable: bool
    channels: NodeCounts


class NodePage(Model):
    items: list[NodeView]
    next: str | None


@route("GET", "/tree", right="view", query=TreeQuery, response=NodePage, errors=(404,))
async def tree(call: Call[TreeQuery, None]) -> NodePage:
    """Lists the nodes directly below one, by kind and name, with the cameras below each and how many of them are online."""
    asked = call.query
    cursors = Cursors(call.services.link_key, f"tree {asked.by} {asked.device} {asked.parent}")
    after = None if asked.cursor is None else cast("NodeKey", cursors.read(asked.cursor))
    level = await call.services.catalog.level(asked.parent, by=asked.by, device_id=asked.device, limit=asked.limit, after=after)
    items = [_view(node, asked.parent) for node in level.nodes]
    return NodePage(items=items, next=None if level.last is None else cursors.write(level.last))


def _view(node: TreeNode, parent: str) -> NodeView:
    return NodeView(
        id=node.node_id,
        name=node.name,
        kind=node.kind,
        parent=parent,
        has_children=node.has_children,
        device_id=node.device_id,
        channel_id=node.channel_id or None,
        online=node.online,
        playable=node.is_playable,
        channels=NodeCounts(total=node.counts.total, online=node.counts.online),
    )


ROUTES: tuple[Route, ...] = (tree,)
