"""What one device lists, and what is derived from it: counts at once, trees and search lines when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from gb28181.catalog.model import Channel, Counts, View
from gb28181.catalog.search import lines_of
from gb28181.catalog.tree import Tree, tree_of
from gb28181.ids import BUSINESS_GROUP_TYPE, VIRTUAL_ORG_TYPE, DeviceId, type_code

_FILING: Final = (BUSINESS_GROUP_TYPE, VIRTUAL_ORG_TYPE)
#: Up to so many channels everything is made anew at once; of more, so many a second: an answer of 20,000 items arrives in
#: thousands of parts, and making the tree anew after each would hold up everybody.
_AT_ONCE: Final = 2_000
_PER_S: Final = 5_000

T = TypeVar("T")


@dataclass(slots=True)
class _Made(Generic[T]):
    """Something derived from the channels, and whether they have changed since."""

    value: T
    made_at: float
    is_stale: bool = False


class Holding:
    """Channels of one device, hidden ones too.

    Attributes:
        files: Whether it has ever listed a business group or virtual organisation.
    """

    __slots__ = ("_block", "_device_id", "_on", "_shown", "_shown_on", "_total", "_trees", "channels", "files")

    def __init__(self, device_id: DeviceId) -> None:
        self._device_id = device_id
        self.channels: dict[DeviceId, Channel] = {}
        self.files = False
        self._shown = self._shown_on = self._total = self._on = 0
        self._block: _Made[bytes] | None = None
        self._trees: dict[View, _Made[Tree]] = {}

    def put(self, channel: Channel) -> None:
        """Adds or replaces one."""
        old = self.channels.get(channel.key.channel_id)
        if old is not None:
            self._count(old, -1)
        else:
            self.files = self.files or type_code(channel.key.channel_id) in _FILING
        self.channels[channel.key.channel_id] = channel
        self._count(channel, 1)
        if old is None or _looks(old) != _looks(channel):
            for made in (self._block, *self._trees.values()):
                if made is not None:
                    made.is_stale = True
        elif old.status_on != channel.status_on:
            for tree in self._trees.values():
                tree.value.forget_counts()

    @property
    def counts(self) -> Counts:
        """Cameras, and those that are on by their own state."""
        return Counts(self._total, self._on)

    @property
    def shown(self) -> int:
        """Items of every kind that lists have."""
        return self._shown

    def has(self, *, on: bool) -> bool:
        """Whether anything that it lists is on, or off, by its own state."""
        return self._shown_on > 0 if on else self._shown_on < self._shown

    def block(self, now: float) -> bytes:
        """Search lines (`search.py`); of many channels they may be some seconds old."""
        self._block = self._fresh(self._block, now, lambda: lines_of(self.channels.values()))
        return self._block.value

    def tree(self, view: View, now: float) -> Tree:
        """One of the trees; of many channels it may be some seconds old, its counts never are."""
        made = self._fresh(self._trees.get(view), now, lambda: tree_of(view, self._device_id, self.channels))
        self._trees[view] = made
        return made.value

    def _fresh(self, made: _Made[T] | None, now: float, make: Callable[[], T]) -> _Made[T]:
        size = len(self.channels)
        if made is None or (made.is_stale and (size <= _AT_ONCE or now >= made.made_at + size / _PER_S)):
            return _Made(make(), now)
        return made

    def forget_trees(self) -> None:
        """Gives their memory back; they are made again when they are asked for."""
        self._trees.clear()

    def _count(self, channel: Channel, sign: int) -> None:
        if not channel.is_shown:
            return
        self._shown += sign
        self._shown_on += sign * channel.status_on
        if channel.is_camera:
            self._total += sign
            self._on += sign * channel.status_on


def _looks(channel: Channel) -> tuple[object, ...]:
    """All that a list or a tree shows of a channel but its state."""
    return (
        channel.is_shown, channel.name, channel.alias, channel.parent_id, channel.civil_code, channel.parental,
        channel.elements,
    )  # fmt: skip
