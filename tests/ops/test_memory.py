"""Freed memory goes back."""

from __future__ import annotations

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
