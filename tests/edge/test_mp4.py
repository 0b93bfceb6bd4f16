"""The written file as FFmpeg's demuxer understands it."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

from gb28181.edge.mp4 import Mp4Writer
from gb28181.media import nal
from gb28181.media.fmp4 import Sample, SoundFormat, VideoFormat, sample_of
from gb28181.media.nal import ParameterSets

STEP = 3600
DELAY = 2 * STEP


def with_b_pictures(count: int) -> tuple[VideoFormat, list[Sample]]:
    """Pictures that are decoded 40 ms apart, each shown 0 to 160 ms later."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = 64, 64, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = {"x264-params": f"bframes=3:b-adapt=0:b-pyramid=normal:keyint={count}:scenecut=0:log-level=none"}
    sets, samples = ParameterSets("h264"), []
    packets = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((96, 64), number * 5, np.uint8), format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    for packet in packets:
        for unit in nal.split(bytes(packet)):
            sets.see(nal.nal_type("h264", unit), unit)
        shown = (packet.pts - packet.dts) * STEP
        samples.append(Sample(sample_of("h264", bytes(packet), keep_sets=False), STEP, packet.is_keyframe, shown))
    assert samples[0].composition == DELAY
    return VideoFormat("h264", sets.configuration(), 64, 64), samples


def test_sound_stays_with_pictures_that_are_shown_later_than_decoded() -> None:
    video, pictures = with_b_pictures(30)
    writer = Mp4Writer()
    writer.begin_sound(SoundFormat(b"\x15\x88", 8000), 0)  # heard when the first picture is decoded
    data = writer.write(video, pictures, [Sample(b"\x21\x10\x04\x60", 1024)] * 10)
    data += writer.finish(skip_90k=0, chapters=(), created_us=0)
    with av.open(io.BytesIO(data), format="mp4") as container:
        packets = [packet for packet in container.demux() if packet.pts is not None]
        first = {kind: min(float(p.pts * p.time_base) for p in packets if p.stream.type == kind) for kind in ("video", "audio")}
    assert abs(first["video"] - first["audio"] - DELAY / 90_000) < 0.002
    with av.open(io.BytesIO(data), format="mp4") as container:
        shown = [frame.time for frame in container.decode(video=0)]
    assert len(shown) == 30
    assert abs(shown[0]) < 0.001
