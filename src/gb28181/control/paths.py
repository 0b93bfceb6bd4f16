"""Where things lie in the data folder: one place that every process asks (docs/architecture.md)."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gb28181.errors import StorageError
from gb28181.texts.text import reason_of, say

if TYPE_CHECKING:  # an ingest looks its paths up here and has no use for what `config` loads
    from gb28181.config import Settings

#: sockaddr_un holds 108 bytes on Linux; the longest name below is 16.
_LONGEST_SOCKET_FOLDER: Final = 84


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The data folder and the names inside it."""

    root: Path
    run: Path

    @classmethod
    def at(cls, root: Path) -> DataFolder:
        """Makes the folder where it is missing.

        Raises:
            StorageError: It cannot be made or is not writable.
        """
        root = root.absolute()
        run = root / "run"
        if len(os.fsencode(run)) > _LONGEST_SOCKET_FOLDER:
            # A Unix socket has no room for a long path: a private folder named after it takes the place.
            name = f"gb28181-{os.getuid()}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}"
            run = Path(tempfile.gettempdir()) / name
        try:
            for folder in (root, run, root / "journal"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if run.stat().st_uid != os.getuid():
                raise StorageError(say("start.run_foreign", run=run))
        except OSError as error:
            raise StorageError(
                say("start.data_unusable", root=root, strerror=reason_of(error), filename=error.filename)
            ) from None
        return cls(root, run)

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def control_socket(self) -> Path:
        return self.run / "control.sock"

    @property
    def edge_socket(self) -> Path:
        return self.run / "edge.sock"

    def ingest_socket(self, name: str) -> Path:
        return self.run / f"{name}.sock"

    def pid_file(self, name: str) -> Path:
        return self.run / f"{name}.pid"

    def failure_note(self, part: str) -> Path:
        """Where a part that cannot start leaves its reason for `serve`."""
        return self.run / f"{part}.failed"

    @property
    def deposit(self) -> Path:
        """Files that devices leave with us or fetch from us."""
        return self.root / "deposit"

    def edge_port(self) -> int:
        """The port that the edge has bound; 0 while it has none."""
        try:
            return int(self.pid_file("edge").with_suffix(".port").read_text())
        except (OSError, ValueError):
            return 0

    def volumes(self, settings: Settings) -> list[Path]:
        return [Path(volume).absolute() for volume in settings.recording.volumes] or [self.root / "recordings"]


def ingest_names(settings: Settings) -> list[str]:
    """`ingest-0` …: as many as configured, else one for each core but one."""
    count = settings.media.ingests or max(1, (os.cpu_count() or 2) - 1)
    return [f"ingest-{number}" for number in range(count)]


def port_share(settings: Settings, number: int, count: int) -> range:
    """The media ports of one of `count` ingests: an equal, even-aligned part of the configured range."""
    ports = settings.media.port_range
    each = len(ports) // count
    low = ports.start + number * each
    return range(low + low % 2, low + each)
