"""Catalogues: asks each device for its channels and keeps them (§9.5, §9.11, Annex M, N).

Items are taken over as they arrive. Only a complete answer counts against what it lacks; a partial one, an empty one from a
device that had channels (W11), and silence change nothing and are asked again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

from gb28181.bus import Bus
from gb28181.catalog.items import is_camera_like, synthetic_channel
from gb28181.catalog.jobs import Jobs
from gb28181.catalog.model import CatalogFinished, Channel, ChannelKey, Job, TreeNode
from gb28181.catalog.registry import Registry
from gb28181.catalog.schedule import QuerySchedule
from gb28181.catalog.tree import ROOT, kind_of
from gb28181.clock import Clock
from gb28181.config import CatalogSettings
from gb28181.device.model import Device, DeviceOffline, DeviceOnline, DeviceRegistered, Route
from gb28181.errors import Invalid, NotFound, PeerTimeout, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.assembler import Assembler, Finished
from gb28181.manscdp.commands.catalog import CatalogNotify, CatalogQuery, CatalogResponse
from gb28181.ports import ChannelStore, SipRequest
from gb28181.router import Inbound

logger = logging.getLogger(__name__)

_TICK_S: Final = 0.5
_JITTER_S: Final = 2.0
_MAX_ALIAS: Final = 255
_CATALOG: Final = "Catalog"

State = Literal["done", "partial", "failed"]


class Devices(Protocol):
    """What the catalogue needs of the devices."""

    def devices(self) -> list[Device]: ...

    def get(self, device_id: str) -> Device: ...

    def is_online(self, device_id: str) -> bool: ...

    def route(self, device_id: str) -> Route: ...

    def next_sn(self) -> int: ...

    async def send(self, device_id: str, command: object) -> None: ...


@dataclass(slots=True)
class _Run:
    """A query from the moment it is wanted; `sn` 0 until it is sent."""

    job_id: str
    sn: int = 0


class CatalogService:
    """The channels of all devices. `async with` runs its timer and its queries."""

    def __init__(
        self,
        settings: CatalogSettings,
        *,
        devices: Devices,
        store: ChannelStore,
        bus: Bus,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._devices = devices
        self._store = store
        self._bus = bus
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._refresh_s = settings.refresh_hours * 3600
        self._registry = Registry(max_items=settings.max_items)
        self._schedule = QuerySchedule(parallel=settings.parallel_queries)
        self._assembler = Assembler(
            first_answer_s=settings.first_answer_s, quiet_s=settings.quiet_s, max_items=settings.max_items
        )
        self._jobs = Jobs()
        self._runs: dict[DeviceId, _Run] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._counters: Counter[str] = Counter()
        bus.subscribe(DeviceRegistered, self._device_registered)
        bus.subscribe(DeviceOnline, lambda event: self._plan(event.device_id))
        bus.subscribe(DeviceOffline, self._device_offline)

    # --- life ------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Restores channels. The next query of a device is planned when it is heard (`DeviceOnline`)."""
        self._registry.restore(await self._store.load_channels())

    async def __aenter__(self) -> CatalogService:
        self._group = await asyncio.TaskGroup().__aenter__()
        self._start(self._run_timer())
        return self

    async def __aexit__(self, *_error: object) -> None:
        group, self._group = self._group, None
        for task in self._tasks:
            task.cancel()
        if group is not None:
            await group.__aexit__(None, None, None)

    # --- what others ask -------------------------------------------------------------------------------------------

    def channels(self, device_id: str) -> list[Channel]:
        """Channels of a device that it still lists.

        Raises:
            NotFound: No such device.
        """
        identifier = self._devices.get(device_id).device_id
        return [channel for channel in self._registry.of_device(identifier).values() if not channel.is_gone]

    def all_channels(self) -> list[Channel]:
        """Channels that their devices still list."""
        return [channel for channel in self._registry.everything() if not channel.is_gone]

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

    def tree(self, parent: str | None = None) -> list[TreeNode]:
        """One level of the tree.

        Args:
            parent: `node_id` of the node above; None for the devices.

        Raises:
            NotFound: No such node.
        """
        if not parent:
            devices = sorted(self._devices.devices(), key=lambda device: (device.name, device.device_id))
            return [self._device_node(device) for device in devices]
        device_id, _, channel_id = parent.partition("/")
        device = self._devices.get(device_id)
        if channel_id:
            self._registry.get(ChannelKey(device.device_id, DeviceId(channel_id)))
        return [self._node(channel) for channel in self._registry.below(device.device_id, channel_id or ROOT)]

    def job(self, job_id: str) -> Job:
        """Raises:
        NotFound: There is none, or it was long ago.
        """
        return self._jobs.get(job_id)

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return {**self._counters, "channels_refused": self._registry.overflow}

    def gauges(self) -> dict[str, int]:
        """How many channels are listed, and how many devices are being asked now."""
        return {
            "channels": sum(not channel.is_gone for channel in self._registry.everything()),
            "queries_running": len(self._runs),
        }

    # --- what operators change -------------------------------------------------------------------------------------

    def refresh(self, device_id: str) -> Job:
        """Asks a device for its catalogue now; a query that runs already is the answer.

        Raises:
            NotFound: No such device.
            Unreachable: It is offline.
        """
        self._devices.route(device_id)
        identifier = DeviceId(device_id)
        run = self._wanted(identifier)
        if run.sn == 0:
            self._schedule.want(identifier, self._monotonic())
            self._pump()
        return self._jobs.get(run.job_id)

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
                raise Invalid(f"recording mode {recording_mode!r}: expected always, off or nothing")
            changes["recording_mode"] = recording_mode
        if retention_hours is not None:
            if not 0 <= retention_hours < 1e6:
                raise Invalid(f"retention of {retention_hours} hours: expected 0 (the default) or more")
            changes["retention_hours"] = float(retention_hours)
        channel = replace(self._registry.get(key), **changes)
        self._registry.put(channel)
        await self._store.save_channel_now(channel)
        self._publish_changes()
        return channel

    # --- what arrives (see handlers.py) ----------------------------------------------------------------------------

    def arrived(self, inbound: Inbound[CatalogResponse]) -> None:
        """One part of an answer, asked for or not."""
        part, device_id, now = inbound.command, inbound.device_id, self._monotonic()
        self._take_over(device_id, part)
        sn, finished = self._assembler.add(
            device_id, _CATALOG, part.sn, announced=part.sum_num, ids=(item.device_id for item in part.items), now=now
        )
        if sn is None:
            self._counters["unsolicited_answers"] += 1
            return
        self._schedule.answering(device_id)
        if (run := self._runs.get(device_id)) is not None and run.sn == sn and not finished:
            received, announced = self._assembler.progress(device_id, _CATALOG, sn)
            self._jobs.progress(run.job_id, received=received, announced=announced)
        for answer in finished:
            self._finish(answer)
        self._pump()

    def notified(self, inbound: Inbound[CatalogNotify]) -> None:
        """Changes that a device tells by itself."""
        self._counters["notifications"] += 1
        self._take_over(inbound.device_id, inbound.command)

    # --- time ------------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Ends silent answers, asks whoever is due, and tells what changed."""
        now = self._monotonic()
        for answer in self._assembler.expire(now):
            self._finish(answer)
        self._schedule.expire(now)
        self._pump()
        self._publish_changes()

    async def _run_timer(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.expire()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            work.close()
            return
        task = self._group.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:  # border of background tasks: a fault in one must not end the others
            self._counters["background_failures"] += 1
            logger.exception("background task failed")

    # --- queries ---------------------------------------------------------------------------------------------------

    def _device_registered(self, event: DeviceRegistered) -> None:
        if event.is_new:
            self._plan(event.device_id)

    def _device_offline(self, event: DeviceOffline) -> None:
        self._schedule.cancel(event.device_id)
        self._end_run(event.device_id, "failed", "the device went offline: the query is repeated when it is back")
        if event.cause == "deleted" and (gone := self._registry.forget(event.device_id)) is not None:
            self._bus.publish(gone)

    def _plan(self, device_id: DeviceId) -> None:
        """Soon when there is no complete copy or an old one, else when the copy will be old."""
        taken = self._devices.get(device_id).catalog_at
        age_s = self._refresh_s if taken is None else (self._clock.utc() - taken).total_seconds()
        # Spread, so that a town that comes back after a power cut is not asked in one second.
        self._schedule.want(device_id, self._monotonic() + max(0.0, self._refresh_s - age_s) + self._jitter() * _JITTER_S)

    def _wanted(self, device_id: DeviceId) -> _Run:
        run = self._runs.get(device_id)
        if run is None:
            run = self._runs[device_id] = _Run(self._jobs.start(device_id, self._clock.utc()).job_id)
        return run

    def _pump(self) -> None:
        now = self._monotonic()
        for device_id in self._schedule.take(now):
            run = self._wanted(device_id)
            if run.sn:
                self._schedule.release(device_id)  # its answer is still coming
                continue
            run.sn = self._devices.next_sn()
            self._counters["queries"] += 1
            self._assembler.expect(device_id, _CATALOG, run.sn, now)
            self._start(self._ask(device_id, run))

    async def _ask(self, device_id: DeviceId, run: _Run) -> None:
        try:
            await self._devices.send(device_id, CatalogQuery(sn=run.sn, device_id=device_id))
        except (PeerTimeout, Unreachable, NotFound) as error:
            received, _ = self._assembler.progress(device_id, _CATALOG, run.sn)
            if self._runs.get(device_id) is not run or received:
                return  # it answers, only the 200 was lost
            self._end_run(device_id, "failed", str(error))
            self._repeat(device_id)

    def _finish(self, answer: Finished) -> None:
        device_id = DeviceId(answer.peer)
        run = self._runs.get(device_id)
        if run is not None:
            self._jobs.progress(run.job_id, received=answer.received, announced=answer.announced)
        is_empty = answer.is_complete and not answer.received
        suspicious = is_empty and self._registry.has_listed(device_id)
        complete = answer.is_complete and not suspicious
        if complete and not is_empty:
            self._store.save_channels(self._registry.missing(device_id, answer.ids, self._clock.utc()))
            self._schedule.succeeded(device_id)
            self._plan_refresh(device_id)
        else:
            self._repeat(device_id, synthesise=is_empty and not suspicious)
        self._end_run(device_id, *_outcome(answer, suspicious=suspicious))
        self._publish_changes()
        if answer.end != "no_answer":
            self._bus.publish(CatalogFinished(device_id, answer.announced or 0, answer.received, complete))

    def _repeat(self, device_id: DeviceId, *, synthesise: bool = False) -> None:
        """Plans another attempt. What is known stays; a camera that lists nothing is its own channel in the end.

        Args:
            synthesise: The device says that it has no channel: believed when it says so again.
        """
        is_repeated = self._schedule.failures(device_id) > 0
        has_ended = not self._schedule.failed(device_id, self._monotonic())
        if has_ended:
            self._plan_refresh(device_id)
        known = self._registry.of_device(device_id)
        wanted = has_ended or (synthesise and is_repeated)
        if wanted and is_camera_like(device_id) and all(channel.is_gone for channel in known.values()):
            self._synthesise(device_id)

    def _synthesise(self, device_id: DeviceId) -> None:
        now = self._clock.utc()
        old = self._registry.of_device(device_id).get(device_id)
        fresh = synthetic_channel(device_id, self._devices.get(device_id).name, now)
        channel = replace(old, is_gone=False, missed=0, synthetic=True, updated_at=now) if old else fresh
        self._registry.put(channel)
        self._store.save_channels([channel])

    def _plan_refresh(self, device_id: DeviceId) -> None:
        self._schedule.want(device_id, self._monotonic() + self._refresh_s * (1 + 0.05 * self._jitter()))

    def _end_run(self, device_id: DeviceId, state: State, message: str) -> None:
        run = self._runs.pop(device_id, None)
        if run is not None:
            self._assembler.abandon(device_id, _CATALOG, run.sn)
            self._counters[f"queries_{state}"] += 1
            self._jobs.end(run.job_id, state, message, self._clock.utc())

    # --- channels --------------------------------------------------------------------------------------------------

    def _take_over(self, device_id: DeviceId, part: CatalogResponse | CatalogNotify) -> None:
        if part.items:
            self._counters["items"] += len(part.items)
            changed = self._registry.apply(device_id, part.items, self._clock.utc())
            if changed:
                self._store.save_channels(changed)

    def _publish_changes(self) -> None:
        for event in self._registry.changes():
            self._bus.publish(event)

    def _is_on(self, channel: Channel) -> bool:
        return channel.status_on and not channel.is_gone and self._devices.is_online(channel.key.device_id)

    def _device_node(self, device: Device) -> TreeNode:
        identifier = device.device_id
        return TreeNode(
            identifier,
            "device",
            device.name or identifier,
            identifier,
            "",
            online=self._devices.is_online(identifier),
            has_children=any(not channel.is_gone for channel in self._registry.of_device(identifier).values()),
        )

    def _node(self, channel: Channel) -> TreeNode:
        key = channel.key
        kind = kind_of(key.channel_id)
        return TreeNode(
            str(key),
            kind,
            channel.alias or channel.name or key.channel_id,
            key.device_id,
            key.channel_id,
            online=self._is_on(channel),
            has_children=bool(self._registry.below(key.device_id, key.channel_id)),
            is_playable=kind == "channel" and channel.is_playable,
        )


def _outcome(answer: Finished, *, suspicious: bool) -> tuple[State, str]:
    """State and message of the job."""
    announced = "an unknown number" if answer.announced is None else str(answer.announced)
    if suspicious:
        return "partial", "the device announced no channel at all, although it had some: nothing was changed, it is asked again"
    if answer.end == "no_answer":
        return "failed", "the device did not answer the catalogue query: it is asked again"
    if answer.end == "too_many":
        return "partial", f"more than {answer.received} items came: the rest is ignored"
    if answer.end == "quiet":
        return "partial", f"{answer.received} of {announced} items came, then nothing: nothing was removed, it is asked again"
    return "done", "" if answer.received else "the device lists no channel"


def _alias(text: str) -> str:
    text = text.strip()
    if len(text) > _MAX_ALIAS or not text.isprintable():
        raise Invalid(f"a name has at most {_MAX_ALIAS} printable characters")
    return text
