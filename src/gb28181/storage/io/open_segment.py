"""The files of one segment while it is written.

On disk, in this order: marker, `.ps.part` (exclusively), `.idx.part`; bytes, then the rows that point to them; at the end
`fsync` of both, `.idx` renamed, `.ps` renamed, `fsync` of the folder, manifest row, marker removed. So a `.ps` always has its
whole index, and whatever a crash leaves behind has a marker, by which `recovery` finds it without a scan.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gb28181.messages import EndCause
from gb28181.storage.index import END, HEADER, KEY, NO_PTS, Row, pack_rows, rows_of
from gb28181.storage.io import posix
from gb28181.storage.io.ledger import append_row
from gb28181.storage.io.volume import OPEN, Volume, claim
from gb28181.storage.io.watch import CallWatch
from gb28181.storage.manifest import ManifestRow
from gb28181.storage.segment import IDX, PART, PS, SegmentName
from gb28181.texts.text import say

_WRITEBACK_BYTES: Final = 8 << 20
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND


@dataclass(frozen=True, slots=True)
class Place:
    """Where a writer puts its segments.

    Args:
        device: File system of the volume when it was taken into use (`st_dev`).
        watch: Every call that may wait for the disk goes through it.
    """

    volume: Volume
    writer_name: str
    device: int
    watch: CallWatch

    def marker(self, name: SegmentName) -> Path:
        return self.volume.root / OPEN / self.writer_name / name.marker

    def check(self) -> None:
        """Nothing is written to the folder under a mount point when the volume is gone from it.

        Raises:
            OSError: It is not there, or something else is.
        """
        if os.stat(self.volume.root).st_dev != self.device:
            raise OSError(errno.ENODEV, say("storage.covered"))

    def make_folders(self, name: SegmentName) -> None:
        """The day's folder, and whatever else of the volume an operator removed."""
        self.volume.root.mkdir(parents=True, exist_ok=True)
        self.check()
        claim(self.volume)
        self.marker(name).parent.mkdir(parents=True, exist_ok=True)
        (self.volume.root / name.folder).mkdir(parents=True, exist_ok=True)


class OpenSegment:
    """Creates, writes and closes the files of one segment. Every method may wait for the disk and raises `OSError`.

    Attributes:
        name: Final once `create` has returned.
        size: Bytes of the PS file that are whole appends.
        keys, lost, last_us: Of the rows written: key frames, lost packets, latest time.
    """

    __slots__ = (
        "_cached_from", "_channel_id", "_device_id", "_digest", "_idx", "_idx_size", "_place", "_ps", "_writeback_from",
        "keys", "last_us", "lost", "name", "size", "start_us",
    )  # fmt: skip

    def __init__(self, place: Place, device_id: str, channel_id: str, start_us: int, *, hashing: bool) -> None:
        self.name = SegmentName.of(device_id, channel_id, start_us)
        self.start_us = self.last_us = start_us
        self.size = self.keys = self.lost = 0
        self._place = place
        self._device_id = device_id
        self._channel_id = channel_id
        self._ps = self._idx = -1
        self._idx_size = 0
        self._digest = hashlib.sha256() if hashing else None
        self._writeback_from = self._cached_from = 0

    @property
    def marker(self) -> Path:
        return self._place.marker(self.name)

    @property
    def ps_fd(self) -> int:
        """File descriptor of the PS file, -1 when it is not open."""
        return self._ps

    def create(self, *, reserve_bytes: int) -> None:
        """Makes marker and files under the first free name from the start on.

        Args:
            reserve_bytes: Preallocated on disk; what is left over at the end is given back.
        """
        watch = self._place.watch
        content = {"device_id": self._device_id, "channel_id": self._channel_id, "start": self.start_us}
        for name in self.name.following():
            try:
                is_ours = watch(self._try_create, name, json.dumps(content).encode())
            except FileNotFoundError:
                watch(self._place.make_folders, name)  # the first segment of a day, or an operator removed the folder
                is_ours = watch(self._try_create, name, json.dumps(content).encode())
            if is_ours:
                if reserve_bytes:
                    watch(posix.preallocate, self._ps, reserve_bytes)
                return
        raise OSError(errno.EEXIST, f"every name of the second from {self.name.path} on is taken")

    def write(self, data: Sequence[bytes], rows: bytes) -> int:
        """Appends bytes, then rows; returns the number of bytes. After an error nothing more can be appended."""
        watch = self._place.watch
        if self._digest is not None and len(data) > 1:
            # One buffer: each update gives the GIL up and must wait to get it back from the receiving thread.
            data = (b"".join(data),)
        written = sum(map(len, data))
        if written:
            watch(posix.write_all, self._ps, data)
            self.size += written
            if self._digest is not None:
                self._digest.update(data[0])
        if rows:
            watch(posix.write_all, self._idx, [rows])
            self._idx_size += len(rows)
            for row in rows_of(rows):
                self.keys += bool(row.flags & KEY)
                self.lost += row.lost
                self.last_us = max(self.last_us, row.utc_us)
        if self.size - self._writeback_from >= _WRITEBACK_BYTES:
            watch(posix.start_writeback, self._ps, self._writeback_from, self.size - self._writeback_from)
            # What was started a window ago is on disk by now, or stays in the cache: nobody waits for it.
            watch(posix.drop_cache, self._ps, self._cached_from, self._writeback_from - self._cached_from)
            self._cached_from, self._writeback_from = self._writeback_from, self.size
        return written

    def finish(self, *, end_us: int, end_cause: EndCause, lost: int, key_frames: int, is_torn: bool) -> ManifestRow | None:
        """Closes the segment for good; None when it held no byte and is gone. Leaves the files open: `release` closes them.

        Args:
            is_torn: An append failed in its middle, or space was reserved: both files are cut to what is whole.
        """
        watch = self._place.watch
        path = f"{self._place.volume.root}/{self.name.path}"
        if self.size == 0:
            for file in (Path(f"{path}{PS}{PART}"), Path(f"{path}{IDX}{PART}"), self.marker):
                watch(file.unlink, missing_ok=True)
            return None
        if is_torn:
            watch(os.ftruncate, self._ps, self.size)
            watch(os.ftruncate, self._idx, self._idx_size)
        end_us = max(end_us, self.start_us)
        watch(posix.write_all, self._idx, [pack_rows([Row(self.size, end_us, NO_PTS, END)])])
        watch(os.fsync, self._ps)
        watch(os.fsync, self._idx)
        watch(os.rename, f"{path}{IDX}{PART}", f"{path}{IDX}")
        watch(os.rename, f"{path}{PS}{PART}", f"{path}{PS}")
        watch(posix.sync_folder, self._place.volume.root / self.name.folder)
        row = ManifestRow(
            device_id=self._device_id,
            channel_id=self._channel_id,
            path=self.name.path,
            start=self.start_us,
            end=end_us,
            bytes=self.size,
            end_cause=end_cause,
            sha256=self._digest.hexdigest() if self._digest is not None else "",
            lost=lost,
            key_frames=key_frames,
        )
        row = watch(append_row, self._place.volume, row)
        watch(self.marker.unlink, missing_ok=True)
        return row

    def release(self) -> None:
        """Closes the file descriptors."""
        for fd in (self._ps, self._idx):
            if fd >= 0:
                self._place.watch(os.close, fd)
        self._ps = self._idx = -1

    def _try_create(self, name: SegmentName, content: bytes) -> bool:
        """Whether the files of this name are ours now; closed files of the same name are never touched."""
        self._place.check()
        marker = self._place.marker(name)
        path = f"{self._place.volume.root}/{name.path}"
        try:
            marker_fd = os.open(marker, _NEW, 0o644)
        except FileExistsError:
            return False
        try:
            os.write(marker_fd, content)
            self._ps = os.open(f"{path}{PS}{PART}", _NEW, 0o644)
        except OSError as error:
            os.unlink(marker)
            if error.errno == errno.EEXIST:
                return False
            raise
        finally:
            os.close(marker_fd)
        # Looked for after the .part is ours: another process' segment of this name is either renamed by now or in our way.
        if os.path.exists(f"{path}{PS}"):
            os.close(self._ps)
            self._ps = -1
            os.unlink(f"{path}{PS}{PART}")
            os.unlink(marker)
            return False
        self.name = name
        # A whole .idx without its .ps would be taken for ours after a crash.
        Path(f"{path}{IDX}").unlink(missing_ok=True)
        self._idx = os.open(f"{path}{IDX}{PART}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        posix.write_all(self._idx, [HEADER])
        self._idx_size = len(HEADER)
        return True
