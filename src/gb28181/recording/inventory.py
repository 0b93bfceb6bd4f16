"""Brings into the database what is on the volumes and has no row there. Disk is the truth; without a row nothing is found by
a search, and nothing is ever deleted: a volume would run full of recordings that nobody knows.

Rows are missing after a process was killed between two steps, after a volume was away, where an older copy of the database
was put back, and wherever the database is a new one. A manifest that was lost is made anew, slowly and afterwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

from gb28181.background import Background
from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock
from gb28181.errors import Gb28181Error
from gb28181.ids import DeviceId
from gb28181.messages import Statistics
from gb28181.ports import Manifests, SegmentStore
from gb28181.recording.model import Segment
from gb28181.session.model import IngestUp
from gb28181.storage.manifest import ManifestRow

logger = logging.getLogger(__name__)

_MARGIN_US: Final = 3600 * 1_000_000
"""How far before the newest row of a volume rows are looked for: adopting what a crash left takes its time."""
_PAUSE_S: Final = 0.01
"""After each batch: taking in a whole volume leaves the database to everybody else in between."""


class Inventory:
    """Takes stock of each volume when it comes into use, and again when a media process was started.

    Args:
        volumes: Roots of those that are configured. A row of the same segment in any other is one of before a volume was
            moved, and goes.
    """

    def __init__(self, volumes: Sequence[str], *, manifests: Manifests, store: SegmentStore, bus: Bus, clock: Clock) -> None:
        self._volumes = tuple(volumes)
        self._manifests = manifests
        self._store = store
        self._clock = clock
        self._due: dict[str, None] = {}
        self._in_use: set[str] = set()
        self._searched: set[str] = set()
        self._wake = asyncio.Event()
        self._background = Background()
        self._found = self._orphans = 0
        bus.subscribe(Statistics, self._statistics)
        bus.subscribe(IngestUp, self._ingest_up)

    async def __aenter__(self) -> Inventory:
        await self._background.__aenter__()
        self._background.spawn(self._run, "inventory", forever=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._background.__aexit__(*error)

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return {"found": self._found, "orphans": self._orphans, "background_failures": self._background.failures}

    async def take(self, volume: str) -> int:
        """Adds the rows that are missing of one volume; returns how many these were.

        Raises:
            StorageError: The disk failed. What was read before is in the database.
        """
        newest = (await self._store.newest_by_volume()).get(volume)
        # A clock that was wrong leaves rows of the future: they must not hide what comes after them.
        since = 0 if newest is None else max(0, min(newest, self._clock.utc_us()) - _MARGIN_US)
        found = 0
        async for rows in self._manifests.rows(volume, since_us=since):
            found += await self._store.add_missing([_segment(volume, row) for row in rows], volumes=self._volumes)
            await asyncio.sleep(_PAUSE_S)
        self._found += found
        if found:
            logger.warning("recordings on disk that the database did not know", extra={"volume": volume, "segments": found})
        return found

    async def search(self, volume: str) -> int:
        """Takes in closed segments that no manifest names, one by one; returns how many these were.

        Raises:
            StorageError: The disk failed. What was found before stays.
        """
        found = 0
        try:
            async for row in self._manifests.orphans(volume):
                await self._store.add_missing([_segment(volume, row)], volumes=self._volumes)
                found += 1
                self._orphans += 1
        finally:
            if found:
                logger.warning("recordings that no manifest named were adopted", extra={"volume": volume, "segments": found})
        return found

    def _statistics(self, event: Statistics) -> None:
        for state in event.volumes:
            if state.error or state.suspect:
                self._in_use.discard(state.volume)
            elif state.volume in self._volumes and state.volume not in self._in_use:
                self._in_use.add(state.volume)
                self._due[state.volume] = None
                self._wake.set()

    def _ingest_up(self, _: IngestUp) -> None:
        self._in_use.clear()  # the next figures name what is in use

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._due:
                volume = next(iter(self._due))
                del self._due[volume]
                try:
                    await self.take(volume)
                except Gb28181Error:
                    self._in_use.discard(volume)  # with the next figures it is tried again
                    raise
                if volume not in self._searched:
                    self._searched.add(volume)
                    self._background.spawn(partial(self._search_once, volume), "orphans")

    async def _search_once(self, volume: str) -> None:
        """Once a start and volume, beside everything else; again when it failed and the volume comes back into use."""
        try:
            await self.search(volume)
        except Gb28181Error:
            self._searched.discard(volume)
            raise


def _segment(volume: str, row: ManifestRow) -> Segment:
    return Segment(
        key=ChannelKey(DeviceId(row.device_id), DeviceId(row.channel_id)),
        start=row.start,
        end=row.end,
        bytes=row.bytes,
        sha256=row.sha256,
        chain=row.chain,
        volume=volume,
        path=row.path,
        end_cause=row.end_cause,
        lost=row.lost,
        key_frames=row.key_frames,
        adopted=row.adopted,
    )
