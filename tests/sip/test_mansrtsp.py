"""Control of playback in INFO (Annex B): what the standard prints, to the byte, and what others write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.errors import MisuseError, WireError
from gb28181.sip.mansrtsp import Order, Range, Reply, build, parse


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"PLAY RTSP/1.0\r\nCSeq: 1\r\nScale: 2.0\r\n\r\n", Order("PLAY", 1, scale=2.0)),
        (b"PLAY RTSP/1.0\r\nCSeq: 1\r\nScale: 0.25\r\n\r\n", Order("PLAY", 1, scale=0.25)),
        (b"PAUSE RTSP/1.0\r\nCSeq: 2\r\nPauseTime: now\r\n\r\n", Order("PAUSE", 2)),
        (b"PLAY RTSP/1.0\r\nCSeq: 3\r\nRange: npt=now-\r\n\r\n", Order("PLAY", 3, range=Range())),
        (b"PLAY RTSP/1.0\r\nCSeq: 4\r\nRange: npt=100-\r\n\r\n", Order("PLAY", 4, range=Range(100.0))),
        (b"PLAY RTSP/1.0\r\nCSeq: 5\r\nScale: -1.0\r\nRange: npt=600-120\r\n\r\n", Order("PLAY", 5, -1.0, Range(600.0, 120.0))),
        (b"TEARDOWN RTSP/1.0\r\nCSeq: 7\r\n\r\n", Order("TEARDOWN", 7)),
        (
            b"RTSP/1.0 200 OK\r\nCSeq: 4\r\nRange: npt=100-\r\nRTP-Info: seq=18139;rtptime=9000000\r\n\r\n",
            Reply(200, 4, "OK", range=Range(100.0), seq=18139, rtptime=9000000),
        ),
    ],
)
def test_orders_and_replies_are_read_and_written_to_the_byte(body: bytes, message: Order | Reply) -> None:
    assert parse(body) == message
    assert build(message) == body


def test_the_version_token_of_2016_is_read_and_can_be_written() -> None:
    body = b"PLAY MANSRTSP/1.0\r\nCSeq: 6\r\nScale: 1.0\r\nRange: npt=196-\r\n\r\n"
    assert parse(body) == Order("PLAY", 6, 1.0, Range(196.0))
    assert build(Order("PLAY", 6, 1.0, Range(196.0)), version="MANSRTSP/1.0") == body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"play rtsp/1.0\ncseq:9\nscale:4", Order("PLAY", 9, 4.0)),
        (b"PLAY RTSP/1.0\r\n\r\n\0", Order("PLAY", 0)),
        (b"PLAY RTSP/1.0\r\nCSeq: x\r\nScale: fast\r\nRange: clock=2024-\r\n", Order("PLAY", 0)),
        (b"PLAY RTSP/1.0\r\nCSeq: 1\r\nRange: smpte=0:10:20.5-0:11:00\r\n", Order("PLAY", 1, range=Range(620.5, 660.0))),
        (b"PLAY RTSP/1.0\r\nCSeq: 1\r\nRange: npt=soon-\r\n", Order("PLAY", 1)),
        (b"RTSP/1.0 451\r\nCSeq: 1\r\n", Reply(451, 1)),
    ],
)
def test_what_others_write(body: bytes, message: Order | Reply) -> None:
    assert parse(body) == message


@pytest.mark.parametrize("body", [b"", b"\0", b"RECORD RTSP/1.0\r\n", b"PLAY sip:x RTSP/1.0", b"PLAY HTTP/1.1", b"P" * 20_000])
def test_what_is_no_mansrtsp_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        parse(body)


@pytest.mark.parametrize(
    "message", [Reply(200, 1, "OK\r\nX: y"), Order("PLAY", 1, float("nan")), Order("PLAY", 1, range=Range(float("inf")))]
)
def test_a_body_cannot_be_made_of_what_is_no_value(message: Order | Reply) -> None:
    with pytest.raises(MisuseError):
        build(message)


@given(st.one_of(st.binary(max_size=200), st.text("PLAYRTSMNEOW/.0123456789:=-\r\n ", max_size=120).map(str.encode)))
def test_any_bytes_are_read_or_refused_and_what_is_read_can_be_written(tail: bytes) -> None:
    for body in (tail, b"PLAY RTSP/1.0\r\nScale: " + tail, b"PLAY RTSP/1.0\r\nRange: npt=" + tail, b"RTSP/1.0 200 " + tail):
        try:
            found = parse(body)
        except WireError:
            continue
        again = parse(build(found))
        assert (again.cseq, again.range is None) == (found.cseq, found.range is None)
