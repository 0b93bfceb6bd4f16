"""Makes the program stream that benchmarks send: 720p pictures at a constant rate, muxed as a camera does."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from gb28181.sim.ps import CLOCK_HZ, Muxer

FPS = 25
GOP_S = 2
SECONDS = 10


def make(folder: Path, kbps: int, gop_s: int = GOP_S) -> Path:
    """Path of 10 s of `kbps` kbit/s of video, made where it is missing: H.264, 25 fps, a key frame every `gop_s` seconds."""
    path = folder / (f"clip-{kbps}.ps" if gop_s == GOP_S else f"clip-{kbps}-{gop_s}.ps")
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = 1280, 720, "yuv420p"
    codec.framerate = Fraction(FPS)
    codec.bit_rate = kbps * 1000
    gop = gop_s * FPS
    rate = f"vbv-maxrate={kbps}:vbv-bufsize={kbps}:nal-hrd=cbr:force-cfr=1:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0"
    codec.options = {"preset": "ultrafast", "x264-params": f"{rate}:repeat-headers=1:annexb=1"}
    muxer = Muxer("h264", kbps, audio=False)
    chance = np.random.default_rng(28181)
    scene = chance.integers(16, 235, (1080, 2560), dtype=np.uint8)
    out = bytearray()
    number = 0

    def take(packets: list[av.Packet[Any]]) -> None:
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


def pictures(path: Path) -> list[bytes]:
    """The clip cut at its pack headers: one piece a picture."""
    data = path.read_bytes()
    marks = [found.start() for found in re.finditer(rb"\x00\x00\x01\xba", data)]
    return [data[a:b] for a, b in itertools.pairwise([*marks, len(data)])]
