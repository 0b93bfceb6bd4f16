from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.process import FOOTAGE, IngestProcess


@pytest.fixture(scope="session")
def footage() -> bytes:
    if not FOOTAGE.exists():
        pytest.skip(f"real footage is absent: {FOOTAGE}")
    return FOOTAGE.read_bytes()


@pytest.fixture
def ports() -> range:
    """A range of media ports around one that the system had free."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        low = min(probe.getsockname()[1], 65000) & ~1
    return range(low, low + 200)


@pytest.fixture
def ingest(tmp_path: Path, ports: range) -> Iterator[Callable[..., IngestProcess]]:
    """Starts an ingest with sections of settings."""
    running: list[IngestProcess] = []

    def start(**settings: dict[str, Any]) -> IngestProcess:
        process = IngestProcess(tmp_path, ports, **settings).start()
        running.append(process)
        return process

    yield start
    for process in running:
        process.close()
