"""The one thread that does every open, write, rename and unlink of a volume, so that a slow disk never stops the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gb28181.storage.io.volume import Volume
from gb28181.storage.manifest import EndCause, ManifestRow


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
    """The ticket takes no more bytes; what is on file stays. `close` it as usual: `Closed` follows, or a second `Failed`
    when not even that is possible and the next start will adopt it."""

    ticket: int
    message: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """A request to delete was carried out but for `failed_paths`; a path that was gone already counts as deleted."""

    request_id: int
    failed_paths: tuple[str, ...]


WriterEvent = Opened | Written | Closed | Failed | Deleted


class VolumeWriter:
    """Writes the segments of one volume. Every method belongs to one caller's thread and never waits, but `stop`.

    Args:
        writer_name: Of this process on the volume: `ingest-0`; names the folder of its markers.
        stall_bytes: Most that may wait to be written; beyond it `append` refuses.
        sync_s: Seconds between two `syncfs` while anything is written.
        suspect_s: A call in progress for longer makes `suspect_since` say so.
        preallocate_bytes: Reserved on disk for each segment at its start, what is left over is given back; 0: nothing.
        hashing: Whether segments are hashed and chained.
        wake: Called in the writer's thread when events wait that did not before.
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
        raise NotImplementedError

    @property
    def pending_bytes(self) -> int:
        """Accepted and not on file yet."""
        raise NotImplementedError

    @property
    def suspect_since(self) -> float | None:
        """Monotonic start of the call that has now lasted longer than `suspect_s`, else None."""
        raise NotImplementedError

    def start(self) -> None:
        raise NotImplementedError

    def stop(self, timeout_s: float) -> bool:
        """Writes and closes everything that is open, in order, and ends the thread; False when that took too long."""
        raise NotImplementedError

    def open(self, device_id: str, channel_id: str, start_us: int) -> int:
        """Begins a segment; returns its ticket at once. `Opened` or `Failed` follows."""
        raise NotImplementedError

    def append(self, ticket: int, data: Sequence[bytes], rows: bytes = b"") -> bool:
        """Takes bytes and index rows (`index.pack_rows`); False: the stall pool is full and nothing was taken."""
        raise NotImplementedError

    def close(self, ticket: int, *, end_us: int, end_cause: EndCause, lost: int, key_frames: int) -> None:
        """Ends a segment. `Closed` follows once it is on disk for good."""
        raise NotImplementedError

    def delete(self, request_id: int, paths: Sequence[str]) -> None:
        """Removes closed segments, between writes. `Deleted` follows."""
        raise NotImplementedError

    def poll(self) -> list[WriterEvent]:
        """What happened since the last call, in order."""
        raise NotImplementedError
