"""Asks devices who they are (DeviceInfo, A.2.4.4) and what time they have (DeviceStatus, A.2.4.2).

Few at a time, so that a storm of registrations is not followed by one of queries. Clocks are checked again and again, spread
over the whole period.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from gb28181.bus import Bus
from gb28181.clock import Clock
from gb28181.device.directory import Directory
from gb28181.device.lifesigns import LifeSigns
from gb28181.device.model import DeviceChanged
from gb28181.device.presence import Presence
from gb28181.errors import CommandFailed, NotFound, Unavailable
from gb28181.exchange import Exchanges
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.device import DeviceInfoQuery, DeviceInfoResponse, DeviceStatusQuery, DeviceStatusResponse

#: Devices that are asked at the same time.
WORKERS: Final = 8
#: Longest text that is kept of a device or an operator.
MAX_TEXT: Final = 255
#: Until a worker looks again whether it may ask.
_TURN_S: Final = 0.1
#: Shortest pause between two checks of clocks.
_PAUSE_S: Final = 0.02


class DeviceInfos:
    """Devices that are to be asked, and what they told.

    Args:
        check_every_s: Between two checks of one clock.
        may_ask: Whether one more question may leave now.
    """

    def __init__(
        self,
        directory: Directory,
        life: LifeSigns,
        presence: Presence,
        *,
        exchanges: Exchanges,
        bus: Bus,
        clock: Clock,
        monotonic: Callable[[], float],
        counters: Counter[str],
        check_every_s: float,
        may_ask: Callable[[], bool],
    ) -> None:
        self._directory = directory
        self._life = life
        self._presence = presence
        self._exchanges = exchanges
        self._bus = bus
        self._clock = clock
        self._monotonic = monotonic
        self._counters = counters
        self._check_every_s = check_every_s
        self._may_ask = may_ask
        self._wanted: dict[DeviceId, None] = {}
        self._clocks: dict[DeviceId, None] = {}  # behind all of `_wanted`
        self._timeless: set[DeviceId] = set()
        self._is_wanted = asyncio.Event()

    def want(self, device_id: DeviceId) -> None:
        """Who it is, and then its time."""
        self._timeless.discard(device_id)
        self._wanted[device_id] = None
        self._is_wanted.set()

    def want_clock(self, device_id: DeviceId) -> None:
        """Its time alone; of one that has not answered this since it came, never: it would keep others waiting."""
        if device_id not in self._timeless:
            self._clocks[device_id] = None
            self._is_wanted.set()

    def forget(self, device_id: DeviceId) -> None:
        self._wanted.pop(device_id, None)
        self._clocks.pop(device_id, None)
        self._timeless.discard(device_id)

    async def run_worker(self) -> None:
        """One device at a time, new ones first."""
        while True:
            await self._is_wanted.wait()
            if not self._wanted and not self._clocks:
                self._is_wanted.clear()
            elif not self._may_ask():
                await asyncio.sleep(_TURN_S)
            elif self._wanted:
                device_id = next(iter(self._wanted))
                del self._wanted[device_id]
                if await self._ask_who(device_id):
                    self.want_clock(device_id)
            else:
                device_id = next(iter(self._clocks))
                del self._clocks[device_id]
                await self._ask_time(device_id)

    async def run_clock_checks(self) -> None:
        """Every device that is online once in a period; in order of the directory, at an even pace."""
        while True:
            waiting = [peer.device.device_id for peer in self._directory.peers()]
            pause_s = max(self._check_every_s / (len(waiting) + 1), _PAUSE_S)
            for device_id in waiting:
                await asyncio.sleep(pause_s)
                peer = self._directory.find(device_id)
                if peer is not None and peer.is_confirmed and self._presence.is_online(device_id):
                    self.want_clock(device_id)
            await asyncio.sleep(pause_s)

    async def _ask_who(self, device_id: DeviceId) -> bool:
        """Whether anybody is there: a refusal and a Response that cannot be used say so too."""
        try:
            (answer, *_) = await self._exchanges.query(
                device_id, DeviceInfoQuery(device_id=device_id), expects=DeviceInfoResponse
            )
        except (CommandFailed, NotFound, Unavailable) as error:
            self._counters["info_failed"] += 1
            return isinstance(error, CommandFailed) and error.stage not in ("not_sent", "no_sip_answer")
        self._learn(device_id, answer)
        return True

    async def _ask_time(self, device_id: DeviceId) -> None:
        began = self._monotonic()
        try:
            (answer, *_) = await self._exchanges.query(
                device_id, DeviceStatusQuery(device_id=device_id), expects=DeviceStatusResponse
            )
        except (CommandFailed, NotFound, Unavailable) as error:
            self._counters["status_failed"] += 1
            if isinstance(error, CommandFailed) and error.stage in ("no_sip_answer", "no_response"):
                self._timeless.add(device_id)
        else:
            self._compare(device_id, answer, round_trip_s=self._monotonic() - began)

    def _compare(self, device_id: DeviceId, status: DeviceStatusResponse, *, round_trip_s: float) -> None:
        peer = self._directory.find(device_id)
        if peer is not None and status.device_time is not None:
            self._life.measure(peer, status.device_time, self._clock.utc(), round_trip_s=round_trip_s)

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
