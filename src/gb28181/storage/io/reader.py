"""Reads a volume: manifests, what they prove, and closed segments. Works beside writers, changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gb28181.errors import Invalid, StorageError
from gb28181.ids import path_part
from gb28181.storage.io.ledger import days_of
from gb28181.storage.io.recovery import hash_file
from gb28181.storage.io.volume import Volume
from gb28181.storage.manifest import MANIFEST, Manifest, ManifestRow, Tombstone, chained, parse_manifest
from gb28181.storage.segment import PS, is_day, is_part
from gb28181.texts.text import reason_of, say


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a volume that is not as its manifests say.

    Args:
        kind: `missing`: no file for a row; `altered`: size or hash differ; `chain`: the row's chain value does not follow
            from the row before; `gap`: rows of the chain are gone; `damaged`: a manifest line that cannot be read;
            `orphan`: a closed file without a row.
        path: Of the segment, or of the manifest or file, relative to the volume.
    """

    kind: Literal["missing", "altered", "chain", "gap", "damaged", "orphan"]
    path: str
    detail: str


def read_manifest(volume: Volume, device_id: str, channel_id: str, day: str) -> Manifest:
    """The manifest of a channel's day (`YYYYMMDD`, UTC); empty when there is none.

    Raises:
        StorageError: The disk failed.
        Invalid: No such day.
    """
    if not is_day(day):
        raise Invalid(say("recording.day", day=day[:40]))
    return _manifest(volume.root / path_part(device_id) / path_part(channel_id) / day)


def rebuild(volume: Volume, *, since_us: int = 0) -> Iterator[ManifestRow]:
    """Every closed segment of the volume as its manifests know it, by device, channel and day; no segment file is looked at.

    Args:
        since_us: Only of manifests that were written to since then, UTC microseconds, and only what ended since.

    Raises:
        StorageError: The disk failed.
    """
    for channel in channels_of(volume):
        for day in days_of(channel):
            if not since_us or _written_at(channel / day / MANIFEST) >= since_us:
                yield from (row for row in _manifest(channel / day).rows if row.end >= since_us)


def verify(volume: Volume, *, device_id: str = "", channel_id: str = "", hashing: bool = True) -> Iterator[Finding]:
    """Compares files with manifests and follows the chains; yields what is wrong, nothing for a sound volume.

    Args:
        device_id, channel_id: Only of these; "" means all.
        hashing: Reads every file; without it only sizes and chains are compared.

    Raises:
        StorageError: The disk failed.
    """
    for channel in channels_of(volume):
        if device_id and channel.parent.name != path_part(device_id):
            continue
        if channel_id and channel.name != path_part(channel_id):
            continue
        yield from _verify_channel(volume, channel, hashing=hashing)


def _verify_channel(volume: Volume, channel: Path, *, hashing: bool) -> Iterator[Finding]:
    everything: list[ManifestRow] = []
    for day in days_of(channel):
        folder = f"{channel.parent.name}/{channel.name}/{day}"
        manifest = _manifest(channel / day)
        for line in manifest.damaged:
            yield Finding("damaged", f"{folder}/{MANIFEST}", f"line {line} cannot be read")
        everything += [entry for entry in manifest.entries if isinstance(entry, ManifestRow) and entry.number]
        known = {entry.path for entry in manifest.entries if isinstance(entry, ManifestRow)}
        deleted = {entry.deleted for entry in manifest.entries if isinstance(entry, Tombstone)}
        for row in manifest.rows:
            yield from _verify_file(volume, row, hashing=hashing)
        for file in sorted(os.listdir(channel / day)):
            path = f"{folder}/{file.removesuffix(PS)}"
            if file.endswith(PS) and (path not in known or path in deleted - {row.path for row in manifest.rows}):
                yield Finding("orphan", f"{folder}/{file}", "no row of the manifest names this file")
    yield from _verify_chain(sorted(everything, key=lambda row: row.number))


def _verify_file(volume: Volume, row: ManifestRow, *, hashing: bool) -> Iterator[Finding]:
    file = volume.root / f"{row.path}{PS}"
    try:
        size = file.stat().st_size
        digest = hash_file(file) if hashing and row.sha256 and size == row.bytes else row.sha256
    except FileNotFoundError:
        yield Finding("missing", row.path, "the manifest has this segment, the file is gone")
        return
    except OSError as error:
        raise StorageError(say("storage.file", path=file, fault=reason_of(error))) from None
    if size != row.bytes:
        yield Finding("altered", row.path, f"{size} bytes, {row.bytes} were recorded")
    elif digest != row.sha256:
        yield Finding("altered", row.path, f"SHA-256 {digest}, {row.sha256} was recorded")


def _verify_chain(rows: list[ManifestRow]) -> Iterator[Finding]:
    before: ManifestRow | None = None
    for row in rows:
        if row.chain != chained(row.previous, row.sha256):
            yield Finding("chain", row.path, "its chain value does not follow from its hash")
        elif before is None:
            # The oldest days are removed by retention, and their rows with them.
            if row.number == 1 and row.previous:
                yield Finding("chain", row.path, "the first row of a chain follows another")
        elif row.number > before.number + 1:
            yield Finding("gap", row.path, f"rows {before.number + 1} to {row.number - 1} of the chain are gone")
        elif row.number == before.number or row.previous != before.chain:
            yield Finding("chain", row.path, f"it does not follow {before.path}")
        before = row


def channels_of(volume: Volume) -> Iterator[Path]:
    """Folders of all channels.

    Raises:
        StorageError: The disk failed.
    """
    try:
        for device in sorted(entry.path for entry in os.scandir(volume.root) if is_part(entry.name) and entry.is_dir()):
            yield from sorted(Path(entry.path) for entry in os.scandir(device) if is_part(entry.name) and entry.is_dir())
    except OSError as error:
        raise StorageError(say("storage.volume", root=volume.root, strerror=reason_of(error))) from None


def _written_at(file: Path) -> int:
    """When a file was last written to, UTC microseconds; 0 when there is none."""
    try:
        return file.stat().st_mtime_ns // 1000
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StorageError(say("storage.file", path=file, fault=reason_of(error))) from None


def _manifest(folder: Path) -> Manifest:
    return parse_manifest(_read(folder / MANIFEST))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StorageError(say("storage.file", path=file, fault=reason_of(error))) from None
