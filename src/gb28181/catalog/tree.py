"""The tree of one device's catalogue: devices at the root, below them their items by parent links (spec of trees: Annex J).

Links lie (quirks Q67-Q70), so every rule ends at the device: an unknown parent, the item itself, or a cycle leaves the
item directly below its device. Nothing is ever missing from the tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gb28181.catalog.model import Channel, NodeKind
from gb28181.ids import BUSINESS_GROUP_TYPE, PLATFORM_TYPE, VIRTUAL_ORG_TYPE, DeviceId, type_code

ROOT: Final = ""

_KINDS: Final[dict[str, NodeKind]] = {
    PLATFORM_TYPE: "system",
    BUSINESS_GROUP_TYPE: "group",
    VIRTUAL_ORG_TYPE: "organisation",
}
_ORDER: Final[dict[NodeKind, int]] = {"civil": 0, "system": 1, "group": 2, "organisation": 3, "channel": 4}


def kind_of(channel_id: str) -> NodeKind:
    """What an item is, by its identifier."""
    if len(channel_id) <= 8 and channel_id.isdigit():
        return "civil"
    return _KINDS.get(type_code(channel_id), "channel")


def children_by_parent(device_id: DeviceId, channels: Mapping[DeviceId, Channel]) -> dict[str, list[Channel]]:
    """Items below each item, sorted by kind, name and identifier; those directly below the device under `ROOT`."""
    shown = {key: channel for key, channel in channels.items() if not channel.is_gone}
    parents = {key: _parent(channel, device_id, shown) for key, channel in shown.items()}
    _break_cycles(parents)
    out: dict[str, list[Channel]] = {}
    for key, parent in parents.items():
        out.setdefault(parent, []).append(shown[key])
    for below in out.values():
        below.sort(key=lambda channel: (_ORDER[kind_of(channel.key.channel_id)], channel.name, channel.key.channel_id))
    return out


def _parent(channel: Channel, device_id: DeviceId, known: Mapping[DeviceId, Channel]) -> str:
    own = channel.key.channel_id
    kind = kind_of(own)
    # Quirk Q67: a list is joined by "/", its last part is the nearest.
    listed = [DeviceId(part.strip()) for part in reversed(channel.parent_id.split("/"))]
    for candidate in listed:
        if candidate in known and candidate not in (own, device_id):
            return candidate
    if kind == "organisation":
        group = DeviceId(str(channel.item.get("BusinessGroupID", "")))
        return group if group in known and group != own else ROOT
    if kind == "civil":
        return next((above for end in range(len(own) - 2, 0, -2) if (above := DeviceId(own[:end])) in known), ROOT)
    if device_id in listed:
        return ROOT
    code = channel.civil_code
    return next((DeviceId(code[:end]) for end in range(len(code), 0, -2) if code[:end] in known), ROOT)


def _break_cycles(parents: dict[DeviceId, str]) -> None:
    """Walks up from every item once; the link that leads back into the walk is dropped."""
    safe: set[str] = {ROOT}
    for start in parents:
        walk: dict[str, None] = {}
        node: str = start
        while node not in safe and node not in walk:
            walk[node] = None
            node = parents[DeviceId(node)]
        if node in walk:
            parents[DeviceId(node)] = ROOT
        safe.update(walk)
