from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.command.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    async with made.commands:
        yield made
