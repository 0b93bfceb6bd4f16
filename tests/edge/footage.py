"""Recordings composed for tests: the simulator's pictures with bar codes, written by the real volume writer.

The bar code of a picture is the second of the minute in which it was taken, so whatever is played back tells its own time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from gb28181.media import nal
from gb28181.sim.encoder import Picture
from gb28181.sim.ps import Muxer
from gb28181.sim.studio import Loop, default_cache, open_loop
from gb28181.sim.tone import FRAMES_PER_SECOND
from gb28181.sim.tone import frame as tone
from gb28181.storage.index import KEY, LOSS, Row, pack_rows
from gb28181.storage.io.volume import open_volume
from gb28181.storage.io.writer import Closed, Opened, VolumeWriter, WriterEvent, Written

DEVICE = "34020000001320000001"
CHANNEL = "34020000001310000001"
T0 = 1_772_323_200_000_000  # 2026-03-01T00:00:00Z, the beginning of a minute
S = 1_000_000
H264 = Picture("h264", 176, 144, 10, 100, 2.0)
H264_LARGE = Picture("h264", 352, 288, 10, 200, 2.0)
H265 = Picture("h265", 176, 144, 10, 100, 2.0)


@cache
def loop_of(picture: Picture) -> Loop:
    """The encoded minute, from the simulator's cache where it is there."""
    return open_loop(picture, default_cache())


def camera_pts(utc_us: int) -> int:
    """The stamp of a camera whose clock is right: 90 kHz since `T0`, from a place near the wrap on."""
    return (1 << 33) - 90_000 * 7 + (utc_us - T0) * 9 // 100


class Footage:
    """A volume, and a writer that fills it."""

    def __init__(self, root: Path, *, name: str = "ingest-0") -> None:
        self.root = root
        self._writer = VolumeWriter(
            open_volume(root, "instance-1"), writer_name=name, stall_bytes=64 << 20, sync_s=5, suspect_s=5
        )
        self._writer.start()

    def close(self) -> None:
        self._writer.stop(10)

    def segment(
        self,
        start_us: int,
        seconds: float,
        *,
        picture: Picture = H264,
        pts: Callable[[int], int | None] = camera_pts,
        arrival: Callable[[int], int] = lambda utc_us: utc_us,
        audio: bool = False,
        lost: dict[int, int] | None = None,
        stays_open: bool = False,
        sets_until: int | None = None,
        channel: str = CHANNEL,
        cause: str = "rotated",
    ) -> bytes:
        """Writes one segment; returns its bytes.

        Args:
            start_us: A key picture is due there (each `picture.gop_s` of the minute).
            pts: Stamp of a picture by its time; None or wrong as some cameras have it.
            arrival: When a picture came, by its time.
            sets_until: Pictures from this number on come without parameter sets and stream map, as some cameras send them.
            lost: Packets missing before the picture of this number in the segment, which is not written.
        """
        loop, lost = loop_of(picture), lost or {}
        muxer = Muxer(picture.codec, picture.bitrate_kbps, audio=audio)
        rows: list[Row] = []
        packs: list[bytes] = []
        size = keys = 0
        step = S // picture.fps
        count = round(seconds * picture.fps)
        missing = 0
        for number in range(count):
            utc = start_us + number * step
            parts = loop.parts(utc // step % picture.loop_frames)
            if number in lost:
                missing = lost[number]
                continue
            stamp = pts(utc)
            sound = []
            if audio:
                first = -(-utc * FRAMES_PER_SECOND // S)
                last = -(-(utc + step) * FRAMES_PER_SECOND // S)
                sound = [(camera_pts(index * S // FRAMES_PER_SECOND), tone(index)) for index in range(first, last)]
            data = b"".join((parts.lead, parts.top, parts.body, parts.bottom))
            if sets_until is not None and number >= sets_until:
                data = b"".join(nal.START_CODE + unit for unit in nal.split(data) if unit[0] & 0x1F not in (7, 8))
                pack = muxer.pack(data, stamp or 0, is_key=False, audio=sound)
            else:
                pack = muxer.pack(data, stamp or 0, is_key=parts.is_key, audio=sound)
            flags = (KEY if parts.is_key else 0) | (LOSS if missing else 0)
            if flags:
                rows.append(Row(size, arrival(utc), (stamp or 0) % (1 << 33), flags, missing))
            keys += parts.is_key
            missing = 0
            packs.append(pack)
            size += len(pack)
        ticket = self._writer.open(DEVICE, channel, arrival(start_us))
        assert self._writer.append(ticket, packs, pack_rows(rows))
        self._until(Written if stays_open else Opened)
        if not stays_open:
            end = arrival(start_us + (count - 1) * step)
            self._writer.close(ticket, end_us=end, end_cause=cause, lost=sum(lost.values()), key_frames=keys)  # type: ignore[arg-type]
            self._until(Closed)
        return b"".join(packs)

    def _until(self, kind: type) -> list[WriterEvent]:
        deadline = time.monotonic() + 30
        out: list[WriterEvent] = []
        while not any(isinstance(event, kind) for event in out):
            assert time.monotonic() < deadline, f"no {kind.__name__} in {out}"
            out += self._writer.poll()
            time.sleep(0.001)
        return out
