"""Catalogue queries: asks the devices, ends their answers, asks again (§9.5, Annex M, N).

Only a complete answer counts against what it lacks; a partial one and silence change nothing and are asked again. An empty one
from a device that had channels is not believed before it was repeated (W11). What lacks something is soon asked again: it
takes several complete answers in a row to hide a channel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from gb28181.bus import Bus
from gb28181.catalog.items import is_camera_like, synthetic_channel
from gb28181.catalog.jobs import Jobs
from gb28181.catalog.model import CatalogFinished, Job
from gb28181.catalog.registry import Parents, Registry
from gb28181.catalog.schedule import QuerySchedule
from gb28181.clock import Clock
from gb28181.config import CatalogSettings
from gb28181.errors import NotFound, PeerTimeout, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.assembler import Assembler, Finished
from gb28181.manscdp.commands.catalog import CatalogQuery
from gb28181.ports import ChannelStore, Devices
from gb28181.texts.text import say

_JITTER_S: Final = 2.0
#: After a complete answer that lacks a channel. A recorder that restarts lists half of its cameras for a few minutes.
_RECHECK_S: Final = 600.0
_CATALOG: Final = "Catalog"

State = Literal["done", "partial", "failed"]


@dataclass(slots=True)
class _Run:
    """A query from the moment it is wanted; `sn` 0 until it is sent.

    Args:
        parents: Where its items stand, those that are listed more than once included.
    """

    job_id: str
    sn: int = 0
    parents: Parents = field(default_factory=dict)


class CatalogQueries:
    """Who is asked when, and what becomes of the answers. Times are monotonic seconds.

    Args:
        start: Runs a task of the catalogue service.
        changed: Called when an answer has changed channels.
        ended: Called when a query of a device has ended, before its changes are told.
        jitter: Random numbers from 0 to 1.
        may_ask: Whether one more query that nobody waits for may leave now.
    """

    def __init__(
        self,
        settings: CatalogSettings,
        registry: Registry,
        *,
        devices: Devices,
        store: ChannelStore,
        bus: Bus,
        clock: Clock,
        monotonic: Callable[[], float],
        jitter: Callable[[], float],
        counters: Counter[str],
        start: Callable[[Coroutine[Any, Any, None]], object],
        changed: Callable[[], None],
        ended: Callable[[DeviceId], None],
        may_ask: Callable[[], bool],
    ) -> None:
        self._registry = registry
        self._devices = devices
        self._store = store
        self._bus = bus
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._counters = counters
        self._start = start
        self._changed = changed
        self._ended = ended
        self._may_ask = may_ask
        self._refresh_s = settings.refresh_hours * 3600
        self._schedule = QuerySchedule(parallel=settings.parallel_queries)
        self._assembler = Assembler(
            first_answer_s=settings.first_answer_s, quiet_s=settings.quiet_s, max_items=settings.max_items
        )
        self._jobs = Jobs()
        self._runs: dict[DeviceId, _Run] = {}
        self._empty: set[DeviceId] = set()  # devices whose last answer was empty although they had channels

    @property
    def running(self) -> int:
        """Queries that are wanted or under way."""
        return len(self._runs)

    def is_asking(self, device_id: DeviceId) -> bool:
        """Whether a query was sent and its answer is awaited or under way."""
        run = self._runs.get(device_id)
        return run is not None and run.sn != 0

    def job(self, job_id: str) -> Job:
        """Raises:
        NotFound: There is none, or it was long ago.
        """
        return self._jobs.get(job_id)

    # --- asking ----------------------------------------------------------------------------------------------------

    def ask_now(self, device_id: DeviceId) -> Job:
        """A query that runs already is the answer."""
        run = self._wanted(device_id)
        if run.sn == 0:
            self._schedule.want_now(device_id)
            self._pump()
        return self._jobs.get(run.job_id)

    def plan(self, device_id: DeviceId) -> None:
        """Soon when there is no complete copy or an old one, else when the copy will be old."""
        taken = self._devices.get(device_id).catalog_at
        age_s = self._refresh_s if taken is None else (self._clock.utc() - taken).total_seconds()
        # Spread, so that a town that comes back after a power cut is not asked in one second.
        self._schedule.want(device_id, self._monotonic() + max(0.0, self._refresh_s - age_s) + self._jitter() * _JITTER_S)

    def cancel(self, device_id: DeviceId) -> None:
        """The device went offline."""
        self._schedule.cancel(device_id)
        self._end_run(device_id, "failed", say("catalog.went_offline"))

    def forget(self, device_id: DeviceId) -> None:
        """The device was deleted."""
        self.cancel(device_id)
        self._empty.discard(device_id)

    def ask_again(self, device_id: DeviceId) -> None:
        """What is known of this device is not to be relied on: it is asked once more."""
        self._schedule.want(device_id, self._monotonic() + _JITTER_S * (1 + self._jitter()))

    def expire(self) -> None:
        """Ends silent answers and asks whoever is due."""
        now = self._monotonic()
        for answer in self._assembler.expire(now):
            self._finish(answer)
        self._schedule.expire(now)
        self._pump()

    def _wanted(self, device_id: DeviceId) -> _Run:
        run = self._runs.get(device_id)
        if run is None:
            run = self._runs[device_id] = _Run(self._jobs.start(device_id, self._clock.utc()).job_id)
        return run

    def _pump(self) -> None:
        now = self._monotonic()
        for device_id in self._schedule.take(now, self._may_ask):
            run = self._wanted(device_id)
            if run.sn:
                self._schedule.release(device_id)  # its answer is still coming
                continue
            run.sn = self._devices.next_sn()
            self._counters["queries"] += 1
            profile = self._devices.profile(device_id)
            self._assembler.expect(
                device_id,
                _CATALOG,
                run.sn,
                now,
                first_answer_s=profile.catalog_first_wait_s,
                quiet_s=profile.catalog_gap_s,
            )
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

    # --- answers ---------------------------------------------------------------------------------------------------

    def parents(self, device_id: DeviceId) -> Parents:
        """Where the items of the answer under way stand; of an answer that nobody asked for, a table of its own."""
        run = self._runs.get(device_id)
        return run.parents if run is not None else {}

    def arrived(
        self, device_id: DeviceId, sn: int, *, announced: int | None, ids: Iterable[DeviceId], unnamed: int = 0
    ) -> bool:
        """Books one part of an answer; False when nobody asked for it. `unnamed`: see `Assembler.add`."""
        now = self._monotonic()
        answered, finished = self._assembler.add(
            device_id, _CATALOG, sn, announced=announced, ids=ids, unnamed=unnamed, now=now
        )
        if answered is None:
            return False
        self._schedule.answering(device_id, now)
        if (run := self._runs.get(device_id)) is not None and run.sn == answered and not finished:
            received, so_far = self._assembler.progress(device_id, _CATALOG, answered)
            self._jobs.progress(run.job_id, received=received, announced=so_far)
        for answer in finished:
            self._finish(answer)
        self._pump()
        return True

    def _finish(self, answer: Finished) -> None:
        device_id = DeviceId(answer.peer)
        run = self._runs.get(device_id)
        if run is not None:
            self._jobs.progress(run.job_id, received=answer.received, announced=answer.announced)
        is_empty = answer.is_complete and not answer.received
        suspicious = is_empty and self._registry.has_listed(device_id) and device_id not in self._empty
        complete = answer.is_complete and not suspicious
        if complete and (not is_empty or device_id in self._empty):
            self._completed(answer)
        else:
            self._repeat(device_id, synthesise=is_empty and not suspicious)
        if answer.is_complete:
            (self._empty.add if is_empty and self._registry.has_listed(device_id) else self._empty.discard)(device_id)
        self._end_run(device_id, *_outcome(answer, suspicious=suspicious))
        self._changed()
        if answer.end != "no_answer":
            self._bus.publish(CatalogFinished(device_id, answer.announced or 0, answer.received, complete))

    def _completed(self, answer: Finished) -> None:
        device_id = DeviceId(answer.peer)
        missed = self._registry.missing(device_id, answer.ids, self._clock.utc())
        self._store.save_channels(missed)
        self._schedule.succeeded(device_id)
        self._plan_refresh(device_id)
        if any(not channel.is_gone for channel in missed):
            self._schedule.want(device_id, self._monotonic() + _RECHECK_S * (1 + 0.05 * self._jitter()))

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
            self._ended(device_id)


def _outcome(answer: Finished, *, suspicious: bool) -> tuple[State, str]:
    """State and message of the job."""
    announced = say("catalog.unknown_number") if answer.announced is None else str(answer.announced)
    if suspicious:
        return "partial", say("catalog.announced_none")
    if answer.end == "no_answer":
        return "failed", say("catalog.unanswered")
    if answer.end == "too_many":
        return "partial", say("catalog.too_many", received=answer.received)
    if answer.end == "quiet":
        return "partial", say("catalog.quiet", received=answer.received, announced=announced)
    return "done", "" if answer.received else say("catalog.none")
