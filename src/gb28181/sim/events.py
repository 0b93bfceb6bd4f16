"""What happens at a device by itself: alarms, positions, changes of its catalogue; told to whoever subscribed (§9.5, §9.11)."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from gb28181.errors import PeerTimeout, Unreachable
from gb28181.sim import catalog, manscdp
from gb28181.sim.catalog import Contents, Item
from gb28181.sim.dialects.dialect import Trait
from gb28181.sim.functions import Functions
from gb28181.sim.manscdp import block, document, elements, listing
from gb28181.sim.settings import Settings
from gb28181.sim.speech import Speech
from gb28181.sim.subscriptions import Subscription, Subscriptions

_STEP_S: Final = 0.2
#: AlarmMethod, AlarmType and words (A.2.5.3).
_ALARMS: Final = (
    ("5", "2", "运动目标检测报警"),
    ("5", "6", "入侵检测报警"),
    ("2", "1", "视频丢失报警"),
    ("5", "5", "绊线检测报警"),
    ("6", "1", "存储设备磁盘故障报警"),
)


class Sender(Protocol):
    """The device as far as telling goes."""

    device_id: str

    async def notify(self, subscription: Subscription, text: str) -> int:
        """Sends a NOTIFY and returns the status of its answer."""

    async def tell(self, text: str, *, channel_id: str = "") -> bool:
        """Sends a MESSAGE; whether it was taken."""


class Events:
    """Makes things happen and tells them.

    Args:
        spawn: Starts a task that ends with the device.
    """

    def __init__(
        self,
        settings: Settings,
        speech: Speech,
        functions: Functions,
        contents: Contents,
        sender: Sender,
        spawn: Callable[[Coroutine[Any, Any, object]], None],
    ) -> None:
        self.subscriptions = Subscriptions(speech.edition.subscriptions)
        self._settings, self._speech = settings, speech
        self._functions, self._contents = functions, contents
        self._sender, self._spawn = sender, spawn
        self._chance = random.Random(f"{settings.seed}/{sender.device_id}/events")
        self._sn = itertools.count(1000)
        self._alarms = itertools.cycle(_ALARMS)
        self._told: dict[str, float] = {}
        self._last_angles: dict[str, str] = {}

    async def run(self) -> None:
        """Until cancelled; what comes by chance comes a little earlier or later than on average."""
        settings = self._settings
        now = time.monotonic()
        rates = {
            self.alarm: 60 / settings.alarms_per_minute if settings.alarms_per_minute else 0.0,
            self.change: 60 / settings.catalog_changes_per_minute if settings.catalog_changes_per_minute else 0.0,
            self.report_position: settings.positions_every_s,
            self._flap: 2.0 if self._speech.does(Trait.FLAPPING_NOTIFY) else 0.0,
        }
        due = {act: now + every * self._chance.random() for act, every in rates.items() if every}
        while True:
            await asyncio.sleep(_STEP_S)
            now = time.monotonic()
            for act, at in list(due.items()):
                if now >= at:
                    due[act] = now + rates[act] * self._chance.uniform(0.8, 1.2)
                    await act()
            self._tell_positions(now)
            for ended in self.subscriptions.expire(now):
                self._spawn(self._sender.notify(ended, ""))

    def subscribed(self, subscription: Subscription, now: float) -> None:
        """The first NOTIFY: what is not as one presumes (2022 Annex N), or the present value."""
        self._told.pop(subscription.call_id, None)
        if subscription.kind == "Catalog":
            odd = [
                (item.status or "ON", item)
                for item in self._contents.under(subscription.target)
                if item.status not in ("ON", None)
            ]
            for start in range(0, len(odd), self._settings.items_per_message):
                self._spawn(self._notify_catalog(subscription, odd[start : start + self._settings.items_per_message]))

    # -- alarms --------------------------------------------------------------------------------------------------------

    async def alarm(self) -> None:
        """One alarm of a channel; a latched one is not repeated before its reset (A.2.3.1.6)."""
        code = self._chance.choice(list(self._functions.names)[:64] or [self._sender.device_id])
        target = self._functions.target(code)
        method, kind, words = next(self._alarms)
        if target is None or (method == "2" and target.is_alarming):
            return
        target.is_alarming = target.is_alarming or method == "2"
        await self._tell_alarm(code, method, kind, words)

    async def _tell_alarm(self, code: str, method: str, kind: str, words: str, *, place: tuple[str, str] | None = None) -> None:
        inner = elements(
            AlarmPriority=self._chance.choice("1234"),
            AlarmMethod=method,
            AlarmTime=manscdp.local(time.time()),
            AlarmDescription=words,
            Longitude=place[0] if place else None,
            Latitude=place[1] if place else None,
        )
        if kind:
            parameter = block("AlarmTypeParam", elements(EventType=1)) if (method, kind) == ("5", "6") else ""
            inner += block("Info", elements(AlarmType=kind) + parameter)
        text = document("Notify", "Alarm", next(self._sn), code, inner)
        watchers = self.subscriptions.active("Alarm", time.monotonic())
        if self._speech.does(Trait.ALARM_BY_MESSAGE):
            watchers = []
        for watcher in watchers:
            await self._notify(watcher, text)
        if not watchers or self._speech.does(Trait.ALARM_TWICE):
            await self._sender.tell(text, channel_id=code)

    # -- positions -----------------------------------------------------------------------------------------------------

    def _tell_positions(self, now: float) -> None:
        for kind, write in (("MobilePosition", self._position), ("PTZPosition", self._angles)):
            for watcher in self.subscriptions.active(kind, now):
                every = watcher.interval_s if kind == "MobilePosition" else 1.0
                if now - self._told.get(watcher.call_id, 0.0) >= every and (text := write(watcher.target, now)):
                    self._told[watcher.call_id] = now
                    self._spawn(self._notify(watcher, text))

    def _place(self, now: float) -> tuple[str, str]:
        """A drive in circles around Wuhu."""
        return f"{118.38 + 0.01 * ((now / 60) % 1):.6f}", f"{31.33 + 0.01 * ((now / 90) % 1):.6f}"

    def _position(self, code: str, now: float) -> str:
        longitude, latitude = self._place(now)
        stamp = manscdp.local(time.time())
        more = {"Speed": "36.0", "Direction": f"{now * 6 % 360:.1f}", "Altitude": "12.0"}
        if self._speech.edition.is_2022:
            row = elements(DeviceID=code, CaptureTime=stamp, Longitude=longitude, Latitude=latitude, **more, Height="2.0")
            inner = elements(Time=stamp, SumNum=1) + listing("DeviceList", "Item", [row])
        else:
            inner = elements(Time=stamp, Longitude=longitude, Latitude=latitude, **more)
        return document("Notify", "MobilePosition", next(self._sn), code, inner)

    def _angles(self, code: str, now: float) -> str:
        """Of a dome that moves; one that stands still has nothing to tell after the first time."""
        target = self._functions.target(code)
        if target is None:
            return ""
        fields = self._functions.position(code, now)
        is_news = self._last_angles.get(code) != fields
        self._last_angles[code] = fields
        return document("Notify", "PTZPosition", next(self._sn), code, fields) if is_news else ""

    async def report_position(self) -> None:
        """Where it is, to the server without being asked; nothing where somebody subscribed."""
        now = time.monotonic()
        if self._speech.does(Trait.POSITION_AS_ALARM):
            await self._tell_alarm(self._sender.device_id, "4", "", "GPS", place=self._place(now))
        elif not self.subscriptions.active("MobilePosition", now):
            await self._sender.tell(self._position(self._sender.device_id, now))

    # -- catalogue -----------------------------------------------------------------------------------------------------

    async def change(self) -> None:
        """One change of the catalogue."""
        changed = self._contents.change(self._chance)
        if changed is not None:
            await self._tell_catalog([changed])

    async def _flap(self) -> None:
        cameras = [item for item in self._contents.all() if item.is_camera][:16]
        for event in ("OFF", "VLOST", "ON"):
            await self._tell_catalog([(event, item) for item in cameras])

    async def _tell_catalog(self, changes: list[tuple[str, Item]]) -> None:
        for watcher in self.subscriptions.active("Catalog", time.monotonic()):
            await self._notify_catalog(watcher, changes)

    async def _notify_catalog(self, watcher: Subscription, changes: list[tuple[str, Item]]) -> None:
        rows = []
        for event, item in changes:
            told = "" if self._speech.does(Trait.NOTIFY_WITHOUT_EVENT) else elements(Event=event)
            is_whole = event in ("ADD", "UPDATE") or not told
            row = catalog.row(item, self._speech.edition) if is_whole else elements(DeviceID=item.device_id)
            first, separator, rest = row.partition("</DeviceID>\r\n")
            rows.append(first + separator + told + rest)
        inner = elements(SumNum=len(rows)) + listing("DeviceList", "Item", rows)
        await self._notify(watcher, document("Notify", "Catalog", next(self._sn), watcher.target, inner))

    async def _notify(self, watcher: Subscription, text: str) -> None:
        try:
            status = await self._sender.notify(watcher, text)
        except (PeerTimeout, Unreachable):
            status = 408
        if status in (408, 481):
            self.subscriptions.end(watcher)
