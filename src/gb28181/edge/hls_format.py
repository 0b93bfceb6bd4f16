"""What a player must know before the first picture of a recording: parameter sets, and the sound if there is any.

A format is read from the beginning of a group; its `tag` names it in a playlist. Two groups of one tag need the same
initialisation section and no other.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from gb28181.edge.audio import SoundConfig, SoundTrack, sound_units
from gb28181.edge.recorded_groups import Group
from gb28181.edge.recorded_pictures import RecordedPictures, first_pictures
from gb28181.media.fmp4 import SoundFormat, VideoFormat, initialisation
from gb28181.media.nal import ParameterSets

#: A key picture of 20 Mbit/s is smaller, and a second of the usual 4 Mbit/s brings sound if there is any.
_HEAD_BYTES: Final = 512 << 10
_KEPT: Final = 4096
NO_SOUND: Final = "0000"


@dataclass(frozen=True, slots=True)
class Format:
    """Args:
    tag: Twelve hexadecimal digits of the video, four of the sound (`0000`: none).
    """

    tag: str
    initialisation: bytes


def video_tag(sets: ParameterSets) -> str:
    """Names parameter sets; "" while they are not complete."""
    configuration = sets.configuration()
    return hashlib.sha256(sets.codec.encode() + configuration).hexdigest()[:12] if configuration else ""


def format_of(found: RecordedPictures) -> Format | None:
    """Format of what begins with these pictures; None where the parameter sets are missing."""
    tag = video_tag(found.sets)
    info = found.sets.info
    if not tag or info is None:
        return None
    sound = _sound(found)
    video = VideoFormat(found.codec, found.sets.configuration(), info.width, info.height)
    if sound is None:
        return Format(tag + NO_SOUND, initialisation(video))
    sound_tag = hashlib.sha256(f"{sound.rate} {sound.channels} {sound.specific.hex()}".encode()).hexdigest()[:4]
    return Format(tag + sound_tag, initialisation(video, SoundFormat(sound.specific, sound.rate, sound.channels)))


def _sound(found: RecordedPictures) -> SoundConfig | None:
    track = SoundTrack()
    for unit in sound_units(found.sound, -found.origin_90k):
        track.feed(unit)
        if track.config is not None:
            break
    return track.config


class Formats:
    """Reads the formats of groups and remembers them. Called in threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Path, str, int], Format | None] = OrderedDict()
        self._lock = Lock()

    def of(self, group: Group) -> Format | None:
        """Raises: StorageError: The segment is gone, or the disk failed."""
        extent = group.extents[0]
        place = (extent.span.volume, extent.span.path, extent.offset)
        with self._lock:
            if place in self._known:
                self._known.move_to_end(place)
                return self._known[place]
        found = format_of(first_pictures(group, _HEAD_BYTES))
        with self._lock:
            self._known[place] = found
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found
