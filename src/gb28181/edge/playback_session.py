"""One playback session: what somebody watches of a recording, where he is, how fast; and the film that follows from it.

The session outlives its connection: whoever pauses for an hour, loses the network or reloads the page goes on where he was.
One viewer watches a session; the newest one has it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from gb28181.edge.audio import SOUND_CODECS, SoundConfig, SoundTrack, SoundUnit
from gb28181.edge.playback_pace import Pace, compositions
from gb28181.edge.recorded import Recordings
from gb28181.edge.recorded_groups import Group
from gb28181.edge.recorded_pictures import RecordedPicture, RecordedPictures, first_pictures, pictures_of
from gb28181.errors import Invalid, StorageError
from gb28181.media.flv import FlvMuxer, script
from gb28181.media.nal import VideoCodec
from gb28181.media.ps_pictures import MediaCodec, unwrapped
from gb28181.texts.text import say

Action = Literal["pause", "resume", "seek", "speed", "close"]
SLOWEST: Final = 0.25
FASTEST: Final = 16.0
#: From this speed on only key frames are read and sent.
KEYS_ONLY: Final = 8.0
#: A key picture is smaller.
_KEY_BYTES: Final = 2 << 20
_SECOND_90K: Final = 90_000
#: Groups that are looked into for sound where the first has none, then one of each of so many segments; and how far.
_NEAR_GROUPS: Final = 8
_FAR_SEGMENTS: Final = 16
_SOUND_BYTES: Final = 512 << 10
#: Sound that is declared and has not come for so long begins with silence.
_QUIET_90K: Final = 27_000

Write = Callable[[bytes], Awaitable[None]]


class _Turned(Exception):
    """Another moment is asked for."""


class _Over(Exception):
    """Nobody watches any more: closed, or another viewer came."""


@dataclass(slots=True)
class _Read:
    group: Group
    found: RecordedPictures


class PlaybackSession:
    """Args:
    start_us, end_us: What may be watched, UTC microseconds.
    """

    def __init__(self, recordings: Recordings, device_id: str, channel_id: str, start_us: int, end_us: int) -> None:
        self._recordings = recordings
        self._device_id = device_id
        self._channel_id = channel_id
        self.start_us = start_us
        self.end_us = end_us
        self.position_us = start_us
        self.speed = 1.0
        self.is_paused = False
        self.is_closed = False
        self._turns = 0
        self._viewers = 0
        self._changed = asyncio.Event()

    @property
    def is_watched(self) -> bool:
        return self._viewers > 0

    def control(self, action: Action, *, position_us: int | None = None, speed: float | None = None) -> None:
        """What the viewer wants.

        Raises:
            Invalid: A position outside of the session's range, or a speed that is none.
        """
        if action == "seek":
            if position_us is None or not self.start_us <= position_us < self.end_us:
                raise Invalid(say("recording.seek"))
            self.position_us = position_us
            self._turns += 1
        elif action == "speed":
            if speed is None or not SLOWEST <= speed <= FASTEST:
                raise Invalid(say("recording.speed", slowest=SLOWEST, fastest=FASTEST))
            # What is read differs on the two sides of this border.
            self._turns += (speed >= KEYS_ONLY) != (self.speed >= KEYS_ONLY)
            self.speed = speed
        elif action == "close":
            self.is_closed = True
        else:
            self.is_paused = action == "pause"
        self._changed.set()

    async def play(self, write: Write, *, legacy_hevc: bool = False) -> None:
        """Sends FLV until the end of the recording, until the session is closed, or until another viewer comes.

        Raises:
            StorageError: A disk failed.
            ConnectionError: From `write`.
        """
        self._viewers += 1
        viewer = self._viewers
        self._changed.set()
        if self.position_us >= self.end_us:
            self.position_us = self.start_us
        film = _Film(self, write, lambda: self.is_closed or viewer != self._viewers, legacy_hevc=legacy_hevc)
        try:
            while await film.run():
                pass
            if viewer == self._viewers:
                self.position_us = self.end_us
        except _Over:
            pass

    def groups(self) -> Iterator[Group]:
        """From the position on."""
        return self._recordings.groups(self._device_id, self._channel_id, self.position_us, self.end_us)

    @property
    def turns(self) -> int:
        """Rises whenever what has been read ahead is of no more use."""
        return self._turns

    async def changed(self, timeout_s: float | None) -> None:
        """Waits for a wish, at most so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()


class _Film:
    """What one viewer of a session gets."""

    def __init__(self, session: PlaybackSession, write: Write, is_over: Callable[[], bool], *, legacy_hevc: bool) -> None:
        self._session = session
        self._write = write
        self._is_over = is_over
        self._legacy = legacy_hevc
        self._loop = asyncio.get_running_loop()
        self._pace = Pace(session.speed)
        self._muxer: FlvMuxer | None = None
        self._codec: VideoCodec = "h264"
        self._sound = SoundTrack()
        self._kind: tuple[MediaCodec, SoundConfig] | None = None  # of the sound that is declared
        self._quiet_from: int | None = None
        self._content = 0
        self._next_mark = 0
        self._turn = session.turns

    async def run(self) -> bool:
        """Plays on from the session's position; True when another position is asked for, False at the end."""
        session, loop = self._session, self._loop
        self._turn = session.turns
        self._sound.restart()
        target: int | None = session.position_us
        keys_only = session.speed >= KEYS_ONLY
        groups = await asyncio.to_thread(session.groups)
        ahead = loop.run_in_executor(None, _next, groups, keys_only)
        try:
            while (read := await ahead) is not None:
                ahead = loop.run_in_executor(None, _next, groups, keys_only)
                ahead.add_done_callback(_seen)
                if read.group.discontinuity_before:
                    self._sound.restart()
                    self._next_mark = 0
                target = await self._group(read, target, keys_only=keys_only)
        except _Turned:
            return True
        return await self._drain()

    async def _group(self, read: _Read, target: int | None, *, keys_only: bool) -> int | None:
        """Sends one group; returns the moment that is still to be reached."""
        group, begin = read.group, self._content
        self._content += group.duration_90k
        sound = _sound_of(read) if not keys_only else []
        place = 0
        led = _led(read, target) if target is not None and not keys_only else 0
        orders = compositions(read.found.pictures, led, self._pace.speed)
        for number, picture in enumerate(read.found.pictures):
            utc = group.utc_us + picture.at_90k * 100 // 9
            if utc >= self._session.end_us:
                break
            if number < led:
                await self._send(read, picture, self._pace.hurry(), utc, mark=False, composition=orders[number])
                continue
            if target is not None:
                self._pace.begin(begin + picture.at_90k, self._loop.time())
                self._next_mark, target = 0, None
                while place < len(sound) and sound[place].at_90k < picture.at_90k:
                    place += 1  # heard before the moment that was asked for
                self._follow()  # who seeks while paused sees where he is
            else:
                await self._wait(begin + picture.at_90k)
            out = self._pace.stamp(begin + picture.at_90k)
            self._session.position_us = utc
            heard = []
            while place < len(sound) and sound[place].at_90k <= picture.at_90k:
                shift = round((sound[place].at_90k - picture.at_90k) / self._pace.speed)
                heard.append(SoundUnit(sound[place].codec, out + shift, sound[place].data))
                place += 1
            composition = round(picture.shown_90k / self._pace.speed)
            await self._send(read, picture, out, utc, mark=True, composition=composition, heard=heard)
        return target

    async def _wait(self, content: int) -> None:
        """Until the picture is due."""
        while True:
            self._follow()
            due = self._pace.due(content)
            now = self._loop.time()
            if due is not None and due <= now:
                self._pace.late(content, now)
                return
            await self._session.changed(None if due is None else due - now)

    def _follow(self) -> None:
        """Does what was asked for meanwhile."""
        session, pace, now = self._session, self._pace, self._loop.time()
        if self._is_over():
            raise _Over
        if session.is_paused:
            pace.pause(now)
        else:
            pace.resume(now)
        if session.speed != pace.speed:
            pace.set_speed(session.speed, now)
            self._sound.restart()
            self._next_mark = 0
        if session.turns != self._turn:
            raise _Turned

    async def _drain(self) -> bool:
        """At the end: the player has what was sent ahead to show before the connection ends."""
        try:
            await self._wait(self._content)
        except _Turned:
            return True
        return False

    async def _send(
        self,
        read: _Read,
        picture: RecordedPicture,
        out: int,
        utc: int,
        *,
        mark: bool,
        composition: int,
        heard: list[SoundUnit] | None = None,
    ) -> None:
        parts: list[bytes] = []
        if picture.is_key and (self._muxer is None or self._codec != read.found.codec):
            before, self._codec = self._muxer, read.found.codec
            self._muxer = FlvMuxer(self._codec, legacy_hevc=self._legacy)
            data = self._muxer.write(picture.data, out, out + composition, is_key=True)
            if not self._muxer.ready:
                self._muxer = before
                return
            if before is None:
                await self._declare(read, out)
                parts.append(self._muxer.header())
            parts.append(data)
        elif self._muxer is not None:
            parts.append(self._muxer.write(picture.data, out, out + composition, is_key=picture.is_key))
        if self._muxer is None:
            return
        if mark and out >= self._next_mark:
            parts.append(script("onWallClock", {"utc": utc / 1000, "speed": self._pace.speed}, out // 90))
            self._next_mark = out + _SECOND_90K
        parts += self._sounds(self._muxer, out, heard or [])
        await self._write(b"".join(parts))

    async def _declare(self, read: _Read, out: int) -> None:
        """The sound track, where the recording has sound: a player waits for what is declared, and for nothing else; what is
        declared later it cannot add (MSE)."""
        kind = _kind_of(_sound_of(read)) or await asyncio.to_thread(_sound_ahead, self._session.groups())
        if kind is not None and self._muxer is not None:
            self._kind = kind
            self._sound = SoundTrack()
            self._muxer.sound(b"", out, kind[1].specific)

    def _sounds(self, muxer: FlvMuxer, out: int, heard: list[SoundUnit]) -> Iterator[bytes]:
        """AAC at the speed of life, silence at every other speed and where there is none."""
        if self._kind is None:
            return
        frames = []
        if self._pace.speed == 1:
            for unit in heard:
                frames += self._sound.feed(unit)
            if self._sound.end_90k is not None:
                self._quiet_from = None
            elif self._quiet_from is None:
                self._quiet_from = out
            elif out - self._quiet_from >= _QUIET_90K:
                self._sound.begin(*self._kind, self._quiet_from)
        elif self._sound.end_90k is None:
            frames += self._sound.feed(SoundUnit("g711a", out, b"\xd5" * 320))
        frames += self._sound.keep_up(out)
        config = self._sound.config
        if config is not None:
            for frame in frames:
                yield muxer.sound(frame.data, frame.sample * _SECOND_90K // config.rate, config.specific)


def picture_us(read: _Read, picture: RecordedPicture) -> int:
    """How long a picture is seen, at least; enough to tell the one that shows a moment."""
    count = max(1, len(read.found.pictures))
    return min(read.group.duration_90k // count, _SECOND_90K) * 100 // 9


def _led(read: _Read, target: int) -> int:
    """How many pictures are there only to be built upon by the one that shows the moment."""
    pictures, begin = read.found.pictures, read.group.utc_us
    after = (
        number
        for number, picture in enumerate(pictures)
        if begin + picture.at_90k * 100 // 9 + picture_us(read, picture) > target
    )
    return next(after, len(pictures))


def _next(groups: Iterator[Group], keys_only: bool) -> _Read | None:
    """The next group that can be read: a bad sector does not end the film.

    Raises:
        StorageError: None that is left can be read.
    """
    unread: StorageError | None = None
    for group in groups:
        try:
            if not keys_only:
                return _Read(group, pictures_of(group))
            found = first_pictures(group, _KEY_BYTES)
        except StorageError as error:
            unread = error
            continue
        return _Read(group, RecordedPictures(found.codec, found.pictures[:1], (), found.origin_90k, found.sets))
    if unread is not None:
        raise unread
    return None


def _kind_of(units: list[SoundUnit]) -> tuple[MediaCodec, SoundConfig] | None:
    track = SoundTrack()
    for unit in units:
        track.feed(unit)
        if track.config is not None:
            return unit.codec, track.config
    return None


def _sound_ahead(groups: Iterator[Group]) -> tuple[MediaCodec, SoundConfig] | None:
    """The sound that comes later in a recording; None where none is found."""
    path, segments = "", 0
    for number, group in enumerate(groups):
        if number >= _NEAR_GROUPS:
            if group.span.path == path:
                continue
            segments += 1
            if segments > _FAR_SEGMENTS:
                break
        path = group.span.path
        with contextlib.suppress(StorageError):
            if kind := _kind_of(_sound_of(_Read(group, first_pictures(group, _SOUND_BYTES)))):
                return kind
    return None


def _seen(future: asyncio.Future[_Read | None]) -> None:
    """What was read ahead for nobody may have failed."""
    if not future.cancelled():
        future.exception()


def _sound_of(read: _Read) -> list[SoundUnit]:
    """Sound with its place after the group's key frame, in order."""
    found = read.found
    units = [
        SoundUnit(unit.codec, unwrapped(unit.pts_90k, found.origin_90k) - found.origin_90k, unit.data)
        for unit in found.sound
        if unit.codec in SOUND_CODECS
    ]
    return sorted(units, key=lambda unit: unit.at_90k)
