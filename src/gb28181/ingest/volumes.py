"""Recording volumes of this ingest: a writer thread each, their health, and which one a channel records to.

An attendant thread per volume does what may hang before and beside the writer: it opens the volume, adopts what a crash left
there, and asks for its free space. The receiving thread only reads what it found.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from gb28181.errors import StorageError
from gb28181.ingest.known_volumes import KnownVolumes
from gb28181.ingest_start import Writing
from gb28181.messages import EndCause, VolumeState
from gb28181.storage.io.recovery import leftover, recover
from gb28181.storage.io.volume import OPEN, Space, Volume, open_volume
from gb28181.storage.io.writer import Closed, Deleted, Failed, Opened, VolumeWriter, Written
from gb28181.storage.manifest import ManifestRow
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

_REST_AFTER_FAILURE_S: Final = 30.0
_ASK_EVERY_S: Final = 5.0
_NOT_OPENED: Final = say("storage.not_yet")


class TicketOwner(Protocol):
    """Who opened a segment and hears of it."""

    def opened(self, ticket: int, path: str) -> None: ...

    def written(self, ticket: int, bytes_on_file: int) -> None: ...

    def failed(self, ticket: int, message: str) -> None: ...


class Strays:
    """Writers that left markers on a volume and are not configured any more: there are fewer ingests than before.

    Args:
        writers: Names of all ingests of this server; empty: another one cares for the strays.
        run: Folder with the sockets of ingests. One that still listens is finishing, its segments are its own.
    """

    def __init__(self, writers: Sequence[str], run: Path) -> None:
        self._writers = frozenset(writers)
        self._run = run

    def on(self, volume: Volume) -> list[str]:
        """Their names.

        Raises:
            OSError: The volume cannot be read.
        """
        if not self._writers:
            return []
        found = sorted(set(os.listdir(volume.root / OPEN)) - self._writers)
        return [writer for writer in found if not self._is_listening(writer)]

    def _is_listening(self, writer: str) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self._run / f"{writer}.sock"))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            except OSError:
                return True
        return True


class Slot:
    """One volume.

    Args:
        known: Refuses a volume whose disk is not mounted.
        strays: Whose leftovers are adopted besides our own.
        closed: Called in the receiving thread for each segment that is on disk for good, with the stream id that wrote it
            ("" for one adopted after a crash).
        deleted: Called for each finished request to delete: its id and the paths that could not be removed.
    """

    def __init__(
        self,
        root: Path,
        *,
        name: str,
        instance: str,
        settings: Writing,
        known: KnownVolumes,
        strays: Strays,
        closed: Callable[[str, str, ManifestRow], None],
        deleted: Callable[[int, tuple[str, ...]], None],
    ) -> None:
        self.root = str(root)
        self.error: str = _NOT_OPENED
        self.space = Space(0, 0)
        self._settings = settings
        self._name = name
        self._instance = instance
        self._known = known
        self._strays = strays
        self._seen_strays: set[str] = set()
        self._closed = closed
        self._deleted = deleted
        self._owners: dict[int, TicketOwner] = {}
        self._streams: dict[int, str] = {}
        self._rests_until = 0.0
        self._is_away = False
        self._writer: VolumeWriter | None = None
        self._adopted: queue.SimpleQueue[ManifestRow] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[Volume] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._attendant = threading.Thread(target=self._attend, name=f"attendant {root}", daemon=True)

    def start(self) -> None:
        self._attendant.start()

    # --- receiving thread --------------------------------------------------------------------------------------------

    @property
    def is_settled(self) -> bool:
        """Whether it is in use, or its fault is known."""
        return self.error != _NOT_OPENED

    @property
    def pending_bytes(self) -> int:
        return self._writer.pending_bytes if self._writer else 0

    @property
    def is_suspect(self) -> bool:
        return self._writer is not None and self._writer.suspect_since is not None

    def is_healthy(self, now: float) -> bool:
        """Whether a segment may be opened here or go on here."""
        return self._writer is not None and not self.error and not self.is_suspect and now >= self._rests_until

    def open(self, stream_id: str, device_id: str, channel_id: str, start_us: int, owner: TicketOwner) -> int:
        assert self._writer is not None
        ticket = self._writer.open(device_id, channel_id, start_us)
        self._owners[ticket] = owner
        self._streams[ticket] = stream_id
        return ticket

    def append(self, ticket: int, data: Sequence[bytes], rows: bytes) -> bool:
        assert self._writer is not None
        return self._writer.append(ticket, data, rows)

    def close(self, ticket: int, *, end_us: int, cause: EndCause, lost: int, key_frames: int) -> None:
        assert self._writer is not None
        self._owners.pop(ticket, None)
        self._writer.close(ticket, end_us=end_us, end_cause=cause, lost=lost, key_frames=key_frames)

    def is_writing_for(self, stream_id: str) -> bool:
        """Whether a segment of this stream is open or being closed."""
        return stream_id in self._streams.values()

    def delete(self, request_id: int, paths: Sequence[str]) -> bool:
        """False: the volume is not in use (yet)."""
        if self._writer is None:
            return False
        self._writer.delete(request_id, paths)
        return True

    def poll(self, now: float) -> None:
        """Starts the writer once the volume is open; passes on what writer and attendant have to say."""
        if self._writer is None:
            self._take_into_use()
        else:
            self._hear_writer(self._writer, now)
        while not self._adopted.empty():
            self._closed("", self.root, self._adopted.get())

    def stop(self, timeout_s: float) -> bool:
        """Everything that is open is closed; the last events are passed on. False when it took too long."""
        self._stopping.set()
        if self._writer is None:
            return True
        in_time = self._writer.stop(timeout_s)
        self._hear_writer(self._writer, 0.0)
        return in_time

    def state(self) -> VolumeState:
        error = self.error or (self._writer.error if self._writer else "")
        return VolumeState(self.root, self.space.total_bytes, self.space.free_bytes, self.pending_bytes, self.is_suspect, error)

    def _take_into_use(self) -> None:
        if self._ready.empty():
            return
        settings = self._settings
        self._writer = VolumeWriter(
            self._ready.get(),
            writer_name=self._name,
            stall_bytes=settings.stall_pool_mib << 20,
            sync_s=settings.sync_seconds,
            suspect_s=settings.suspect_seconds,
            hashing=settings.hash != "none",
        )
        self._writer.start()
        self.error = ""

    def _hear_writer(self, writer: VolumeWriter, now: float) -> None:
        for event in writer.poll():
            if isinstance(event, Written):
                if owner := self._owners.get(event.ticket):
                    owner.written(event.ticket, event.bytes_on_file)
            elif isinstance(event, Opened):
                if owner := self._owners.get(event.ticket):
                    owner.opened(event.ticket, event.path)
            elif isinstance(event, Closed):
                stream_id = self._streams.pop(event.ticket, "")
                if event.row is not None:
                    self._closed(stream_id, self.root, event.row)
            elif isinstance(event, Failed):
                self._rests_until = now + _REST_AFTER_FAILURE_S
                logger.error("volume refused a segment", extra={"volume": self.root, "error": event.message})
                if owner := self._owners.get(event.ticket):
                    owner.failed(event.ticket, event.message)
            elif isinstance(event, Deleted):
                self._deleted(event.request_id, event.failed_paths)

    # --- attendant thread --------------------------------------------------------------------------------------------

    def _attend(self) -> None:
        volume: Volume | None = None
        disk = 0
        while not self._stopping.is_set():
            try:
                if volume is None:
                    volume = self._open_and_adopt()
                    disk = os.stat(volume.root).st_dev
                self._look_after(volume, disk)
                self._adopt_strays(volume)
            except (StorageError, OSError) as error:
                if volume is None and str(error) != self.error:
                    self.error = str(error)
                    logger.error("recording volume cannot be used", extra={"volume": self.root, "error": str(error)})
            self._stopping.wait(_ASK_EVERY_S)

    def _look_after(self, volume: Volume, disk: int) -> None:
        """A volume in use whose disk was taken away is none, however well its open files can still be written.

        Raises:
            StorageError, OSError: It is not there.
        """
        try:
            space = volume.space()
            if os.stat(volume.root).st_dev != disk:
                raise StorageError(say("storage.away", root=volume.root))
        except (StorageError, OSError) as error:
            if not self._is_away:
                logger.error("recording volume is gone", extra={"volume": self.root, "error": str(error)})
            self._is_away = True
            self.error = str(error)
            raise
        self.space = space
        if self._is_away:
            self._is_away = False
            self.error = ""
            logger.warning("recording volume is back", extra={"volume": self.root})

    def _open_and_adopt(self) -> Volume:
        self._known.check(Path(self.root))
        volume = open_volume(Path(self.root), self._instance)
        self._known.remember(volume.root)
        markers = leftover(volume, self._name)
        self.space = volume.space()
        self._ready.put(volume)
        self._adopt(volume, self._name, markers)
        return volume

    def _adopt(self, volume: Volume, writer: str, markers: Sequence[str]) -> None:
        for marker in markers:  # one by one: hashing hours of video takes its time, each is reported as it is done
            for row in recover(volume, writer, markers=[marker], hashing=self._settings.hash != "none"):
                self._adopted.put(row)

    def _adopt_strays(self, volume: Volume) -> None:
        for writer in self._strays.on(volume):
            if writer in self._seen_strays:
                continue
            self._seen_strays.add(writer)
            self._adopt(volume, writer, leftover(volume, writer))
            with contextlib.suppress(OSError):  # a marker that could not be adopted stays for the next start
                (volume.root / OPEN / writer).rmdir()


class Volumes:
    """All volumes, and the choice among them."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots = tuple(slots)

    def named(self, root: str) -> Slot | None:
        return next((slot for slot in self.slots if slot.root == root), None)

    def choose(self, device_id: str, channel_id: str, now: float) -> Slot | None:
        """The volume of a channel: always the same one while the same volumes are healthy and have room.

        A volume with less than half the free space of the emptiest is left out, until retention has made room there.
        """
        healthy = [slot for slot in self.slots if slot.is_healthy(now)]
        most = max((slot.space.free_bytes for slot in healthy), default=0)
        roomy = [slot for slot in healthy if slot.space.free_bytes * 2 >= most]
        # Rendezvous hashing: when a volume leaves or returns, only its own channels move.
        return max(roomy, key=lambda slot: _weight(slot.root, device_id, channel_id), default=None)

    def start(self, patience_s: float) -> None:
        """Waits until each volume can be written or has said why not, at most `patience_s`: one that hangs comes later."""
        for slot in self.slots:
            slot.start()
        deadline = time.monotonic() + patience_s
        for slot in self.slots:
            while not slot.is_settled and time.monotonic() < deadline:
                time.sleep(0.005)
                slot.poll(time.monotonic())

    def poll(self, now: float) -> None:
        for slot in self.slots:
            slot.poll(now)

    def states(self) -> tuple[VolumeState, ...]:
        return tuple(slot.state() for slot in self.slots)


def _weight(root: str, device_id: str, channel_id: str) -> bytes:
    return hashlib.sha256(f"{root}\n{device_id}\n{channel_id}".encode()).digest()
