"""Catalogues: asks each device for its channels and keeps them (§9.5, §9.11, Annex M, N).

Items are taken over as they arrive; `queries.py` decides when an answer is complete and what that means.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from gb28181.background import Background
from gb28181.bus import Bus
from gb28181.catalog.levels import Level, Levels
from gb28181.catalog.model import Channel, ChannelKey, Counts, Job, SubtreeChanged, View
from gb28181.catalog.notices import Notices
from gb28181.catalog.queries import CatalogQueries
from gb28181.catalog.registry import Registry, StateRule
from gb28181.catalog.status import StatusDebounce
from gb28181.catalog.tree import NodeKey
from gb28181.clock import Clock
from gb28181.config import CatalogSettings
from gb28181.device.model import DeviceOffline, DeviceOnline, DeviceRegistered
from gb28181.errors import Invalid
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.catalog import CatalogItem, CatalogNotify, CatalogResponse
from gb28181.ports import ChannelStore, Devices, SipRequest
from gb28181.router import Inbound
from gb28181.texts.text import say

_TICK_S: Final = 0.5
_INDEX_S: Final = 0.05
_MAX_ALIAS: Final = 255


class CatalogService:
    """The channels of all devices. `async with` runs its timer and its queries.

    Args:
        may_ask: Whether one more question of our own may leave now (`pace.py`).
    """

    def __init__(
        self,
        settings: CatalogSettings,
        *,
        devices: Devices,
        store: ChannelStore,
        bus: Bus,
        clock: Clock,
        may_ask: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._devices = devices
        self._store = store
        self._bus = bus
        self._clock = clock
        self._monotonic = monotonic
        self._states = StatusDebounce()
        self._notices = Notices()
        self._registry = Registry(max_items=settings.max_items, gone_after=settings.gone_after)
        self._levels = Levels(self._registry, devices, monotonic=monotonic)
        self._counters: Counter[str] = Counter()
        self._background = Background()
        self._queries = CatalogQueries(
            settings,
            self._registry,
            devices=devices,
            store=store,
            bus=bus,
            clock=clock,
            monotonic=monotonic,
            jitter=jitter,
            counters=self._counters,
            start=lambda work: self._background.start(work, "catalogue query"),
            changed=self._publish_changes,
            ended=self._replay,
            may_ask=may_ask,
        )
        bus.subscribe(DeviceRegistered, self._device_registered)
        bus.subscribe(DeviceOnline, self._device_online)
        bus.subscribe(DeviceOffline, self._device_offline)

    # --- life ------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Restores channels. The next query of a device is planned when it is heard (`DeviceOnline`)."""
        self._registry.restore(await self._store.load_channels())
        for device_id, _ in self._registry.holdings():
            self._levels.changed(device_id)

    async def __aenter__(self) -> CatalogService:
        await self._background.__aenter__()
        self._background.spawn(self._run_timer, "catalogue timer", forever=True)
        self._background.spawn(self._run_index, "catalogue index", forever=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._background.__aexit__(*error)

    # --- what others ask -------------------------------------------------------------------------------------------

    def channels(self, device_id: str) -> list[Channel]:
        """Channels of a device that it still lists, without its unused slots.

        Raises:
            NotFound: No such device.
        """
        identifier = self._devices.get(device_id).device_id
        return [channel for channel in self._registry.of_device(identifier).values() if channel.is_shown]

    def all_channels(self) -> list[Channel]:
        """Channels that their devices still list, without unused slots. All of them: for counts there is `counts`."""
        return [channel for channel in self._registry.everything() if channel.is_shown]

    def unused(self, device_id: str) -> list[Channel]:
        """Places of a recorder into which no camera was ever put (quirk Q72)."""
        channels = self._registry.of_device(DeviceId(device_id)).values()
        return [channel for channel in channels if channel.is_unused_slot and not channel.is_gone]

    def shown(self, device_id: str) -> int:
        """How many channels, groups and the like a device lists; 0 for one that never listed any."""
        holding = self._registry.holding(DeviceId(device_id))
        return holding.shown if holding is not None else 0

    def counts(self) -> Counts:
        """Cameras of all devices, and those of them whose effective state is online."""
        total = online = 0
        for device_id, holding in self._registry.holdings():
            total += holding.counts.total
            online += holding.counts.online if self._devices.is_online(device_id) else 0
        return Counts(total, online)

    def channel(self, key: ChannelKey) -> Channel:
        """Raises:
        NotFound: The device never listed it.
        """
        return self._registry.get(key)

    def is_online(self, key: ChannelKey) -> bool:
        """The effective state: the device is online, and the channel on and listed (W15)."""
        channel = self._registry.of_device(key.device_id).get(key.channel_id)
        return channel is not None and self._is_on(channel)

    def owners(self, request: SipRequest) -> list[DeviceId]:
        """Devices that may have sent a request whose From is one of their channels (quirk Q32)."""
        return self._registry.owners(DeviceId(request.user))

    async def level(
        self, parent: str = "", *, by: View = "device", device_id: str = "", limit: int, after: NodeKey | None = None
    ) -> Level:
        """A page of one level of a tree.

        Args:
            parent: `node_id` of the node above; "" for the top.
            device_id: Only what this device lists.

        Raises:
            NotFound: No such node.
        """
        return await self._levels.level(parent, by=by, device_id=device_id, limit=limit, after=after)

    async def search(
        self,
        query: str = "",
        *,
        device_id: str = "",
        online: bool | None = None,
        limit: int,
        after: tuple[str, str] | None = None,
    ) -> list[Channel]:
        """Channels by device and identifier whose name, alias, identifier or pinyin initials hold all words of the query.

        Args:
            online: Only those whose effective state it is.
            after: Device and channel of the last one of the page before.
        """
        return await self._levels.search(query, device_id=device_id, online=online, limit=limit, after=after)

    def job(self, job_id: str) -> Job:
        """Raises:
        NotFound: There is none, or it was long ago.
        """
        return self._queries.job(job_id)

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        refused, failures = self._registry.overflow, self._background.failures
        return {**self._counters, "channels_refused": refused, "background_failures": failures}

    def gauges(self) -> dict[str, int]:
        """How many channels are listed, and how many devices are being asked now."""
        return {
            "channels": sum(holding.shown for _, holding in self._registry.holdings()),
            "queries_running": self._queries.running,
        }

    # --- what operators change -------------------------------------------------------------------------------------

    def refresh(self, device_id: str) -> Job:
        """Asks a device for its catalogue now; a query that runs already is the answer.

        Raises:
            NotFound: No such device.
            Unreachable: It is offline.
        """
        self._devices.route(device_id)
        return self._queries.ask_now(DeviceId(device_id))

    async def change(
        self,
        key: ChannelKey,
        *,
        alias: str | None = None,
        recording_mode: Literal["", "always", "off"] | None = None,
        retention_hours: float | None = None,
    ) -> Channel:
        """Sets what an operator gives; it is stored when this returns.

        Raises:
            NotFound: No such channel.
            Invalid: A value cannot be used.
        """
        changes: dict[str, Any] = {}
        if alias is not None:
            changes["alias"] = _alias(alias)
        if recording_mode is not None:
            if recording_mode not in ("", "always", "off"):
                raise Invalid(say("recording.mode", recording_mode=recording_mode))
            changes["recording_mode"] = recording_mode
        if retention_hours is not None:
            if not 0 <= retention_hours < 1e6:
                raise Invalid(say("recording.retention", retention_hours=retention_hours))
            changes["retention_hours"] = float(retention_hours)
        channel = replace(self._registry.get(key), **changes)
        self._registry.put(channel)
        await self._store.save_channel_now(channel)
        self._publish_changes()
        return channel

    # --- what arrives (see handlers.py) ----------------------------------------------------------------------------

    def arrived(self, inbound: Inbound[CatalogResponse]) -> None:
        """One part of an answer, asked for or not."""
        part, device_id = inbound.command, inbound.device_id
        self._counters["items"] += len(part.items)
        parents = self._queries.parents(device_id)
        self._save(self._registry.answered(device_id, part.items, self._clock.utc(), parents))
        for item in part.items:
            self._states.answered(ChannelKey(device_id, item.device_id))
        ids = (item.device_id for item in part.items)
        unnamed = inbound.faults.get("bad-item", 0)
        if not self._queries.arrived(device_id, part.sn, announced=part.sum_num, ids=ids, unnamed=unnamed):
            self._counters["unsolicited_answers"] += 1

    def notified(self, inbound: Inbound[CatalogNotify]) -> None:
        """Changes that a device tells by itself."""
        self._counters["notifications"] += 1
        device_id, items = inbound.device_id, inbound.command.items
        self._counters["items"] += len(items)
        if self._queries.is_asking(device_id):
            self._notices.keep(device_id, items)
        self._apply(device_id, items, self._state_rule(device_id))

    # --- time ------------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Ends silent answers, asks whoever is due, and tells what changed."""
        self._queries.expire()
        for key, status_on in self._states.expire(self._monotonic()):
            self._save(self._registry.set_state(key, status_on, self._clock.utc()))
        self._publish_changes()

    async def _run_timer(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.expire()

    async def _run_index(self) -> None:
        """Keeps sums and search lines up to date; a tenth of a core at most."""
        pause = _TICK_S
        while True:
            await asyncio.sleep(pause)
            pause = _INDEX_S if self._levels.work() else _TICK_S

    # --- devices come and go ---------------------------------------------------------------------------------------

    def _device_registered(self, event: DeviceRegistered) -> None:
        if event.is_new:
            self._queries.plan(event.device_id)

    def _device_online(self, event: DeviceOnline) -> None:
        self._queries.plan(event.device_id)
        self._came_or_went(event.device_id, online=True)

    def _device_offline(self, event: DeviceOffline) -> None:
        if event.cause != "deleted":
            self._queries.cancel(event.device_id)
            self._came_or_went(event.device_id, online=False)
            return
        self._queries.forget(event.device_id)
        if (gone := self._registry.forget(event.device_id)) is not None:
            self._levels.changed(event.device_id)
            self._bus.publish(gone)

    def _came_or_went(self, device_id: DeviceId, *, online: bool) -> None:
        """One event for all that is below a device: what is effective is derived, and nothing is written (W15)."""
        self._levels.came_or_went(device_id)
        if (holding := self._registry.holding(device_id)) is not None:
            self._bus.publish(SubtreeChanged(device_id, online, holding.counts.total))

    # --- channels --------------------------------------------------------------------------------------------------

    def _state_rule(self, device_id: DeviceId) -> StateRule:
        """What a state that the device pushes does (quirk Q74): nothing, where an operator says so, and never flap."""
        if self._devices.profile(device_id).ignore_notified_status:
            return lambda channel, _said: channel.status_on
        now = self._monotonic()
        return lambda channel, said: self._states.counts(channel.key, said, current=channel.status_on, now=now)

    def _save(self, changed: list[Channel]) -> None:
        if changed:
            self._store.save_channels(changed)

    def _apply(self, device_id: DeviceId, items: Sequence[CatalogItem], rule: StateRule) -> None:
        self._save(self._registry.notified(device_id, items, self._clock.utc(), rule))

    def _replay(self, device_id: DeviceId) -> None:
        """The answer has ended: what was notified meanwhile counts over what it said (W13)."""
        items = self._notices.take(device_id)
        if items is None:
            self._counters["notifications_refused"] += 1
            self._queries.ask_again(device_id)
        elif items:
            for item in items:
                self._states.answered(ChannelKey(device_id, item.device_id))
            ignored = self._devices.profile(device_id).ignore_notified_status
            self._apply(device_id, items, lambda channel, said: channel.status_on if ignored else said)

    def _publish_changes(self) -> None:
        for event in self._registry.changes():
            self._levels.changed(event.device_id)
            self._bus.publish(event)

    def _is_on(self, channel: Channel) -> bool:
        return channel.status_on and not channel.is_gone and self._devices.is_online(channel.key.device_id)


def _alias(text: str) -> str:
    text = text.strip()
    if len(text) > _MAX_ALIAS or not text.isprintable():
        raise Invalid(say("catalog.alias_length", longest=_MAX_ALIAS))
    return text
