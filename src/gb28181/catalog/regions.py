"""Divisions of the country over all devices: their names, what stands in them, and how much of it is online."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gb28181.catalog.items import civil_code
from gb28181.catalog.model import Channel, Counts
from gb28181.catalog.tree import REGION, ROOT, Tree, kind_of
from gb28181.ids import DeviceId

#: Of divisions; the country has about 45,000 down to its townships.
_MAX_NAMES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Share:
    """Where one device and its cameras are.

    Args:
        counts: Cameras by division, and those that are on by their own state.
        region: Where the device itself stands, None where it is not shown.
        spreads: Whether items of it stand in divisions by themselves.
    """

    counts: dict[str, Counts]
    region: str | None
    spreads: bool


_NOWHERE: Final = Share({}, None, spreads=False)


@dataclass(slots=True)
class _Region:
    devices: set[DeviceId] = field(default_factory=set)
    total: int = 0
    online: int = 0


@dataclass(slots=True)
class _Counted:
    share: Share
    is_online: bool


class Regions:
    """Sums that are kept as devices change, come and go; a level is read without looking at any device outside it."""

    def __init__(self) -> None:
        self._regions: dict[str, _Region] = {}
        self._counted: dict[DeviceId, _Counted] = {}
        self._names: dict[str, str] = {}

    def put(self, device_id: DeviceId, share: Share, names: Mapping[str, str], *, is_online: bool) -> None:
        """What a device has in which division, anew."""
        self.remove(device_id)
        for code, name in names.items():
            if code in self._names or len(self._names) < _MAX_NAMES:
                self._names[code] = name
        self._counted[device_id] = _Counted(share, is_online)
        for code, counts in share.counts.items():
            region = self._regions.setdefault(code, _Region())
            region.devices.add(device_id)
            region.total += counts.total
            region.online += counts.online * is_online

    def remove(self, device_id: DeviceId) -> None:
        counted = self._counted.pop(device_id, None)
        if counted is None:
            return
        for code, counts in counted.share.counts.items():
            region = self._regions[code]
            region.devices.discard(device_id)
            region.total -= counts.total
            region.online -= counts.online * counted.is_online
            if not region.devices:
                del self._regions[code]

    def set_online(self, device_id: DeviceId, is_online: bool) -> None:
        counted = self._counted.get(device_id)
        if counted is None or counted.is_online == is_online:
            return
        counted.is_online = is_online
        for code, counts in counted.share.counts.items():
            self._regions[code].online += counts.online if is_online else -counts.online

    def share(self, device_id: DeviceId) -> Share:
        """Of a device that is gone, an empty one."""
        counted = self._counted.get(device_id)
        return counted.share if counted is not None else _NOWHERE

    def devices(self, code: str) -> Iterable[DeviceId]:
        """Devices of which something stands directly in a division; "": in none."""
        region = self._regions.get(code)
        return region.devices if region is not None else ()

    def below(self, code: str) -> dict[str, Counts]:
        """Divisions directly below one with all that is in them; missing levels between them are made."""
        totals: Counter[str] = Counter()
        online: Counter[str] = Counter()
        length = len(code) + 2
        for one, region in self._regions.items():
            if len(one) >= length and one.startswith(code):
                totals[one[:length]] += region.total
                online[one[:length]] += region.online
        return {one: Counts(total, online[one]) for one, total in totals.items()}

    def has(self, code: str) -> bool:
        return any(one.startswith(code) for one in self._regions)

    def name(self, code: str) -> str:
        """As a peer calls it, or its code."""
        return self._names.get(code, code)


def share_of(tree: Tree, channels: Mapping[DeviceId, Channel]) -> Share:
    """Where the cameras of a device are; a division in which it stands without cameras is there with none.

    Args:
        tree: Its tree by divisions.
    """
    counts = tree.counts(channels)
    share = {node.removeprefix(REGION): counts[node] for node in tree.below if node.startswith(REGION)}
    spreads = bool(share)
    if tree.region is not None:
        before, own = share.get(tree.region, Counts()), counts.get(ROOT, Counts())
        share[tree.region] = Counts(before.total + own.total, before.online + own.online)
    return Share(share, tree.region, spreads)


def names_of(channels: Iterable[Channel]) -> dict[str, str]:
    """Names of the divisions that a device lists."""
    return {
        code: channel.name
        for channel in channels
        if kind_of(channel.key.channel_id) == "civil"
        and channel.name != channel.key.channel_id
        and (code := civil_code(channel.key.channel_id))
    }
