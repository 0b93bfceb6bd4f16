"""A recording volume: one folder that belongs to one server.

`.gb28181-volume` in its root holds the instance id of its owner; a second server is refused, because two retentions on one
store delete each other's guarantees. The file appears with its content at once, so that ingests may start together.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gb28181.errors import StorageError
from gb28181.texts.text import reason_of, say

OWNER: Final = ".gb28181-volume"
OPEN: Final = ".open"
"""Folder of the markers of open segments, one folder in it a writer."""


@dataclass(frozen=True, slots=True)
class Volume:
    """Root of a volume. A reader makes one of a path; a writer takes it from `open_volume`.

    Args:
        instance: Instance id of the server that owns it, "" for a reader.
    """

    root: Path
    instance: str = ""

    def space(self) -> Space:
        """Size and free bytes now.

        Raises:
            StorageError: The volume does not answer.
        """
        try:
            state = os.statvfs(self.root)
        except OSError as error:
            raise StorageError(say("storage.volume", root=self.root, strerror=reason_of(error))) from None
        return Space(state.f_blocks * state.f_frsize, state.f_bavail * state.f_frsize)


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes of a volume; `free_bytes` is what this process may still use (blocks reserved for root excluded)."""

    total_bytes: int
    free_bytes: int


def open_volume(root: Path | str, instance: str) -> Volume:
    """Takes a volume into use: creates it, claims it, proves that it can be written.

    Args:
        instance: Instance id of this server (`<data>/instance`).

    Raises:
        StorageError: It cannot be created or written, or it belongs to another server; says what to do.
    """
    volume = Volume(Path(os.path.abspath(root)), instance)
    try:
        volume.root.mkdir(parents=True, exist_ok=True)
        owner = claim(volume)
        if owner == instance:
            (volume.root / OPEN).mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(say("storage.unwritable", root=volume.root, why=reason_of(error))) from None
    if owner != instance:
        raise StorageError(
            say("storage.foreign", root=volume.root, owner=owner[:40], instance=instance, path=volume.root / OWNER)
        )
    return volume


def claim(volume: Volume) -> str:
    """Writes the owner file unless there is one; returns the owner. Always writes something, as a proof that it can.

    Raises:
        OSError: As the operating system says.
    """
    owner = volume.root / OWNER
    fd, attempt = tempfile.mkstemp(prefix=f"{OWNER}.", dir=volume.root)
    try:
        try:
            os.write(fd, f"{volume.instance}\n".encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        try:
            os.link(attempt, owner)
        except FileExistsError:
            pass
        except OSError:
            if not owner.exists():  # a file system without hard links
                os.rename(attempt, owner)
        return owner.read_text(encoding="utf-8", errors="replace").strip()
    finally:
        Path(attempt).unlink(missing_ok=True)
