"""MPEG-TS as FFmpeg reads it back."""

from __future__ import annotations

import io

import av
import pytest

from gb28181.edge.ts import TsMuxer
from tests.edge.world import encoded


def muxed(muxer: TsMuxer, pictures: list[bytes], *, gop: int = 10) -> list[bytes]:
    return [muxer.write(data, n * 3600, n * 3600, is_key=n % gop == 0) for n, data in enumerate(pictures)]


def decoded(data: bytes) -> tuple[str, int, list[int]]:
    with av.open(io.BytesIO(data), format="mpegts") as container:
        assert len(container.streams) == 1
        stream = container.streams.video[0]
        packets = list(container.demux(stream))
        frames = sum(len(packet.decode()) for packet in packets)
        return stream.codec_context.name, frames, [packet.dts for packet in packets if packet.dts is not None]


@pytest.mark.parametrize(("codec", "name"), [("h264", "h264"), ("h265", "hevc")])
def test_every_picture_is_decoded_back(codec, name):
    body = b"".join(muxed(TsMuxer(codec), encoded(codec)))
    assert len(body) % 188 == 0
    found, frames, times = decoded(body)
    assert (found, frames) == (name, 30)
    assert times == list(range(times[0], times[0] + 30 * 3600, 3600))


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_who_joins_at_a_later_key_frame_sees_every_picture_from_there(codec):
    muxer = TsMuxer(codec)
    parts = muxed(muxer, encoded(codec))
    assert decoded(muxer.header() + b"".join(parts[20:]))[1] == 10


def test_each_picture_comes_out_at_once():
    assert all(muxed(TsMuxer("h264"), encoded("h264")))


def test_nothing_comes_before_a_key_frame():
    muxer = TsMuxer("h264")
    assert muxer.write(encoded("h264")[1], 0, 0, is_key=False) == b""
    assert not muxer.ready


def test_key_frame_without_parameter_sets_gets_those_in_force():
    pictures = encoded("h264")
    bare = pictures[10][pictures[10].index(b"\x00\x00\x01\x65") - 1 :]
    muxer = TsMuxer("h264")
    parts = muxed(muxer, [*pictures[:10], bare, *pictures[11:]])
    assert decoded(muxer.header() + b"".join(parts[10:]))[1] == 20
