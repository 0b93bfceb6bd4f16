"""The database of the control process: every store of `ports.py` on one set of connections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from gb28181.database.alarms import AlarmRows
from gb28181.database.channels import ChannelRows
from gb28181.database.devices import DeviceRows, write_batch
from gb28181.database.engine import Engines
from gb28181.database.gaps import GapRows
from gb28181.database.migrate import migrate
from gb28181.database.old_rows import OldRows
from gb28181.database.orders import OrderRows
from gb28181.database.positions import PositionRows
from gb28181.database.segments import SegmentRows
from gb28181.database.streams import StreamRows
from gb28181.database.subscriptions import SubscriptionRows
from gb28181.database.users import UserRows
from gb28181.database.write_behind import Batch, WriteBehind


def sqlite_url(path: Path) -> URL:
    """URL of a SQLite file, whatever stands in its path."""
    return URL.create("sqlite+aiosqlite", database=str(path))


class Database(
    DeviceRows, ChannelRows, StreamRows, SegmentRows, GapRows, UserRows, OrderRows, SubscriptionRows, AlarmRows, PositionRows,
    OldRows,
):  # fmt: skip
    """Implements every store of `ports.py`.

    Call `migrate` before anything else and `close` at the end: it writes what still waits.

    Args:
        url: `sqlite_url(file)` or `postgresql://…`.
        flush_ms: Longest time that a written-behind row waits while the database is well.
    """

    def __init__(self, url: str | URL, *, flush_ms: int = 200) -> None:
        self._engines = Engines(url)
        self._behind = WriteBehind(self._write, interval_s=flush_ms / 1000)

    async def __aenter__(self) -> Database:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def migrate(self, revision: str = "head") -> None:
        """Creates or changes the tables until they are those of this version.

        Raises:
            StorageError: The database cannot be used, is damaged, locked or made by a newer version; names file and remedy.
        """
        await migrate(self._engines, revision)

    async def close(self) -> None:
        """Writes what waits and closes the connections.

        Raises:
            StorageError: Something could not be written.
        """
        try:
            await self._behind.close()
        finally:
            await self._engines.close()

    def state(self) -> DatabaseState:
        return DatabaseState(
            where=self._engines.where,
            waiting=self._behind.waiting,
            failures=self._behind.failures,
            refused=self._behind.refused,
            error=self._behind.last_error,
        )

    async def _write(self, batch: Batch) -> None:
        async with self._engines.behind() as connection:
            await write_batch(connection, batch)


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """For health and metrics.

    Args:
        where: File or server, without the password.
        waiting: Rows that wait to be written.
        failures: Batches that had to be tried again; `refused`: rows given up.
        error: Why the last batch failed, "" when it did not.
    """

    where: str
    waiting: int
    failures: int
    refused: int
    error: str
