"""Removes what has been kept long enough: closed gaps, audit rows, alarms, tracks. Recordings have a retention of their own.

Of alarms and tracks there is a highest number besides. What has arrived is counted every minute; where it is too many, some
room is made below that number, so that all rows are counted by device but rarely.

Rows go in small transactions, each of one index range: a purge never holds the one writer of SQLite for long.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from gb28181.background import Background
from gb28181.clock import Clock, to_us
from gb28181.config import AlarmSettings, PositionSettings
from gb28181.database.database import Database

_BATCH: Final = 2000
_PAUSE_S: Final = 0.05
_PASS_S: Final = 6 * 3600.0
_LOOK_S: Final = 60.0
#: Part of the highest number that is made free when it is exceeded.
_ROOM: Final = 20
_FIRST_S: Final = 300.0


class Upkeep:
    """Purges every few hours for as long as it is entered.

    Args:
        keep_days: Age at which a closed gap or an audit row goes.
        alarms, positions: Age at which an alarm or a point of a track goes, and how many are kept at most.
    """

    def __init__(
        self,
        database: Database,
        *,
        keep_days: float,
        clock: Clock,
        alarms: AlarmSettings,
        positions: PositionSettings,
    ) -> None:
        self._database = database
        self._keep = timedelta(days=keep_days)
        self._limits: dict[str, AlarmSettings | PositionSettings] = {"alarms": alarms, "track_points": positions}
        #: Rows of each, and the number of the newest that is counted.
        self._seen: dict[str, tuple[int, int]] = {}
        self._clock = clock
        self._background = Background()
        self._removed = {"gaps": 0, "audit": 0, "alarms": 0, "track_points": 0}

    async def __aenter__(self) -> Upkeep:
        await self._background.__aenter__()
        self._background.spawn(self._run, "upkeep", forever=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._background.__aexit__(*error)

    def counters(self) -> dict[str, int]:
        """Rows removed since the start, by table, and passes that failed."""
        return {**self._removed, "background_failures": self._background.failures}

    async def run_once(self) -> None:
        """Removes everything that is older than it may be.

        Raises:
            StorageError: The database failed; what is left goes in the next pass.
        """
        before = to_us(self._clock.utc() - self._keep)
        while removed := await self._database.purge_audit(before, limit=_BATCH):
            self._removed["audit"] += removed
            await asyncio.sleep(_PAUSE_S)
        for name, limits in self._limits.items():
            self._removed[name] += await self._database.purge_arrived(name, self._before(limits.keep_days), limit=_BATCH)
            self._seen.pop(name, None)  # counted anew: some have gone
        for track_id in await self._database.track_ids():
            while removed := await self._database.purge_gaps(track_id, before, limit=_BATCH):
                self._removed["gaps"] += removed
                await asyncio.sleep(_PAUSE_S)

    async def bound_once(self) -> None:
        """Removes alarms and points of tracks that are too many, of devices with more than their share first.

        Raises:
            StorageError: The database failed; what is left goes in the next minute.
        """
        for name, limits in self._limits.items():
            rows, last = self._seen.get(name, (0, 0))
            new, last = await self._database.arrived_after(name, last)
            rows += new
            if rows > limits.max_rows:
                keep = limits.max_rows - limits.max_rows // _ROOM
                removed = await self._database.purge_beyond(name, keep=keep, limit=_BATCH)
                self._removed[name] += removed
                rows -= removed
            self._seen[name] = (rows, last)

    def _before(self, days: float) -> int:
        return to_us(self._clock.utc() - timedelta(days=days))

    async def _run(self) -> None:
        till_pass = _FIRST_S
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.bound_once()
            till_pass -= _LOOK_S
            if till_pass <= 0:
                till_pass = _PASS_S
                await self.run_once()
