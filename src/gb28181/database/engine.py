"""Connections to SQLite or PostgreSQL, and what their errors mean to an operator.

SQLite has one writer at a time, so one lock here orders all writes of the process and nobody meets SQLITE_BUSY of our own.
Two connections write: *behind* with `synchronous=NORMAL` (a power cut may lose the last moments of presence, which devices
repeat) and *durable* with `synchronous=FULL` (fsync at each commit): a dialog is on disk before its ACK and a segment row
before the ingest forgets its journal entry. In WAL a durable commit makes the earlier ones durable too. PostgreSQL
commits durably by itself; there all roles share one pool.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection
from sqlalchemy.util import await_only, greenlet_spawn

from gb28181.errors import Invalid, StorageError
from gb28181.texts.text import say

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_BUSY_TIMEOUT_S: Final = 10.0
_READERS: Final = 4


def async_url(url: str | URL) -> URL:
    """The URL with the driver that we use.

    Raises:
        Invalid: Not a URL, or neither SQLite nor PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise Invalid(say("start.database_url")) from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise Invalid(say("start.database_scheme", drivername=parsed.drivername))
    if driver.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise Invalid(say("start.database_no_file"))
    return parsed.set(drivername=driver)


def dumps(value: object) -> str:
    """JSON that every backend stores: Chinese text readable, no lone surrogates, no NaN."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


class Engines:
    """Reading, writing behind, and durable connections of one database.

    Args:
        url: `sqlite:///file` or `postgresql://…`.
    """

    def __init__(self, url: str | URL) -> None:
        self.url: Final = async_url(url)
        self.is_sqlite: Final = self.url.get_backend_name() == "sqlite"
        self._lock = asyncio.Lock()
        if self.is_sqlite:
            self._read = _sqlite(self.url, synchronous="NORMAL", begin="BEGIN", size=_READERS)
            self._behind = _sqlite(self.url, synchronous="NORMAL", begin="BEGIN IMMEDIATE", size=1)
            self._durable = _sqlite(self.url, synchronous="FULL", begin="BEGIN IMMEDIATE", size=1)
        else:
            self._read = self._behind = self._durable = _postgres(self.url)

    @property
    def where(self) -> str:
        """The file or server as an operator knows it, without the password."""
        if self.is_sqlite:
            return str(self.url.database)
        return self.url.render_as_string(hide_password=True)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        with _explained(self):
            async with self._read.connect() as connection:
                yield connection

    @asynccontextmanager
    async def behind(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed at the end; raises the driver's own errors, because the caller retries."""
        async with self._writing(), self._behind.begin() as connection:
            yield connection

    @asynccontextmanager
    async def durable(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, on disk when the block has ended."""
        with _explained(self):
            async with self._writing(), self._durable.begin() as connection:
                yield connection

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        if not self.is_sqlite:
            yield
            return
        async with self._lock:
            yield

    async def close(self) -> None:
        for engine in {self._read, self._behind, self._durable}:
            await engine.dispose()


class _SqlitePool(AsyncAdaptedQueuePool):
    """Hands a connection out whole even when its caller hangs up meanwhile, and takes it back at once.

    The thread of the driver opens the file all the same; nobody would close it.
    """

    def connect(self) -> PoolProxiedConnection:
        return await_only(_handed_out(super().connect))


async def _handed_out(connect: Callable[[], PoolProxiedConnection]) -> PoolProxiedConnection:
    connecting = asyncio.ensure_future(greenlet_spawn(connect))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        await asyncio.wait([connecting])
        if connecting.exception() is None:
            await greenlet_spawn(connecting.result().close)
        raise


def _sqlite(url: URL, *, synchronous: str, begin: str, size: int) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=_SqlitePool,
        pool_size=size,
        max_overflow=0,
        json_serializer=dumps,
        hide_parameters=True,
        connect_args={"timeout": _BUSY_TIMEOUT_S},
    )

    @sa.event.listens_for(engine.sync_engine, "do_connect")
    def _try(_dialect: object, _record: object, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        # A file that cannot be opened shows here. The driver's thread tells it twice, the second time into a loop that may be
        # closed by then, and dies of that in front of the operator.
        await_only(asyncio.to_thread(lambda: sqlite3.connect(*arguments, **named).close()))

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        # The driver's own transactions leave DDL outside; with None we say BEGIN ourselves and a migration is all or nothing.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        # 2 MB: each connection has a cache of its own, that of the system they share. With 16 MB inserts took 8 % less, and the
        # memory of control grew with the file for weeks.
        cursor.execute("PRAGMA cache_size=-2000")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgres(url: URL) -> AsyncEngine:
    try:
        return create_async_engine(
            url,
            pool_size=8,
            max_overflow=0,
            pool_pre_ping=True,
            pool_timeout=_BUSY_TIMEOUT_S,
            json_serializer=dumps,
            hide_parameters=True,
            connect_args={"timeout": _BUSY_TIMEOUT_S, "command_timeout": 60},
        )
    except ModuleNotFoundError:
        raise Invalid(say("start.database_driver")) from None


class _explained:  # reads as a statement
    """Turns the driver's errors into one that names the database and the remedy."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, SQLAlchemyError | sqlite3.Error | OSError | TimeoutError):
            raise explain(error, self._engines) from error


def explain(error: BaseException, engines: Engines) -> StorageError:
    """What an operator must know about a failed database call: which file or server, what was seen, what to do."""
    where = engines.where
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = str(cause).splitlines()[0][:200] if str(cause) else type(cause).__name__
    if not engines.is_sqlite:
        if isinstance(error, OSError | TimeoutError | InterfaceError | OperationalError) or _is_refusal(said):
            return StorageError(say("storage.postgres", where=where, said=said))
        return StorageError(say("storage.statement", where=where, said=said))
    for sign, remedy in _SQLITE_REMEDIES:
        if sign in said:
            return StorageError(say("storage.database_remedy", where=where, said=said, remedy=remedy))
    return StorageError(say("storage.database", where=where, said=said))


def _is_refusal(said: str) -> bool:
    return any(word in said for word in ("authentication", "does not exist", "permission", "connection", "Connect"))


_SQLITE_REMEDIES: Final = (
    (
        "locked",
        say("storage.remedy.locked"),
    ),
    (
        "malformed",
        say("storage.remedy.malformed"),
    ),
    ("not a database", say("storage.remedy.not_a_database")),
    ("unable to open", say("storage.remedy.unable_to_open")),
    ("readonly", say("storage.remedy.readonly")),
    ("disk is full", say("storage.remedy.full")),
    ("disk I/O", say("storage.remedy.io")),
)
