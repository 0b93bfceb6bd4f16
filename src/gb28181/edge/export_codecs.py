"""Where a recording changes its codec: asked before one MP4 is made of it, since a download that has begun can only be cut off.

Each segment is looked into at its first group, the last one at its last group too; between two looks that differ the change is
found by halves. What changes and changes back inside one segment is not seen here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gb28181.edge.recorded_groups import Group
from gb28181.edge.recorded_pictures import first_pictures
from gb28181.errors import StorageError
from gb28181.media.nal import VideoCodec

#: Parameter sets stand at the beginning of a key picture.
_LOOKED_AT: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class CodecChange:
    """Args:
    at_us: Key frame of the first group of the other codec, UTC microseconds.
    """

    before: VideoCodec
    after: VideoCodec
    at_us: int


def codec_change(groups: Iterable[Group]) -> CodecChange | None:
    """The first change of the codec that is seen. Reads 64 KiB of each segment: call it in a thread."""
    passed: list[Group] = []  # since the last look that told something
    known: VideoCodec | None = None
    path = ""
    for group in groups:
        is_first = group.span.path != path
        path = group.span.path
        passed.append(group)
        if is_first and (codec := _codec_of(group)) is not None:
            if known not in (None, codec):
                return _between(known, passed)
            known, passed = codec, [group]
    if known is not None and passed and _codec_of(passed[-1]) not in (None, known):
        return _between(known, passed)
    return None


def _between(before: VideoCodec | None, groups: Sequence[Group]) -> CodecChange | None:
    """The change in groups of which the last is known to be of another codec."""
    low, high = -1, len(groups) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _codec_of(groups[middle]) in (None, before) else (low, middle)
    after = _codec_of(groups[high])
    return CodecChange(before, after, groups[high].utc_us) if before is not None and after is not None else None


def _codec_of(group: Group) -> VideoCodec | None:
    try:
        found = first_pictures(group, _LOOKED_AT)
    except StorageError:
        return None
    return found.codec if found.sets.info is not None else None
