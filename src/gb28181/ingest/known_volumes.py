"""Which volumes had a disk of their own: `<data>/volumes.json`. While it is not mounted, the system's disk must not be filled.

A folder under a mount point looks like any other when nothing is mounted there; only the memory of how it was tells them apart.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from pathlib import Path
from typing import Any, Final

from gb28181.errors import StorageError
from gb28181.storage.io.volume import OWNER
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

_OWN_DISK: Final = "own_disk"


class KnownVolumes:
    """The file is shared by all ingests of a data folder. Any thread; every call may wait for the disk.

    Args:
        data: The data folder.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._path = data / "volumes.json"

    def check(self, root: Path) -> None:
        """Before a volume is created or claimed.

        Raises:
            StorageError: It had a disk of its own and now lies, empty, on that of the system or of the data folder.
            OSError: The disk failed.
        """
        had_own_disk = self._read().get(str(root)) == _OWN_DISK
        if had_own_disk and not (root / OWNER).exists() and not self._has_own_disk(root):
            raise StorageError(say("storage.not_mounted", root=root, path=self._path))

    def remember(self, root: Path) -> None:
        """Once it is in use.

        Raises:
            OSError: The disk failed.
        """
        if not self._has_own_disk(root) or self._read().get(str(root)) == _OWN_DISK:
            return
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # every volume of every ingest comes here at the first start
            known = _parsed(file.read())
            known[str(root)] = _OWN_DISK
            file.seek(0)
            file.write(json.dumps(known, indent=1) + "\n")
            file.truncate()
            file.flush()
            os.fsync(file.fileno())

    def _read(self) -> dict[str, Any]:
        try:
            return _parsed(self._path.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            return {}

    def _has_own_disk(self, root: Path) -> bool:
        while not root.exists() and root != root.parent:
            root = root.parent
        return root.stat().st_dev not in (Path("/").stat().st_dev, self._data.stat().st_dev)


def _parsed(text: str) -> dict[str, Any]:
    try:
        known = json.loads(text or "{}")
    except ValueError:
        known = None
    if not isinstance(known, dict):
        logger.warning("volumes.json is damaged: what it knew of mounted disks is forgotten")
        return {}
    return known
