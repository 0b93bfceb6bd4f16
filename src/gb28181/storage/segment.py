"""Names of segments: one channel from a key frame on, named by its UTC start to the millisecond.

`<device>/<channel>/<YYYYMMDD>/<HHMMSS.mmm>` relative to the volume, without suffix, is a segment's *path* everywhere: in
messages, manifests, links and the database. Its parts never hold a separator, so a path cannot lead out of a volume.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from gb28181.clock import from_us, to_us
from gb28181.errors import Invalid
from gb28181.ids import path_part

PS: Final = ".ps"
IDX: Final = ".idx"
PART: Final = ".part"
"""Ends the name of both files while they are written."""

_PART_NAME: Final = re.compile(r"[0-9A-Za-z_-]{1,32}")
_DAY: Final = re.compile(r"\d{8}", re.ASCII)
_TIME: Final = re.compile(r"\d{6}\.\d{3}", re.ASCII)
LAST_US: Final = to_us(datetime(9999, 12, 31, tzinfo=UTC))
"""The last moment that has a name."""


@dataclass(frozen=True, slots=True)
class SegmentName:
    """Place of one segment in its volume.

    Args:
        device, channel: Folder names: the identifiers, or their hashes (`ids.path_part`).
        start_ms: Milliseconds since 1970, UTC.
    """

    device: str
    channel: str
    start_ms: int

    @classmethod
    def of(cls, device_id: str, channel_id: str, start_us: int) -> SegmentName:
        """Name of the segment of a channel that starts at `start_us` (UTC microseconds, cut to the millisecond)."""
        if not 0 <= start_us <= LAST_US:
            raise Invalid(f"segment start {start_us} is not in 1970..9999 as UTC microseconds")
        return cls(path_part(device_id), path_part(channel_id), start_us // 1000)

    @classmethod
    def parse(cls, path: str) -> SegmentName:
        """Reads a path without suffix.

        Raises:
            Invalid: It is no such path; nothing but one inside a volume is accepted.
        """
        parts = path.split("/")
        if len(parts) != 4:
            raise Invalid(f"not a segment path: {path[:120]!r}, expected device/channel/YYYYMMDD/HHMMSS.mmm")
        device, channel, day, time = parts
        if not (_PART_NAME.fullmatch(device) and _PART_NAME.fullmatch(channel)):
            raise Invalid(f"not a segment path: {path[:120]!r}, device or channel part is not [0-9A-Za-z_-]{{1,32}}")
        if not (_DAY.fullmatch(day) and _TIME.fullmatch(time)):
            raise Invalid(f"not a segment path: {path[:120]!r}, expected YYYYMMDD/HHMMSS.mmm at its end")
        try:
            start = datetime.strptime(f"{day}{time[:6]}", "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            raise Invalid(f"not a segment path: {path[:120]!r}, {day}/{time} is no moment") from None
        return cls(device, channel, to_us(start) // 1000 + int(time[7:]))

    @property
    def day(self) -> str:
        return f"{from_us(self.start_ms * 1000):%Y%m%d}"

    @property
    def time(self) -> str:
        return f"{from_us(self.start_ms // 1000 * 1_000_000):%H%M%S}.{self.start_ms % 1000:03d}"

    @property
    def folder(self) -> str:
        """The channel-day's folder, relative to the volume."""
        return f"{self.device}/{self.channel}/{self.day}"

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.time}"

    @property
    def marker(self) -> str:
        """File name of the marker of an open segment; the path can be read back from the name alone."""
        return f"{self.device}.{self.channel}.{self.day}.{self.time}"

    @classmethod
    def parse_marker(cls, name: str) -> SegmentName:
        """Reads the name of a marker.

        Raises:
            Invalid: It is no marker's name.
        """
        return cls.parse("/".join(name.split(".", 3)))

    def following(self) -> Iterator[SegmentName]:
        """This name, then the next milliseconds: two segments of one millisecond take different names. Bounded to a second."""
        for later in range(1000):
            yield replace(self, start_ms=self.start_ms + later)


def is_part(name: str) -> bool:
    """Whether a name may be a device's or channel's folder."""
    return _PART_NAME.fullmatch(name) is not None


def is_day(name: str) -> bool:
    """Whether a name may be a day's folder."""
    return _DAY.fullmatch(name) is not None
