"""Which channel a DeviceID in an alarm or a position means (quirks Q65, Q173)."""

from __future__ import annotations

from typing import Final

from gb28181.catalog.model import ChannelKey
from gb28181.errors import NotFound
from gb28181.ids import DeviceId, type_code
from gb28181.ports import Channels

#: Types of devices that are a camera themselves, or an encoder or recorder of one.
_SMALL: Final = frozenset({"111", "113", "118", "131", "132", "138"})


class Sources:
    """Finds channels by what messages call them."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def channel_of(self, device_id: DeviceId, told: str) -> DeviceId | None:
        """The channel that is meant: itself, or the only camera of a device that speaks of itself; None for any other."""
        try:
            return self._channels.channel(ChannelKey(device_id, DeviceId(told))).key.channel_id
        except NotFound:
            pass
        if told not in ("", device_id) or type_code(device_id) not in _SMALL:
            return None  # of an alarm input or a centre, or of a platform with ten thousand channels
        try:
            cameras = [channel for channel in self._channels.channels(device_id) if channel.is_playable]
        except NotFound:
            return None
        return cameras[0].key.channel_id if len(cameras) == 1 else None
