"""The one thread that does every open, write, rename and unlink of a volume, so that a slow disk never stops the network.

The caller's methods put commands into an unbounded queue whose bytes are bounded (`stall_bytes`) and never wait; the thread
answers with events. Nothing is shared but counters with one writer each, and two queues. What happens on disk is in
`open_segment`; here is when, and what follows from an error.
"""

from __future__ import annotations

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

from gb28181.clock import Clock
from gb28181.errors import Gb28181Error, Invalid, MisuseError
from gb28181.messages import EndCause
from gb28181.storage.io import posix
from gb28181.storage.io.ledger import append_tombstones
from gb28181.storage.io.open_segment import OpenSegment, Place
from gb28181.storage.io.recovery import adopt
from gb28181.storage.io.volume import Volume
from gb28181.storage.io.watch import CallWatch
from gb28181.storage.manifest import ManifestRow
from gb28181.storage.segment import IDX, PART, PS, SegmentName
from gb28181.texts.text import reason_of, say

logger = logging.getLogger(__name__)


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


@dataclass(slots=True, eq=False)
class _Ticket:
    """One segment from `open` to `Closed`. The caller's thread reads `failed` and sets `accepted_at`; the rest is the writer's.

    Args:
        segment: None before the writer came to it.
        accepted_at, written_at: Monotonic time at which the last bytes, and the last bytes on file, were accepted.
        is_announced: Stands in the event queue, for a `Written`.
    """

    number: int
    device_id: str
    channel_id: str
    start_us: int
    segment: OpenSegment | None = None
    failed: bool = False
    accepted_at: float = 0.0
    written_at: float = 0.0
    size: int = 0
    is_announced: bool = False


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
        """What the disk said last, for people; "" once something was written and synced after it."""
        self._writer_name = writer_name
        self._stall_bytes = stall_bytes
        self._sync_s = sync_s
        self._suspect_s = suspect_s
        self._preallocate_bytes = preallocate_bytes
        self._hashing = hashing
        self._wake = wake
        # Caller's thread only.
        self._tickets = 0
        self._mine: dict[int, _Ticket] = {}
        self._accepted = 0
        self._ended = False
        # Both: each counter and each end of a queue has one writer.
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._events: deque[WriterEvent | _Ticket] = deque()
        self._released = 0
        self._watch = CallWatch()
        # Writer's thread only.
        self._running = True
        self._place: Place | None = None
        self._root_fd = -1
        self._open: dict[int, _Ticket] = {}
        self._deletions: deque[_Deletion] = deque()
        self._unclosed: dict[int, tuple[Path, EndCause]] = {}
        self._is_dirty = False
        self._wrote_since_error = False
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
        since = self._watch.since
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
        ticket = _Ticket(self._tickets, device_id, channel_id, start_us)
        self._mine[ticket.number] = ticket
        self._send(partial(self._do_open, ticket))
        return ticket.number

    def append(self, ticket: int, data: Sequence[bytes], rows: bytes = b"") -> bool:
        """Takes bytes and index rows (`index.pack_rows`); False: the stall pool is full and nothing was taken.

        Neither sequence nor rows may change afterwards. An offset in a row lies before the end of `data`.
        Bytes for a ticket that failed are taken and dropped: its `Failed` is on the way or has been read.
        """
        mine = self._ticket(ticket)
        size = sum(map(len, data)) + len(rows)
        if not mine.failed and self._accepted - self._released + size > self._stall_bytes:
            return False
        mine.accepted_at = time.monotonic()
        if not mine.failed:
            self._accepted += size
            self._send(partial(self._do_append, mine, data, rows, size, mine.accepted_at))
        return True

    def close(self, ticket: int, *, end_us: int, end_cause: EndCause, lost: int, key_frames: int) -> None:
        """Ends a segment; `Closed` follows once it is on disk for good.

        Args:
            end_us: Of the last bytes that were appended, UTC microseconds. Of a ticket that failed, end, losses and key
                frames are those of the bytes that came to be written.
        """
        mine = self._ticket(ticket)
        del self._mine[ticket]
        self._send(partial(self._do_close, mine, end_us, end_cause, lost, key_frames))

    def delete(self, request_id: int, paths: Sequence[str]) -> None:
        """Removes closed segments, one between two other commands. `Deleted` follows."""
        self._send(partial(self._do_delete, request_id, tuple(paths)))

    def poll(self) -> list[WriterEvent]:
        """What happened since the last call, in order."""
        out: list[WriterEvent] = []
        events = self._events
        while events:
            event = events.popleft()
            if isinstance(event, _Ticket):
                event.is_announced = False  # before the size is read, so that a later write announces itself again
                event = Written(event.number, event.size)
            out.append(event)
        return out

    def _ticket(self, ticket: int) -> _Ticket:
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
        self._synced_at = time.monotonic()
        while self._running:
            try:
                self._commands.get(timeout=self._patience())()
            except queue.Empty:
                pass
            except Exception as error:  # border: a bug in one command must not end the recording of all channels
                self.error = say("storage.internal", error=error)
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
            self.error = say("storage.internal", error=error)
            logger.exception("writer failed", extra={"volume": str(self.volume.root)})

    def _patience(self) -> float | None:
        if self._deletions:
            return 0.0
        if self._is_dirty or self._unclosed:
            return max(0.0, self._synced_at + self._sync_s - time.monotonic())
        return None

    def _emit(self, event: WriterEvent | _Ticket) -> None:
        self._events.append(event)
        if self._wake is not None and len(self._events) == 1:
            self._wake()

    def _say(self, error: OSError) -> str:
        what = say("storage.file", path=self.volume.root, fault=reason_of(error))
        if what != self.error:
            logger.warning("volume failed", extra={"volume": str(self.volume.root), "error": str(error)})
        self.error = what
        self._wrote_since_error = False
        return what

    def _begin(self) -> Place:
        if self._place is None:
            self._root_fd = self._watch(os.open, self.volume.root, os.O_RDONLY | os.O_DIRECTORY)
            self._place = Place(self.volume, self._writer_name, os.fstat(self._root_fd).st_dev, self._watch)
        return self._place

    def _spare_work(self) -> None:
        now = time.monotonic()
        if (self._is_dirty or self._unclosed) and now >= self._synced_at + self._sync_s:
            self._synced_at = now
            if self._is_dirty:
                self._is_dirty = False
                files = [ticket.segment.ps_fd for ticket in self._open.values() if ticket.segment and ticket.segment.ps_fd >= 0]
                self._watch(posix.sync_volume, self._root_fd, files)
                if self._wrote_since_error:  # a sync of what was written before says nothing about a disk that is full now
                    self.error = ""
            for number in list(self._unclosed):
                self._guard(partial(self._close_late, number))
        if self._deletions:
            self._delete_next()

    # --- segments ----------------------------------------------------------------------------------------------------

    def _do_open(self, ticket: _Ticket) -> None:
        self._open[ticket.number] = ticket
        try:
            place = self._begin()
            ticket.segment = OpenSegment(place, ticket.device_id, ticket.channel_id, ticket.start_us, hashing=self._hashing)
            ticket.segment.create(reserve_bytes=self._preallocate_bytes)
        except OSError as error:
            self._fail(ticket, error)
            return
        self._emit(Opened(ticket.number, ticket.segment.name.path))

    def _do_append(self, ticket: _Ticket, data: Sequence[bytes], rows: bytes, size: int, accepted_at: float) -> None:
        try:
            if not ticket.failed and ticket.segment is not None:
                written = ticket.segment.write(data, rows)
                ticket.written_at = accepted_at
                self._is_dirty = self._wrote_since_error = True
                ticket.size = ticket.segment.size
                if written and not ticket.is_announced:
                    ticket.is_announced = True
                    self._emit(ticket)
        except OSError as error:
            self._fail(ticket, error)
        finally:
            self._released += size

    def _do_close(self, ticket: _Ticket, end_us: int, end_cause: EndCause, lost: int, key_frames: int) -> None:
        self._open.pop(ticket.number, None)
        segment = ticket.segment
        if segment is None or segment.ps_fd < 0:  # its files could never be made
            self._emit(Closed(ticket.number, None))
            return
        if ticket.failed:
            # The caller counts what it handed over; only what is on file was recorded.
            end_us = max(end_us - int((ticket.accepted_at - ticket.written_at) * 1_000_000), segment.last_us)
            lost, key_frames = segment.lost, segment.keys
        is_torn = ticket.failed or self._preallocate_bytes > 0
        try:
            row = segment.finish(end_us=end_us, end_cause=end_cause, lost=lost, key_frames=key_frames, is_torn=is_torn)
        except OSError as error:
            self._fail(ticket, error)
            self._unclosed[ticket.number] = (segment.marker, end_cause)
        else:
            self._emit(Closed(ticket.number, row))
        segment.release()

    def _fail(self, ticket: _Ticket, error: OSError) -> None:
        ticket.failed = True
        self._emit(Failed(ticket.number, self._say(error)))

    def _close_late(self, number: int) -> None:
        """Closes from disk what could not be closed before: the disk was full, and deletions have made room."""
        marker, end_cause = self._unclosed[number]
        row = self._watch(adopt, self.volume, marker, end_cause=end_cause, hashing=self._hashing)
        del self._unclosed[number]
        self._emit(Closed(number, row))

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
                self._watch(_delete, self.volume, name)
                deletion.gone.setdefault(name.folder, []).append(name.path)
            except (Gb28181Error, OSError) as error:
                logger.warning("segment not deleted", extra={"path": path, "error": str(error)})
                deletion.failed.append(path)
            return
        if deletion.gone:
            _, gone = deletion.gone.popitem()
            try:
                self._watch(append_tombstones, self.volume, gone, Clock().utc_us())
            except OSError as error:
                self._say(error)
                deletion.failed += gone
            return
        self._deletions.popleft()
        self._emit(Deleted(deletion.request_id, tuple(deletion.failed)))

    # --- the end -----------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        self._running = False
        for ticket in list(self._open.values()):
            if (segment := ticket.segment) is not None:
                self._do_close(ticket, segment.last_us, "stopped", segment.lost, segment.keys)
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
    for suffix in (PS, IDX):  # the index last: without its stream it says nothing
        Path(f"{path}{suffix}").unlink(missing_ok=True)
