"""Where open files have run out a stream more is refused; what is being recorded goes on."""

from __future__ import annotations

import os
import resource

import pytest

from gb28181.errors import Unavailable
from gb28181.ingest.receive import Receiver, streams_for
from gb28181.ingest.service import ResidentMemory
from gb28181.ingest.stream import Moment
from gb28181.messages import OpenReceiver
from tests.ingest.test_tcp_batch import SETTINGS


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


def test_a_stream_for_which_no_files_would_be_left_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (50, 50))
    receiver = Receiver(SETTINGS, range(0), Moment(1.0, 1_000_000), lambda progress: None)
    monkeypatch.setattr(receiver, "_ports", dict.fromkeys(("a", "b", "c")))
    with pytest.raises(Unavailable, match="files for 3 streams and no more: raise LimitNOFILE"):
        receiver.open(OpenReceiver(1, "s", "d", "c", "udp", 1))


def test_every_stream_has_its_files_under_every_limit() -> None:
    assert streams_for(resource.RLIM_INFINITY) > 1 << 40
    assert [streams_for(limit) for limit in (0, 64, 256, 1024, 65_536)] == [1, 5, 37, 165, 10_917]
