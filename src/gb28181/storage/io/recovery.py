"""Adopts what a crash left: cuts open segments to their last whole group of pictures and closes them.

Every step may be cut short by the next crash. The decision is written before it is carried out: a whole `.idx` beside a
`.ps.part` ends with the size to cut to; after it only what has not happened yet is done. Closed segments are never touched.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gb28181.errors import Invalid
from gb28181.messages import EndCause
from gb28181.storage.index import END, HEADER, NO_PTS, Index, Row, pack_rows, parse_index
from gb28181.storage.io.ledger import append_row, read_rows
from gb28181.storage.io.posix import sync_folder, write_all
from gb28181.storage.io.volume import OPEN, Volume
from gb28181.storage.manifest import ManifestRow
from gb28181.storage.salvage import looks_like_media, scan, whole_length
from gb28181.storage.segment import IDX, PART, PS, SegmentName

logger = logging.getLogger(__name__)

_PIECE: Final = 1 << 20
_TAIL: Final = 4 << 20
_LONG_GOP_US: Final = 10_000_000
"""More than this is never given up for a whole group of pictures: a crash costs at most 10 s of a channel."""
_LATEST_US: Final = 600_000_000
"""How far the time of the file may lie behind its last index row to be believed."""


def leftover(volume: Volume, writer_name: str) -> list[str]:
    """Markers of segments that were open when the process of this name died. Ask before its new writer starts.

    Raises:
        OSError: The volume cannot be read.
    """
    try:
        return sorted(os.listdir(volume.root / OPEN / writer_name))
    except FileNotFoundError:
        return []


def recover(
    volume: Volume, writer_name: str, *, markers: Sequence[str] | None = None, hashing: bool = True
) -> list[ManifestRow]:
    """Closes leftover segments; returns those adopted. One that cannot be (disk error) is logged and keeps its marker.

    Args:
        markers: From `leftover`; with them it may run in a thread beside the new writer, because it reads whole files
            to hash them. None: whatever is there now.
    """
    adopted: list[ManifestRow] = []
    for marker in leftover(volume, writer_name) if markers is None else markers:
        try:
            row = adopt(volume, volume.root / OPEN / writer_name / marker, hashing=hashing)
        except OSError as error:
            logger.warning("segment not adopted", extra={"marker": marker, "error": str(error)})
            continue
        if row is not None:
            adopted.append(row)
    return adopted


def adopt(volume: Volume, marker: Path, *, end_cause: EndCause = "crash", hashing: bool = True) -> ManifestRow | None:
    """Closes the segment of one marker and removes the marker; None when there is nothing (more) to keep.

    Raises:
        OSError: The disk failed; asked again, it goes on where it stopped.
    """
    try:
        name = SegmentName.parse_marker(marker.name)
    except Invalid:
        logger.warning("not a marker of a segment, left alone", extra={"marker": str(marker)})
        return None
    files = _Files.of(volume, name)
    row = None
    if files.ps.exists():
        if files.ps_part.exists():
            # Made, and killed before it was seen that a closed segment has this name. No other way leads here.
            if files.ps_part.stat().st_size:
                logger.warning("open segment beside a closed one, left alone", extra={"path": name.path})
                return None
            files.ps_part.unlink()
        elif all(known.path != name.path for known in read_rows(volume, name).rows):
            row = _enter(volume, name, files, _read_marker(marker, name), end_cause, hashing=hashing)
    elif files.ps_part.exists():
        start = _read_marker(marker, name)
        if _decide(files, start.start_us) is None:
            logger.warning(
                "open segment holds nothing usable, removed",
                extra={"path": name.path, "bytes": files.ps_part.stat().st_size},
            )
            files.ps_part.unlink()
        else:
            _cut(files)
            row = _enter(volume, name, files, start, end_cause, hashing=hashing)
    if not files.ps.exists():
        files.idx.unlink(missing_ok=True)
    files.idx_part.unlink(missing_ok=True)
    marker.unlink(missing_ok=True)
    return row


@dataclass(frozen=True, slots=True)
class _Files:
    ps: Path
    ps_part: Path
    idx: Path
    idx_part: Path

    @classmethod
    def of(cls, volume: Volume, name: SegmentName) -> _Files:
        path = f"{volume.root}/{name.path}"
        return cls(Path(path + PS), Path(path + PS + PART), Path(path + IDX), Path(path + IDX + PART))


@dataclass(frozen=True, slots=True)
class _Start:
    device_id: str
    channel_id: str
    start_us: int


def _read_marker(marker: Path, name: SegmentName) -> _Start:
    """What the marker says; a power cut may have emptied it, then what its name says."""
    try:
        data = json.loads(marker.read_bytes())
        start = _Start(str(data["device_id"]), str(data["channel_id"]), int(data["start"]))
        wanted = SegmentName.of(start.device_id, start.channel_id, start.start_us)
        if (wanted.device, wanted.channel) == (name.device, name.channel):
            return start
    except (ValueError, KeyError, TypeError, Invalid, FileNotFoundError):
        pass
    return _Start(name.device, name.channel, name.start_ms * 1000)


def _decide(files: _Files, start_us: int) -> Row | None:
    """Where the segment ends, written down in a whole `.idx`; None when nothing of it is usable."""
    decided = _read_index(files.idx).end
    if decided is not None:
        return decided
    state = files.ps_part.stat()
    size = state.st_size
    ended = _read_index(files.idx_part)
    if ended.end is not None and ended.end.offset == size:  # killed while it was closed: all of it is there
        _write_index(files.idx, ended.rows)
        return ended.end
    index = parse_index(_bytes_of(files.idx) or _bytes_of(files.idx_part)).up_to(size + 1)
    with files.ps_part.open("rb") as file:
        fd = file.fileno()
        rows, last_us = completed(fd, index, start_us)
        # A tail of zeros, which a power cut can leave, is no key frame whatever the index says.
        keys = [row for row in Index(rows).keys if row.offset == size or looks_like_media(os.pread(fd, 4, row.offset))]
        end = _end(fd, size, keys, _last_medium(rows, last_us, state, start_us))
    if end.offset <= 0:
        return None
    kept = [row for row in rows if row.offset < end.offset]
    _write_index(files.idx, [*kept, end])
    return end


def _end(fd: int, size: int, keys: Sequence[Row], last_us: int) -> Row:
    """The `END` row: at the last key frame, or at the last whole pack where that would give up the only group or 10 s."""
    last = keys[-1] if keys else None
    is_only_group = last is None or last.offset == 0 or len(keys) == 1
    if last is not None and not is_only_group and (last.offset == size or last_us - last.utc_us <= _LONG_GOP_US):
        return Row(last.offset, last.utc_us, NO_PTS, END)
    first = max(last.offset if last is not None else 0, size - _TAIL)
    whole = first + whole_length(os.pread(fd, size - first, first))
    if last is not None and whole <= last.offset and not is_only_group:
        return Row(last.offset, last.utc_us, NO_PTS, END)
    return Row(whole if whole > first or first == 0 else size, last_us, NO_PTS, END)


def completed(fd: int, index: Index, start_us: int) -> tuple[list[Row], int]:
    """The rows, with the key frames behind the last indexed one, whose rows were torn or still to be written; and the
    time of the last pack by the stream's own clock. Reads the file from there on.

    Raises:
        OSError: The disk failed.
    """
    last = index.last_key()
    first, utc_us = (last.offset, last.utc_us) if last is not None else (0, start_us)
    found = scan(_pieces(fd, first), offset=first, utc_us=utc_us)
    behind = max(first, index.rows[-1].offset) if index.rows else 0
    known = {row.offset for row in index.keys}
    return [*index.rows, *(row for row in found.rows if row.offset >= behind and row.offset not in known)], found.last_us


def _last_medium(rows: Sequence[Row], clock_us: int, state: os.stat_result, start_us: int) -> int:
    """When the last byte came: by the stream's clock, which may stand still, but not after the file was last written."""
    last_us = max((row.utc_us for row in rows), default=start_us)
    written_us = state.st_mtime_ns // 1000
    if not last_us <= written_us <= last_us + _LATEST_US:
        return max(last_us, clock_us)  # a copy, or a clock that was set
    return min(clock_us, written_us) if clock_us > last_us else written_us


def _cut(files: _Files) -> None:
    """Carries the decision out: cut, synced, renamed."""
    end = _read_index(files.idx).end
    assert end is not None
    fd = os.open(files.ps_part, os.O_RDWR)
    try:
        if os.fstat(fd).st_size > end.offset:
            os.ftruncate(fd, end.offset)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(files.ps_part, files.ps)
    sync_folder(files.ps.parent)


def enter(volume: Volume, name: SegmentName, device_id: str, channel_id: str, *, hashing: bool) -> ManifestRow:
    """Gives a closed segment that has no row and no marker its row; its index is made anew where it is not whole.

    Raises:
        OSError: The disk failed, or the segment is gone.
    """
    start = _Start(device_id, channel_id, name.start_ms * 1000)
    return _enter(volume, name, _Files.of(volume, name), start, "crash", hashing=hashing)


def _enter(
    volume: Volume, name: SegmentName, files: _Files, start: _Start, end_cause: EndCause, *, hashing: bool
) -> ManifestRow:
    """Hashes a whole segment that has no manifest row and gives it one."""
    index = _read_index(files.idx)
    state = files.ps.stat()
    last_us = max((row.utc_us for row in index.rows), default=start.start_us)
    if index.end is None or index.end.offset != state.st_size:
        # The disk was too full for the last row, or the index is gone or another's: made anew as far as it goes.
        with files.ps.open("rb") as file:
            rows, last_us = completed(file.fileno(), index.up_to(state.st_size), start.start_us)
        last_us = _last_medium(rows, last_us, state, start.start_us)
        index = Index([*rows, Row(state.st_size, last_us, NO_PTS, END)])
        _write_index(files.idx, index.rows)
    return append_row(
        volume,
        ManifestRow(
            device_id=start.device_id,
            channel_id=start.channel_id,
            path=name.path,
            start=start.start_us,
            end=max(last_us, start.start_us),
            bytes=state.st_size,
            end_cause=end_cause,
            sha256=hash_file(files.ps) if hashing else "",
            lost=index.lost,
            key_frames=len(index.keys),
            adopted=True,
        ),
    )


def hash_file(path: Path) -> str:
    """SHA-256 of a file as hex text."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for piece in _pieces(file.fileno(), 0):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(fd: int, offset: int) -> Iterator[bytes]:
    while piece := os.pread(fd, _PIECE, offset):
        offset += len(piece)
        yield piece


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _read_index(path: Path) -> Index:
    return parse_index(_bytes_of(path))


def _write_index(path: Path, rows: Sequence[Row]) -> None:
    """Replaces an index as a whole; the rows of a segment end with `END`."""
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        write_all(fd, [HEADER, pack_rows(rows)])
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(new, path)
