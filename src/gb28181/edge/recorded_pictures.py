"""The pictures of one recorded group, each with its place after the key frame.

The camera's stamps are used where they can be true: rising, and filling the time up to the next key frame. Where they are not
(quirks Q119, Q121, Q148c) the pictures share that time out among themselves, so a group always lasts as long as it took.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from typing import Final

from gb28181.edge.lent_sets import lent_sets, sets_of
from gb28181.edge.recorded_groups import MAX_GROUP_BYTES, Group
from gb28181.media.nal import ParameterSets, VideoCodec
from gb28181.media.ps import PsParser
from gb28181.media.ps_pictures import AccessUnit

#: Pictures of a clock that counts in another unit fill less than this share of their time.
_LEAST_FILLED: Final = 0.2
_LONGEST_COMPOSITION_90K: Final = 10 * 90_000


@dataclass(slots=True)
class RecordedPicture:
    """One picture.

    Args:
        data: Annex B.
        at_90k: Decoding time after the group's key frame, rising from 0; below the group's duration.
        shown_90k: Presentation time after the decoding time.
    """

    data: bytes
    at_90k: int
    shown_90k: int
    is_key: bool


@dataclass(frozen=True, slots=True)
class RecordedPictures:
    """What one group holds.

    Args:
        pictures: In decoding order; empty where no codec can be told or no picture is whole.
        sound: Audio as recorded, with the camera's own stamps where it has any, in order.
        origin_90k: The stamp of sound that is heard with the first picture: a sound frame is heard
            `unwrapped(unit.dts_90k, origin_90k) - origin_90k` after it.
        sets: Parameter sets of the key picture: its own, or lent ones (`lent_sets.py`), which stand in its data then.
    """

    codec: VideoCodec
    pictures: tuple[RecordedPicture, ...]
    sound: tuple[AccessUnit, ...]
    origin_90k: int
    sets: ParameterSets


def pictures_of(group: Group) -> RecordedPictures:
    """Reads and demuxes one group; takes a few milliseconds and the disk's time.

    Raises:
        StorageError: A segment is gone, or the disk failed.
    """
    return _shown(group, MAX_GROUP_BYTES)


def first_pictures(group: Group, size: int) -> RecordedPictures:
    """What the first `size` bytes of a group tell: its key picture, parameter sets and sound.

    Raises:
        StorageError: A segment is gone, or the disk failed.
    """
    return _shown(group, size)


def _shown(group: Group, size: int) -> RecordedPictures:
    """With the parameter sets of an earlier key frame where this one has none."""
    found = _demuxed(group.parts(size), group.duration_90k)
    if found.sets.complete:
        return found
    lent = lent_sets(group.span.volume / group.span.path)
    if not lent:
        return found
    again = _demuxed(chain(((lent, False),), group.parts(size)), group.duration_90k)
    return found if found.pictures and found.codec != again.codec else again


def _demuxed(parts: Iterable[tuple[bytes, bool]], duration_90k: int) -> RecordedPictures:
    parser = PsParser()
    units: list[AccessUnit] = []
    for part, lost in parts:
        units += parser.feed(part, 0, lost=lost)
    units += parser.flush()
    codec: VideoCodec = "h265" if parser.codec == "h265" else "h264"
    video = [unit for unit in units if unit.codec == codec]
    # The end of a picture may stand before the key frame, where a device does not begin pictures with packs.
    while video and not video[0].is_key:
        video.pop(0)
    places = spread([unit.dts_90k for unit in video], duration_90k)
    pictures = tuple(
        RecordedPicture(unit.data, at, _composition(unit), unit.is_key) for unit, at in zip(video, places, strict=True)
    )
    sound, origin = _beside(units, video, places)
    sets = sets_of(codec, video[0].data) if video else ParameterSets(codec)
    return RecordedPictures(codec, pictures, sound, origin, sets)


def _beside(
    units: Sequence[AccessUnit], video: Sequence[AccessUnit], places: Sequence[int]
) -> tuple[tuple[AccessUnit, ...], int]:
    """The sound and its origin. Where either has no stamps (quirk Q148c), the order of the bytes ties them together."""
    sound = [unit for unit in units if not unit.is_video]
    origin = video[0].dts_90k if video else 0
    if not video or not sound:
        return tuple(sound), origin
    pictures_stamped = any(unit.dts_90k for unit in video)
    sound_stamped = any(unit.dts_90k for unit in sound)
    if pictures_stamped and sound_stamped:
        return tuple(sound), origin
    at, number = [], -sum(unit.is_video for unit in units[: _index_of(units, video[0])])
    for unit in units:
        if unit.is_video:
            number += 1
        else:  # a picture comes out when the next one has begun
            at.append(places[min(max(0, number), len(places) - 1)])
    if not sound_stamped:
        return tuple(
            replace(unit, pts_90k=origin + place, dts_90k=origin + place) for unit, place in zip(sound, at, strict=True)
        ), origin
    return tuple(sound), round(statistics.median(unit.dts_90k - place for unit, place in zip(sound, at, strict=True)))


def _index_of(units: Sequence[AccessUnit], wanted: AccessUnit) -> int:
    return next(number for number, unit in enumerate(units) if unit is wanted)


def spread(stamps: Sequence[int], duration_90k: int) -> list[int]:
    """Places of pictures in [0, duration) by their stamps, where these can be true; rising by at least 1.

    Args:
        duration_90k: Up to the next key frame.
    """
    count = len(stamps)
    if count < 2:
        return [0] * count
    steps = [after - before for before, after in pairwise(stamps)]
    good = [step for step in steps if 0 < step < duration_90k]
    even = [number * duration_90k // count for number in range(count)]
    if not good:
        return _rising(even)
    usual = round(statistics.median(good))
    places = [0]
    for step in steps:
        places.append(places[-1] + (step if 0 < step < duration_90k else usual))
    filled = places[-1] + usual
    if filled < _LEAST_FILLED * duration_90k:
        return _rising(even)
    if places[-1] >= duration_90k:
        places = [place * duration_90k // filled for place in places]
    return _rising(places)


def _rising(places: list[int]) -> list[int]:
    for number in range(1, len(places)):
        places[number] = max(places[number], places[number - 1] + 1)
    return places


def _composition(unit: AccessUnit) -> int:
    return min(max(0, unit.pts_90k - unit.dts_90k), _LONGEST_COMPOSITION_90K)
