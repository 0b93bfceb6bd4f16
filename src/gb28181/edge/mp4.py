"""A whole MP4 file (ISO/IEC 14496-12) that can be sent while it is made: `ftyp`, one `mdat` a group of pictures, `moov` last.

Tables are kept as packed arrays, some 20 bytes a picture. The edit list begins the presentation at the moment that was asked
for, though the file begins with the key frame before it. Where parameter sets change a further sample entry is written;
chapters say what time it was on the wall clock where each uninterrupted piece begins.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from gb28181.clock import rfc3339
from gb28181.media.fmp4 import (
    SOUND_TRACK,
    VIDEO_CLOCK,
    VIDEO_TRACK,
    Sample,
    SoundFormat,
    VideoFormat,
    box,
    full_box,
    sound_entry,
    track,
    video_entry,
)

CONTENT_TYPE: Final = "video/mp4"

_U32: Final = struct.Struct(">I")
_MOVIE_CLOCK: Final = 1000
#: Seconds from 1904, where MP4 begins to count, to 1970.
_EPOCH: Final = 2_082_844_800
_MOST_CHAPTERS: Final = 255
_FTYP: Final = box(b"ftyp", b"isom" + _U32.pack(0x200) + b"isomiso2mp41")


@dataclass(slots=True)
class _Table:
    """Samples of one track; a chunk is what one `mdat` holds of it."""

    sizes: array[int] = field(default_factory=lambda: array("I"))
    durations: array[int] = field(default_factory=lambda: array("I"))
    compositions: array[int] = field(default_factory=lambda: array("I"))
    keys: array[int] = field(default_factory=lambda: array("I"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    counts: array[int] = field(default_factory=lambda: array("I"))
    entries: array[int] = field(default_factory=lambda: array("I"))
    duration: int = 0

    def add(self, samples: Sequence[Sample], offset: int, entry: int) -> int:
        """Returns the bytes that the samples take."""
        if not samples:
            return 0
        first = len(self.sizes)
        for number, sample in enumerate(samples, first + 1):
            self.sizes.append(len(sample.data))
            self.durations.append(sample.duration)
            self.compositions.append(sample.composition)
            if sample.is_key:
                self.keys.append(number)
            self.duration += sample.duration
        self.offsets.append(offset)
        self.counts.append(len(samples))
        self.entries.append(entry)
        return sum(self.sizes[first:])

    def boxes(self, entries: Sequence[bytes], *, all_keys: bool) -> bytes:
        parts = [
            full_box(b"stsd", 0, 0, _U32.pack(len(entries)) + b"".join(entries)),
            full_box(b"stts", 0, 0, _pairs(self.durations)),
        ]
        if any(self.compositions):
            parts.append(full_box(b"ctts", 0, 0, _pairs(self.compositions)))
        if not all_keys:
            parts.append(full_box(b"stss", 0, 0, _U32.pack(len(self.keys)) + _big(self.keys)))
        parts.append(full_box(b"stsc", 0, 0, self._chunks()))
        parts.append(full_box(b"stsz", 0, 0, struct.pack(">II", 0, len(self.sizes)) + _big(self.sizes)))
        if self.offsets and self.offsets[-1] >> 32:
            parts.append(full_box(b"co64", 0, 0, _U32.pack(len(self.offsets)) + _big(self.offsets)))
        else:
            parts.append(full_box(b"stco", 0, 0, _U32.pack(len(self.offsets)) + _big(array("I", self.offsets))))
        return box(b"stbl", *parts)

    def _chunks(self) -> bytes:
        rows: list[bytes] = []
        before = None
        for number, shape in enumerate(zip(self.counts, self.entries, strict=True), 1):
            if shape != before:
                rows.append(struct.pack(">III", number, *shape))
                before = shape
        return _U32.pack(len(rows)) + b"".join(rows)


class Mp4Writer:
    """Writes one file.

    A picture is shown some time after it is decoded where the camera sends B pictures. The presentation begins so much later
    than the first decoding time, in both tracks: players take the first picture for its beginning, and sound would come early.

    Attributes:
        size: Bytes written so far.
        duration_90k: Of the pictures so far.
    """

    def __init__(self) -> None:
        self.size = 0
        self._video = _Table()
        self._sound = _Table()
        self._video_formats: list[VideoFormat] = []
        self._sound_format: SoundFormat | None = None
        self._sound_begin = 0

    @property
    def duration_90k(self) -> int:
        return self._video.duration

    def write(self, video: VideoFormat, pictures: Sequence[Sample], sound: Sequence[Sample] = ()) -> bytes:
        """The next pictures, and sound that belongs beside them; the first call gives the file's beginning too.

        Args:
            sound: AAC frames; `begin_sound` comes before the first.
        """
        if video not in self._video_formats:
            self._video_formats.append(video)
        head = b"" if self.size else _FTYP
        offset = self.size + len(head) + 8
        offset += self._video.add(pictures, offset, self._video_formats.index(video) + 1)
        self._sound.add(sound, offset, 1)
        size = 8 + sum(len(sample.data) for sample in (*pictures, *sound))
        self.size += len(head) + size
        return b"".join((head, _U32.pack(size), b"mdat", *[sample.data for sample in (*pictures, *sound)]))

    def begin_sound(self, sound: SoundFormat, sample: int) -> None:
        """Declares the sound; its first frame stands `sample` samples after the first picture."""
        self._sound_format, self._sound_begin = sound, sample

    def finish(self, *, skip_90k: int, chapters: Iterable[tuple[int, int]], created_us: int) -> bytes:
        """The rest of the file.

        Args:
            skip_90k: The presentation begins with the picture that is decoded so long after the first one.
            chapters: Where an uninterrupted piece begins, 90 kHz after the first picture, and its UTC microseconds.
            created_us: UTC microseconds of the first picture that is shown.
        """
        shown_ms = max(1, (self._video.duration - skip_90k) // 90)
        created = created_us // 1_000_000 + _EPOCH & 0xFFFF_FFFF
        size = self._video_formats[0]
        entries = [video_entry(found) for found in self._video_formats]
        tables = self._video.boxes(entries, all_keys=len(self._video.keys) == len(self._video.sizes))
        begin_90k = skip_90k + self._video.compositions[0]
        edits = _edits([(shown_ms, begin_90k)])
        tracks = [
            track(
                VIDEO_TRACK, VIDEO_CLOCK, tables, width=size.width, height=size.height,
                shown=shown_ms, duration=self._video.duration, edits=edits, created=created,
            )
        ]  # fmt: skip
        if self._sound_format is not None and self._sound.sizes:
            tracks.append(self._sound_track(self._sound_format, begin_90k, shown_ms, created))
        header = struct.pack(">IIIIIHHII", created, created, _MOVIE_CLOCK, shown_ms, 0x10000, 0x100, 0, 0, 0)
        header += struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000) + bytes(24) + _U32.pack(3)
        udta = box(b"udta", _chapters([(max(0, at - skip_90k), utc) for at, utc in chapters]))
        moov = box(b"moov", full_box(b"mvhd", 0, 0, header), *tracks, udta)
        self.size += len(moov)
        return moov

    def _sound_track(self, sound: SoundFormat, begin_90k: int, shown_ms: int, created: int) -> bytes:
        begin = self._sound_begin - begin_90k * sound.rate // VIDEO_CLOCK
        length = self._sound.duration
        if begin > 0:
            late = begin * 1000 // sound.rate
            edits = _edits([(late, -1), (max(1, min(shown_ms - late, length * 1000 // sound.rate)), 0)])
        else:
            edits = _edits([(max(1, min(shown_ms, (length + begin) * 1000 // sound.rate)), -begin)])
        tables = self._sound.boxes([sound_entry(sound)], all_keys=True)
        return track(SOUND_TRACK, sound.rate, tables, shown=shown_ms, duration=length, edits=edits, created=created)


def _edits(edits: Sequence[tuple[int, int]]) -> bytes:
    """Edit list of (milliseconds, media time); a media time of -1 is a pause (§8.6.6)."""
    rows = b"".join(struct.pack(">QqI", length, media, 0x10000) for length, media in edits)
    return box(b"edts", full_box(b"elst", 1, 0, _U32.pack(len(edits)) + rows))


def _chapters(chapters: Sequence[tuple[int, int]]) -> bytes:
    """Titles with the wall clock, as FFmpeg and most players read them."""
    rows = [
        struct.pack(">QB", at * 1000 // 9, len(title)) + title
        for at, title in ((at, rfc3339(utc).encode()) for at, utc in chapters[:_MOST_CHAPTERS])
    ]
    return full_box(b"chpl", 1, 0, bytes(4) + bytes((len(rows),)) + b"".join(rows))


def _pairs(values: array[int]) -> bytes:
    """Runs of equal values as (count, value)."""
    rows = [(sum(1 for _ in run), value) for value, run in groupby(values)]
    return _U32.pack(len(rows)) + b"".join(struct.pack(">II", *row) for row in rows)


def _big(values: array[int]) -> bytes:
    """Big-endian bytes."""
    swapped = array(values.typecode, values)
    swapped.byteswap()
    return swapped.tobytes()
