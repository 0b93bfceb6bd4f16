"""Writes that nobody waits for: the last state of a row, in batches.

Rows are coalesced by key, so what waits is bounded by what exists and not by how often it changes. A batch is one
transaction of `executemany`. One that fails waits and is tried again; newer states of its rows replace the older ones
meanwhile. A row that the database refuses for itself (a number out of range from a hostile device) is found by halving
the batch, logged and dropped: it must not hold back the others.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError, StatementError
from sqlalchemy.exc import DBAPIError as DriverError

from gb28181.database.rows import Row
from gb28181.errors import StorageError
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

_BATCH: Final = 2000
_RETRY_MAX_S: Final = 10.0


@dataclass(slots=True)
class _Entry:
    table: sa.Table
    owner: str
    row: Row
    waiters: list[asyncio.Future[None]] = field(default_factory=list)


_Taken = list[tuple[Hashable, _Entry]]
_Removals = dict[str, list[asyncio.Future[None]]]


@dataclass(slots=True)
class Batch:
    """One transaction: `removed` owners first, then rows by table."""

    removed: list[str]
    rows: dict[sa.Table, list[Row]]


class WriteBehind:
    """Collects rows and hands them on in batches from one task.

    Args:
        write: Commits one batch or raises.
        interval_s: Longest time that a row waits while the database is well.
        capacity: Rows that may wait. When full, a row that is new is refused and counted, never an older one.
    """

    def __init__(self, write: Callable[[Batch], Awaitable[None]], *, interval_s: float, capacity: int = 500_000) -> None:
        self._write = write
        self._interval_s = interval_s
        self._capacity = capacity
        self._pending: dict[Hashable, _Entry] = {}
        self._flying = 0
        self._removals: _Removals = {}
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.failures = 0
        self.refused = 0
        self.last_error = ""

    @property
    def waiting(self) -> int:
        return len(self._pending) + self._flying

    def put(self, table: sa.Table, key: Hashable, owner: str, row: Row) -> None:
        """Replaces what waits under this key. `owner`: whose removal takes the row along."""
        self._put((table.name, key), _Entry(table, owner, row))

    async def put_now(self, table: sa.Table, key: Hashable, owner: str, row: Row) -> None:
        """Returns when this row, or a newer state of it, is committed.

        Raises:
            StorageError: It could not be written now; it stays in line unless the database refused the row itself.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put((table.name, key), _Entry(table, owner, row, [done]))
        self._hurry.set()
        await done

    async def remove(self, owner: str) -> None:
        """Removes what waits for `owner` and then its rows; what is put after this call is written after it."""
        for key in [key for key, entry in self._pending.items() if entry.owner == owner]:
            _settle(self._pending.pop(key).waiters, None)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._removals.setdefault(owner, []).append(done)
        self._awaken()
        self._hurry.set()
        await done

    async def close(self) -> None:
        """Writes what waits, once more if need be, and ends.

        Raises:
            StorageError: Rows could not be written.
        """
        self._closing = True
        self._wake.set()
        self._hurry.set()
        if self._task is not None:
            await self._task
            self._task = None
        if self._pending or self._removals:
            raise StorageError(say("storage.rows_lost", rows=len(self._pending), last_error=self.last_error))

    def _put(self, key: Hashable, entry: _Entry) -> None:
        older = self._pending.get(key)
        if older is not None:
            entry.waiters += older.waiters
        elif len(self._pending) >= self._capacity:
            self.refused += 1
            if self.refused % 1000 == 1:
                logger.error("too many rows wait for the database", extra={"waiting": self.waiting, "refused": self.refused})
            _settle(entry.waiters, StorageError(say("storage.rows_full")))
            return
        self._pending[key] = entry
        self._awaken()

    def _awaken(self) -> None:
        self._wake.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="database write-behind")

    async def _run(self) -> None:
        pause = self._interval_s
        while True:
            await self._wake.wait()
            await self._linger(pause)
            if await self._flush():
                pause = self._interval_s
            elif self._closing:
                return
            else:
                pause = min(max(pause * 2, 0.5), _RETRY_MAX_S)
            if not self._pending and not self._removals:
                self._wake.clear()
                if self._closing:
                    return

    async def _linger(self, pause: float) -> None:
        """Lets rows gather; `put_now`, `remove` and `close` cut it short."""
        try:
            async with asyncio.timeout(pause):
                await self._hurry.wait()
        except TimeoutError:
            pass
        self._hurry.clear()

    async def _flush(self) -> bool:
        """Writes everything that waits at this moment; False when the database could not."""
        while self._pending or self._removals:
            removals, self._removals = self._removals, {}
            taken = list(itertools.islice(self._pending.items(), _BATCH))
            for key, _ in taken:
                del self._pending[key]
            self._flying = len(taken)
            try:
                if not await self._attempt(removals, taken):
                    return False
            finally:
                self._flying = 0
        self.last_error = ""
        return True

    async def _attempt(self, removals: _Removals, taken: _Taken) -> bool:
        try:
            await self._write(_batch(removals, taken))
        except Exception as error:  # border: a background task
            if not _is_about_a_row(error) or (removals and not taken):
                self._take_back(removals, taken, error)
                return False
            return await self._attempt_parts(removals, taken, error)
        for _, entry in taken:
            _settle(entry.waiters, None)
        for waiters in removals.values():
            _settle(waiters, None)
        return True

    async def _attempt_parts(self, removals: _Removals, taken: _Taken, error: Exception) -> bool:
        """Halves a batch that holds a row the database refuses, until that row stands alone; at most 2 log2(batch) writes."""
        if len(taken) == 1 and not removals:
            self._drop(*taken[0], error)
            return True
        middle = 0 if removals else len(taken) // 2
        first, second = taken[:middle], taken[middle:]
        if not await self._attempt(removals, first):
            self._take_back({}, second, error)
            return False
        return await self._attempt({}, second)

    def _drop(self, key: Hashable, entry: _Entry, error: Exception) -> None:
        self.refused += 1
        said = str(error).splitlines()[0][:200]
        logger.error("row refused by the database", extra={"row": str(key), "reason": said})
        _settle(entry.waiters, StorageError(say("storage.row_refused", table=entry.table.name, key=key, said=said)))

    def _take_back(self, removals: _Removals, taken: _Taken, error: Exception) -> None:
        """Puts a failed batch back in line, behind newer states of its rows, and tells who waits for it."""
        self.failures += 1
        self.last_error = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        logger.error("database write failed, will be tried again", extra={"rows": len(taken), "reason": self.last_error})
        told = StorageError(say("storage.database_now", last_error=self.last_error))
        for key, entry in taken:
            waiters, entry.waiters = entry.waiters, []
            if entry.owner not in self._removals:  # removed while it was on its way
                self._pending.setdefault(key, entry)
            _settle(waiters, told)
        for owner, removal_waiters in removals.items():
            self._removals.setdefault(owner, [])
            _settle(removal_waiters, told)


def _batch(removals: _Removals, taken: _Taken) -> Batch:
    rows: dict[sa.Table, list[Row]] = defaultdict(list)
    for _, entry in taken:
        rows[entry.table].append(entry.row)
    return Batch(list(removals), rows)


def _is_about_a_row(error: BaseException) -> bool:
    """Whether the values are at fault and not the database: trying again would never help."""
    if isinstance(error, DataError | IntegrityError | OverflowError | ValueError | TypeError):
        return True
    if isinstance(error, DriverError):
        # asyncpg checks values itself, and SQLAlchemy has no class for what it then says.
        cause = getattr(error.orig, "__cause__", None)
        return isinstance(cause, ValueError) or str(getattr(error.orig, "sqlstate", "")).startswith("22")
    return isinstance(error, StatementError)


def _settle(waiters: list[asyncio.Future[None]], error: Exception | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
