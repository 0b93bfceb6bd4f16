from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gb28181.api.app import create_api
from gb28181.api.services import Limits
from tests.api.api_world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.log_in()
    server = TestServer(create_api(made.services(), max_body_bytes=10_000))
    async with made.ptz, made.commands, TestClient(server) as client:
        made.client = client
        yield made


@pytest.fixture
async def aiohttp_api(world: World) -> AsyncIterator[Callable[[Limits], Awaitable[None]]]:
    """Puts the world's client before an API with other limits."""
    async with contextlib.AsyncExitStack() as stack:

        async def serve(limits: Limits) -> None:
            app = create_api(replace(world.services(), limits=limits))
            world.client = await stack.enter_async_context(TestClient(TestServer(app)))

        yield serve
