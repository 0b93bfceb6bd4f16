"""Real databases: SQLite in a temporary folder, and a PostgreSQL started for the run where its programs exist."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from gb28181.database import Database, sqlite_url


def _program(name: str) -> str | None:
    return shutil.which(name) or next((str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)


def _as_postgres(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else command


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[str]:
    """Folder of the Unix socket of a PostgreSQL server of our own, without any TCP port."""
    initdb, postgres = _program("initdb"), _program("postgres")
    if not initdb or not postgres:
        pytest.skip("PostgreSQL is not installed (initdb, postgres)")
    # Short: the path of a Unix socket has a limit of about 100 bytes; pytest's own folders are closed to user postgres.
    folder = tempfile.mkdtemp(prefix="gbpg")
    try:
        if os.geteuid() == 0:
            if subprocess.run(["id", "postgres"], capture_output=True).returncode:
                pytest.skip("running as root and there is no user postgres")
            shutil.chown(folder, "postgres", "postgres")
        data = f"{folder}/data"
        made = subprocess.run(
            _as_postgres([initdb, "-D", data, "-U", "gb", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]),
            capture_output=True,
            text=True,
            cwd="/",
        )
        assert made.returncode == 0, made.stderr
        server = subprocess.Popen(
            _as_postgres([postgres, "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
        )
        assert server.stdout is not None
        seen = []
        for line in server.stdout:
            seen.append(line)
            if "ready to accept connections" in line:
                break
        else:
            pytest.fail("PostgreSQL did not start: " + "".join(seen))
        try:
            yield folder
        finally:
            pid = int(Path(data, "postmaster.pid").read_text().split()[0])
            os.kill(pid, 2)  # SIGINT: fast shutdown
            server.communicate(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def postgres_url(postgres_folder: str) -> str:
    """A fresh database."""
    connection = await asyncpg.connect(host=postgres_folder, user="gb", database="postgres")
    try:
        number = await connection.fetchval("SELECT count(*) FROM pg_database")
        await connection.execute(f"CREATE DATABASE test{number}")
    finally:
        await connection.close()
    return f"postgresql://gb@/test{number}?host={postgres_folder}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return sqlite_url(tmp_path / "gb28181.db")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with Database(url, flush_ms=1) as opened:
        await opened.migrate()
        yield opened


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(sqlite_url(tmp_path / "gb28181.db"), flush_ms=1) as opened:
        await opened.migrate()
        yield opened
