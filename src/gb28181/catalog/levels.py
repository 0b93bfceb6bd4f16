"""Levels of the three trees and lists of channels as operators ask for them: a page at a time, with effective states.

Two hundred thousand channels are looked through in slices, so that the loop is never held for longer than a few milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from typing import Final

from gb28181.catalog.holdings import Holding
from gb28181.catalog.model import Channel, ChannelKey, Counts, TreeNode, View
from gb28181.catalog.regions import Regions, Share, names_of, share_of
from gb28181.catalog.registry import Registry
from gb28181.catalog.search import Words, found, words_of
from gb28181.catalog.tree import REGION, NodeKey, Tree, channel_key, kind_of, node_key, shown_name
from gb28181.device.model import Device
from gb28181.errors import NotFound
from gb28181.ids import DeviceId
from gb28181.ports import Devices
from gb28181.texts.text import say

#: Work between two turns of the loop.
_SLICE_S: Final = 0.005
#: Devices that change right now are left to those who ask for them.
_SETTLE_S: Final = 2.0
#: Identifiers in trees that are kept for the next question.
_MAX_KEPT: Final = 200_000


@dataclass(frozen=True, slots=True)
class Level:
    """A page of a level.

    Args:
        last: Key of the last node when there are more behind it.
    """

    nodes: list[TreeNode]
    last: NodeKey | None


@dataclass(frozen=True, slots=True)
class _Place:
    """A node before it is shown."""

    key: NodeKey
    make: Callable[[], TreeNode]


class Levels:
    """Reads the registry; keeps sums by division, brought up to date in slices by `work` or when they are asked for."""

    def __init__(self, registry: Registry, devices: Devices, *, monotonic: Callable[[], float]) -> None:
        self._registry = registry
        self._devices = devices
        self._monotonic = monotonic
        self._regions = Regions()
        self._stale: dict[DeviceId, float] = {}
        self._kept = _Kept()

    # --- what changes ----------------------------------------------------------------------------------------------

    def changed(self, device_id: DeviceId) -> None:
        """Channels of a device have changed, or it was deleted."""
        self._stale.setdefault(device_id, self._monotonic())

    def came_or_went(self, device_id: DeviceId) -> None:
        self._regions.set_online(device_id, self._devices.is_online(device_id))

    def work(self) -> bool:
        """Brings sums and search lines of devices that changed some seconds ago up to date, for a few milliseconds.

        Returns:
            Whether there is more to do.
        """
        before = self._monotonic() - _SETTLE_S
        end = time.perf_counter() + _SLICE_S
        while self._stale and time.perf_counter() < end:
            device_id, since = next(iter(self._stale.items()))
            if since > before:
                return False
            self._refresh(device_id)
        return bool(self._stale)

    def _refresh(self, device_id: DeviceId) -> None:
        del self._stale[device_id]
        holding = self._registry.holding(device_id)
        if holding is None:
            self._regions.remove(device_id)
            self._kept.pop(device_id)
            return
        now = self._monotonic()
        share = share_of(holding.tree("civil", now), holding.channels)
        names = names_of(holding.channels.values())
        self._regions.put(device_id, share, names, is_online=self._devices.is_online(device_id))
        holding.block(now)
        if device_id not in self._kept:
            holding.forget_trees()

    async def _up_to_date(self) -> None:
        slices = _Slices()
        while self._stale:
            self._refresh(next(iter(self._stale)))
            await slices.breathe()

    # --- lists -----------------------------------------------------------------------------------------------------

    async def search(
        self,
        query: str = "",
        *,
        device_id: str = "",
        online: bool | None = None,
        limit: int,
        after: tuple[str, str] | None = None,
    ) -> list[Channel]:
        """Channels by device and identifier: those whose name, alias, identifier or pinyin initials hold all words.

        Args:
            after: The last one of the page before.
        """
        words = words_of(query)
        out: list[Channel] = []
        slices = _Slices()
        for owner, holding in self._searched(device_id, after):
            begin = after[1] if after is not None and owner == after[0] else ""
            for channel in self._matching(holding, words, owner, online, begin):
                out.append(channel)
                if len(out) == limit:
                    return out
                await slices.breathe()
            await slices.breathe()
        return out

    def _searched(self, device_id: str, after: tuple[str, str] | None) -> Iterator[tuple[DeviceId, Holding]]:
        if device_id:
            holding = self._registry.holding(DeviceId(device_id))
            if holding is not None and (after is None or after[0] == device_id):
                yield DeviceId(device_id), holding
            return
        if after is not None and (begun := self._registry.holding(DeviceId(after[0]))) is not None:
            yield DeviceId(after[0]), begun
        yield from self._registry.holdings(after=after[0] if after is not None else "")

    def _matching(self, holding: Holding, words: Words, owner: DeviceId, online: bool | None, after: str) -> Iterator[Channel]:
        up = self._devices.is_online(owner)
        if online is not None and not (up and holding.has(on=True) if online else not up or holding.has(on=False)):
            return
        for identifier in found(holding.block(self._monotonic()), words, after=after):
            channel = holding.channels[identifier]
            if channel.is_shown and online in (None, up and channel.status_on):
                yield channel

    # --- trees -----------------------------------------------------------------------------------------------------

    async def level(
        self, parent: str = "", *, by: View = "device", device_id: str = "", limit: int, after: NodeKey | None = None
    ) -> Level:
        """A page of the nodes directly below one.

        Args:
            parent: `node_id` of the node above; "" for the top.
            device_id: Only what this device lists.

        Raises:
            NotFound: No such node.
        """
        if device_id:
            self._devices.get(device_id)
        owner, _, item = parent.partition("/")
        places: Iterable[_Place]
        if parent.startswith(REGION):
            places = await self._divisions(parent.removeprefix(REGION), device_id)
        elif owner:
            places = self._items(self._devices.get(owner).device_id, DeviceId(item), by, after)
        elif by == "civil":
            places = await self._divisions("", device_id)
        elif device_id:
            places = self._items(DeviceId(device_id), DeviceId(""), by, after)
        else:
            places = self._all_devices(by)
        rest = (place for place in places if after is None or place.key > after)
        page = nsmallest(limit + 1, rest, key=lambda place: place.key)
        last = page[limit - 1].key if len(page) > limit else None
        return Level([place.make() for place in page[:limit]], last)

    def _all_devices(self, by: View) -> Iterator[_Place]:
        for device in self._devices.devices():
            if by == "group":
                holding = self._registry.holding(device.device_id)
                if holding is None or not holding.files:
                    continue
            yield self._device_place(device)

    def _items(self, device_id: DeviceId, item: DeviceId, by: View, after: NodeKey | None) -> Iterator[_Place]:
        """Items below an item or the device; a level is sorted as it is shown, so a page begins where the last one ended."""
        if item:
            self._registry.get(ChannelKey(device_id, item))
        holding = self._registry.holding(device_id)
        if holding is None:
            return
        tree = self._tree(holding, device_id, by)
        items = tree.below.get(item, [])
        start = 0 if after is None else bisect_right(items, after, key=lambda one: channel_key(holding.channels[one]))
        for one in items[start:]:
            yield self._item_place(holding, one, by)

    async def _divisions(self, code: str, device_id: str) -> list[_Place]:
        """Divisions and what stands directly in one; of all devices, or of one."""
        await self._up_to_date()
        if device_id:
            return self._divisions_of(DeviceId(device_id), code)
        if code and not self._regions.has(code):
            raise NotFound(say("catalog.no_division", code=code))
        places = [self._region_place(below, counts) for below, counts in self._regions.below(code).items()]
        slices = _Slices()
        for owner in list(self._regions.devices(code)):
            places += self._standing(owner, code, self._regions.share(owner))
            await slices.breathe()
        return places

    def _divisions_of(self, device_id: DeviceId, code: str) -> list[_Place]:
        holding = self._registry.holding(device_id)
        if holding is None:
            return []
        alone = Regions()
        share = share_of(self._tree(holding, device_id, "civil"), holding.channels)
        alone.put(device_id, share, names_of(holding.channels.values()), is_online=self._devices.is_online(device_id))
        places = [self._region_place(below, counts) for below, counts in alone.below(code).items()]
        return places + (self._standing(device_id, code, share) if code in share.counts else [])

    def _standing(self, device_id: DeviceId, code: str, share: Share) -> list[_Place]:
        """What of a device stands directly in a division: itself, or items of it."""
        holding = self._registry.holding(device_id)
        if holding is None:
            return []
        places = [self._device_place(self._devices.get(device_id))] if share.region == code else []
        if share.spreads:
            items = self._tree(holding, device_id, "civil").below.get(REGION + code, ())
            places += [self._item_place(holding, one, "civil") for one in items]
        return places

    def _tree(self, holding: Holding, device_id: DeviceId, by: View) -> Tree:
        """A tree that is kept for the next question, in the place of those that were asked for longest ago."""
        tree = holding.tree(by, self._monotonic())
        for oldest in self._kept.put(device_id, tree.size):
            if (other := self._registry.holding(oldest)) is not None:
                other.forget_trees()
        return tree

    # --- nodes -----------------------------------------------------------------------------------------------------

    def _device_place(self, device: Device) -> _Place:
        name = device.name or device.device_id
        return _Place(node_key("device", name, device.device_id, ""), lambda: self._device_node(device, name))

    def _device_node(self, device: Device, name: str) -> TreeNode:
        identifier = device.device_id
        up = self._devices.is_online(identifier)
        holding = self._registry.holding(identifier)
        counts = holding.counts if holding is not None else Counts()
        return TreeNode(
            identifier,
            "device",
            name,
            identifier,
            "",
            online=up,
            has_children=holding is not None and holding.shown > 0,
            counts=Counts(counts.total, counts.online if up else 0),
        )

    def _region_place(self, code: str, counts: Counts) -> _Place:
        # Divisions stand in the order of their codes, which is the one that everybody knows them by.
        node = TreeNode(
            REGION + code, "civil", self._regions.name(code), "", "", online=counts.online > 0, has_children=True, counts=counts
        )
        return _Place(node_key("civil", code, "", ""), lambda: node)

    def _item_place(self, holding: Holding, item: DeviceId, by: View) -> _Place:
        channel = holding.channels[item]
        return _Place(channel_key(channel), lambda: self._item_node(holding, channel, by))

    def _item_node(self, holding: Holding, channel: Channel, by: View) -> TreeNode:
        key = channel.key
        kind = kind_of(key.channel_id)
        up = self._devices.is_online(key.device_id)
        tree = self._tree(holding, key.device_id, by)
        counts = tree.counts(holding.channels).get(key.channel_id, Counts())
        return TreeNode(
            str(key),
            kind,
            shown_name(channel),
            key.device_id,
            key.channel_id,
            online=up and (channel.status_on if kind == "channel" else counts.online > 0 or not counts.total),
            has_children=key.channel_id in tree.below,
            is_playable=kind == "channel" and channel.is_playable,
            counts=Counts(counts.total, counts.online if up else 0),
        )


class _Kept:
    """Whose trees are in memory, and how large they are; the last one that was asked for always is."""

    def __init__(self) -> None:
        self._sizes: dict[DeviceId, int] = {}
        self._size = 0

    def __contains__(self, device_id: DeviceId) -> bool:
        return device_id in self._sizes

    def put(self, device_id: DeviceId, size: int) -> list[DeviceId]:
        """Returns those that have to go for it."""
        self.pop(device_id)
        self._sizes[device_id] = size
        self._size += size
        gone: list[DeviceId] = []
        while self._size > _MAX_KEPT and len(self._sizes) > 1:
            gone.append(oldest := next(iter(self._sizes)))
            self.pop(oldest)
        return gone

    def pop(self, device_id: DeviceId) -> None:
        self._size -= self._sizes.pop(device_id, 0)


class _Slices:
    """Gives the loop a turn after every few milliseconds of work."""

    def __init__(self) -> None:
        self._end = time.perf_counter() + _SLICE_S

    async def breathe(self) -> None:
        if time.perf_counter() >= self._end:
            await asyncio.sleep(0)
            self._end = time.perf_counter() + _SLICE_S
