from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gb28181.sim.device import SimulatedDevice
from gb28181.sim.encoder import Picture
from gb28181.sim.studio import Studio
from tests.sim.platform import Platform, RtpSink

#: Encoded in a twentieth of a second.
SMALL = Picture("h264", 176, 144, 5, 200, 1.0)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loops")


@pytest.fixture
def studio(cache: Path) -> Iterator[Studio]:
    opened = Studio(cache)
    yield opened
    opened.close()


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    played = Platform()
    await played.listen_udp()
    yield played
    played.close()


@pytest.fixture
async def tcp_platform() -> AsyncIterator[Platform]:
    played = Platform()
    await played.listen_tcp()
    yield played
    played.close()


@pytest.fixture
async def sink() -> AsyncIterator[RtpSink]:
    opened = RtpSink()
    await opened.open()
    yield opened
    opened.close()


@pytest.fixture
async def devices() -> AsyncIterator[list[SimulatedDevice]]:
    """Put what was started here; it is switched off at the end."""
    started: list[SimulatedDevice] = []
    yield started
    await asyncio.gather(*(device.stop(unregister=False) for device in started))
