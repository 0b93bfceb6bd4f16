"""Fragmented MP4, read back by FFmpeg and box by box."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from gb28181.media import nal
from gb28181.media.fmp4 import (
    SOUND_TRACK,
    VIDEO_TRACK,
    Run,
    Sample,
    SoundFormat,
    VideoFormat,
    fragment,
    initialisation,
    sample_of,
)
from gb28181.media.nal import ParameterSets, VideoCodec


def encoded(codec: VideoCodec, count: int, *, b_frames: int = 0) -> list[tuple[bytes, int, int, bool]]:
    """Annex B pictures with decoding and presentation time in pictures, and whether they are key pictures."""
    context: Any = av.CodecContext.create({"h264": "libx264", "h265": "libx265"}[codec], "w")
    context.width, context.height, context.pix_fmt = 176, 144, "yuv420p"
    context.time_base, context.framerate, context.gop_size = Fraction(1, 25), Fraction(25), 10
    keys = f"keyint=10:min-keyint=10:scenecut=0:bframes={b_frames}:b-adapt=0"
    context.options = {
        "preset": "ultrafast",
        f"x{codec[1:]}-params": keys + (":log-level=none:repeat-headers=1:pools=1" if codec == "h265" else ""),
    }
    packets = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((216, 176), number * 5 % 200 + 16, np.uint8), format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    lead = -min(packet.dts for packet in packets)
    return [(bytes(packet), packet.dts + lead, packet.pts + lead, packet.is_keyframe) for packet in packets]


def track_of(codec: VideoCodec, picture: bytes) -> VideoFormat:
    sets = ParameterSets(codec)
    for unit in nal.split(picture):
        sets.see(nal.nal_type(codec, unit), unit)
    assert sets.info is not None
    return VideoFormat(codec, sets.configuration(), sets.info.width, sets.info.height)


def samples(codec: VideoCodec, pictures: list[tuple[bytes, int, int, bool]]) -> list[Sample]:
    return [
        Sample(sample_of(codec, data, keep_sets=False), 3600, is_key, (shown - decoded) * 3600)
        for data, decoded, shown, is_key in pictures
    ]


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        assert size >= 8
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size
    assert at == len(data)


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_fragments_are_read_with_their_exact_times(codec: VideoCodec, b_frames: int) -> None:
    pictures = encoded(codec, 30, b_frames=b_frames)
    made = samples(codec, pictures)
    begin = 90_000 * 3600 * 30  # beyond 32 bits
    data = initialisation(track_of(codec, pictures[0][0]))
    for number in range(0, 30, 10):
        data += fragment(number + 1, [Run(VIDEO_TRACK, begin + number * 3600, made[number : number + 10])])
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == (
            {"h264": "h264", "h265": "hevc"}[codec], 176, 144,
        )  # fmt: skip
        packets = [packet for packet in container.demux(stream) if packet.size]
    # FFmpeg shifts a film so that it does not begin with the wait for its first picture.
    shift = packets[0].dts - begin
    assert [packet.dts - shift - begin for packet in packets] == [decoded * 3600 for _, decoded, _, _ in pictures]
    assert [packet.pts - packet.dts for packet in packets] == [(shown - decoded) * 3600 for _, decoded, shown, _ in pictures]
    assert [packet.is_keyframe for packet in packets] == [is_key for _, _, _, is_key in pictures]
    with av.open(io.BytesIO(data)) as container:
        assert len(list(container.decode(video=0))) == 30


def test_pictures_and_sound_lie_in_one_fragment() -> None:
    pictures = encoded("h264", 10)
    coder: Any = av.CodecContext.create("aac", "w")
    coder.sample_rate, coder.layout, coder.format = 8000, "mono", "fltp"
    coder.open()
    frames = []
    for number in range(6):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, number * 1024
        frames += [Sample(bytes(packet), 1024) for packet in coder.encode(frame)]
    sound = SoundFormat(bytes(coder.extradata), 8000)
    runs = [Run(VIDEO_TRACK, 0, samples("h264", pictures)), Run(SOUND_TRACK, 512, frames), Run(SOUND_TRACK, 0, [])]
    with av.open(io.BytesIO(initialisation(track_of("h264", pictures[0][0]), sound) + fragment(1, runs))) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (audio.codec_context.name, audio.codec_context.sample_rate, audio.codec_context.channels) == ("aac", 8000, 1)
        found = [(packet.stream_index, packet.pts, bytes(packet)) for packet in container.demux(video, audio) if packet.size]
    assert [data for index, _, data in found if index] == [frame.data for frame in frames]
    assert min(stamp for index, stamp, _ in found if index) == 512
    assert sum(index == 0 for index, _, _ in found) == 10


def test_boxes_add_up_and_the_data_lies_where_it_is_said_to() -> None:
    made = [Sample(b"a" * 5, 1), Sample(b"b" * 7, 2, is_key=False, composition=-3)]
    data = fragment(7, [Run(VIDEO_TRACK, 9, made), Run(SOUND_TRACK, 4, [Sample(b"c" * 3, 1024)])])
    (moof, inner), (mdat, media) = boxes(data)
    assert (moof, mdat, media) == (b"moof", b"mdat", b"aaaaabbbbbbbccc")
    offsets = []
    for kind, traf in boxes(inner):
        if kind == b"traf":
            trun = dict(boxes(traf))[b"trun"]
            offsets.append(struct.unpack_from(">i", trun, 8)[0])
    assert [data[offset : offset + 3] for offset in offsets] == [b"aaa", b"ccc"]


def test_parameter_sets_stay_in_a_sample_only_when_they_are_other_ones() -> None:
    picture = encoded("h264", 1)[0][0]
    kinds = [nal.nal_type("h264", unit) for unit in nal.split(picture)]
    assert nal.H264_SPS in kinds

    def kept(*, keep: bool) -> list[int]:
        data, out = sample_of("h264", picture, keep_sets=keep), []
        while data:
            size = int.from_bytes(data[:4], "big")
            out.append(data[4] & 0x1F)
            data = data[4 + size :]
        return out

    assert nal.H264_SPS not in kept(keep=False)
    assert nal.H264_SPS in kept(keep=True)
    assert nal.H264_AUD not in kept(keep=True)


def test_the_same_samples_are_the_same_bytes() -> None:
    run = Run(VIDEO_TRACK, 5, [Sample(b"x", 1)])
    assert fragment(1, [run]) == fragment(1, [run])
    assert sample_of("h265", b"no start code", keep_sets=False) == b""
