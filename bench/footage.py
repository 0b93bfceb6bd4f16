"""An hour of recordings at once: the simulator's pictures and tone, written by the server's own volume writer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from gb28181.sim.encoder import Picture
from gb28181.sim.ps import Muxer
from gb28181.sim.studio import default_cache, open_loop
from gb28181.sim.tone import FRAMES_PER_SECOND
from gb28181.sim.tone import frame as tone
from gb28181.storage.index import KEY, Row, pack_rows
from gb28181.storage.io.volume import open_volume
from gb28181.storage.io.writer import Closed, VolumeWriter

DEVICE = "34020000001320009999"
CHANNEL = "34020000001310009999"
PICTURE = Picture("h264", 704, 576, 25, 2000, 2.0)
SEGMENT_S = 300
_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Footage:
    """What was written: UTC milliseconds, and bytes."""

    start_ms: int
    end_ms: int
    size: int


def write(volume: Path, instance: str, seconds: int) -> Footage:
    """Fills a volume with one channel's last `seconds` up to ten minutes ago, in segments of five minutes."""
    start = (int(time.time()) // 60 * 60 - 600 - seconds) * _US
    writer = VolumeWriter(open_volume(volume, instance), writer_name="bench", stall_bytes=1 << 30, sync_s=5, suspect_s=60)
    writer.start()
    size = 0
    try:
        for first in range(start, start + seconds * _US, SEGMENT_S * _US):
            size += _segment(writer, first)
    finally:
        writer.stop(30)
    return Footage(start // 1000, start // 1000 + seconds * 1000, size)


def _segment(writer: VolumeWriter, start_us: int) -> int:
    loop = open_loop(PICTURE, default_cache())
    muxer = Muxer(PICTURE.codec, PICTURE.bitrate_kbps, audio=True)
    step = _US // PICTURE.fps
    packs, rows, size = [], [], 0
    for number in range(SEGMENT_S * PICTURE.fps):
        utc = start_us + number * step
        parts = loop.parts(utc // step % PICTURE.loop_frames)
        stamp = utc * 9 // 100 % (1 << 33)
        sound = [
            (index * 90_000 // FRAMES_PER_SECOND % (1 << 33), tone(index))
            for index in range(-(-utc * FRAMES_PER_SECOND // _US), -(-(utc + step) * FRAMES_PER_SECOND // _US))
        ]
        data = b"".join((parts.lead, parts.top, parts.body, parts.bottom))
        pack = muxer.pack(data, stamp, is_key=parts.is_key, audio=sound)
        if parts.is_key:
            rows.append(Row(size, utc, stamp, KEY, 0))
        packs.append(pack)
        size += len(pack)
    ticket = writer.open(DEVICE, CHANNEL, start_us)
    assert writer.append(ticket, packs, pack_rows(rows))
    writer.close(ticket, end_us=start_us + SEGMENT_S * _US - step, end_cause="rotated", lost=0, key_frames=len(rows))
    end = time.monotonic() + 60
    while not any(isinstance(event, Closed) for event in writer.poll()):
        if time.monotonic() > end:
            raise SystemExit("the volume writer closed no segment within a minute")
        time.sleep(0.01)
    return size
