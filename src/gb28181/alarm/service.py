"""Alarms (§9.4): taken by MESSAGE and NOTIFY, once each, answered, stored, told, acknowledged.

An alarm is told on the bus before it is written: a slow database delays nobody who watches. A MESSAGE is answered with a
Response whatever becomes of it, because firmware repeats what is not.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from gb28181.alarm.copies import Copies
from gb28181.alarm.flood import FloodGate
from gb28181.alarm.model import (
    GPS_METHOD,
    Alarm,
    AlarmAcknowledged,
    AlarmFilter,
    AlarmFlood,
    AlarmLocated,
    AlarmRaised,
    AlarmReset,
)
from gb28181.alarm.reading import read
from gb28181.alarm.sources import Sources
from gb28181.background import Background
from gb28181.bus import Bus
from gb28181.clock import Clock
from gb28181.config import AlarmSettings
from gb28181.device.model import DeviceOffline
from gb28181.errors import Conflict, Gb28181Error, Invalid, NotFound, PeerTimeout, Unreachable
from gb28181.ids import CAMERA_TYPES, DeviceId, type_code
from gb28181.manscdp.commands.alarm import AlarmNotify, AlarmResponse
from gb28181.ports import AlarmStore, Devices
from gb28181.router import Inbound
from gb28181.subscription.model import SubscriptionChanged, Topic
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

_TICK_S: Final = 1.0
#: Alarms of before our restart whose copies are known.
_RESTORED: Final = 5000
#: Alarms that can be acknowledged before they are written.
_RECENT: Final = 5000
#: Answers to one device that are under way; a device that floods us gets no more of them.
_ANSWERS_OF_ONE: Final = 16
_RESETS: Final = 10_000
_RESETS_AT_ONCE: Final = 20
_FLOOD_EVERY_S: Final = 60.0
_LONGEST_NOTE: Final = 1000


class Commands(Protocol):
    """`command.service.CommandService`."""

    async def guard(self, device_id: DeviceId, channel_id: str, *, on: bool) -> None: ...

    async def reset_alarm(
        self, device_id: DeviceId, channel_id: str, *, alarm_method: str | None = None, alarm_type: str | None = None
    ) -> None: ...


class AlarmService:
    """All alarms. `async with` runs what is reset by itself.

    Args:
        sources: Finds the channel that an alarm concerns.
        count_dropped: Has a dropped alarm shown with its device.
    """

    def __init__(
        self,
        settings: AlarmSettings,
        *,
        devices: Devices,
        commands: Commands,
        sources: Sources,
        store: AlarmStore,
        bus: Bus,
        clock: Clock,
        count_dropped: Callable[[DeviceId], None] = lambda _device_id: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._commands = commands
        self._sources = sources
        self._store = store
        self._bus = bus
        self._clock = clock
        self._count_dropped = count_dropped
        self._monotonic = monotonic
        self._copies = Copies()
        self._gate = FloodGate(per_s=settings.per_device_per_s, burst=settings.burst)
        self._flood_told: dict[DeviceId, float] = {}
        self._recent: OrderedDict[int, Alarm] = OrderedDict()
        self._acknowledging = asyncio.Lock()
        self._last_id = 0
        self._answering: Counter[DeviceId] = Counter()
        self._resets: dict[tuple[DeviceId, str], float] = {}
        self._reset_queue: list[tuple[float, DeviceId, str]] = []
        self._counters: Counter[str] = Counter()
        self._background = Background()
        bus.subscribe(DeviceOffline, self._device_offline)
        bus.subscribe(SubscriptionChanged, self._subscribed)

    # --- life ------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Learns the last alarms, so that a copy of one is known as such."""
        last = await self._store.last_alarms(_RESTORED)
        self._copies.restore(last, self._monotonic())
        self._last_id = last[-1].alarm_id if last else 0

    async def __aenter__(self) -> AlarmService:
        await self._background.__aenter__()
        self._background.spawn(self._run_timer, "alarm timer", forever=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._background.__aexit__(*error)

    # --- what others ask -------------------------------------------------------------------------------------------

    async def page(self, wanted: AlarmFilter, *, limit: int, before: tuple[int, int] | None = None) -> list[Alarm]:
        """Newest first by (time in UTC microseconds, number)."""
        return await self._store.alarms_page(wanted, limit=limit, before=before)

    async def alarm(self, alarm_id: int) -> Alarm:
        """Raises:
        NotFound: There is none of this number, or it was removed by its age.
        """
        found = self._recent.get(alarm_id) or await self._store.alarm(alarm_id)
        if found is None:
            raise NotFound(say("alarm.unknown", alarm_id=alarm_id))
        return found

    def floods(self) -> dict[DeviceId, int]:
        """Devices that report more alarms than are kept, and how many were dropped since the start."""
        return self._gate.floods()

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return {**self._counters, "background_failures": self._background.failures}

    # --- what users do ---------------------------------------------------------------------------------------------

    async def acknowledge(self, alarm_id: int, *, user: str, note: str = "") -> Alarm:
        """Notes who has seen to an alarm; it is stored when this returns.

        Raises:
            NotFound: No such alarm.
            Conflict: Somebody has acknowledged it already.
            Invalid: The note is too long.
        """
        if len(note) > _LONGEST_NOTE:
            raise Invalid(say("alarm.note_length", longest=_LONGEST_NOTE))
        async with self._acknowledging:
            alarm = await self.alarm(alarm_id)
            if alarm.acknowledged_by:
                raise Conflict(say("alarm.acknowledged", alarm_id=alarm_id, acknowledged_by=alarm.acknowledged_by))
            alarm = replace(alarm, acknowledged_by=user, acknowledged_at=self._clock.utc(), note=note.strip())
            await self._store.save_alarm_now(alarm)
            if alarm_id in self._recent:
                self._recent[alarm_id] = alarm
        self._counters["acknowledged"] += 1
        self._bus.publish(AlarmAcknowledged(alarm_id, alarm.device_id, alarm.channel_id, user, alarm.note))
        return alarm

    async def acknowledge_all(self, wanted: AlarmFilter, *, user: str, note: str = "", limit: int) -> tuple[int, bool]:
        """Acknowledges open alarms, the newest first.

        Returns:
            How many were, at most `limit`, and whether there are more.

        Raises:
            Invalid: The note is too long.
        """
        found = await self.page(replace(wanted, acknowledged=False), limit=limit + 1)
        done = 0
        for alarm in found[:limit]:
            try:
                await self.acknowledge(alarm.alarm_id, user=user, note=note)
            except (Conflict, NotFound):
                continue  # somebody else has, or it has just become too old
            done += 1
        return done, len(found) > limit

    async def reset(self, alarm_id: int, *, user: str) -> Alarm:
        """Has the device report again what this alarm has latched (§9.3, AlarmCmd).

        Raises:
            NotFound: No such alarm, or its device was removed.
            CommandFailed: The device did not do it; says how far it came.
        """
        alarm = await self.alarm(alarm_id)
        await self._reset(alarm, user=user)
        return alarm

    # --- what arrives ----------------------------------------------------------------------------------------------

    async def arrived(self, inbound: Inbound[AlarmNotify]) -> None:
        """An alarm, by MESSAGE or NOTIFY."""
        self.take(inbound)
        if inbound.request.method == "MESSAGE":
            await self._answer(inbound)

    def take(self, inbound: Inbound[AlarmNotify]) -> Alarm | None:
        """Takes an alarm in; None for a copy, a mere position, or one too many."""
        command, device_id = inbound.command, inbound.device_id
        now, utc = self._monotonic(), self._clock.utc()
        self._counters["received"] += 1
        alarm = read(
            command,
            device_id,
            alarm_id=max(self._last_id + 1, self._clock.utc_us()),
            channel_id=self._sources.channel_of(device_id, command.device_id) or "",
            received_at=utc,
            via="notify" if inbound.request.method == "NOTIFY" else "message",
        )
        if self._copies.is_copy(alarm, now):
            self._counters["copies"] += 1
            return None
        if alarm.method == GPS_METHOD and alarm.longitude is not None and alarm.latitude is not None:
            self._bus.publish(AlarmLocated(device_id, alarm.source_id, alarm.told_time, alarm.longitude, alarm.latitude))
            if not alarm.description and not alarm.alarm_type:
                self._counters["positions"] += 1  # a report of where it is, every few seconds, and nothing else
                return None
        if not self._gate.take(device_id, now):
            self._dropped(device_id, now)
            return None
        self._copies.remember(alarm, now)
        self._last_id = alarm.alarm_id
        self._counters["raised"] += 1
        self._remember(alarm)
        self._tell(alarm)
        self._store.save_alarm(alarm)
        if alarm.is_latching and self._settings.reset_after_s:
            self._plan_reset(alarm, now)
        return alarm

    def _tell(self, alarm: Alarm) -> None:
        self._bus.publish(
            AlarmRaised(
                alarm_id=alarm.alarm_id,
                device_id=alarm.device_id,
                channel_id=alarm.channel_id,
                source_id=alarm.source_id,
                alarm_at=alarm.at,
                priority=alarm.priority,
                method=alarm.method,
                alarm_type=alarm.alarm_type,
                event_type=alarm.event_type,
                description=alarm.description,
            )
        )

    def _remember(self, alarm: Alarm) -> None:
        self._recent[alarm.alarm_id] = alarm
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def _dropped(self, device_id: DeviceId, now: float) -> None:
        self._counters["dropped"] += 1
        self._count_dropped(device_id)
        if now - self._flood_told.get(device_id, -_FLOOD_EVERY_S) >= _FLOOD_EVERY_S:
            self._flood_told[device_id] = now
            dropped = self._gate.dropped(device_id)
            logger.warning("too many alarms of one device", extra={"device_id": device_id, "dropped": dropped})
            self._bus.publish(AlarmFlood(device_id, dropped))

    async def _answer(self, inbound: Inbound[AlarmNotify]) -> None:
        """Response Alarm (§9.4.1): a device that gets none reports the alarm again, or not another one."""
        device_id, command = inbound.device_id, inbound.command
        if self._answering[device_id] >= _ANSWERS_OF_ONE:
            self._counters["unanswered"] += 1
            return
        self._answering[device_id] += 1
        try:
            await self._devices.send(device_id, AlarmResponse(sn=command.sn, device_id=command.device_id))
        except (NotFound, PeerTimeout, Unreachable) as error:
            self._counters["answers_failed"] += 1
            logger.info("answer to an alarm was not taken", extra={"device_id": device_id, "reason": str(error)})
        finally:
            self._answering[device_id] -= 1
            if not self._answering[device_id]:
                del self._answering[device_id]

    # --- what latches ----------------------------------------------------------------------------------------------

    def _plan_reset(self, alarm: Alarm, now: float) -> None:
        key = (alarm.device_id, alarm.source_id)
        if key in self._resets or len(self._resets) >= _RESETS:
            return
        at = self._resets[key] = now + self._settings.reset_after_s
        heapq.heappush(self._reset_queue, (at, *key))

    def expire(self) -> None:
        """Resets what has latched for long enough, where the configuration says so."""
        now = self._monotonic()
        begun = 0
        while begun < _RESETS_AT_ONCE and self._reset_queue and self._reset_queue[0][0] <= now:
            _, device_id, source_id = heapq.heappop(self._reset_queue)
            if self._resets.pop((device_id, source_id), None) is not None:
                begun += 1
                self._background.start(self._reset_by_itself(device_id, source_id), "alarm reset")

    async def _run_timer(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.expire()

    async def _reset_by_itself(self, device_id: DeviceId, source_id: str) -> None:
        try:
            await self._say_reset(device_id, source_id, user="")
        except Gb28181Error as error:
            self._counters["resets_failed"] += 1
            logger.info("alarm was not reset", extra={"device_id": device_id, "reason": str(error)})

    async def _reset(self, alarm: Alarm, *, user: str) -> None:
        self._resets.pop((alarm.device_id, alarm.source_id), None)
        await self._say_reset(alarm.device_id, alarm.source_id, user=user)

    async def _say_reset(self, device_id: DeviceId, source_id: str, *, user: str) -> None:
        try:
            await self._commands.reset_alarm(device_id, "" if source_id == device_id else source_id)
        except Gb28181Error as error:
            self._bus.publish(AlarmReset(device_id, source_id, user, succeeded=False, message=str(error)))
            raise
        self._counters["resets"] += 1
        self._bus.publish(AlarmReset(device_id, source_id, user, succeeded=True))

    # --- what is not armed ------------------------------------------------------------------------------------------

    def _subscribed(self, event: SubscriptionChanged) -> None:
        """Some cameras report no alarm before they guard, subscribed to or not (quirk Q174)."""
        if (event.topic, event.state) != (Topic.ALARM, "active"):
            return
        wish = self._devices.profile(event.device_id).set_guard
        if wish == "always" or (wish == "camera" and type_code(event.device_id) in CAMERA_TYPES):
            self._background.start(self._set_guard(event.device_id), "alarm guard")

    async def _set_guard(self, device_id: DeviceId) -> None:
        self._counters["guards"] += 1
        try:
            await self._commands.guard(device_id, "", on=True)
        except Gb28181Error as error:
            # Huawei's SDC never answers SetGuard, and guards all the same.
            logger.info("guard was not confirmed", extra={"device_id": device_id, "reason": str(error)})

    def _device_offline(self, event: DeviceOffline) -> None:
        if event.cause == "deleted":
            self._gate.forget(event.device_id)
            self._flood_told.pop(event.device_id, None)
            for key in [key for key in self._resets if key[0] == event.device_id]:
                del self._resets[key]
