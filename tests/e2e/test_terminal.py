"""`gb28181 serve` in a terminal that somebody closes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.platform import platform, poll

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio]


async def test_a_terminal_that_is_closed_ends_no_part(tmp_path: Path) -> None:
    async with platform(tmp_path) as server:
        assert server.process is not None

        async def runs() -> bool:
            health = await server.call("GET", "/health")
            return {part["state"] for part in health["parts"]} == {"running"}

        await poll(runs, seconds=30, what="the parts of the server", log=server.log)
        parts = {name: server.pid(name) for name in ("control", "edge", "ingest-0")}
        for pid in (server.process.pid, *parts.values()):
            os.kill(pid, signal.SIGHUP)
        assert await runs()
        assert {name: server.pid(name) for name in parts} == parts
        assert server.process.poll() is None
