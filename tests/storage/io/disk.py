"""A writer on a real folder, and program streams to feed it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gb28181.storage.index import KEY, Row, pack_rows
from gb28181.storage.io.volume import Volume, open_volume
from gb28181.storage.io.writer import Closed, VolumeWriter, WriterEvent

DEVICE = "34020000001320000001"
CHANNEL = "34020000001310000001"
T0 = 1_772_323_200_000_000  # 2026-03-01T00:00:00Z
FRAME_US = 40_000
FOLDER = f"{DEVICE}/{CHANNEL}/20260301"


def pack_header(scr: int) -> bytes:
    """MPEG-2 pack header of ISO/IEC 13818-1 §2.5.3.3 without stuffing."""
    bits = (
        0b01 << 46 | (scr >> 30 & 7) << 43 | 1 << 42 | (scr >> 15 & 0x7FFF) << 27 | 1 << 26 | (scr & 0x7FFF) << 11 | 1 << 10 | 1
    )
    return b"\x00\x00\x01\xba" + bits.to_bytes(6, "big") + b"\x01\x89\xc3\xf8"


def frame(number: int, *, key: bool, size: int = 900, hevc: bool = False) -> bytes:
    """One frame as a pack with one video PES packet."""
    if hevc:
        nals = b"\0\0\0\1\x40\x01\x0c\x01" * key + b"\0\0\0\1" + (b"\x26\x01\x80" if key else b"\x02\x01\x80")
    else:
        nals = b"\0\0\0\1\x67\x4d\x00\x1f\0\0\0\1\x68\xee\x3c\x80" * key + b"\0\0\0\1" + (b"\x65\x88" if key else b"\x41\x9a")
    payload = nals + (number.to_bytes(4, "big") * size)[:size].replace(b"\0", b"\xaa")
    pes = b"\x80\x00\x00" + payload
    return pack_header(3600 * number) + b"\x00\x00\x01\xe0" + len(pes).to_bytes(2, "big") + pes


class Camera:
    """Frames of 40 ms with a key frame every `gop`, and their index rows."""

    def __init__(self, *, gop: int = 5, start_us: int = T0) -> None:
        self.gop = gop
        self.start_us = start_us
        self.sent = b""
        self.keys: list[int] = []
        self.count = 0

    def frames(self, count: int) -> tuple[list[bytes], bytes]:
        data, rows = [], []
        for _ in range(count):
            key = self.count % self.gop == 0
            if key:
                self.keys.append(len(self.sent))
                rows.append(Row(len(self.sent), self.start_us + self.count * FRAME_US, 3600 * self.count, KEY))
            data.append(frame(self.count, key=key))
            self.sent += data[-1]
            self.count += 1
        return data, pack_rows(rows)


class Disk:
    """Makes volumes and writers, and ends what a test forgot."""

    def __init__(self, root: Path) -> None:
        self.volume = open_volume(root, "instance-1")
        self.writers: list[VolumeWriter] = []

    def writer(self, **changes: object) -> VolumeWriter:
        settings: dict[str, object] = {"writer_name": "ingest-0", "stall_bytes": 64 << 20, "sync_s": 5.0, "suspect_s": 3.0}
        writer = VolumeWriter(self.volume, **(settings | changes))  # type: ignore[arg-type]
        writer.start()
        self.writers.append(writer)
        return writer

    def tree(self) -> set[str]:
        root = self.volume.root
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != "chain"}


@pytest.fixture
def disk(tmp_path):
    made = Disk(tmp_path / "volume")
    yield made
    for writer in made.writers:
        writer.stop(10)


def until(writer: VolumeWriter, kind: type, *, count: int = 1, within_s: float = 30) -> list[WriterEvent]:
    """Events up to and including `count` of a kind."""
    out: list[WriterEvent] = []
    deadline = time.monotonic() + within_s
    while sum(isinstance(event, kind) for event in out) < count:
        assert time.monotonic() < deadline, f"no {kind.__name__} in {out}"
        out += writer.poll()
        time.sleep(0.002)
    return out


def record(writer: VolumeWriter, camera: Camera, frames: int, *, device: str = DEVICE, channel: str = CHANNEL) -> Closed:
    """One whole segment."""
    ticket = writer.open(device, channel, camera.start_us)
    assert writer.append(ticket, *camera.frames(frames))
    writer.close(ticket, end_us=camera.start_us + frames * FRAME_US, end_cause="rotated", lost=0, key_frames=len(camera.keys))
    return until(writer, Closed)[-1]  # type: ignore[return-value]


CHANGES = frozenset({"open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir", "os.link", "fcntl.flock"})
"""Audit events before which a process can be killed: each changes the disk, or may."""


def killed_before_change(number: int, folder: Path, work: Callable[[], None]) -> bool:
    """Runs `work` in a child process; SIGKILL comes just before its `number`-th change of the disk. False: it came through."""
    child = os.fork()
    if child == 0:
        left = number
        root = str(folder)

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in CHANGES and (event in ("os.truncate", "fcntl.flock") or str(arguments[0]).startswith(root)):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(count)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


__all__ = [
    "CHANNEL", "DEVICE", "FOLDER", "FRAME_US", "T0", "Camera", "Disk", "Volume", "disk", "frame", "killed_before_change",
    "pack_header", "record", "until",
]  # fmt: skip
