from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gb28181.api.app import create_api
from tests.api.api_world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.log_in()
    async with TestClient(TestServer(create_api(made.services(), max_body_bytes=10_000))) as client:
        made.client = client
        yield made
