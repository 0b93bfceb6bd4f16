"""Carries out what control orders, and collects what control is to hear.

Every order may come twice: the second time changes nothing and gets the same answer.
"""

from __future__ import annotations

import logging
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gb28181.errors import Unavailable
from gb28181.ingest.journal import Journal
from gb28181.ingest.known_volumes import KnownVolumes
from gb28181.ingest.receive import Receiver
from gb28181.ingest.recorder import Recorder
from gb28181.ingest.stream import Moment, Stream
from gb28181.ingest.volumes import Slot, Strays, Volumes
from gb28181.ingest_start import IngestStart
from gb28181.messages import (
    Acknowledge,
    CloseReceiver,
    ConfirmReceiver,
    DeleteSegments,
    Done,
    EndCause,
    Failed,
    Message,
    OpenReceiver,
    Progress,
    ReceiverOpened,
    SegmentClosed,
    SetRecording,
    Snapshot,
    SnapshotRequest,
    Statistics,
    Stop,
    StreamEnded,
)
from gb28181.storage.manifest import ManifestRow

logger = logging.getLogger(__name__)

_MOST_EVENTS: Final = 100_000
_CLOSE_PATIENCE_S: Final = 20.0
_PAGE: Final = resource.getpagesize()


@dataclass(slots=True)
class Lateness:
    """How punctual the loop is."""

    ticks: int = 0
    worst_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class _Closing:
    """A receiver was closed; its segment is not on disk yet."""

    request_id: int
    stream_id: str
    until: float


class Ingest:
    """See the module. `events` is emptied by the loop."""

    def __init__(
        self,
        start: IngestStart,
        *,
        name: str,
        known: KnownVolumes,
        strays: Strays,
        journal: Journal,
        moment: Moment,
        lateness: Lateness,
    ) -> None:
        self._start = start
        self._moment = moment
        self._lateness = lateness
        self._journal = journal
        self._resident_bytes = ResidentMemory()
        self._closing: list[_Closing] = []
        self._unattached_since: float | None = moment.now
        self.events: list[Message] = []
        self.stop_request: Stop | None = None
        self.receiver = Receiver(start.receiving, range(*start.ports), moment, self._progress)
        self.volumes = Volumes(
            [
                Slot(
                    Path(root),
                    name=name,
                    instance=start.instance,
                    settings=start.writing,
                    known=known,
                    strays=strays,
                    closed=self._segment_closed,
                    deleted=self._deleted,
                )
                for root in start.volumes
            ]
        )
        self._orders: dict[type, Callable[[Any], list[Message]]] = {
            SnapshotRequest: self._snapshot,
            OpenReceiver: self._open,
            ConfirmReceiver: lambda order: [],  # hints: a port of its own names its stream without them
            SetRecording: self._set_recording,
            CloseReceiver: self._close,
            DeleteSegments: self._delete,
            Acknowledge: self._acknowledge,
            Stop: self._stop,
        }

    # --- what the server calls ---------------------------------------------------------------------------------------

    def order(self, message: Message) -> list[Message]:
        carry_out = self._orders.get(type(message))
        return carry_out(message) if carry_out else []

    def attached(self, is_attached: bool) -> None:
        self._unattached_since = None if is_attached else self._moment.now
        if is_attached:
            self.events.clear()  # they happened before this control came: the snapshot and the journal tell them

    def find(self, device_id: str, channel_id: str) -> Stream | None:
        return self.receiver.of_channel(device_id, channel_id)

    def watchers_changed(self, stream: Stream) -> None:
        self.receiver.sort(stream)

    # --- what the loop calls -----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Now and then: deadlines."""
        now = self._moment.now
        self.receiver.check()
        if self._unattached_since is not None:
            self._close_unused(now)
        for closing in tuple(self._closing):
            self._finish_closing(closing, now)

    @property
    def is_orphaned(self) -> bool:
        """Whether no control has come for so long that nobody will."""
        since = self._unattached_since
        return since is not None and self._moment.now - since >= self._start.receiving.orphan_s

    def statistics(self) -> Statistics:
        """All but the streams."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        worst, self._lateness.worst_ms = self._lateness.worst_ms, 0.0
        return Statistics(
            at=self._moment.utc_us,
            tick_late=self._lateness.ticks,
            tick_late_max_ms=round(worst, 1),
            cpu_s=round(usage.ru_utime + usage.ru_stime, 3),
            rss_bytes=self._resident_bytes(),
            ports_free=self.receiver.ports_free,
            volumes=self.volumes.states(),
            streams=(),
        )

    def shut_down(self, cause: EndCause, timeout_s: float) -> None:
        """Closes every stream and every segment."""
        for stream in self.receiver.streams:
            self.receiver.close(stream.stream_id, cause)
        deadline = time.monotonic() + timeout_s
        for slot in self.volumes.slots:
            if not slot.stop(max(0.1, deadline - time.monotonic())):
                logger.error(
                    "volume did not finish, its open segments are adopted at the next start", extra={"volume": slot.root}
                )
        for closing in tuple(self._closing):
            self._finish_closing(closing, closing.until)

    # --- orders ------------------------------------------------------------------------------------------------------

    def _snapshot(self, order: SnapshotRequest) -> list[Message]:
        return [Snapshot(order.request_id, tuple(stream.state() for stream in self.receiver.streams))]

    def _open(self, order: OpenReceiver) -> list[Message]:
        try:
            port = self.receiver.open(order)
        except Unavailable as error:
            return [Failed(order.request_id, "unavailable", str(error))]
        return [ReceiverOpened(order.request_id, order.stream_id, port)]

    def _set_recording(self, order: SetRecording) -> list[Message]:
        stream = self.receiver.stream(order.stream_id)
        if stream is None or (stream.recorder is not None) == order.recording:
            return []
        if not order.recording:
            stream.record(None)
            return []
        stream.record(
            Recorder(
                stream.stream_id,
                stream.device_id,
                stream.channel_id,
                volumes=self.volumes,
                settings=self._start.writing,
                began=stream.began_recording,
            )
        )
        return []

    def _close(self, order: CloseReceiver) -> list[Message]:
        self.receiver.close(order.stream_id, order.cause)
        closing = _Closing(order.request_id, order.stream_id, self._moment.now + _CLOSE_PATIENCE_S)
        if not self._is_writing(order.stream_id):
            return [Done(order.request_id)]
        self._closing.append(closing)
        return []

    def _delete(self, order: DeleteSegments) -> list[Message]:
        slot = self.volumes.named(order.volume)
        if slot is None or not slot.delete(order.request_id, order.paths):
            why = slot.error if slot is not None else "this ingest has no such volume"
            return [Failed(order.request_id, "unavailable", f"volume {order.volume}: {why}")]
        return []

    def _acknowledge(self, order: Acknowledge) -> list[Message]:
        self._journal.acknowledge(order.seq)
        return []

    def _stop(self, order: Stop) -> list[Message]:
        self.stop_request = order
        return []

    # --- inside ------------------------------------------------------------------------------------------------------

    def _progress(self, event: Progress) -> None:
        if self._unattached_since is None and len(self.events) < _MOST_EVENTS:
            self.events.append(event)

    def _segment_closed(self, stream_id: str, root: str, row: ManifestRow) -> None:
        self._journal.append(
            SegmentClosed(
                seq=0,
                stream_id=stream_id,
                device_id=row.device_id,
                channel_id=row.channel_id,
                volume=root,
                path=row.path,
                start=row.start,
                end=row.end,
                bytes=row.bytes,
                sha256=row.sha256,
                chain=row.chain,
                end_cause=row.end_cause,
                lost=row.lost,
                key_frames=row.key_frames,
                adopted=row.adopted,
            )
        )

    def _deleted(self, request_id: int, failed: tuple[str, ...]) -> None:
        self.events.append(Done(request_id, failed))

    def _is_writing(self, stream_id: str) -> bool:
        return any(slot.is_writing_for(stream_id) for slot in self.volumes.slots)

    def _finish_closing(self, closing: _Closing, now: float) -> None:
        if self._is_writing(closing.stream_id) and now < closing.until:
            return
        self._closing.remove(closing)
        failed = (closing.stream_id,) if self._is_writing(closing.stream_id) else ()
        self.events.append(Done(closing.request_id, failed))

    def _close_unused(self, now: float) -> None:
        """Receivers for which no medium came and nobody waits any more."""
        for stream in self.receiver.streams:
            if not stream.last_heard and now - stream.opened >= stream.deadline_s:
                self.receiver.close(stream.stream_id, "closed")
                self.events.append(StreamEnded(stream.stream_id, self._moment.utc_us, "deadline"))


class ResidentMemory:
    """Memory of this process that is in RAM. Its file stays open: figures must not fail where open files have run out."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def __call__(self) -> int:
        """Bytes."""
        return int(os.pread(self._statm, 256, 0).split()[1]) * _PAGE
