"""Asks devices who they are (DeviceInfo, A.2.4.4).

Few at a time, so that a storm of registrations is not followed by one of queries.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from gb28181.bus import Bus
from gb28181.device.directory import Directory
from gb28181.device.model import DeviceChanged
from gb28181.errors import NotFound, PeerTimeout, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.device import DeviceInfoQuery, DeviceInfoResponse

#: Devices that are asked at the same time.
WORKERS: Final = 8
#: Longest text that is kept of a device or an operator.
MAX_TEXT: Final = 255


class DeviceInfos:
    """Devices that are to be asked, and what they told.

    Args:
        query: Asks one device; `DeviceService.query`.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        query: Callable[[DeviceId, DeviceInfoQuery], Awaitable[DeviceInfoResponse]],
        bus: Bus,
        counters: Counter[str],
    ) -> None:
        self._directory = directory
        self._query = query
        self._bus = bus
        self._counters = counters
        self._wanted: dict[DeviceId, None] = {}
        self._is_wanted = asyncio.Event()

    def want(self, device_id: DeviceId) -> None:
        self._wanted[device_id] = None
        self._is_wanted.set()

    def forget(self, device_id: DeviceId) -> None:
        self._wanted.pop(device_id, None)

    async def run_worker(self) -> None:
        """One query at a time."""
        while True:
            await self._is_wanted.wait()
            if not self._wanted:
                self._is_wanted.clear()
                continue
            device_id = next(iter(self._wanted))
            del self._wanted[device_id]
            try:
                self._learn(device_id, await self._query(device_id, DeviceInfoQuery(device_id=device_id)))
            except (PeerTimeout, Unreachable, NotFound):
                self._counters["info_failed"] += 1

    def _learn(self, device_id: DeviceId, info: DeviceInfoResponse) -> None:
        peer = self._directory.get(device_id)
        device = peer.device
        changed = self._directory.change(
            peer,
            name=device.name or (info.device_name or "")[:MAX_TEXT],
            manufacturer=(info.manufacturer or device.manufacturer)[:MAX_TEXT],
            model=(info.model or device.model)[:MAX_TEXT],
            firmware=(info.firmware or device.firmware)[:MAX_TEXT],
        )
        if changed:
            self._bus.publish(DeviceChanged(device_id))
