"""Recording that comes back by itself: what is wanted is compared with what is being written, again and again (W27).

A channel that is to be recorded is *due* (`due.py`). A due channel without a running stream is opened, with jittered
exponential back-off per channel (W28) and few at once per device; nothing that fails ever removes it from the list. Every hole
goes to the gap ledger with its cause.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gb28181.background import Background
from gb28181.bus import Bus
from gb28181.catalog.model import Channel, ChannelKey, ChannelsChanged
from gb28181.clock import Clock, from_us, rfc3339
from gb28181.config import RecordingSettings
from gb28181.device.model import DeviceOnline, DeviceRegistered
from gb28181.errors import Gb28181Error, Invalid, NoPicture, NotFound
from gb28181.ids import DeviceId
from gb28181.messages import Progress, SegmentClosed
from gb28181.ports import Channels, Devices, SegmentStore, Streams
from gb28181.recording.due import Attempt, DueChannels
from gb28181.recording.ledger import Ledger, RecordingPage
from gb28181.recording.model import (
    RecordingChanged,
    RecordingMode,
)
from gb28181.session.model import IngestUp, StreamDown
from gb28181.texts.text import cause_of, say

_PER_DEVICE: Final = 4
_AT_ONCE: Final = 200
_PASS_S: Final = 1.0
_OFF_PENALTY: Final = 10.0
"""A channel whose catalogue status is OFF is tried too, this much less often: devices report wrong states (quirk Q74)."""
_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """What an operator sees of one channel's recording.

    Args:
        since: Since when bytes have been written without a break, None while they are not.
        message: Why it does not record, "" while it does.
    """

    mode: RecordingMode
    state: str
    since: datetime | None
    message: str
    retention_hours: float


class RecordingService:
    """Keeps due channels recorded, stores their segments, answers what is there."""

    def __init__(
        self,
        settings: RecordingSettings,
        *,
        streams: Streams,
        devices: Devices,
        channels: Channels,
        store: SegmentStore,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._streams = streams
        self._devices = devices
        self._channels = channels
        self._bus = bus
        self._clock = clock
        self._due = DueChannels()
        self._ledger = Ledger(
            shortest_s=settings.gap_seconds,
            is_due=self._is_due,
            streams=streams,
            devices=devices,
            store=store,
            bus=bus,
            clock=clock,
        )
        self._passed_at = -1.0
        self._opening: dict[DeviceId, int] = defaultdict(int)
        self._background = Background()
        self._wake = asyncio.Event()
        self._paused = True
        self._counters: dict[str, int] = {"attempts": 0, "failures": 0}
        bus.subscribe(StreamDown, self._stream_down)
        bus.subscribe(Progress, self._progress)
        bus.subscribe(DeviceOnline, lambda event: self._device_back(event.device_id))
        bus.subscribe(DeviceRegistered, self._registered)
        bus.subscribe(ChannelsChanged, self._channels_changed)
        bus.subscribe(IngestUp, self._ingest_up)

    async def __aenter__(self) -> RecordingService:
        for channel in self._channels.all_channels():
            if self._wants(channel):
                self._due.add(channel.key)
        await self._background.__aenter__()
        self._background.spawn(self._run, "recording reconciler", forever=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._background.__aexit__(*error)

    def begin(self) -> None:
        """Starts opening streams: called once the ingests have said what still runs, so that nothing is opened twice."""
        self._paused = False
        now = asyncio.get_running_loop().time()
        for key in self._due:
            self._look(key, now)
        self._wake.set()

    def pause(self) -> None:
        """Opens nothing any more: the server is being stopped."""
        self._paused = True

    # --- what operators ask ------------------------------------------------------------------------------------

    async def set_mode(
        self, key: ChannelKey, mode: str, *, transport: str | None = None, retention_hours: float | None = None
    ) -> RecordingStatus:
        """Records a channel from now on, or no longer; kept over restarts.

        Raises:
            NotFound: No such channel.
            Invalid: Unknown mode.
        """
        if mode not in ("always", "off"):
            raise Invalid(say("recording.mode_unknown", mode=mode))
        self._channels.channel(key)
        wanted: RecordingMode = "always" if mode == "always" else "off"
        await self._channels.change(key, recording_mode=wanted, retention_hours=retention_hours)
        if wanted == "always":
            attempt = self._due.add(key)
            attempt.transport = transport
            self._try_now(key, attempt)
        else:
            self._stop(key)
            await self._ledger.end_gap(key, self._clock.utc_us())
        self._wake.set()
        self._bus.publish(RecordingChanged(key, wanted, "starting" if wanted == "always" else "off"))
        return self.status(key)

    def status(self, key: ChannelKey) -> RecordingStatus:
        """Raises: NotFound."""
        channel = self._channels.channel(key)
        mode = self.mode_of(channel)
        hours = self.retention_of(channel)
        if mode == "off":
            return RecordingStatus(mode, "off", None, "", hours)
        attempt = self._due.get(key)
        if attempt is None:
            return RecordingStatus(mode, "starting", None, "", hours)
        if self._streams.is_recording(key) and attempt.since is not None:
            return RecordingStatus(mode, "recording", attempt.since, "", hours)
        failed = attempt.failures > 0 and not attempt.is_running
        message = attempt.message if self._devices.is_online(key.device_id) else say("recording.device_offline")
        return RecordingStatus(mode, "failed" if failed else "starting", None, message, hours)

    def mode_of(self, channel: Channel) -> RecordingMode:
        if channel.recording_mode:
            return channel.recording_mode
        return self._settings.default_mode if channel.is_playable else "off"

    def retention_of(self, channel: Channel) -> float:
        return channel.retention_hours or self._settings.retention_hours

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return {**self._ledger.counters, **self._counters, "background_failures": self._background.failures}

    def counts(self) -> dict[str, int]:
        """`due` channels and how many of them are `recording` now."""
        return {"due": len(self._due), "recording": sum(self._is_written(key) for key in self._due)}

    def unrecorded(self) -> list[Channel]:
        """Due channels of which nothing is written now."""
        return [self._channels.channel(key) for key in self._due if self._is_due(key) and not self._is_written(key)]

    def _is_written(self, key: ChannelKey) -> bool:
        attempt = self._due.get(key)
        return attempt is not None and attempt.since is not None and self._streams.is_recording(key)

    async def recordings(
        self, key: ChannelKey, start: int, end: int, *, limit: int = 1000, after: tuple[int, int] | None = None
    ) -> RecordingPage:
        """Closed segments that overlap [start, end) in UTC microseconds, the holes between them, and the share covered.

        Raises:
            Invalid: The range is empty or longer than 62 days.
        """
        return await self._ledger.page(key, start, end, limit=limit, after=after)

    async def check_known(self, key: ChannelKey) -> None:
        """Raises: NotFound: There is no such channel, and no recording of one that there was."""
        try:
            self._channels.channel(key)
        except NotFound:
            if not await self._ledger.has_recorded(key):
                raise NotFound(say("recording.no_channel", key=key)) from None

    def being_written(self, key: ChannelKey) -> tuple[int, int] | None:
        """Start and newest media of the segment that has no row yet, UTC microseconds."""
        return self._ledger.being_written(key)

    # --- what ingests say --------------------------------------------------------------------------------------

    async def store_segments(self, events: Sequence[SegmentClosed]) -> None:
        """Puts closed segments into the database; returns when they are committed and may be acknowledged."""
        await self._ledger.store_segments(events)

    def _progress(self, event: Progress) -> None:
        key = self._streams.channel_of(event.stream_id)
        if key is None:
            return
        if event.what == "recording":
            self._begun(key, event.at)
        elif event.what == "silent" and (attempt := self._due.get(key)) is not None:
            attempt.since = None
            attempt.message = say("recording.no_media", at=rfc3339(event.at))

    def _begun(self, key: ChannelKey, at: int) -> None:
        attempt = self._due.add(key)
        attempt.message = ""
        attempt.failures = 0
        attempt.since = attempt.since or from_us(at)
        self._ledger.begun(key, at)
        self._background.start(self._ledger.end_gap(key, at), "end of a gap")
        self._bus.publish(RecordingChanged(key, "always", "recording"))

    def _ingest_up(self, event: IngestUp) -> None:
        for state in event.snapshot.streams:
            if state.recording and state.segment_start:
                key = ChannelKey(DeviceId(state.device_id), DeviceId(state.channel_id))
                self._begun(key, state.segment_start)

    def _stream_down(self, event: StreamDown) -> None:
        attempt = self._due.get(event.key)
        if attempt is None:
            return
        self._ledger.went_down(event)
        attempt.since = None
        attempt.message = say("recording.stream_ended", cause=cause_of(event.cause))
        attempt.next_at = 0.0  # the first try comes at once: a camera back after a second loses a second
        self._due.queue(event.key, 0.0)
        self._wake.set()

    def _registered(self, event: DeviceRegistered) -> None:
        if event.is_new:
            self._device_back(event.device_id)

    def _device_back(self, device_id: DeviceId) -> None:
        for key in self._due.of_device(device_id):
            if (attempt := self._due.get(key)) is not None:
                self._try_now(key, attempt)

    def _try_now(self, key: ChannelKey, attempt: Attempt) -> None:
        attempt.next_at = 0.0
        attempt.failures = 0
        self._due.queue(key, 0.0)
        self._wake.set()

    def _channels_changed(self, event: ChannelsChanged) -> None:
        for channel_id in (*event.added, *event.updated, *event.gone):
            key = ChannelKey(event.device_id, channel_id)
            if self._is_due(key):
                if key not in self._due:
                    self._due.add(key)
                    self._due.queue(key, 0.0)
                    self._wake.set()
            elif key in self._due:
                self._stop(key)

    # --- reconciling -------------------------------------------------------------------------------------------

    def _wants(self, channel: Channel) -> bool:
        return channel.is_shown and self.mode_of(channel) == "always"

    def _is_due(self, key: ChannelKey) -> bool:
        try:
            return self._wants(self._channels.channel(key))
        except Gb28181Error:
            return False

    def _is_known(self, key: ChannelKey) -> bool:
        """A stream that was adopted may be of a channel that was not stored yet: its device will list it again."""
        try:
            self._channels.channel(key)
        except Gb28181Error:
            return False
        return True

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(1.0):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            if not self._paused:
                self._reconcile(asyncio.get_running_loop().time())

    def _reconcile(self, now: float) -> None:
        """Opens what is due and not recording; every channel keeps its own pace."""
        if now - self._passed_at >= _PASS_S:
            self._passed_at = now
            for key in self._due.some():
                self._look(key, now)
        total = sum(self._opening.values())
        for key in self._due.ready(now) if total < _AT_ONCE else ():
            attempt = self._due.get(key)
            if attempt is None or not self._is_idle(key, attempt):
                continue
            if self._opening[key.device_id] >= _PER_DEVICE:
                self._due.park(key)
                continue
            total += 1
            attempt.is_running = True
            self._opening[key.device_id] += 1
            self._background.start(self._open(self._channels.channel(key), attempt), f"recording {key}")
            if total >= _AT_ONCE:
                break

    def _look(self, key: ChannelKey, now: float) -> None:
        """Queues a due channel that does not record, whatever event was missed; ends one that is not due."""
        attempt = self._due.get(key)
        if attempt is None:
            return
        if not self._is_due(key):
            if self._is_known(key):
                self._stop(key)
        elif attempt.queued_at is None and self._is_idle(key, attempt):
            self._due.queue(key, max(now, attempt.next_at))

    def _is_idle(self, key: ChannelKey, attempt: Attempt) -> bool:
        """Whether opening it makes sense now."""
        return (
            not attempt.is_running
            and not self._streams.is_recording(key)
            and self._devices.is_online(key.device_id)
            and self._is_due(key)
        )

    async def _open(self, channel: Channel, attempt: Attempt) -> None:
        key = channel.key
        self._counters["attempts"] += 1
        loop = asyncio.get_running_loop()
        try:
            await self._streams.hold_for_recording(key, transport=attempt.transport)
        except NoPicture as error:
            self._counters["failures"] += 1
            attempt.failures += 1
            attempt.message = str(error)
            # A caller's wish may be one that this device cannot fulfil; recording matters more than the wish.
            attempt.transport = None
            pause = min(self._settings.retry_max_s, self._settings.retry_min_s * 2 ** min(attempt.failures - 1, 10))
            if not channel.status_on:
                pause *= _OFF_PENALTY
            attempt.next_at = loop.time() + pause * random.uniform(0.7, 1.3)
            self._bus.publish(RecordingChanged(key, "always", "failed", str(error)))
            await self._ledger.begin_gap(key)
        else:
            attempt.message = ""
        finally:
            attempt.is_running = False
            self._opening[key.device_id] -= 1
            if not self._opening[key.device_id]:
                del self._opening[key.device_id]
            now = loop.time()
            self._due.unpark(key.device_id, now)
            self._look(key, now)
            self._wake.set()

    def _stop(self, key: ChannelKey) -> None:
        self._due.drop(key)
        self._streams.release_recording(key)
