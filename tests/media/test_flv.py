"""FLV as players read it: decoded back by FFmpeg, checked by bytes where FFmpeg is lenient."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import pytest

from gb28181.media import nal
from gb28181.media.flv import FlvMuxer


def encoded(
    codec: str, *, width: int = 320, height: int = 240, frames: int = 12, bframes: int = 0
) -> list[tuple[bytes, int, int, bool]]:
    """Access units `(data, dts, pts, is_key)` in 90 kHz."""
    context = av.CodecContext.create({"h264": "libx264", "h265": "libx265"}[codec], "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate, context.gop_size = Fraction(1, 25), Fraction(25), 6
    keys = f"keyint=6:min-keyint=6:scenecut=0:bframes={bframes}"
    context.options = {
        "preset": "ultrafast",
        "x264-params": keys,
        "x265-params": keys + ":log-level=none:repeat-headers=1:pools=1",
    }
    packets = []
    for number in range(frames):
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([number * 9 & 0xFF]) * plane.buffer_size)
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    first = packets[0].dts
    return [(bytes(p), (p.dts - first) * 3600, (p.pts - first) * 3600, p.is_keyframe) for p in packets]


def muxed(muxer: FlvMuxer, units: list[tuple[bytes, int, int, bool]]) -> bytes:
    body = b"".join(muxer.write(data, dts, pts, is_key=is_key) for data, dts, pts, is_key in units)
    return muxer.header() + body


def tags(data: bytes) -> list[tuple[int, int, bytes]]:
    """Kind, time stamp and body of each tag; the lengths after the tags must agree."""
    out, at = [], 13
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        stamp = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
        out.append((data[at], stamp, data[at + 11 : at + 11 + size]))
        at += 11 + size
        assert int.from_bytes(data[at : at + 4], "big") == size + 11
        at += 4
    return out


@pytest.mark.parametrize(
    ("codec", "name", "bframes"), [("h264", "h264", 0), ("h264", "h264", 2), ("h265", "hevc", 0), ("h265", "hevc", 2)]
)
def test_every_picture_is_decoded_back_in_order(codec, name, bframes):
    data = muxed(FlvMuxer(codec), encoded(codec, bframes=bframes))
    with av.open(io.BytesIO(data), format="flv") as container:
        assert len(container.streams) == 1
        stream = container.streams.video[0]
        assert stream.codec_context.name == name
        packets = [packet for packet in container.demux(stream) if packet.dts is not None]
    assert [packet.dts for packet in packets] == sorted({packet.dts for packet in packets})
    with av.open(io.BytesIO(data), format="flv") as container:
        frames = list(container.decode(video=0))
    assert [(frame.width, frame.height) for frame in frames] == [(320, 240)] * 12
    assert [round(frame.time * 25) - round(frames[0].time * 25) for frame in frames] == list(range(12))


def test_only_video_is_declared():
    """Quirk Q134: a player waits for an announced track that never comes."""
    assert muxed(FlvMuxer("h264"), encoded("h264"))[:13] == b"FLV\x01\x01\x00\x00\x00\x09\x00\x00\x00\x00"


def test_metadata_gives_size_and_codec():
    kind, stamp, body = tags(muxed(FlvMuxer("h264"), encoded("h264")))[0]
    assert (kind, stamp) == (18, 0)
    assert body.startswith(b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x03")
    assert b"\x00\x05width\x00\x40\x74\x00\x00\x00\x00\x00\x00" in body  # 320.0
    assert b"\x00\x06height\x00\x40\x6e\x00\x00\x00\x00\x00\x00" in body  # 240.0
    assert b"\x00\x0cvideocodecid\x00\x40\x1c\x00\x00\x00\x00\x00\x00" in body  # 7.0
    assert body.endswith(b"\x00\x00\x09")


@pytest.mark.parametrize(
    ("codec", "legacy", "start", "key", "other"),
    [
        pytest.param("h264", False, b"\x17\x00\x00\x00\x00\x01", b"\x17\x01", b"\x27\x01", id="avc"),
        pytest.param("h265", False, b"\x90hvc1\x01", b"\x91hvc1", b"\xa1hvc1", id="enhanced"),
        pytest.param("h265", True, b"\x1c\x00\x00\x00\x00\x01", b"\x1c\x01", b"\x2c\x01", id="codec-12"),
    ],
)
def test_tag_headers(codec, legacy, start, key, other):
    videos = [body for kind, _, body in tags(muxed(FlvMuxer(codec, legacy_hevc=legacy), encoded(codec))) if kind == 9]
    assert videos[0].startswith(start)  # of header()
    assert videos[1] == videos[0]  # in front of the first key frame
    assert videos[2].startswith(key)
    assert videos[3].startswith(other)


def test_sequence_header_is_repeated_only_when_it_changes():
    """Quirk Q143."""
    muxer = FlvMuxer("h264")
    muxed(muxer, encoded("h264"))
    later = encoded("h264", width=640, height=480)
    body = b"".join(muxer.write(data, dts + 90_000, pts + 90_000, is_key=is_key) for data, dts, pts, is_key in later)
    starts = [(stamp, video) for kind, stamp, video in tags(bytes(13) + body) if video[:2] == b"\x17\x00"]
    assert [stamp for stamp, _ in starts] == [1000]
    assert b"\x40\x84\x00" in muxer.header()  # 640.0


def test_nothing_comes_before_the_parameter_sets():
    muxer = FlvMuxer("h264")
    data, dts, pts, _ = encoded("h264")[1]
    assert muxer.write(data, dts, pts, is_key=False) == b""
    assert not muxer.ready


def test_unit_without_a_slice_makes_no_sample():
    muxer = FlvMuxer("h264")
    muxed(muxer, encoded("h264"))
    assert muxer.write(nal.START_CODE + b"\x09\xf0" + nal.START_CODE + b"\x06\x05\x01", 90, 90, is_key=False) == b""


def test_time_stamp_has_32_bits_and_wraps():
    muxer = FlvMuxer("h264")
    units = encoded("h264")
    muxed(muxer, units)
    stamps = []
    for ms in (0x00FFFFFF, 0x01000000, 0xFFFFFFFF, 0x1_0000_0001):
        [(_, stamp, _)] = tags(bytes(13) + muxer.write(units[1][0], ms * 90, ms * 90, is_key=False))
        stamps.append(stamp)
    assert stamps == [0x00FFFFFF, 0x01000000, 0xFFFFFFFF, 1]
