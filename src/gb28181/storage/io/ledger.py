"""Appends rows and tombstones to manifests and keeps the chain of each channel in order, between processes too.

`<device>/<channel>/chain` is the lock of a channel and remembers the end of its chain. It is only a shortcut: after a power
cut the newest manifests decide, and without it all of them are read.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from gb28181.storage.io.posix import sync_folder, write_all
from gb28181.storage.io.volume import Volume
from gb28181.storage.manifest import MANIFEST, Manifest, ManifestRow, Tombstone, chained, line_of, parse_manifest
from gb28181.storage.segment import SegmentName, is_day

CHAIN: Final = "chain"
_TAIL: Final = 8192
"""Bytes of a manifest's end that hold its last row, unless many deletions follow it."""


def append_row(volume: Volume, row: ManifestRow) -> ManifestRow:
    """Writes the row of a closed segment, with its place in the chain; on disk when it returns.

    Args:
        row: Without `chain`, `previous` and `number`.

    Raises:
        OSError: Nothing was appended.
    """
    name = SegmentName.parse(row.path)
    channel = volume.root / name.device / name.channel
    with _locked(channel) as lock:
        if row.sha256:
            number, previous = _chain_end(channel, lock)
            row = replace(row, previous=previous, chain=chained(previous, row.sha256), number=number + 1)
        _append(channel / name.day / MANIFEST, line_of(row))
        if row.number:
            _remember(lock, row.number, row.chain)
    return row


def append_tombstones(volume: Volume, paths: Sequence[str], at: int) -> None:
    """Writes that segments of one channel and day were deleted, and removes the channel's oldest days that are empty now.

    Raises:
        OSError: Nothing was appended.
    """
    name = SegmentName.parse(paths[0])
    channel = volume.root / name.device / name.channel
    if not (channel / name.day).is_dir():
        return  # an operator removed the whole folder: nothing is left to be hidden
    with _locked(channel) as lock:
        _append(channel / name.day / MANIFEST, b"".join(line_of(Tombstone(path, at)) for path in paths))
        _prune(channel, lock)


def read_rows(volume: Volume, name: SegmentName) -> Manifest:
    """The manifest of a segment's day, empty when there is none."""
    return parse_manifest(_read(volume.root / name.folder / MANIFEST))


def days_of(channel: Path) -> list[str]:
    """Names of a channel's day folders, oldest first."""
    try:
        return sorted(entry for entry in os.listdir(channel) if is_day(entry))
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def _locked(channel: Path) -> Iterator[int]:
    channel.mkdir(parents=True, exist_ok=True)
    fd = os.open(channel / CHAIN, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _chain_end(channel: Path, lock: int) -> tuple[int, str]:
    """Number and chain value of the channel's last row, (0, "") before the first."""
    end = remembered = _remembered(os.pread(lock, 128, 0))
    for day in reversed(days_of(channel)):
        row = _last_chained(channel / day / MANIFEST)
        if row is not None:
            end = max(end, (row.number, row.chain))
            if remembered[0]:
                break  # a row of an older day that was written later is the remembered one
    return end


def _remember(lock: int, number: int, chain: str) -> None:
    os.pwrite(lock, b"%020d %s\n" % (number, chain.encode("ascii")), 0)


def _remembered(data: bytes) -> tuple[int, str]:
    digits, _, chain = data.partition(b" ")
    if len(data) != 86 or len(digits) != 20 or not digits.isdigit() or data[-1:] != b"\n":
        return 0, ""
    return int(digits), chain[:-1].decode("ascii", "replace")


def _last_chained(manifest: Path) -> ManifestRow | None:
    data = _read(manifest, last=_TAIL)
    if len(data) == _TAIL:
        found = parse_manifest(data.partition(b"\n")[2]).last_chained
        if found is not None:
            return found
        data = _read(manifest)
    return parse_manifest(data).last_chained


def _read(path: Path, *, last: int = 0) -> bytes:
    try:
        with path.open("rb") as file:
            if last:
                file.seek(max(0, os.fstat(file.fileno()).st_size - last))
            return file.read()
    except FileNotFoundError:
        return b""


def _append(manifest: Path, lines: bytes) -> None:
    is_new = not manifest.exists()
    fd = os.open(manifest, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            lines = b"\n" + lines  # ends a line that a power cut tore
        try:
            write_all(fd, [lines])
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, size)
            raise
    finally:
        os.close(fd)
    if is_new:
        sync_folder(manifest.parent)


def _prune(channel: Path, lock: int) -> None:
    """Removes day folders from the oldest on while they hold nothing but a manifest without live rows.

    Only from the oldest on, and never the newest: so the numbers of what remains have no hole that deletion made.
    """
    for day in days_of(channel)[:-1]:
        folder = channel / day
        if os.listdir(folder) != [MANIFEST] or parse_manifest(_read(folder / MANIFEST)).rows:
            return
        number, chain = _chain_end(channel, lock)
        if number:
            _remember(lock, number, chain)  # it may stand in this folder only
        os.unlink(folder / MANIFEST)
        try:
            os.rmdir(folder)
        except OSError:
            return  # a segment began in it just now
