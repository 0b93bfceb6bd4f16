"""All channels in memory: what devices listed, and what operators added to it.

An answer only ever adds and updates. A channel is hidden after it was missing from several complete answers in a row, and is
back as soon as it is listed again; nothing is deleted while its device exists (W10).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from gb28181.catalog.holdings import Holding
from gb28181.catalog.items import brings_item, channel_of, event_of, parents_of, with_event, with_state
from gb28181.catalog.model import Channel, ChannelKey, ChannelsChanged
from gb28181.errors import NotFound
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.catalog import CatalogItem
from gb28181.texts.text import say

#: Parents of the items of one answer by identifier, in the order in which they were named.
Parents = dict[DeviceId, tuple[str, ...]]


#: (channel, state that was said) -> state that counts.
StateRule = Callable[[Channel, bool], bool]

#: Devices that list one channel among which its messages are looked for; factory identifiers are everywhere.
_MAX_OWNERS: Final = 64

#: Channels of all devices together; each device may list `max_items`, and many devices may be one attacker's.
_MAX_ALL: Final = 2_000_000

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
        gone_after: Complete answers in a row without a channel after which it is hidden.
    """

    def __init__(self, *, max_items: int, gone_after: int = 3) -> None:
        self._max_items = max_items
        self._gone_after = gone_after
        self._holdings: dict[DeviceId, Holding] = {}
        self._order: list[DeviceId] = []
        self._owners: dict[DeviceId, DeviceId | set[DeviceId]] = {}  # nearly always one, so no set is made for it
        self._changes: dict[DeviceId, _Changes] = {}
        self._total = 0
        self.overflow = 0

    def restore(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            self._put(channel)

    def of_device(self, device_id: DeviceId) -> Mapping[DeviceId, Channel]:
        """Hidden ones too."""
        holding = self._holdings.get(device_id)
        return holding.channels if holding is not None else {}

    def holding(self, device_id: DeviceId) -> Holding | None:
        """What a device lists, None for a device that never listed anything."""
        return self._holdings.get(device_id)

    def holdings(self, *, after: str = "") -> Iterator[tuple[DeviceId, Holding]]:
        """By identifier of the device, those behind one, as they are now."""
        for device_id in self._order[bisect_right(self._order, after) :]:
            if (holding := self._holdings.get(device_id)) is not None:
                yield device_id, holding

    def everything(self) -> Iterable[Channel]:
        return (channel for holding in self._holdings.values() for channel in holding.channels.values())

    def get(self, key: ChannelKey) -> Channel:
        """Raises:
        NotFound: The device never listed it.
        """
        channel = self.of_device(key.device_id).get(key.channel_id)
        if channel is None:
            raise NotFound(say("catalog.no_channel", key=key))
        return channel

    def owners(self, channel_id: DeviceId) -> list[DeviceId]:
        """Devices that list a channel; several may list the same (quirk Q64), and so many that it says nothing any more."""
        owners = self._owners.get(channel_id, set())
        if isinstance(owners, str):
            return [owners]
        return sorted(owners) if len(owners) <= _MAX_OWNERS else []

    def has_listed(self, device_id: DeviceId) -> bool:
        """Whether the device has listed a channel that is not gone."""
        return any(not channel.is_gone and not channel.synthetic for channel in self.of_device(device_id).values())

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
        new = with_state(old, status_on, now)
        self.put(new)
        return [new]

    def _take(self, found: Iterable[tuple[CatalogItem, Channel | None, Channel]]) -> list[Channel]:
        changed: dict[DeviceId, Channel] = {}
        for item, old, new in found:
            if new is not old and self.put(new):
                changed[item.device_id] = new
        return list(changed.values())

    def put(self, channel: Channel) -> bool:
        """Adds or replaces one; False when the device, or all together, have too many."""
        device_id, channel_id = channel.key.device_id, channel.key.channel_id
        old = self.of_device(device_id).get(channel_id)
        if old is None and (len(self.of_device(device_id)) >= self._max_items or self._total >= _MAX_ALL):
            self.overflow += 1
            return False
        self._put(channel)
        changes = self._changes.setdefault(device_id, _Changes())
        was_shown = old is not None and old.is_shown
        if not channel.is_shown:
            if was_shown:
                changes.gone[channel_id] = None
        elif old is None or not was_shown:
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
            is_gone = missed >= self._gone_after or channel.synthetic
            new = replace(channel, missed=missed, is_gone=is_gone, updated_at=now if is_gone else channel.updated_at)
            self.put(new)
            changed.append(new)
        return changed

    def forget(self, device_id: DeviceId) -> ChannelsChanged | None:
        """The device was deleted."""
        holding = self._holdings.pop(device_id, None)
        self._changes.pop(device_id, None)
        if holding is None:
            return None
        self._total -= len(holding.channels)
        del self._order[bisect_right(self._order, device_id) - 1]
        for channel_id in holding.channels:
            owners = self._owners[channel_id]
            if isinstance(owners, set):
                owners.discard(device_id)
            if owners in (device_id, set()):
                del self._owners[channel_id]
        return ChannelsChanged(device_id, gone=tuple(holding.channels))

    def changes(self) -> list[ChannelsChanged]:
        """What changed since the last call, one event a device."""
        taken, self._changes = self._changes, {}
        return [
            ChannelsChanged(device_id, tuple(some.added), tuple(some.updated), tuple(some.gone))
            for device_id, some in taken.items()
            if some.added or some.updated or some.gone
        ]

    def _put(self, channel: Channel) -> None:
        device_id, channel_id = channel.key.device_id, channel.key.channel_id
        holding = self._holdings.get(device_id)
        if holding is None:
            holding = self._holdings[device_id] = Holding(device_id)
            insort(self._order, device_id)
        if channel_id not in holding.channels:
            self._total += 1
            self._own(channel_id, device_id)
        holding.put(channel)

    def _own(self, channel_id: DeviceId, device_id: DeviceId) -> None:
        owners = self._owners.get(channel_id)
        if owners is None:
            self._owners[channel_id] = device_id
        elif isinstance(owners, set):
            owners.add(device_id)
        else:
            self._owners[channel_id] = {owners, device_id}


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
        parents = known if item.parent_id in known else ()
        # ADD brings a whole item; of an update, or of an item without Event, some devices send but what changed (quirk Q75).
        new = channel_of(device_id, item, old, now, parents=parents, is_partial=event != "ADD")
        says_state = item.status is not None
    counts = state(old, new.status_on) if says_state else old.status_on
    if new.status_on == counts:
        return new
    new = replace(new, status_on=counts, seen_on=old.seen_on or counts)
    return old if replace(new, updated_at=old.updated_at) == old else new
