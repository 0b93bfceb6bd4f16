"""All channels in memory: what devices listed, and what operators added to it.

An answer only ever adds and updates. A channel is hidden after it was missing from several complete answers in a row, and is
back as soon as it is listed again; nothing is deleted while its device exists (W10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from gb28181.catalog.items import brings_item, channel_of, event_of, parents_of, with_event
from gb28181.catalog.model import Channel, ChannelKey, ChannelsChanged
from gb28181.catalog.tree import children_by_parent
from gb28181.errors import NotFound
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.catalog import CatalogItem

#: Complete answers in a row without a channel after which it is hidden.
MISSED_MEANS_GONE: Final = 3


#: Parents of the items of one answer by identifier, in the order in which they were named.
Parents = dict[DeviceId, tuple[str, ...]]


#: (channel, state that was said) -> state that counts.
StateRule = Callable[[Channel, bool], bool]

#: Parents of one item that are remembered.
_MAX_PARENTS: Final = 32


@dataclass(slots=True)
class _Changes:
    added: dict[DeviceId, None] = field(default_factory=dict)
    updated: dict[DeviceId, None] = field(default_factory=dict)
    gone: dict[DeviceId, None] = field(default_factory=dict)


class Registry:
    """Channels by device, and what changed since it was last asked.

    Args:
        max_items: Channels of one device; further ones are counted and ignored.
    """

    def __init__(self, *, max_items: int) -> None:
        self._max_items = max_items
        self._channels: dict[DeviceId, dict[DeviceId, Channel]] = {}
        self._owners: dict[DeviceId, set[DeviceId]] = {}
        self._trees: dict[DeviceId, dict[str, list[Channel]]] = {}
        self._changes: dict[DeviceId, _Changes] = {}
        self.overflow = 0

    def restore(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            self._put(channel)

    def of_device(self, device_id: DeviceId) -> Mapping[DeviceId, Channel]:
        """Hidden ones too."""
        return self._channels.get(device_id, {})

    def everything(self) -> Iterable[Channel]:
        return (channel for channels in self._channels.values() for channel in channels.values())

    def get(self, key: ChannelKey) -> Channel:
        """Raises:
        NotFound: The device never listed it.
        """
        channel = self._channels.get(key.device_id, {}).get(key.channel_id)
        if channel is None:
            raise NotFound(f"there is no channel {key}")
        return channel

    def owners(self, channel_id: DeviceId) -> list[DeviceId]:
        """Devices that list a channel; several may list the same (quirk Q64)."""
        return sorted(self._owners.get(channel_id, ()))

    def has_listed(self, device_id: DeviceId) -> bool:
        """Whether the device has listed a channel that is still shown."""
        return any(not channel.is_gone and not channel.synthetic for channel in self.of_device(device_id).values())

    def below(self, device_id: DeviceId, parent: str) -> list[Channel]:
        """Channels below an item of a device, "" for the device itself."""
        tree = self._trees.get(device_id)
        if tree is None:
            tree = self._trees[device_id] = children_by_parent(device_id, self.of_device(device_id))
        return tree.get(parent, [])

    # --- changes ---------------------------------------------------------------------------------------------------

    def answered(
        self, device_id: DeviceId, items: Sequence[CatalogItem], now: datetime, parents: Parents | None = None
    ) -> list[Channel]:
        """Takes items of an answer over; returns the channels to be written.

        Args:
            parents: Of the items of this answer so far; what is found is added.
        """
        parents = {} if parents is None else parents
        for item in items:
            known = parents.get(item.device_id, ())
            if item.parent_id and item.parent_id not in known and len(known) < _MAX_PARENTS:
                parents[item.device_id] = (*known, item.parent_id)
        # The last of several wins (quirk Q63).
        last = {item.device_id: item for item in items}
        return self._take(
            (item, old, channel_of(device_id, item, old, now, parents=parents.get(item.device_id, ())))
            for item in last.values()
            for old in (self.of_device(device_id).get(item.device_id),)
        )

    def notified(self, device_id: DeviceId, items: Iterable[CatalogItem], now: datetime, state: StateRule) -> list[Channel]:
        """Takes items of a notification over; returns the channels to be written.

        Args:
            state: Decides about the state of a channel that is known.
        """
        return self._take(
            (item, old, new)
            for item in items
            for old in (self.of_device(device_id).get(item.device_id),)
            if (new := _notified(device_id, item, old, now, state)) is not None
        )

    def set_state(self, key: ChannelKey, status_on: bool, now: datetime) -> list[Channel]:
        """A state that a device told before counts from now on."""
        old = self.of_device(key.device_id).get(key.channel_id)
        if old is None or old.status_on == status_on:
            return []
        new = replace(old, status_on=status_on, updated_at=now)
        self.put(new)
        return [new]

    def _take(self, found: Iterable[tuple[CatalogItem, Channel | None, Channel]]) -> list[Channel]:
        changed: dict[DeviceId, Channel] = {}
        for item, old, new in found:
            if new is not old and self.put(new):
                changed[item.device_id] = new
        return list(changed.values())

    def put(self, channel: Channel) -> bool:
        """Adds or replaces one; False when the device has too many."""
        device_id, channel_id = channel.key.device_id, channel.key.channel_id
        old = self.of_device(device_id).get(channel_id)
        if old is None and len(self.of_device(device_id)) >= self._max_items:
            self.overflow += 1
            return False
        self._put(channel)
        self._trees.pop(device_id, None)
        changes = self._changes.setdefault(device_id, _Changes())
        if channel.is_gone:
            if old is not None and not old.is_gone:
                changes.gone[channel_id] = None
        elif old is None or old.is_gone:
            changes.added[channel_id] = None
        elif replace(old, missed=channel.missed, updated_at=channel.updated_at) != channel:
            changes.updated[channel_id] = None
        return True

    def missing(self, device_id: DeviceId, listed: frozenset[str], now: datetime) -> list[Channel]:
        """Books a complete answer; returns the channels to be written."""
        changed: list[Channel] = []
        for channel_id, channel in tuple(self.of_device(device_id).items()):
            if channel_id in listed or channel.is_gone:
                continue
            missed = channel.missed + 1
            is_gone = missed >= MISSED_MEANS_GONE or channel.synthetic
            new = replace(channel, missed=missed, is_gone=is_gone, updated_at=now if is_gone else channel.updated_at)
            self.put(new)
            changed.append(new)
        return changed

    def forget(self, device_id: DeviceId) -> ChannelsChanged | None:
        """The device was deleted."""
        channels = self._channels.pop(device_id, {})
        self._trees.pop(device_id, None)
        self._changes.pop(device_id, None)
        for channel_id in channels:
            owners = self._owners[channel_id]
            owners.discard(device_id)
            if not owners:
                del self._owners[channel_id]
        return ChannelsChanged(device_id, gone=tuple(channels)) if channels else None

    def changes(self) -> list[ChannelsChanged]:
        """What changed since the last call, one event a device."""
        taken, self._changes = self._changes, {}
        return [
            ChannelsChanged(device_id, tuple(some.added), tuple(some.updated), tuple(some.gone))
            for device_id, some in taken.items()
            if some.added or some.updated or some.gone
        ]

    def _put(self, channel: Channel) -> None:
        self._channels.setdefault(channel.key.device_id, {})[channel.key.channel_id] = channel
        self._owners.setdefault(channel.key.channel_id, set()).add(channel.key.device_id)


def _notified(device_id: DeviceId, item: CatalogItem, old: Channel | None, now: datetime, state: StateRule) -> Channel | None:
    """The channel after one notified item; None when it says nothing about a channel that we know."""
    event = event_of(item)
    if old is None:
        return channel_of(device_id, item, None, now) if brings_item(event) else None
    if not brings_item(event):
        new = with_event(old, event, now)
        says_state = event != "DEL"
    else:
        known = parents_of(old)
        new = channel_of(device_id, item, old, now, parents=known if item.parent_id in known else ())
        says_state = item.status is not None
    counts = state(old, new.status_on) if says_state else old.status_on
    if new.status_on == counts:
        return new
    new = replace(new, status_on=counts)
    return old if replace(new, updated_at=old.updated_at) == old else new
