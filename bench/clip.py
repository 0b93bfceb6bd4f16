"""Makes the program stream that benchmarks send: 720p pictures at a constant rate, muxed as a camera does."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from gb28181.sim.ps import CLOCK_HZ, Muxer

FPS = 25
GOP = 50
SECONDS = 10


def make(folder: Path, kbps: int) -> Path:
    """Path of a clip of `kbps` kbit/s of video, made where it is missing: H.264, 25 fps, a key frame every 2 s."""
    path = folder / f"clip-{kbps}.ps"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = 1280, 720, "yuv420p"
    codec.framerate = FPS
    codec.bit_rate = kbps * 1000
    rate = f"vbv-maxrate={kbps}:vbv-bufsize={kbps}:nal-hrd=cbr:force-cfr=1:keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0"
    codec.options = {"preset": "ultrafast", "x264-params": f"{rate}:repeat-headers=1:annexb=1"}
    muxer = Muxer("h264", kbps, audio=False)
    chance = np.random.default_rng(28181)
    scene = chance.integers(16, 235, (1080, 2560), dtype=np.uint8)
    out = bytearray()
    number = 0

    def take(packets: list[av.Packet]) -> None:
        nonlocal number
        for packet in packets:
            out.extend(muxer.pack(bytes(packet), number * CLOCK_HZ // FPS, is_key=packet.is_keyframe, audio=[]))
            number += 1

    for step in range(FPS * SECONDS):
        picture = np.full((1080, 1280), 128, np.uint8)
        picture[:720] = scene[step % 300 : step % 300 + 720, step * 4 % 1280 : step * 4 % 1280 + 1280]
        take(codec.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
    take(codec.encode(None))
    path.write_bytes(out)
    return path
