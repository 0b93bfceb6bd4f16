"""Where open files have run out a stream more is refused; what is being recorded goes on."""

from __future__ import annotations

import os
import resource

import pytest

from gb28181.ingest.service import ResidentMemory


def test_figures_are_told_where_no_file_can_be_opened() -> None:
    resident_bytes = ResidentMemory()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        with pytest.raises(OSError, match="Too many open files"):
            os.open("/proc/self/statm", os.O_RDONLY)
        told = resident_bytes()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert 1 << 20 < told < 1 << 40
