"""Deletes recordings that are past their time, and the oldest when a volume runs full. Rows go only after their files (W30).

Which segments go is decided by `storage.retention`; the volume's writer thread removes the files.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from gb28181.background import Background
from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock
from gb28181.config import RecordingSettings
from gb28181.errors import Gb28181Error
from gb28181.messages import Statistics, VolumeState
from gb28181.ports import Channels, Ingests, SegmentStore
from gb28181.recording.leap import LeapWatch
from gb28181.recording.model import Segment
from gb28181.storage.retention import Marks, Policy, Stored, decide

logger = logging.getLogger(__name__)

_PAGE: Final = 500
_OLDEST: Final = 5000
_HOUR_US: Final = 3_600_000_000


class RetentionService:
    """Runs one pass after another for as long as it is entered.

    Args:
        pass_s: Seconds between two passes; a day's worth of a channel is deleted in pieces of one segment, not at midnight.
    """

    def __init__(
        self,
        settings: RecordingSettings,
        *,
        channels: Channels,
        ingests: Ingests,
        store: SegmentStore,
        bus: Bus,
        clock: Clock,
        pass_s: float = 60.0,
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._ingests = ingests
        self._store = store
        self._clock = clock
        self._pass_s = pass_s
        self._leaps = LeapWatch()
        self._trusted_us = 0
        self._wake = asyncio.Event()
        self._full: set[str] = set()
        self._volumes: dict[str, VolumeState] = {}
        self._background = Background()
        self._counters: dict[str, int] = {"segments": 0, "bytes": 0, "evicted": 0, "breached": 0, "failed": 0}
        bus.subscribe(Statistics, self._statistics)

    async def __aenter__(self) -> RetentionService:
        await self._background.__aenter__()
        self._background.spawn(self._run, "retention", forever=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._background.__aexit__(*error)

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return {**self._counters, "background_failures": self._background.failures}

    def volumes(self) -> list[VolumeState]:
        return list(self._volumes.values())

    async def run_once(self) -> int:
        """One pass over all channels and volumes; returns how many segments were removed."""
        removed = 0
        await self._look_at_the_clock()
        # What lies on a volume that is away waits for it, and keeps nothing of the others from going.
        there = [state.volume for state in self.volumes() if not state.error]
        for key in await self._store.recorded_channels() if there else ():
            before = self._trusted_us - self._keep_us(key)
            while page := await self._store.expired_segments(key, before, limit=_PAGE, volumes=there):
                gone = await self._remove(page)
                removed += gone
                if gone < len(page):
                    break  # what could not be removed is tried again in the next pass
        for state in self.volumes():
            removed += await self._make_room(state)
        return removed

    async def _look_at_the_clock(self) -> None:
        held = self._leaps.held_us
        newest = max((await self._store.newest_by_volume()).values(), default=0)
        now = asyncio.get_running_loop().time()
        self._trusted_us = self._leaps.trusted_us(self._clock.utc_us(), now, newest_us=newest)
        if self._leaps.held_us > held:
            logger.error(
                "the clock has leapt forward: for a day nothing is deleted for being old, unless it is put right before; "
                "check the time and the time servers of this machine",
                extra={"leapt_s": self._leaps.held_us // 1_000_000},
            )

    def _is_full(self, state: VolumeState) -> bool:
        """Whether deleting ought to begin."""
        settings = self._settings
        needed = max(state.total_bytes * (1 - settings.high_mark), min(settings.min_free_mib << 20, state.total_bytes // 4))
        return state.total_bytes > 0 and state.free_bytes < needed

    async def _make_room(self, state: VolumeState) -> int:
        marks = Marks(
            high=self._settings.high_mark,
            low=self._settings.low_mark,
            critical=max(0.97, self._settings.high_mark),
            min_free_bytes=self._settings.min_free_mib << 20,
        )
        if not self._is_full(state):
            return 0
        oldest = {segment.segment_id: segment for segment in await self._store.oldest_segments(state.volume, limit=_OLDEST)}
        decision = decide(
            [Stored(number, segment.key, segment.start, segment.end, segment.bytes) for number, segment in oldest.items()],
            self._policy,
            now_us=self._trusted_us,
            total_bytes=state.total_bytes,
            free_bytes=state.free_bytes,
            marks=marks,
            # With nobody above its guarantee the oldest page holds what must go first: recording never stops for space.
            complete=True,
        )
        for breach in decision.breaches:
            self._counters["breached"] += 1
            logger.error(
                "recordings deleted before their time: the volume is full",
                extra={"volume": state.volume, "channel": str(breach.channel), "bytes": breach.bytes},
            )
        if decision.short_bytes:
            logger.error(
                "a volume runs full and holds nothing more to delete: free or add space",
                extra={"volume": state.volume, "missing_bytes": decision.short_bytes},
            )
        self._counters["evicted"] += len(decision.evicted)
        return await self._remove([oldest[stored.segment] for stored in decision.remove])

    async def _remove(self, segments: Sequence[Segment]) -> int:
        """Files first, then rows; a file that will not go keeps its row."""
        by_volume: dict[str, list[Segment]] = defaultdict(list)
        for segment in segments:
            by_volume[segment.volume].append(segment)
        removed = 0
        for volume, members in by_volume.items():
            for start in range(0, len(members), _PAGE):
                part = members[start : start + _PAGE]
                failed = await self._ingests.delete_segments(volume, [segment.path for segment in part])
                gone = [segment for segment in part if segment.path not in failed]
                await self._store.delete_segments([segment.segment_id for segment in gone])
                removed += len(gone)
                self._counters["segments"] += len(gone)
                self._counters["bytes"] += sum(segment.bytes for segment in gone)
                self._counters["failed"] += len(failed)
        return removed

    def _policy(self, key: ChannelKey) -> Policy:
        keep = self._keep_us(key)
        return Policy(keep_us=keep, guarantee_us=keep)

    def _keep_us(self, key: ChannelKey) -> int:
        try:
            hours = self._channels.channel(key).retention_hours
        except Gb28181Error:
            hours = 0.0  # a device that was removed: its recordings stay as long as all others
        return int((hours or self._settings.retention_hours) * _HOUR_US)

    def _statistics(self, event: Statistics) -> None:
        for state in event.volumes:
            self._volumes[state.volume] = state
            if not self._is_full(state):
                self._full.discard(state.volume)
            elif state.volume not in self._full:
                # A small or a fast volume may run full before the next pass; what deleting does not help waits for that one.
                self._full.add(state.volume)
                self._wake.set()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pass_s):
                    await self._wake.wait()
            self._wake.clear()
            await self.run_once()
