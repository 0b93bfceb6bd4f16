"""What is recorded of a channel, read from the volumes themselves: manifests, and the segment that is being written.

Everything here reads files and may wait for a disk: call it in a thread. The database is not asked, the disk is the truth; so
the edge plays recordings while control is down. A volume that does not answer is left out, the others go on, and so does what
is left of a damaged segment.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Final

from gb28181.clock import from_us
from gb28181.edge.recorded_groups import Group, groups_of
from gb28181.edge.recorded_span import Span
from gb28181.errors import Invalid, StorageError
from gb28181.ids import path_part
from gb28181.storage.io.reader import read_manifest
from gb28181.storage.io.volume import Volume
from gb28181.storage.segment import PART, PS, SegmentName
from gb28181.texts.text import reason_of, say

logger = logging.getLogger(__name__)

#: Two files of one run may overlap by so much: both hold the arrival of the same packets' last bytes.
OVERLAP_US: Final = 500_000
#: A group of pictures that begins before a moment may show it: smart codecs send a key frame every 10 to 25 s (quirk Q146).
_LOOK_BACK_US: Final = 60_000_000
#: Damaged segments that are remembered, so that each is said once.
_SAID: Final = 1000
_FIRST_US: Final = 0
_LAST_US: Final = 253_370_764_800_000_000  # 9999-01-01, the last day that has a name


class Recordings:
    """The recordings on some volumes.

    Args:
        volumes: Their roots, in the order of the configuration.
    """

    def __init__(self, volumes: Sequence[Path]) -> None:
        self._volumes = tuple(Volume(Path(root)) for root in volumes)
        self._said: OrderedDict[tuple[Path, str, str], None] = OrderedDict()
        self._lock = Lock()

    def spans(self, device_id: str, channel_id: str, start_us: int, end_us: int) -> list[Span]:
        """Segments of a channel that overlap [start, end), by time, over all volumes, without overlaps.

        Raises:
            Invalid: No such range.
        """
        if not _FIRST_US <= start_us < end_us <= _LAST_US:
            raise Invalid(say("recording.range_us", start_us=start_us, end_us=end_us))
        found: list[Span] = []
        for volume in self._volumes:
            try:
                for day in _days(start_us, end_us):
                    found += _of_day(volume, device_id, channel_id, day, start_us, end_us)
            except StorageError as error:
                logger.warning("volume cannot be read", extra={"volume": str(volume.root), "reason": str(error)})
        return list(_without_overlaps(span for span in found if span.start < end_us and span.end > start_us))

    def groups(self, device_id: str, channel_id: str, start_us: int, end_us: int) -> Iterator[Group]:
        """Groups of pictures from the one that shows `start` (or the first after it) to the last that begins before `end`.

        Nothing but indexes is read before `Group.read`; one index is held at a time.

        Raises:
            Invalid: No such range.
        """
        spans = self.spans(device_id, channel_id, max(_FIRST_US, start_us - _LOOK_BACK_US), end_us)
        return groups_of(spans, start_us, end_us, damaged=self._damaged)

    def _damaged(self, span: Span, reason: str) -> None:
        """Once a segment: a player asks for it many times."""
        with self._lock:
            if (span.volume, span.path, reason) in self._said:
                return
            self._said[(span.volume, span.path, reason)] = None
            if len(self._said) > _SAID:
                self._said.popitem(last=False)
        logger.warning("segment is damaged", extra={"volume": str(span.volume), "path": span.path, "reason": reason})


def _days(start_us: int, end_us: int) -> Iterator[str]:
    """Names of the days, from the one before: a segment belongs to the day in which it begins."""
    day = from_us(max(_FIRST_US, start_us - 86_400_000_000)).date()
    last = from_us(end_us - 1).date()
    while day <= last:
        yield f"{day:%Y%m%d}"
        day += timedelta(days=1)


def _of_day(volume: Volume, device_id: str, channel_id: str, day: str, start_us: int, end_us: int) -> Iterator[Span]:
    folder = f"{path_part(device_id)}/{path_part(channel_id)}/{day}"
    try:
        names = os.listdir(volume.root / folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StorageError(say("storage.file", path=volume.root / folder, fault=reason_of(error))) from None
    manifest = read_manifest(volume, device_id, channel_id, day)
    known = {entry.path for entry in manifest.rows}
    for row in manifest.rows:
        if row.start < end_us and row.end > start_us:
            yield Span(volume.root, row.path, row.start, row.start, row.end, row.bytes, is_open=False)
    # Being written, or closed a moment ago: the row of the manifest comes after the files.
    for name in names:
        stem = name.removesuffix(PART).removesuffix(PS)
        path = f"{folder}/{stem}"
        if name.endswith((PS, f"{PS}{PART}")) and path not in known:
            span = _unlisted(volume, path)
            if span is not None:
                yield span


def _unlisted(volume: Volume, path: str) -> Span | None:
    """A segment that no manifest names yet, as far as it will not change any more; None where that is nothing."""
    try:
        start = SegmentName.parse(path).start_ms * 1000
    except Invalid:
        return None
    span = Span(volume.root, path, start, start, start, 1 << 62, is_open=True)
    try:
        fd = span.open()
    except StorageError:
        return None  # deleted, or closed and deleted
    try:
        size = os.fstat(fd).st_size
    finally:
        os.close(fd)
    # Rows are written after their bytes; a torn index or file shows less, never something wrong.
    index = replace(span, size=size).index()
    last = index.last_key() if index is not None else None
    if last is None or last.utc_us <= start:
        return None
    return replace(span, end=last.utc_us, size=last.offset)


def _without_overlaps(spans: Iterable[Span]) -> Iterator[Span]:
    """By time; where two hold the same moment, the one that began first has it."""
    end = None
    seen: set[tuple[Path, str]] = set()
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if (span.volume, span.path) in seen:
            continue
        seen.add((span.volume, span.path))
        if end is not None and span.start < end - OVERLAP_US:
            if span.end <= end + OVERLAP_US:
                continue
            span = replace(span, begin=end)
        end = span.end if end is None else max(end, span.end)
        yield span
