"""Writes one stream to segments: which piece goes to which file, and when a file ends.

A segment begins with a key frame and ends before the first key frame after `segment_seconds`, at the latest after
`segment_max_seconds`. Bytes are handed to the volume's writer as they came, in portions of `write_bytes` or `write_seconds`.
Invariant: the bytes of a segment are consecutive in the stream, `base` + offset in the file = offset in the stream.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from gb28181.ingest.volumes import Slot, Volumes
from gb28181.ingest_start import Writing
from gb28181.media.keyframe import Piece
from gb28181.messages import EndCause
from gb28181.storage.index import DISCONTINUITY, KEY, LOSS, NO_PTS, Row, pack_rows
from gb28181.storage.segment import PART, PS
from gb28181.texts.text import say, together

logger = logging.getLogger(__name__)

_CLOCK_SET_US: Final = 2_000_000
"""Wall time and monotonic time that differ by more since the start of a segment: somebody set the clock."""


@dataclass(slots=True)
class _Portion:
    """Chunks that were handed to the writer together and may not be on file yet.

    Args:
        begin, end: Stream offsets of the first byte and behind the last one; `first_at`, `last_at`: arrival of the first chunk
            and of the last.
    """

    chunks: list[bytes]
    begin: int
    end: int
    first_at: int
    last_at: int

    def pieces_from(self, offset: int) -> Iterator[Piece]:
        """The chunks behind a stream offset. Their times lie evenly in between: chunks come with the ticks."""
        begin, steps = self.begin, max(1, len(self.chunks) - 1)
        for place, chunk in enumerate(self.chunks):
            end = begin + len(chunk)
            if end > offset:
                at = self.first_at + (self.last_at - self.first_at) * place // steps
                yield Piece(chunk[max(0, offset - begin) :], max(begin, offset), at)
            begin = end


@dataclass(slots=True)
class OpenSegment:
    """The segment being written.

    Args:
        base: Stream offset of its first byte.
        started: Monotonic seconds; durations are measured by it, whatever the wall clock does.
        key_at: Stream offset of its last key frame, of its first byte where it has none (after a hard cut).
        handed: Bytes handed to the writer.
        pending: Bytes not handed to the writer yet; `accepted_us`: arrival of the last that were.
        unconfirmed: Portions that may not be on file yet, for those who join.
        write_s: Longest time that bytes are pending; `full_at`: monotonic time of the hard cut.
        due: Monotonic time of whichever of the two comes first.
    """

    slot: Slot
    ticket: int
    base: int
    start_us: int
    started: float
    write_s: float
    full_at: float
    end_us: int
    path: str = ""
    key_at: int = 0
    key_frames: int = 0
    lost: int = 0
    handed: int = 0
    pending: list[bytes] = field(default_factory=list)
    pending_bytes: int = 0
    pending_since: float = 0.0
    pending_us: int = 0
    accepted_us: int = 0
    due: float = math.inf
    rows: list[Row] = field(default_factory=list)
    unconfirmed: deque[_Portion] = field(default_factory=deque)

    @property
    def size(self) -> int:
        return self.handed + self.pending_bytes

    def by_its_start(self, now: float) -> int:
        """The time by the clock as it was when the segment began, UTC microseconds."""
        return self.start_us + int((now - self.started) * 1_000_000)

    def add(self, piece: Piece, now: float) -> None:
        if piece.is_key or piece.lost or piece.broken:
            flags = (KEY if piece.is_key else 0) | (LOSS if piece.lost else 0) | (DISCONTINUITY if piece.broken else 0)
            offset = piece.offset - self.base
            self.rows.append(Row(offset, piece.at, NO_PTS if piece.pts is None else piece.pts, flags, piece.lost))
            self.lost += piece.lost
            if piece.is_key:
                self.key_frames += 1
                self.key_at = piece.offset
        if not self.pending:
            self.begin_portion(now, piece.at)
        self.pending.append(piece.data)
        self.pending_bytes += len(piece.data)
        self.end_us = max(self.end_us, piece.at)

    def begin_portion(self, now: float, at: int) -> None:
        self.pending_since = now
        self.pending_us = at
        self.due = min(now + self.write_s, self.full_at)

    def accepted(self) -> None:
        """The writer took what was pending."""
        begin = self.base + self.handed
        self.handed += self.pending_bytes
        self.unconfirmed.append(_Portion(self.pending, begin, self.base + self.handed, self.pending_us, self.end_us))
        self.accepted_us = self.end_us
        self.pending = []
        self.pending_bytes = 0
        self.rows = []

    def confirm(self, bytes_on_file: int) -> None:
        limit = self.base + bytes_on_file
        while self.unconfirmed and self.unconfirmed[0].end <= limit:
            self.unconfirmed.popleft()

    def since_key(self) -> tuple[str, int, int, list[Piece]]:
        """The bytes since the last key frame: file with the range to read there, and the pieces that follow it."""
        begin = self.base + self.handed
        portions = [*self.unconfirmed, _Portion(self.pending, begin, begin + self.pending_bytes, self.pending_us, self.end_us)]
        pieces = [piece for portion in portions for piece in portion.pieces_from(self.key_at)]
        until = pieces[0].offset if pieces else begin
        if until <= self.key_at or not self.path:
            return "", 0, 0, pieces
        return f"{self.slot.root}/{self.path}{PS}{PART}", self.key_at - self.base, until - self.base, pieces


class Recorder:
    """Records one stream while it exists.

    Args:
        began: Called when a segment is opened.
    """

    def __init__(
        self,
        stream_id: str,
        device_id: str,
        channel_id: str,
        *,
        volumes: Volumes,
        settings: Writing,
        began: Callable[[str], None],
    ) -> None:
        self._stream_id = stream_id
        self._device_id = device_id
        self._channel_id = channel_id
        self._volumes = volumes
        self._settings = settings
        self._write_bytes = settings.write_bytes
        self._began = began
        self.segment: OpenSegment | None = None
        self.note = ""

    def add(self, piece: Piece, now: float) -> bool:
        """Takes the next piece; returns whether it is recorded."""
        segment = self.segment
        if piece.is_key:
            segment = self._at_key_frame(segment, piece, now)
        elif segment is not None and now >= segment.full_at:
            self.close("rotated", now)
            segment = self._open(piece, now)
        if segment is None:
            return False
        segment.add(piece, now)
        if segment.pending_bytes >= self._settings.write_bytes or now - segment.pending_since >= self._settings.write_seconds:
            self.flush(now)
        return self.segment is not None

    def extend(self, data: bytes, now: float, at: int) -> bool:
        """Takes bytes that follow what is pending and are nothing special, as `add` would; False: it must be `add`."""
        segment = self.segment
        if segment is None or now >= segment.due:
            return False
        if not segment.pending:
            segment.begin_portion(now, at)
        segment.pending.append(data)
        segment.pending_bytes += len(data)
        if at > segment.end_us:
            segment.end_us = at
        if segment.pending_bytes >= self._write_bytes:
            self.flush(now)
        return True

    def flush_if_due(self, now: float) -> None:
        """For streams that pause: nothing waits longer than `write_seconds`."""
        segment = self.segment
        if segment is not None and segment.pending and now - segment.pending_since >= self._settings.write_seconds:
            self.flush(now)

    def flush(self, now: float) -> None:
        """Hands what is pending to the writer; a full stall pool ends the segment instead, with what it took before."""
        segment = self.segment
        if segment is None or not segment.pending:
            return
        if not segment.slot.append(segment.ticket, segment.pending, pack_rows(segment.rows)):
            self.note = say("stream.volume_slow", volume=segment.slot.root)
            logger.warning("stall pool full", extra={"stream_id": self._stream_id, "volume": segment.slot.root})
            self._drop_pending(segment)
            self._end(segment, "stalled")
            return
        segment.accepted()

    def close(self, cause: EndCause, now: float) -> None:
        """Ends the segment; the next key frame may begin another."""
        self.flush(now)
        segment = self.segment
        if segment is not None:
            # A clock that was set meanwhile must not make a segment of minutes cover hours.
            segment.end_us = min(segment.end_us, segment.by_its_start(now) + _CLOCK_SET_US)
            self._end(segment, cause)

    # --- what the writer says ----------------------------------------------------------------------------------------

    def opened(self, ticket: int, path: str) -> None:
        if self.segment is not None and self.segment.ticket == ticket:
            self.segment.path = path

    def written(self, ticket: int, bytes_on_file: int) -> None:
        if self.segment is not None and self.segment.ticket == ticket:
            self.segment.confirm(bytes_on_file)

    def failed(self, ticket: int, message: str) -> None:
        """The volume takes no more: the segment ends there, the next key frame opens one on another volume."""
        if self.segment is not None and self.segment.ticket == ticket:
            self.note = message
            self._drop_pending(self.segment)
            self._end(self.segment, "volume")

    # --- inside ------------------------------------------------------------------------------------------------------

    def _at_key_frame(self, segment: OpenSegment | None, piece: Piece, now: float) -> OpenSegment | None:
        if segment is not None:
            if not segment.slot.is_healthy(now):
                self.close("volume", now)
            elif abs(piece.at - segment.by_its_start(now)) > _CLOCK_SET_US:
                self.close("clock", now)
            elif now - segment.started >= self._settings.segment_seconds:
                self.close("rotated", now)
            else:
                return segment
        return self._open(piece, now)

    def _open(self, piece: Piece, now: float) -> OpenSegment | None:
        slot = self._volumes.choose(self._device_id, self._channel_id, now)
        if slot is None:
            faults = [
                say("storage.file", path=slot.root, fault=slot.error or say("storage.suspect")) for slot in self._volumes.slots
            ]
            self.note = say("stream.no_volume", why=together(faults))
            return None
        ticket = slot.open(self._stream_id, self._device_id, self._channel_id, piece.at, self)
        settings = self._settings
        self.segment = OpenSegment(
            slot,
            ticket,
            piece.offset,
            piece.at,
            started=now,
            write_s=settings.write_seconds,
            full_at=now + settings.segment_max_seconds,
            end_us=piece.at,
            key_at=piece.offset,
        )
        self.note = ""
        self._began(slot.root)
        return self.segment

    def _drop_pending(self, segment: OpenSegment) -> None:
        segment.lost -= sum(row.lost for row in segment.rows)
        segment.key_frames -= sum(bool(row.flags & KEY) for row in segment.rows)
        segment.end_us = max(segment.start_us, segment.accepted_us)

    def _end(self, segment: OpenSegment, cause: EndCause) -> None:
        self.segment = None
        segment.slot.close(segment.ticket, end_us=segment.end_us, cause=cause, lost=segment.lost, key_frames=segment.key_frames)
