"""Q87: what a payload is, its bytes tell and never its type (tests/vectors/session)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ingest.sender import packetise
from tests.ingest.test_stream import Bench, video

FOLDER = Path(__file__).parents[1] / "vectors" / "session"


def packets(name: str) -> list[bytes]:
    """What is sent on a connection, each packet behind its length (RFC 4571)."""
    data, found = (FOLDER / name).read_bytes(), []
    while data:
        size = int.from_bytes(data[:2], "big")
        found.append(data[2 : 2 + size])
        data = data[2 + size :]
    return found


def seen(bench: Bench) -> list[str]:
    return [said.what for said in bench.said]


def test_q87_a_program_stream_under_the_type_of_h264_is_a_program_stream() -> None:
    bench = Bench().tick(packets("q87-program-stream-under-98.rtp"))
    assert seen(bench) == ["first_rtp", "first_ps", "first_key_frame"]
    assert bench.stream.format == "ps"


def test_q87_h264_that_is_no_program_stream_is_named() -> None:
    bench = Bench().tick(packets("q87-isc-h264-under-98.rtp"))
    assert bench.stream.format == "es-h264"
    assert "first_ps" not in seen(bench)


@pytest.mark.parametrize("payload_type", [40, 97, 98, 99, 100, 108, 126])
def test_q87_any_payload_type_may_hold_a_program_stream(payload_type: int) -> None:
    bench = Bench().tick(packetise(video(2), payload_type=payload_type))
    assert "first_key_frame" in seen(bench)
