"""Entries and initialisation sections of playlists, made of the recorded groups on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from gb28181.edge.audio import FRAME, SoundUnit, entry_sound, sound_units
from gb28181.edge.hls_format import NO_SOUND, Formats, video_tag
from gb28181.edge.hls_plan import ENTRY_90K, Entry
from gb28181.edge.recorded import Recordings
from gb28181.edge.recorded_groups import Group
from gb28181.edge.recorded_pictures import RecordedPictures, pictures_of
from gb28181.errors import Invalid, NotFound
from gb28181.media.fmp4 import SOUND_TRACK, VIDEO_TRACK, Run, Sample, fragment, sample_of
from gb28181.texts.text import say

#: Sound before an entry, in which its encoder runs in.
_RUN_IN_US: Final = 1_500_000
_SOON: Final = 32
_SOON_US: Final = 120_000_000
_ALAW_SILENCE: Final = b"\xd5"
_GONE: Final = say("media.part_gone")


class EntryMaker:
    """Makes what playlists name. Called in threads; holds one entry in memory a call."""

    def __init__(self, recordings: Recordings, formats: Formats) -> None:
        self._recordings = recordings
        self._formats = formats

    def initialisation(self, device_id: str, channel_id: str, utc_us: int, tag: str) -> bytes:
        """The section of the format `tag`, which the group at `utc_us` has, or one soon after where some lack their sets.

        Raises:
            NotFound: None has it, or it is gone.
            StorageError: The disk failed.
        """
        try:
            groups = self._recordings.groups(device_id, channel_id, utc_us, utc_us + _SOON_US)
        except Invalid:
            raise NotFound(_GONE) from None
        for group in islice(groups, _SOON):
            found = self._formats.of(group)
            if found is not None and found.tag == tag:
                return found.initialisation
        raise NotFound(_GONE)

    def entry(self, device_id: str, channel_id: str, entry: Entry, from_us: int) -> bytes:
        """One media segment.

        Args:
            from_us: Where the playlist begins; its first entry begins with the key frame before that.

        Raises:
            NotFound: There is no such entry, it is gone, or all of it lies before the playlist.
            StorageError: The disk failed.
        """
        before, own = self._groups(device_id, channel_id, entry)
        if own[-1].end_us <= from_us:
            raise NotFound(say("media.playlist_foreign"))
        base = own[0].media_90k
        own = [replace(group, media_90k=group.media_90k - base + entry.media_90k) for group in own]
        # The last group of an entry ends where the playlist says.
        left = entry.media_90k + entry.duration_90k - own[-1].media_90k
        own[-1] = replace(own[-1], duration_90k=max(1, left))
        found = [pictures_of(group) for group in own]
        samples, begin = _samples(own, found, entry)
        runs = [Run(VIDEO_TRACK, begin, samples)]
        if not entry.tag.endswith(NO_SOUND):
            run_in = [replace(group, media_90k=group.media_90k - base + entry.media_90k) for group in before]
            runs += _sound(_units(run_in, [pictures_of(group) for group in run_in]), _units(own, found), own, entry)
        if not any(run.samples for run in runs):
            raise NotFound(say("media.part_blank"))
        return fragment(entry.media_90k // 90 + 1, runs)

    def _groups(self, device_id: str, channel_id: str, entry: Entry) -> tuple[list[Group], list[Group]]:
        """The groups before the entry in its run, as far as sound runs in over them, and its own."""
        start = max(0, entry.start_us - _RUN_IN_US) if entry.media_90k else entry.start_us
        before: list[Group] = []
        own: list[Group] = []
        try:
            for group in self._recordings.groups(device_id, channel_id, start, entry.end_us):
                if group.discontinuity_before and not own:
                    before.clear()
                if group.utc_us < entry.start_us:
                    before.append(group)
                    continue
                # A name made up by somebody: no entry goes on after it has become long enough, or over a gap.
                if own and (group.discontinuity_before or group.media_90k - own[0].media_90k >= ENTRY_90K):
                    raise NotFound(_GONE)
                own.append(group)
        except Invalid:
            own = []
        if not own or own[0].utc_us != entry.start_us:
            raise NotFound(_GONE)
        return before, own


def _samples(own: Sequence[Group], found: Sequence[RecordedPictures], entry: Entry) -> tuple[list[Sample], int]:
    """Pictures as samples, and the decoding time of the first; each lasts until the next one."""
    samples: list[Sample] = []
    times: list[int] = []
    for group, held in zip(own, found, strict=True):
        tag = video_tag(held.sets)
        keep = bool(tag) and not entry.tag.startswith(tag)
        for picture in held.pictures:
            data = sample_of(held.codec, picture.data, keep_sets=keep)
            if data:
                samples.append(Sample(data, 1, picture.is_key, picture.shown_90k))
                times.append(group.media_90k + picture.at_90k)
    end = entry.media_90k + entry.duration_90k
    for number, sample in enumerate(samples):
        following = times[number + 1] if number + 1 < len(times) else end
        sample.duration = max(1, following - times[number])
    return samples, times[0] if times else entry.media_90k


def _units(groups: Sequence[Group], found: Sequence[RecordedPictures]) -> list[list[SoundUnit]]:
    return [
        sound_units(held.sound, group.media_90k - held.origin_90k) for group, held in zip(groups, found, strict=True)
    ]  # fmt: skip


def _sound(
    before: Sequence[Sequence[SoundUnit]], units: Sequence[Sequence[SoundUnit]], own: Sequence[Group], entry: Entry
) -> list[Run]:
    if not any(units):
        # A player waits for a track that stays behind: where the camera's sound pauses there is silence.
        units = [[SoundUnit("g711a", group.media_90k, _ALAW_SILENCE * (group.duration_90k * 8 // 90))] for group in own]
    made = entry_sound(before, units, last=entry.is_last)
    if made is None or not made[1]:
        return []
    frames = made[1]
    samples = [Sample(frame.data, FRAME) for frame in frames]
    for number in range(len(frames) - 1):
        samples[number].duration = max(1, frames[number + 1].sample - frames[number].sample)
    return [Run(SOUND_TRACK, frames[0].sample, samples)]
