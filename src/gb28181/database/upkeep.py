"""Removes what has been kept long enough: closed gaps, audit rows, alarms, tracks. Recordings have a retention of their own.

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
        self._alarms = alarms
        self._positions = positions
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
        self._removed["alarms"] += await self._database.purge_alarms(
            self._before(self._alarms.keep_days), keep=self._alarms.max_rows, limit=_BATCH
        )
        self._removed["track_points"] += await self._database.purge_track_points(
            self._before(self._positions.keep_days), keep=self._positions.max_rows, limit=_BATCH
        )
        for track_id in await self._database.track_ids():
            while removed := await self._database.purge_gaps(track_id, before, limit=_BATCH):
                self._removed["gaps"] += removed
                await asyncio.sleep(_PAUSE_S)

    def _before(self, days: float) -> int:
        return to_us(self._clock.utc() - timedelta(days=days))

    async def _run(self) -> None:
        pause = _FIRST_S
        while True:
            await asyncio.sleep(pause)
            pause = _PASS_S
            await self.run_once()
