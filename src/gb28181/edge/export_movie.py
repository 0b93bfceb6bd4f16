"""Recorded groups as one MP4 file: pictures as they are, sound as AAC, gaps closed up.

What was not recorded takes no time in the file: after a gap of a second and more the next picture follows the last one, and a
chapter says what time it is from there on. A change of parameter sets goes on in the same file; a change of the codec cannot.
"""

from __future__ import annotations

from gb28181.clock import rfc3339
from gb28181.edge.audio import FRAME, SoundFrame, sound_units
from gb28181.edge.export_sound import EncodedSound, SoundProcess
from gb28181.edge.mp4 import Mp4Writer
from gb28181.edge.recorded_groups import Group
from gb28181.edge.recorded_pictures import RecordedPictures, pictures_of
from gb28181.errors import Gb28181Error
from gb28181.media.fmp4 import VIDEO_CLOCK, Sample, SoundFormat, VideoFormat, sample_of
from gb28181.media.nal import VideoCodec
from gb28181.texts.text import say


class CannotExport(Gb28181Error):
    """The recording cannot become one MP4 file; the message says what can be done."""


class Movie:
    """Makes one file of consecutive groups.

    Args:
        start_us, end_us: The range, UTC microseconds. The presentation begins exactly there, or where the recording does.

    Attributes:
        pictures: Pictures written.
        left_out: Groups that hold nothing that can be shown.
    """

    def __init__(self, start_us: int, end_us: int) -> None:
        self._start_us, self._end_us = start_us, end_us
        self._writer = Mp4Writer()
        self._codec: VideoCodec | None = None
        self._format: VideoFormat | None = None
        self._place = 0  # of the next group in the file, 90 kHz
        self._run_begin = 0  # of its run in the file
        self._run_origin = 0  # the run's own place of its first group
        self._skip = 0
        self._first_us = 0
        self._chapters: list[tuple[int, int]] = []
        # The sound of a group is written with the pictures of the next one: it is encoded meanwhile.
        self._encoder = SoundProcess()
        self._sound_format: SoundFormat | None = None
        self._waiting: SoundFrame | None = None  # its length is known when the next one comes
        self._is_new = True
        self.pictures = 0
        self.left_out = 0

    @property
    def size(self) -> int:
        return self._writer.size

    def add(self, group: Group) -> bytes:
        """Bytes of the file that the group becomes.

        Raises:
            CannotExport: The codec changes here.
            StorageError: A segment is gone, or the disk failed; the group is left out, the next one may be added.
        """
        # Where the first group of a run is left out, the run begins with the next one.
        self._is_new = is_new = self._is_new or group.discontinuity_before
        self.left_out += 1
        found = pictures_of(group)
        video = self._video_format(found, group)
        if video is None:
            return b""
        self.left_out -= 1
        self._is_new = False
        if is_new:
            self._begin_run(group)
        # Groups that were left out make a pause, not a jump of what follows.
        place = self._run_begin + group.media_90k - self._run_origin
        samples = self._samples(found, group, place)
        units = sound_units(found.sound, place - found.origin_90k, near_90k=place)
        encoded = self._encoder.take()
        self._encoder.give(units, restart=is_new)
        return self._writer.write(video, samples, self._sound(encoded)) if samples else b""

    def finish(self) -> bytes:
        """The end of the file.

        Raises:
            CannotExport: There was nothing that could be shown.
        """
        if self._format is None or not self.pictures:
            raise CannotExport(say("export.blank"))
        before = self._encoder.take()
        self._encoder.give((), restart=True)
        config, rest = self._encoder.take()
        tail = self._sound(EncodedSound(config or before.config, before.frames + rest), last=True)
        self._encoder.close()
        data = self._writer.write(self._format, (), tail) if tail else b""
        created = max(self._start_us, self._first_us)
        chapters = [(at, max(utc, created)) for at, utc in self._chapters]
        return data + self._writer.finish(skip_90k=self._skip, chapters=chapters, created_us=created)

    def _begin_run(self, group: Group) -> None:
        self._run_begin, self._run_origin = self._place, group.media_90k
        if not self.pictures:
            self._first_us = group.utc_us
            self._skip = min(max(0, self._start_us - group.utc_us) * 9 // 100, group.duration_90k - 1)
        self._chapters.append((self._place, group.utc_us))

    def _video_format(self, found: RecordedPictures, group: Group) -> VideoFormat | None:
        """The format of a group; that of the groups before it where it brings no parameter sets; None for nothing to show."""
        if not found.pictures:
            return None
        info, configuration = found.sets.info, found.sets.configuration()
        if info is not None and configuration:
            if self._codec is not None and found.codec != self._codec:
                raise CannotExport(say("export.codec_changed", before=self._codec, after=found.codec, at=rfc3339(group.utc_us)))
            self._codec = found.codec
            self._format = VideoFormat(found.codec, configuration, info.width, info.height)
        return self._format if found.codec == self._codec else None

    def _samples(self, found: RecordedPictures, group: Group, place: int) -> list[Sample]:
        """The group's pictures up to the end of the range, each as long as it is until the next one."""
        samples: list[Sample] = []
        times: list[int] = []
        end = place + min(group.duration_90k, max(1, (self._end_us - group.utc_us) * 9 // 100))
        for picture in found.pictures:
            at = place + picture.at_90k
            if at >= end:
                break
            data = sample_of(found.codec, picture.data, keep_sets=False)
            if data:
                samples.append(Sample(data, 1, picture.is_key, picture.shown_90k))
                times.append(at)
        if not samples:
            return samples
        # The first picture of a group stands where the last one of the group before ends.
        times[0] = self._place
        times.append(max(end, times[-1] + 1))
        for number, sample in enumerate(samples):
            sample.duration = max(1, times[number + 1] - times[number])
        self._place += sum(sample.duration for sample in samples)
        self.pictures += len(samples)
        return samples

    def _sound(self, encoded: EncodedSound, *, last: bool = False) -> list[Sample]:
        """Frames as samples, each as long as it is until the next one."""
        config, frames = encoded
        if config is None:
            return []
        found = SoundFormat(config.specific, config.rate, config.channels)
        if self._sound_format is not None and found != self._sound_format:
            return []  # the camera's sound became another one: the file goes on without
        out: list[Sample] = []
        for frame in frames:
            if frame.sample < 0 or (last and frame.sample * VIDEO_CLOCK // config.rate >= self._place):
                continue
            if self._waiting is None:
                self._sound_format = found
                self._writer.begin_sound(found, frame.sample)
            else:
                out.append(Sample(self._waiting.data, max(1, frame.sample - self._waiting.sample)))
            self._waiting = frame
        if last and self._waiting is not None:
            out.append(Sample(self._waiting.data, FRAME))
            self._waiting = None
        return out
