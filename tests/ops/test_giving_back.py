"""Freed memory goes back from time to time."""

from __future__ import annotations

import asyncio

import pytest

from gb28181.ops import giving_back


async def test_memory_is_given_back_again_and_again_while_the_process_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    given = asyncio.Event()
    count = 0

    def note() -> None:
        nonlocal count
        count += 1
        if count == 3:
            given.set()

    monkeypatch.setattr(giving_back, "give_back", note)
    with giving_back.gives_back(every_s=0.001) as gives:
        await asyncio.wait_for(given.wait(), 10)
        assert gives._timer is not None
    assert gives._timer is None
