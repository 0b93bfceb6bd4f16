"""A watched channel: finds the ingest that has its stream, demuxes once, serves every format.

A stream that ends is looked for again: viewers stay, their time goes on rising. The task of `run` finds and waits; pictures
themselves go from the ingest's socket to the viewers' sockets in one call, without a queue between.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from gb28181.edge.audio import CLOCK, SOUND_CODECS, SoundFrame, SoundTrack, SoundUnit
from gb28181.edge.feed import Feed, Format, Picture, Sound
from gb28181.edge.ingests import IngestClient
from gb28181.edge.lent_sets import carries_sets, lent_sets, sets_of
from gb28181.edge.timeline import Timeline
from gb28181.edge.viewer import Viewer
from gb28181.media.nal import ParameterSets, VideoCodec
from gb28181.media.ps import PsParser
from gb28181.media.ps_pictures import AccessUnit
from gb28181.messages import LOSS, MediaChunk, WatchStarted
from gb28181.storage.segment import PART, PS
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

FIRST_S: Final = 20.0
AGAIN_S: Final = 60.0
#: A running stream may have to be waited for longer: smart codecs send a key frame every 10 to 25 s (quirk Q146).
PICTURE_S: Final = 30.0
#: Gaps inside a picture are shorter: an ingest hands on a watched stream every 20 ms.
_IDLE_S: Final = 0.03
_ASK_S: Final = 1.0
_RETRY_S: Final = 0.25
_WANT_S: Final = 5.0
#: So long the first pictures wait for sound that the camera announces (quirk Q134): who has begun without it can hardly add it.
_SOUND_S: Final = 1.0
#: Sound that stays behind by so much has ended; silence takes its place up to a little less.
_SOUND_BEHIND_90K: Final = 2 * CLOCK
_SILENCE_BEHIND_90K: Final = CLOCK * 3 // 2
_READ: Final = 1 << 20
#: Of the file and of chunks that arrive while it is read.
_CATCH_UP: Final = 64 << 20


class LiveChannel:
    """One channel while somebody watches it, and a little longer.

    Args:
        want: Tells control that this channel is waited for; False when nobody waits for it, and so nothing was told.
        gop_limit: As for `Feed`; pictures since the last key frame are kept too, for a format that is asked for later.
    """

    def __init__(
        self,
        device_id: str,
        channel_id: str,
        *,
        ingests: Sequence[IngestClient],
        want: Callable[[str, str], bool],
        gop_limit: int,
    ) -> None:
        self.device_id = device_id
        self.channel_id = channel_id
        self.feeds: dict[Format, Feed] = {}
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.failure = ""
        self.lag_ms = 0.0
        self._ingests = ingests
        self._want = want
        self._gop_limit = gop_limit
        self._timeline = Timeline()
        self._codec: VideoCodec | None = None
        self._sets: ParameterSets | None = None  # of the last key picture that brought some
        self._gop: list[Picture | Sound] = []
        self._gop_bytes = 0
        self._sound = SoundTrack()
        self._hears = False  # sound came, before the first picture too
        self._prelude: list[Picture | Sound] | None = None  # pictures that wait for the first sound
        self._prelude_over: asyncio.TimerHandle | None = None
        self._parser = PsParser()
        self._needs_key = True
        self._saw_key = False  # what looked like a key picture
        self._source: tuple[IngestClient, int] | None = None
        self._asked: dict[int, IngestClient] = {}
        self._answered = asyncio.Event()
        self._ended = asyncio.Event()
        self._stirred = asyncio.Event()  # the stream showed its first picture, or ended
        self._beginning: WatchStarted | None = None
        self._held: list[MediaChunk] | None = None
        self._held_bytes = 0
        self._expected: int | None = None
        self._bytes = 0
        self._idle: asyncio.TimerHandle | None = None
        self._hurry: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def viewers(self) -> int:
        return sum(len(feed.viewers) for feed in self.feeds.values())

    # --- viewers ---------------------------------------------------------------------------------------------------

    def join(self, viewer: Viewer, kind: Format) -> None:
        feed = self.feeds.get(kind)
        if feed is None:
            feed = self.feeds[kind] = Feed(kind, gop_limit=self._gop_limit)
            if self._codec is not None and not self._needs_key:
                feed.use(self._codec)
                for item in self._gop:
                    _hand(feed, item)
                feed.flush()
        feed.join(viewer)

    def leave(self, viewer: Viewer) -> None:
        for feed in self.feeds.values():
            feed.leave(viewer)

    def recent(self) -> tuple[VideoCodec, list[bytes]]:
        """The pictures since the last key frame, Annex B; none where the group was too long to be kept."""
        return self._codec or "h264", [item.data for item in self._gop if isinstance(item, Picture)]

    # --- finding the stream ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serves until the stream cannot be had any more; then `failure` says why and every viewer is ended."""
        patience = FIRST_S
        try:
            while await self._find(self._loop.time() + patience):
                await self._read_beginning()
                if not await self._watch():
                    break
                patience = AGAIN_S
        finally:
            self.failure = self._diagnosis()
            self._release()
            if not self.ready.done():
                self.ready.set_result(None)
            for feed in self.feeds.values():
                for viewer in tuple(feed.viewers):
                    viewer.end(self.failure)

    async def _watch(self) -> bool:
        """Until the stream ends; False when it runs and shows nothing."""
        if not self.ready.done():
            try:
                async with asyncio.timeout(PICTURE_S):
                    await self._stirred.wait()
            except TimeoutError:
                return False
        await self._ended.wait()
        return True

    async def _find(self, deadline: float) -> bool:
        """Asks every ingest, and control to open the stream, until one has it."""
        self._release()
        wanted = 0.0
        while True:
            self._ask()
            try:
                async with asyncio.timeout(_ASK_S):
                    await self._answered.wait()
            except TimeoutError:
                pass
            if self._source is not None:
                return True
            self._withdraw()
            now = self._loop.time()
            if now >= deadline:
                return False
            if now - wanted >= _WANT_S and self._want(self.device_id, self.channel_id):
                wanted = now
            await asyncio.sleep(_RETRY_S)

    def _ask(self) -> None:
        self._answered.clear()
        self._ended.clear()
        self._stirred.clear()
        self._asked = {}
        for client in self._ingests:
            watch_id = client.watch(self, self.device_id, self.channel_id)
            if watch_id is not None:
                self._asked[watch_id] = client
        if not self._asked:
            self._answered.set()

    def _withdraw(self) -> None:
        for watch_id, client in self._asked.items():
            client.unwatch(watch_id)
        self._asked = {}

    def _release(self) -> None:
        """Lets go of the stream and of everything that belongs to it alone."""
        self._withdraw()
        if self._source is not None:
            client, watch_id = self._source
            client.unwatch(watch_id)
            self._source = None
        if self._idle is not None:
            self._idle.cancel()
        self._end_prelude()
        self._sound.restart()
        self._held = None
        self._held_bytes = 0
        self._expected = None
        self._bytes = 0
        self._parser = PsParser()
        self._needs_key = True
        self._sets = None
        self._hears = False
        self._timeline.restart()

    # --- what an ingest says (Watcher) -----------------------------------------------------------------------------

    def started(self, client: IngestClient, message: WatchStarted) -> None:
        if self._source is not None:
            client.unwatch(message.watch_id)
            return
        self._source = (client, message.watch_id)
        self._asked.pop(message.watch_id, None)
        self._withdraw()
        self._beginning = message
        self._held = [] if message.file else None
        self._answered.set()

    def ended(self, watch_id: int, cause: str) -> None:
        if self._source is not None and self._source[1] == watch_id:
            self._source = None
            for unit in self._parser.flush():
                self._show(unit)
            self._send(urgent=True)
            self._ended.set()
            self._stirred.set()
            return
        self._asked.pop(watch_id, None)
        if not self._asked:
            self._answered.set()

    def chunk(self, chunk: MediaChunk) -> None:
        if self._source is None or self._source[1] != chunk.watch_id:
            return
        if self._held is None:
            self._take(chunk)
            return
        self._held.append(chunk)
        self._held_bytes += len(chunk.data)
        if self._held_bytes > _CATCH_UP:
            # The disk does not answer: begin with what is live.
            self._catch_up()

    # --- media -----------------------------------------------------------------------------------------------------

    async def _read_beginning(self) -> None:
        """Reads from the last key frame on disk to where the chunks begin."""
        message, self._beginning = self._beginning, None
        if message is None or not message.file:
            return
        at = message.file_from
        until = min(message.file_until, at + _CATCH_UP)
        whole = until == message.file_until
        while at < until and self._held is not None:
            data = await asyncio.to_thread(_read, message.file, at, min(_READ, until - at))
            if self._held is None:
                return
            if not data:
                whole = False
                break
            if at == message.file_from and not carries_sets(data):
                lent = await asyncio.to_thread(lent_sets, Path(message.file.removesuffix(PART).removesuffix(PS)))
                self._parser.feed(lent, 0)
            at += len(data)
            self._bytes += len(data)
            for unit in self._parser.feed(data, 0):
                self._show(unit)
        if self._held is not None and not whole:
            self._parser.feed(b"", 0, lost=True)
        self._catch_up()
        self._send(urgent=True)

    def _catch_up(self) -> None:
        held, self._held = self._held or [], None
        self._held_bytes = 0
        for chunk in held:
            self._take(chunk)

    def _take(self, chunk: MediaChunk) -> None:
        self.lag_ms = max(0.0, (time.time_ns() // 1000 - chunk.at) / 1000)
        lost = bool(chunk.flags & LOSS) or (self._expected is not None and chunk.offset != self._expected)
        self._expected = chunk.offset + len(chunk.data)
        self._bytes += len(chunk.data)
        for unit in self._parser.feed(chunk.data, chunk.at, lost=lost):
            self._show(unit)
        for unit in self._parser.settle():
            self._show(unit)
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(_IDLE_S, self._on_idle)
        self._send()

    def _on_idle(self) -> None:
        if self._held is not None:
            return
        for unit in self._parser.settle(idle=True):
            self._show(unit)
        self._send()

    def _show(self, unit: AccessUnit) -> None:
        codec = unit.codec
        if codec in SOUND_CODECS:
            self._hear(unit)
        if codec not in ("h264", "h265"):
            return
        if self._needs_key or codec != self._codec:
            if not self._begins(codec, unit):
                return
            self._needs_key = False
            if codec != self._codec:
                self._end_prelude()
                self._codec = codec
                for feed in self.feeds.values():
                    feed.use(codec)
        dts, pts = self._timeline.stamp(unit.dts_90k, unit.pts_90k, unit.at_us)
        if not self.ready.done() and self._prelude is None and self._announces_sound():
            self._prelude = []
            self._prelude_over = self._loop.call_later(_SOUND_S, self._on_prelude_over)
        data = self._with_sets(codec, unit.data) if unit.is_key else unit.data
        self._give(Picture(data, dts, pts, unit.is_key))
        behind = self._sound.end_90k
        if behind is not None and dts - behind > _SOUND_BEHIND_90K:
            self._give_sound(self._sound.keep_up(dts - _SILENCE_BEHIND_90K))
        if self._prelude is None and not self.ready.done():
            self.ready.set_result(None)
        self._stirred.set()

    def _begins(self, codec: VideoCodec, unit: AccessUnit) -> bool:
        """Whether players can begin here: a key picture that refers to parameter sets which came with it or before it. Of an
        encrypted stream now and then a picture looks like a key picture, or like a set (quirk Q145)."""
        own = sets_of(codec, unit.data)
        if own.complete:
            self._sets = own
        if not unit.is_key:
            return False
        self._saw_key = True
        return self._sets is not None and self._sets.codec == codec and self._sets.describe(unit.data)

    def _with_sets(self, codec: VideoCodec, data: bytes) -> bytes:
        """A key picture with parameter sets: players join there, though some cameras send them once (quirk Q143)."""
        own = sets_of(codec, data)
        if own.complete:
            self._sets = own
        elif self._sets is not None and self._sets.codec == codec:
            return self._sets.annex_b() + data
        return data

    def _hear(self, unit: AccessUnit) -> None:
        self._hears = True
        at = None if self._needs_key else self._timeline.place(unit.pts_90k, unit.at_us)
        if at is None:
            return
        before = self._sound.config
        frames = self._sound.feed(SoundUnit(unit.codec, at, unit.data))
        config = self._sound.config
        if config is not None and config != before:
            # Said at once: the encoder's first frame is a third of a second away.
            self._give(Sound(b"", at, config.specific))
            self._end_prelude()
        self._give_sound(frames)

    def _give_sound(self, frames: Sequence[SoundFrame]) -> None:
        config = self._sound.config
        if config is not None:
            for frame in frames:
                self._give(Sound(frame.data, frame.sample * CLOCK // config.rate, config.specific))

    def _announces_sound(self) -> bool:
        return self._sound.config is None and not SOUND_CODECS.isdisjoint(self._parser.declared.values())

    def _give(self, item: Picture | Sound) -> None:
        """To the viewers of every format, and to those who come before the next key frame."""
        if self._prelude is not None:
            self._prelude.append(item)
            return
        is_key = isinstance(item, Picture) and item.is_key
        if is_key:
            self._gop, self._gop_bytes = [], 0
        if is_key or self._gop:
            self._gop.append(item)
            self._gop_bytes += len(item.data)
            if self._gop_bytes > self._gop_limit:
                self._gop, self._gop_bytes = [], 0
        for feed in self.feeds.values():
            _hand(feed, item)

    def _on_prelude_over(self) -> None:
        self._end_prelude()
        self._send(urgent=True)

    def _end_prelude(self) -> None:
        """Pictures go out: their sound has come, or comes too late."""
        if self._prelude_over is not None:
            self._prelude_over.cancel()
            self._prelude_over = None
        items, self._prelude = self._prelude, None
        if not items:
            return
        # The muxers must know of the sound before the first viewer gets a header.
        for item in items:
            self._give(item)
        if not self.ready.done():
            self.ready.set_result(None)

    def _send(self, *, urgent: bool = False) -> None:
        now = self._loop.time()
        held_back = False
        for feed in self.feeds.values():
            if urgent or feed.due(now):
                feed.flush(now)
            held_back |= feed.holds_back
        if held_back and self._hurry is None:
            # A stream that stops must not leave its last frames here.
            self._hurry = self._loop.call_later(_IDLE_S * 2, self._on_hurry)

    def _on_hurry(self) -> None:
        self._hurry = None
        self._send(urgent=True)

    def _diagnosis(self) -> str:
        """Why there is no picture, in words for whoever waits."""
        parser = self._parser
        if self._codec is not None:
            return say("live.ended")
        if not self._bytes:
            if not any(client.connected.is_set() for client in self._ingests):
                return say("live.no_ingest")
            return say("live.not_in_time")
        if not parser.packs:
            return say("live.not_ps")
        if parser.codec in ("svac", "mpeg4", "mpeg2"):
            return say("live.codec", codec=parser.codec)
        if not parser.codec:
            return say("live.sound_only" if self._hears else "live.no_parameter_sets")
        return say("live.no_parameter_sets" if self._saw_key else "live.no_key_frame")


def _hand(feed: Feed, item: Picture | Sound) -> None:
    if isinstance(item, Picture):
        feed.write(item)
    else:
        feed.hear(item)


def _read(file: str, at: int, size: int) -> bytes:
    """A piece of a segment, which may have been renamed when it was closed; b"" when it is gone."""
    for name in (file, file.removesuffix(".part")):
        try:
            with Path(name).open("rb") as segment:
                segment.seek(at)
                return segment.read(size)
        except OSError:
            continue
    return b""
