"""Freed memory goes back."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from gb28181.ops import memory


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux" or memory._TRIM is None, reason="another C library manages its memory by itself")
def test_pages_between_live_pieces_are_returned() -> None:
    pieces = [bytes(1000) for _ in range(100_000)]
    kept = pieces[::100]
    del pieces
    before = resident()
    memory.give_back()
    assert before - resident() > 50 << 20
    assert len(kept) == 1000


async def test_a_process_that_serves_gives_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    given = asyncio.Event()
    count = 0

    def note() -> None:
        nonlocal count
        count += 1
        if count == 3:
            given.set()

    monkeypatch.setattr(memory, "give_back", note)
    monkeypatch.setattr(memory, "_EVERY_S", 0.001)
    with memory.GivesBack():
        await asyncio.wait_for(given.wait(), 10)
    before = count
    for _ in range(20):
        await asyncio.sleep(0)
    assert count == before
