"""Channels that a device's keepalive lists as faulty (§9.6, A.2.5.2; quirk Q15). Whoever lists them is alive all the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gb28181.bus import Bus
from gb28181.device.model import ChannelsFaulty, DeviceOffline
from gb28181.ids import DeviceId

_MOST_OF_ONE: Final = 1000


class FaultyChannels:
    """What the last keepalive of each device listed; devices without a fault cost nothing."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._faulty: dict[DeviceId, frozenset[DeviceId]] = {}
        bus.subscribe(DeviceOffline, lambda event: self.listed(event.device_id, ()))

    def has(self, device_id: DeviceId, channel_id: str) -> bool:
        return channel_id in self._faulty.get(device_id, ())

    def listed(self, device_id: DeviceId, faulty: Sequence[DeviceId]) -> None:
        """A keepalive lists these; what it does not list any more works again."""
        if not faulty and device_id not in self._faulty:
            return
        found = frozenset(faulty[:_MOST_OF_ONE])
        if found == self._faulty.get(device_id):
            return
        if found:
            self._faulty[device_id] = found
        else:
            del self._faulty[device_id]
        self._bus.publish(ChannelsFaulty(device_id, tuple(sorted(found))))
