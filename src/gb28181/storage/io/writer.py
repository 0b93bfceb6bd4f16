"""The one thread that does every open, write, rename and unlink of a volume, so that a slow disk never stops the network.

The caller's methods put commands into an unbounded queue whose bytes are bounded (`stall_bytes`) and never wait; the thread
answers with events. Nothing is shared but counters with one writer each, and two queues.

A segment's life on disk: marker, `.ps.part` (exclusively), `.idx.part`; bytes, then the rows that point to them; at the end
`fsync` of both, `.idx` renamed, `.ps` renamed, `fsync` of the folder, manifest row, marker removed. So a `.ps` always has its
whole index, and whatever a crash leaves behind has a marker, by which `recovery` finds it without a scan.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from gb28181.clock import Clock
from gb28181.errors import Gb28181Error, Invalid, MisuseError
from gb28181.messages import EndCause
from gb28181.storage.index import END, HEADER, KEY, NO_PTS, Row, pack_rows, rows_of
from gb28181.storage.io import posix
from gb28181.storage.io.ledger import append_row, append_tombstones
from gb28181.storage.io.recovery import adopt
from gb28181.storage.io.volume import OPEN, Volume, claim
from gb28181.storage.manifest import ManifestRow
from gb28181.storage.segment import IDX, PART, PS, SegmentName

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_WRITEBACK_BYTES: Final = 8 << 20
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND


@dataclass(frozen=True, slots=True)
class Opened:
    """The files of a ticket exist; `path` is relative to the volume, without suffix. A reader adds `.ps.part`."""

    ticket: int
    path: str


@dataclass(frozen=True, slots=True)
class Written:
    """A reader finds this many bytes in the PS file now; the newest figure only, however many writes there were."""

    ticket: int
    bytes_on_file: int


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed segment is on disk for good; the last event of its ticket. `row` is None where nothing had been written."""

    ticket: int
    row: ManifestRow | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The ticket takes no more bytes; what is on file stays. `close` it as usual: `Closed` follows; or a second `Failed`, when
    not even that is possible now, and `Closed` when the disk allows it again. The next start adopts what never was."""

    ticket: int
    message: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """A request to delete was carried out but for `failed_paths`; a path that was gone already counts as deleted."""

    request_id: int
    failed_paths: tuple[str, ...]


WriterEvent = Opened | Written | Closed | Failed | Deleted


class _File:
    """One open segment. The caller's thread reads `failed`; everything else belongs to the writer's."""

    __slots__ = (
        "cached_from", "channel_id", "device_id", "digest", "failed", "idx", "idx_size", "is_announced", "keys", "last_us",
        "lost", "name", "ps", "size", "start_us", "ticket", "writeback_from",
    )  # fmt: skip

    def __init__(self, ticket: int, device_id: str, channel_id: str, start_us: int, *, hashing: bool) -> None:
        self.ticket = ticket
        self.device_id = device_id
        self.channel_id = channel_id
        self.start_us = start_us
        self.name = SegmentName.of(device_id, channel_id, start_us)
        self.ps = self.idx = -1
        self.size = self.idx_size = 0
        self.keys = self.lost = 0
        self.last_us = start_us
        self.digest = hashlib.sha256() if hashing else None
        self.failed = False
        self.is_announced = False  # stands in the event queue already
        self.writeback_from = self.cached_from = 0


class VolumeWriter:
    """Writes the segments of one volume. Every method belongs to one caller's thread and never waits, but `stop`.

    Args:
        writer_name: Of this process on the volume: `ingest-0`; names the folder of its markers.
        stall_bytes: Most that may wait to be written; beyond it `append` refuses.
        sync_s: Seconds between two `syncfs` while anything is written.
        suspect_s: A call in progress for longer makes `suspect_since` say so.
        preallocate_bytes: Reserved on disk for each segment at its start, what is left over is given back; 0: nothing.
        hashing: Whether segments are hashed and chained.
        wake: Called in the writer's thread when events wait and none did before.
    """

    def __init__(
        self,
        volume: Volume,
        *,
        writer_name: str,
        stall_bytes: int,
        sync_s: float,
        suspect_s: float,
        preallocate_bytes: int = 0,
        hashing: bool = True,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self.volume = volume
        self.error = ""
        """What the disk said last, for people; "" after a sync that went well."""
        self._writer_name = writer_name
        self._stall_bytes = stall_bytes
        self._sync_s = sync_s
        self._suspect_s = suspect_s
        self._preallocate_bytes = preallocate_bytes
        self._hashing = hashing
        self._wake = wake
        # Caller's thread only.
        self._tickets = 0
        self._mine: dict[int, _File] = {}
        self._accepted = 0
        self._ended = False
        # Both: each counter and each end of a queue has one writer.
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._events: deque[WriterEvent | _File] = deque()
        self._released = 0
        self._call_since: float | None = None
        # Writer's thread only.
        self._running = True
        self._open: dict[int, _File] = {}
        self._deletions: deque[_Deletion] = deque()
        self._unclosed: dict[int, tuple[_File, EndCause]] = {}
        self._root_fd = -1
        self._device = 0
        self._is_dirty = False
        self._synced_at = 0.0
        self._thread = threading.Thread(target=self._run, name=f"writer {volume.root}", daemon=True)

    # --- caller's thread ---------------------------------------------------------------------------------------------

    @property
    def pending_bytes(self) -> int:
        """Accepted and not on file yet."""
        return self._accepted - self._released

    @property
    def suspect_since(self) -> float | None:
        """Monotonic start of the call that has now lasted longer than `suspect_s`, else None."""
        since = self._call_since
        return since if since is not None and time.monotonic() - since > self._suspect_s else None

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Writes and closes everything that is open, in order, and ends the thread; False when that took too long."""
        if not self._ended:
            self._ended = True
            self._commands.put(self._finish)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def open(self, device_id: str, channel_id: str, start_us: int) -> int:
        """Begins a segment; returns its ticket at once. `Opened` or `Failed` follows."""
        self._tickets += 1
        file = _File(self._tickets, device_id, channel_id, start_us, hashing=self._hashing)
        self._mine[file.ticket] = file
        self._send(partial(self._do_open, file))
        return file.ticket

    def append(self, ticket: int, data: Sequence[bytes], rows: bytes = b"") -> bool:
        """Takes bytes and index rows (`index.pack_rows`); False: the stall pool is full and nothing was taken.

        Neither sequence nor rows may change afterwards. An offset in a row lies before the end of `data`.
        Bytes for a ticket that failed are taken and dropped: its `Failed` is on the way or has been read.
        """
        file = self._file(ticket)
        if file.failed:
            return True
        size = sum(map(len, data)) + len(rows)
        if self._accepted - self._released + size > self._stall_bytes:
            return False
        self._accepted += size
        self._send(partial(self._do_append, file, data, rows, size))
        return True

    def close(self, ticket: int, *, end_us: int, end_cause: EndCause, lost: int, key_frames: int) -> None:
        """Ends a segment. `Closed` follows once it is on disk for good."""
        file = self._file(ticket)
        del self._mine[ticket]
        self._send(partial(self._do_close, file, end_us, end_cause, lost, key_frames))

    def delete(self, request_id: int, paths: Sequence[str]) -> None:
        """Removes closed segments, one between two other commands. `Deleted` follows."""
        self._send(partial(self._do_delete, request_id, tuple(paths)))

    def poll(self) -> list[WriterEvent]:
        """What happened since the last call, in order."""
        out: list[WriterEvent] = []
        events = self._events
        while events:
            event = events.popleft()
            if isinstance(event, _File):
                event.is_announced = False  # before the size is read, so that a later write announces itself again
                event = Written(event.ticket, event.size)
            out.append(event)
        return out

    def _file(self, ticket: int) -> _File:
        try:
            return self._mine[ticket]
        except KeyError:
            raise MisuseError(f"ticket {ticket} is not open") from None

    def _send(self, command: Callable[[], None]) -> None:
        if self._ended:
            raise MisuseError("the writer was stopped")
        self._commands.put(command)

    # --- writer's thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._guard(self._begin)
        while self._running:
            try:
                self._commands.get(timeout=self._patience())()
            except queue.Empty:
                pass
            except Exception as error:  # border: a bug in one command must not end the recording of all channels
                self.error = f"internal error: {error}"
                logger.exception("writer command failed", extra={"volume": str(self.volume.root)})
            self._guard(self._spare_work)
        if self._root_fd >= 0:
            os.close(self._root_fd)

    def _guard(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            self._say(error)
        except Exception as error:  # border, as above
            self.error = f"internal error: {error}"
            logger.exception("writer failed", extra={"volume": str(self.volume.root)})

    def _patience(self) -> float | None:
        if self._deletions:
            return 0.0
        if self._is_dirty or self._unclosed:
            return max(0.0, self._synced_at + self._sync_s - time.monotonic())
        return None

    def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Every call that may wait for the disk goes through here, so that the caller can see it hang."""
        self._call_since = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            self._call_since = None

    def _emit(self, event: WriterEvent | _File) -> None:
        self._events.append(event)
        if self._wake is not None and len(self._events) == 1:
            self._wake()

    def _say(self, error: OSError) -> str:
        what = f"{self.volume.root}: {error.strerror or error}"
        if what != self.error:
            logger.warning("volume failed", extra={"volume": str(self.volume.root), "error": str(error)})
        self.error = what
        return what

    def _begin(self) -> None:
        self._synced_at = time.monotonic()
        self._root_fd = self._call(os.open, self.volume.root, os.O_RDONLY | os.O_DIRECTORY)
        self._device = os.fstat(self._root_fd).st_dev

    def _spare_work(self) -> None:
        now = time.monotonic()
        if (self._is_dirty or self._unclosed) and now >= self._synced_at + self._sync_s:
            self._synced_at = now
            if self._is_dirty:
                self._is_dirty = False
                self._call(posix.sync_volume, self._root_fd, [file.ps for file in self._open.values() if file.ps >= 0])
                self.error = ""
            self._retry_unclosed()
        if self._deletions:
            self._delete_next()

    # --- open --------------------------------------------------------------------------------------------------------

    def _do_open(self, file: _File) -> None:
        self._open[file.ticket] = file
        try:
            if self._root_fd < 0:
                self._begin()
            self._create(file)
            if self._preallocate_bytes:
                self._call(posix.preallocate, file.ps, self._preallocate_bytes)
        except OSError as error:
            self._fail(file, error)
            return
        self._emit(Opened(file.ticket, file.name.path))

    def _create(self, file: _File) -> None:
        content = {"device_id": file.device_id, "channel_id": file.channel_id, "start": file.start_us}
        for name in file.name.following():
            try:
                taken = not self._call(self._try_create, file, name, json.dumps(content).encode())
            except FileNotFoundError:
                self._call(self._make_folders, name)  # the first of a day, or an operator removed the folder
                taken = not self._call(self._try_create, file, name, json.dumps(content).encode())
            if not taken:
                file.name = name
                return
        raise OSError(errno.EEXIST, f"every name of the second from {file.name.path} on is taken")

    def _try_create(self, file: _File, name: SegmentName, content: bytes) -> bool:
        """Whether the files of this name are ours now; closed files of the same name are never touched."""
        if os.stat(self.volume.root).st_dev != self._device:
            raise OSError(errno.ENODEV, "another file system is mounted here now; mount the volume and restart")
        marker = self._marker(name)
        path = self.volume.root / name.path
        try:
            marker_fd = os.open(marker, _FLAGS, 0o644)
        except FileExistsError:
            return False
        try:
            os.write(marker_fd, content)
            file.ps = os.open(f"{path}{PS}{PART}", _FLAGS, 0o644)
        except OSError as error:
            os.unlink(marker)
            if error.errno == errno.EEXIST:
                return False
            raise
        finally:
            os.close(marker_fd)
        # Looked for after the .part is ours: another process' segment of this name is either renamed by now or in our way.
        if os.path.exists(f"{path}{PS}"):
            os.close(file.ps)
            file.ps = -1
            os.unlink(f"{path}{PS}{PART}")
            os.unlink(marker)
            return False
        # A whole .idx without its .ps would be taken for ours after a crash.
        _unlink_if_there(Path(f"{path}{IDX}"))
        file.idx = os.open(f"{path}{IDX}{PART}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        posix.write_all(file.idx, [HEADER])
        file.idx_size = len(HEADER)
        return True

    def _make_folders(self, name: SegmentName) -> None:
        root = self.volume.root
        root.mkdir(parents=True, exist_ok=True)
        if os.stat(root).st_dev == self._device:
            claim(self.volume)
            self._marker(name).parent.mkdir(parents=True, exist_ok=True)
            (root / name.folder).mkdir(parents=True, exist_ok=True)

    def _marker(self, name: SegmentName) -> Path:
        return self.volume.root / OPEN / self._writer_name / name.marker

    # --- append ------------------------------------------------------------------------------------------------------

    def _do_append(self, file: _File, data: Sequence[bytes], rows: bytes, size: int) -> None:
        try:
            if not file.failed:
                self._write(file, data, rows)
        except OSError as error:
            self._fail(file, error)
        finally:
            self._released += size

    def _write(self, file: _File, data: Sequence[bytes], rows: bytes) -> None:
        # One buffer: each call below gives the GIL up and must wait to get it back from the receiving thread.
        buffer = data[0] if len(data) == 1 else b"".join(data)
        if buffer:
            self._call(posix.write_all, file.ps, [buffer])
            self._is_dirty = True
            file.size += len(buffer)
            if file.digest is not None:
                file.digest.update(buffer)
        if rows:
            self._call(posix.write_all, file.idx, [rows])
            file.idx_size += len(rows)
            for row in rows_of(rows):
                file.keys += bool(row.flags & KEY)
                file.lost += row.lost
                file.last_us = max(file.last_us, row.utc_us)
        if file.size - file.writeback_from >= _WRITEBACK_BYTES:
            self._call(posix.start_writeback, file.ps, file.writeback_from, file.size - file.writeback_from)
            # What was started a window ago is on disk by now, or stays in the cache: nobody waits for it.
            self._call(posix.drop_cache, file.ps, file.cached_from, file.writeback_from - file.cached_from)
            file.cached_from, file.writeback_from = file.writeback_from, file.size
        if buffer and not file.is_announced:
            file.is_announced = True
            self._emit(file)

    def _fail(self, file: _File, error: OSError) -> None:
        file.failed = True
        self._emit(Failed(file.ticket, self._say(error)))

    # --- close -------------------------------------------------------------------------------------------------------

    def _do_close(self, file: _File, end_us: int, end_cause: EndCause, lost: int, key_frames: int) -> None:
        self._open.pop(file.ticket, None)
        if file.ps < 0:  # its files could never be made
            self._emit(Closed(file.ticket, None))
            return
        try:
            row = self._close(file, end_us, end_cause, lost, key_frames)
        except OSError as error:
            self._fail(file, error)
            self._unclosed[file.ticket] = (file, end_cause)
        else:
            self._emit(Closed(file.ticket, row))
        finally:
            for fd in (file.ps, file.idx):
                if fd >= 0:
                    os.close(fd)

    def _close(self, file: _File, end_us: int, end_cause: EndCause, lost: int, key_frames: int) -> ManifestRow | None:
        path = f"{self.volume.root}/{file.name.path}"
        if file.size == 0:
            for name in (f"{path}{PS}{PART}", f"{path}{IDX}{PART}"):
                self._call(_unlink_if_there, Path(name))
            self._call(_unlink_if_there, self._marker(file.name))
            return None
        if file.failed or self._preallocate_bytes:
            # Cuts a write that came through in part, and gives back what was reserved and not needed.
            self._call(os.ftruncate, file.ps, file.size)
            self._call(os.ftruncate, file.idx, file.idx_size)
        end = Row(file.size, max(end_us, file.start_us), NO_PTS, END)
        self._call(posix.write_all, file.idx, [pack_rows([end])])
        self._call(os.fsync, file.ps)
        self._call(os.fsync, file.idx)
        self._call(os.rename, f"{path}{IDX}{PART}", f"{path}{IDX}")
        self._call(os.rename, f"{path}{PS}{PART}", f"{path}{PS}")
        self._call(posix.sync_folder, self.volume.root / file.name.folder)
        row = self._call(
            append_row,
            self.volume,
            ManifestRow(
                device_id=file.device_id,
                channel_id=file.channel_id,
                path=file.name.path,
                start=file.start_us,
                end=end.utc_us,
                bytes=file.size,
                end_cause=end_cause,
                sha256=file.digest.hexdigest() if file.digest is not None else "",
                lost=lost,
                key_frames=key_frames,
            ),
        )
        self._call(_unlink_if_there, self._marker(file.name))
        return row

    def _retry_unclosed(self) -> None:
        """Closes from disk what could not be closed before: the disk was full, and deletions have made room."""
        for ticket, (file, end_cause) in list(self._unclosed.items()):
            row = self._call(adopt, self.volume, self._marker(file.name), end_cause=end_cause, hashing=self._hashing)
            del self._unclosed[ticket]
            self._emit(Closed(ticket, row))

    # --- delete ------------------------------------------------------------------------------------------------------

    def _do_delete(self, request_id: int, paths: tuple[str, ...]) -> None:
        self._deletions.append(_Deletion(request_id, deque(paths)))

    def _delete_next(self) -> None:
        """One segment, so that a long list does not hold up the writes."""
        deletion = self._deletions[0]
        if deletion.paths:
            path = deletion.paths.popleft()
            try:
                name = SegmentName.parse(path)
                self._call(_delete, self.volume, name)
                deletion.gone.setdefault(name.folder, []).append(name.path)
            except (Gb28181Error, OSError) as error:
                logger.warning("segment not deleted", extra={"path": path, "error": str(error)})
                deletion.failed.append(path)
            return
        if deletion.gone:
            _, gone = deletion.gone.popitem()
            try:
                self._call(append_tombstones, self.volume, gone, Clock().utc_us())
            except OSError as error:
                self._say(error)
                deletion.failed += gone
            return
        self._deletions.popleft()
        self._emit(Deleted(deletion.request_id, tuple(deletion.failed)))

    # --- the end -----------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        self._running = False
        for file in list(self._open.values()):
            self._do_close(file, file.last_us, "stopped", file.lost, file.keys)
        for deletion in self._deletions:
            gone = [path for paths in deletion.gone.values() for path in paths]
            self._emit(Deleted(deletion.request_id, (*deletion.failed, *deletion.paths, *gone)))
        self._deletions.clear()


@dataclass(slots=True)
class _Deletion:
    """A request under way: paths still to be removed, paths gone by folder, paths that could not be removed."""

    request_id: int
    paths: deque[str]
    gone: dict[str, list[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


def _delete(volume: Volume, name: SegmentName) -> None:
    path = volume.root / name.path
    if os.path.exists(f"{path}{PS}{PART}"):
        raise Invalid("it is being written")
    _unlink_if_there(Path(f"{path}{PS}"))
    _unlink_if_there(Path(f"{path}{IDX}"))


def _unlink_if_there(path: Path) -> None:
    path.unlink(missing_ok=True)
