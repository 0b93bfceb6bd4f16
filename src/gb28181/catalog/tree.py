"""The three trees over one device's catalogue: by its own links, by divisions of the country, by business groups (Annex J).

Links lie (quirks Q67-Q70), so every rule ends at the device: an unknown parent, the item itself, or a cycle leaves the
item directly below its device. Nothing that is shown is missing from the device's own tree.

A tree holds identifiers; names and states are looked up when a level is shown, so that a channel that goes off changes no tree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gb28181.catalog.items import business_group, civil_code, named_parents
from gb28181.catalog.model import Channel, Counts, NodeKind, View
from gb28181.ids import BUSINESS_GROUP_TYPE, CAMERA_TYPES, PLATFORM_TYPE, VIRTUAL_ORG_TYPE, DeviceId, type_code

#: The device itself.
ROOT: Final = ""
#: In front of a division's code, where a node is one; no identifier holds this character.
REGION: Final = "~"

Known = Mapping[DeviceId, Channel]
NodeKey = tuple[int, str, str, str]

_KINDS: Final[dict[str, NodeKind]] = {
    PLATFORM_TYPE: "system",
    BUSINESS_GROUP_TYPE: "group",
    VIRTUAL_ORG_TYPE: "organisation",
}
_ORDER: Final[dict[NodeKind, int]] = {"civil": 0, "device": 1, "system": 1, "group": 2, "organisation": 3, "channel": 4}
#: Which of several known parents holds an item in the device's own tree.
_NEAREST: Final[dict[NodeKind, int]] = {"channel": 0, "system": 1, "organisation": 2, "group": 3, "civil": 4}
#: Of a name, in the order of a level: a page's cursor holds it.
_ORDER_CHARACTERS: Final = 40
#: Codes of provinces, autonomous regions and municipalities (GB/T 2260): 11 to 82.
_PROVINCES: Final = range(11, 83)


@dataclass(slots=True)
class Tree:
    """What stands below what.

    Args:
        below: Items below an item, a division (`~code`) or the device (`ROOT`), in the order in which they are shown.
        several: Items that stand in more than one place.
        region: In the tree by divisions: where the device itself stands, None when it is not shown there.
    """

    below: dict[str, list[DeviceId]] = field(default_factory=dict)
    several: dict[DeviceId, list[str]] = field(default_factory=dict)
    region: str | None = None
    _cameras: dict[str, list[DeviceId]] | None = None
    _counts: dict[str, Counts] | None = None

    @property
    def size(self) -> int:
        return sum(map(len, self.below.values()))

    def counts(self, channels: Known) -> Mapping[str, Counts]:
        """Cameras below each node by their own state; one that is filed in several places counts once above both."""
        if self._counts is None:
            self._counts = self._counted(channels)
        return self._counts

    def forget_counts(self) -> None:
        """A channel's state has changed."""
        self._counts = None

    def _counted(self, channels: Known) -> dict[str, Counts]:
        if self._cameras is None:
            self._cameras = {
                node: [one for one in items if one not in self.several and channels[one].is_camera]
                for node, items in self.below.items()
            }
        above = self._chains()
        totals: Counter[str] = Counter()
        online: Counter[str] = Counter()
        for node, cameras in self._cameras.items():
            on = sum(channels[one].status_on for one in cameras)
            for holder in above[node]:
                totals[holder] += len(cameras)
                online[holder] += on
        for one, places in self.several.items():
            if channels[one].is_camera:
                holders = {holder for place in places for holder in above[place]}
                totals.update(holders)
                if channels[one].status_on:
                    online.update(holders)
        return {node: Counts(totals[node], online[node]) for node in self.below}

    def _chains(self) -> dict[str, tuple[str, ...]]:
        """Each node with all that stand above it. A node stands in one place but where it is filed in several."""
        parents: dict[str, list[str]] = {}
        for node, items in self.below.items():
            for one in items:
                if one in self.below:
                    parents.setdefault(one, []).append(node)
        chains: dict[str, tuple[str, ...]] = {}
        for start in self.below:
            walk = [start]
            while walk:
                node = walk[-1]
                missing = [parent for parent in parents.get(node, ()) if parent not in chains]
                if missing:
                    walk += missing
                    continue
                chains[node] = tuple(
                    dict.fromkeys((node, *(one for parent in parents.get(node, ()) for one in chains[parent])))
                )
                walk.pop()
        return chains


def kind_of(channel_id: str) -> NodeKind:
    """What an item is, by its identifier."""
    if len(channel_id) <= 8 and channel_id.isdigit():
        return "civil"
    return _KINDS.get(type_code(channel_id), "channel")


def shown_name(channel: Channel) -> str:
    """The operator's name where there is one."""
    return channel.alias or channel.name or channel.key.channel_id


def node_key(kind: NodeKind, name: str, device_id: str, channel_id: str) -> NodeKey:
    """The order of a level: kind, name, identifier."""
    return _ORDER[kind], name[:_ORDER_CHARACTERS], device_id, channel_id


def channel_key(channel: Channel) -> NodeKey:
    key = channel.key
    return node_key(kind_of(key.channel_id), shown_name(channel), key.device_id, key.channel_id)


def tree_of(view: View, device_id: DeviceId, channels: Known) -> Tree:
    """One of the three trees of a device's items."""
    shown = {key: channel for key, channel in channels.items() if channel.is_shown}
    parents = {key: _parent(channel, device_id, shown) for key, channel in shown.items()}
    _break_cycles(parents)
    return _VIEWS[view](device_id, shown, parents)


def region_of(identifier: str) -> str:
    """The division in the first six digits of a 20-digit code, "" where they are none (quirk Q68)."""
    if not type_code(identifier) or int(identifier[:2]) not in _PROVINCES:
        return ""
    return civil_code(identifier[:6])


def above(code: str) -> str:
    """The division in which one lies, "" for a province."""
    return code[:-2]


# --- by the device's own links -------------------------------------------------------------------------------------


def _by_device(_device_id: DeviceId, shown: Known, parents: Mapping[DeviceId, str]) -> Tree:
    return _tree(shown, ((key, [parent]) for key, parent in parents.items()))


def _parent(channel: Channel, device_id: DeviceId, known: Known) -> str:
    own = channel.key.channel_id
    kind = kind_of(own)
    listed = named_parents(channel)
    candidates = [one for one in listed if one in known and one not in (own, device_id)]
    if kind in ("organisation", "group"):
        candidates = [one for one in candidates if kind_of(one) != "channel"]
    if candidates:
        return min(candidates, key=lambda one: _NEAREST[kind_of(one)])
    if kind == "organisation":
        group = business_group(channel)
        return group if group in known and group != own else ROOT
    if kind == "civil":
        return next((division for end in range(len(own) - 2, 0, -2) if (division := DeviceId(own[:end])) in known), ROOT)
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


# --- by business groups --------------------------------------------------------------------------------------------


def _by_group(_device_id: DeviceId, shown: Known, parents: Mapping[DeviceId, str]) -> Tree:
    """Groups at the root, organisations below them, items below all that they are filed under; the rest at the root."""

    def places(key: DeviceId, channel: Channel) -> list[str]:
        kind = kind_of(key)
        if kind == "group":
            return [ROOT]
        if kind == "organisation":
            return [parents[key] if _is_filing(parents[key]) else ROOT]
        filed: list[str] = [one for one in named_parents(channel) if one in shown and _is_filing(one)]
        if not filed and (group := business_group(channel)) in shown and _is_filing(group):
            filed = [group]
        if filed:
            return filed
        parent = parents[key]
        return [parent if parent and kind_of(parent) == "channel" else ROOT]

    listed = ((key, places(key, channel)) for key, channel in shown.items() if kind_of(key) not in ("civil", "system"))
    return _tree(shown, listed)


def _is_filing(identifier: str) -> bool:
    return type_code(identifier) in (BUSINESS_GROUP_TYPE, VIRTUAL_ORG_TYPE)


# --- by divisions of the country -----------------------------------------------------------------------------------


def _by_civil(device_id: DeviceId, shown: Known, parents: Mapping[DeviceId, str]) -> Tree:
    """Items of a platform in their divisions, parts of a device below it, a recorder as a whole where most of it is."""
    own_type = type_code(device_id)
    is_camera = own_type in CAMERA_TYPES
    is_recorder = not is_camera and own_type.startswith("1")

    def place(key: DeviceId, channel: Channel) -> str:
        parent = parents[key]
        if parent and kind_of(parent) == "channel":
            return parent
        if is_recorder:
            return ROOT
        code = channel.civil_code
        if not code and parent:
            code = civil_code(parent) if kind_of(parent) == "civil" else shown[DeviceId(parent)].civil_code
        code = code or region_of(key) or (region_of(device_id) if is_camera else "")
        return REGION + code if code else ROOT

    tree = _tree(shown, ((key, [place(key, channel)]) for key, channel in shown.items() if kind_of(key) == "channel"))
    if is_recorder:
        codes = Counter(channel.civil_code for channel in shown.values() if channel.civil_code)
        tree.region = codes.most_common(1)[0][0] if codes else region_of(device_id)
    elif ROOT in tree.below:
        tree.region = region_of(device_id)
    return tree


_VIEWS: Final[dict[View, Callable[[DeviceId, Known, Mapping[DeviceId, str]], Tree]]] = {
    "device": _by_device,
    "civil": _by_civil,
    "group": _by_group,
}


def _tree(shown: Known, listed: Iterable[tuple[DeviceId, list[str]]]) -> Tree:
    tree = Tree()
    for key, places in listed:
        if len(places) > 1:
            tree.several[key] = places
        for place in places:
            tree.below.setdefault(place, []).append(key)
    for items in tree.below.values():
        items.sort(key=lambda one: channel_key(shown[one]))
    return tree
