"""Closed segments that no manifest names any more: the manifest of their day was lost or damaged, or its folder was put back.

Without a row nothing plays them for long, nothing finds them and nothing ever deletes them. They are found by their names, day
by day, and get a row, as adopted. What has a marker is being written or closed, or waits for `recovery`, and is left alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gb28181.errors import Invalid, StorageError
from gb28181.ids import path_part
from gb28181.storage.io.ledger import days_of
from gb28181.storage.io.reader import channels_of
from gb28181.storage.io.recovery import enter
from gb28181.storage.io.volume import OPEN, Volume
from gb28181.storage.manifest import END_CAUSES, MANIFEST, ManifestRow, parse_manifest
from gb28181.storage.segment import PART, PS, SegmentName
from gb28181.texts.text import reason_of, say

_HEX: Final = rb'"(?:[0-9a-f]{64})?"'
#: A sound line as `manifest.line_of` writes it: identifiers, path and start. A day whose files all stand in such lines is not
#: read any further, which costs a fifth; whatever else there is leads to the slow look.
_LINE: Final = re.compile(
    rb'^\{"device_id":"([^"\\]*)","channel_id":"([^"\\]*)","path":"([^"\\]*)","start":(\d{1,17}),"end":\d{1,17},'
    rb'"bytes":\d{1,18},"end_cause":"(?:' + "|".join(END_CAUSES).encode() + rb')",'
    rb'"sha256":' + _HEX + rb',"chain":' + _HEX + rb',"previous":' + _HEX + rb","
    rb'"number":\d{1,18},"lost":\d{1,18},"key_frames":\d{1,18},"adopted":(?:true|false)\}\n',
    re.MULTILINE,
)
_TIME: Final = re.compile(rb"\d{6}\.\d{3}")
_HASHED: Final = "h-"


def orphans(volume: Volume) -> Iterator[list[SegmentName]]:
    """Closed segments without a row: a list for each day of each channel, most of them empty, so that the caller may rest.

    Raises:
        StorageError: The disk failed.
    """
    for channel in channels_of(volume):
        for day in days_of(channel):
            try:
                yield _of_day(volume, channel, day)
            except Invalid:
                continue  # eight digits that are no day
            except OSError as error:
                raise StorageError(say("storage.file", path=channel / day, fault=reason_of(error))) from None


def take_in(volume: Volume, name: SegmentName, *, hashing: bool) -> ManifestRow | None:
    """Gives an orphan its row, at the end of its channel's chain; None when it is gone or there is nothing in it.

    Args:
        hashing: Reads the whole file.

    Raises:
        StorageError: The disk failed.
    """
    file = volume.root / f"{name.path}{PS}"
    try:
        if not file.stat().st_size:
            return None
        device_id, channel_id = _identifiers(file.parent.parent)
        return enter(volume, name, device_id, channel_id, hashing=hashing)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(say("storage.file", path=file, fault=reason_of(error))) from None


def _of_day(volume: Volume, channel: Path, day: str) -> list[SegmentName]:
    folder = channel / day
    files = set(os.listdir(folder))
    names = {file.removesuffix(PS) for file in files if file.endswith(PS) and f"{file}{PART}" not in files}
    manifest = _bytes_of(folder / MANIFEST)
    if names <= _plainly_listed(manifest, channel, day):
        return []
    # A segment that is closed loses its marker after it has its row: in this order none is seen with neither.
    marked = {marker for writer in _entries(volume.root / OPEN) for marker in _entries(volume.root / OPEN / writer)}
    known = {row.path for row in parse_manifest(_bytes_of(folder / MANIFEST)).rows}
    found = []
    for name in sorted(names):
        try:
            segment = SegmentName.parse(f"{channel.parent.name}/{channel.name}/{day}/{name}")
        except Invalid:
            continue
        if segment.path not in known and segment.marker not in marked:
            found.append(segment)
    return found


def _plainly_listed(manifest: bytes, channel: Path, day: str) -> set[str]:
    """Times of the segments whose lines are sound at a quick look."""
    device, name = channel.parent.name.encode(), channel.name.encode()
    folder = b"%s/%s/%s/" % (device, name, day.encode())
    midnight_ms = SegmentName.parse(f"{channel.parent.name}/{channel.name}/{day}/000000.000").start_ms
    listed = set()
    for device_id, channel_id, path, start in _LINE.findall(manifest):
        time = path[len(folder) :]
        if (device_id, channel_id, path[: len(folder)]) != (device, name, folder) or not _TIME.fullmatch(time):
            continue
        hour, minute, second, milli = int(time[:2]), int(time[2:4]), int(time[4:6]), int(time[7:])
        if 0 <= midnight_ms + ((hour * 60 + minute) * 60 + second) * 1000 + milli - int(start) // 1000 < 1000:
            listed.add(time.decode())
    return listed


def _identifiers(channel: Path) -> tuple[str, str]:
    """Of a channel's folder: its names, or what another day's manifest says of names that are hashes."""
    device, name = channel.parent.name, channel.name
    if device.startswith(_HASHED) or name.startswith(_HASHED):
        for day in reversed(days_of(channel)):
            for row in parse_manifest(_bytes_of(channel / day / MANIFEST)).rows:
                if (path_part(row.device_id), path_part(row.channel_id)) == (device, name):
                    return row.device_id, row.channel_id
    return device, name


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
