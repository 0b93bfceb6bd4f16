"""Live streams: one INVITE per channel however many sessions, viewers and recordings use it (Annex K, L).

Theory of operation. A channel that somebody holds has one `LiveStream`. Its *opener* task walks the stages
(reserve, INVITE, answer, ACK, first RTP, first PS, first key frame); everyone who wants the stream waits for the same
outcome. A holder is a session's id, or `RECORDING`. When the last holder leaves, the stream is closed; whoever leaves,
for whatever reason, the camera gets its BYE, because closing is a task of this service and not of the caller.

The dialog is committed to the store before the ACK. After a restart `reconcile` compares the store with what each ingest
holds: what runs is adopted without a word to the camera, what has no receiver is ended with BYE, what has no record is closed.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final

from gb28181.background import Background
from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock, from_us
from gb28181.config import MediaSettings, SipSettings
from gb28181.device.model import DeviceMoved, DeviceOffline, DeviceOnline, DeviceRegistered
from gb28181.errors import Gb28181Error, NoPicture
from gb28181.ids import DeviceId
from gb28181.messages import EndCause, Progress, Statistics, StreamEnded, StreamState
from gb28181.ports import Channels, Devices, Ingests, Receiver, Signalling, SipRequest, StreamStore
from gb28181.session.dialogs import Dialogs
from gb28181.session.model import (
    IngestDown,
    IngestUp,
    Session,
    Stage,
    StreamDown,
    StreamFailed,
    StreamRecord,
    StreamUp,
)
from gb28181.session.opener import Opener
from gb28181.session.sessions import Sessions
from gb28181.session.stream import RECORDING, LiveStream
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

_PROGRESS: Final[dict[str, Stage]] = {
    "connected": Stage.CONNECTED,
    "first_rtp": Stage.FIRST_RTP,
    "first_ps": Stage.FIRST_PS,
    "first_key_frame": Stage.FIRST_KEY_FRAME,
}


class SessionService:
    """Opens, shares and closes live streams.

    Use as `async with service:`; leaving it ends the tasks, not the streams: they are recorded on and adopted by the next
    process. `shutdown()` ends the streams as well.
    """

    def __init__(
        self,
        media: MediaSettings,
        sip: SipSettings,
        *,
        signalling: Signalling,
        ingests: Ingests,
        devices: Devices,
        channels: Channels,
        store: StreamStore,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._media = media
        self._signalling = signalling
        self._ingests = ingests
        self._devices = devices
        self._channels = channels
        self._store = store
        self._bus = bus
        self._clock = clock
        self._background = Background()
        self._dialogs = Dialogs(signalling=signalling, devices=devices, store=store, clock=clock, background=self._background)
        self._opener = Opener(
            media, sip, signalling=signalling, ingests=ingests, devices=devices, dialogs=self._dialogs, clock=clock
        )
        self._streams: dict[ChannelKey, LiveStream] = {}
        self._by_id: dict[str, LiveStream] = {}
        self._unclaimed: dict[str, StreamRecord] = {}
        self._sessions = Sessions(idle_s=media.idle_s, clock=clock)
        self._counters: dict[str, int] = {"opened": 0, "failed": 0, "adopted": 0, "ended": 0, "redirected": 0}
        bus.subscribe(Progress, self._progress)
        bus.subscribe(Statistics, self._statistics)
        bus.subscribe(StreamEnded, self._ended_by_ingest)
        bus.subscribe(IngestUp, self._ingest_up)
        bus.subscribe(IngestDown, self._ingest_down)
        bus.subscribe(DeviceOffline, self._device_offline)
        bus.subscribe(DeviceMoved, lambda event: self._device_moved(event.device_id))
        bus.subscribe(DeviceRegistered, self._device_registered)
        bus.subscribe(DeviceOnline, lambda event: self._dialogs.device_heard(event.device_id))

    async def __aenter__(self) -> SessionService:
        await self._background.__aenter__()
        self._background.spawn(self._sweep, "session sweep", forever=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._background.__aexit__(*error)

    async def load(self) -> None:
        """Reads the dialogs of the process before this one; each waits for its ingest to say whether it still runs."""
        for record in await self._dialogs.load():
            self._unclaimed[record.stream_id] = record
            self._opener.ssrcs.adopt(record.ssrc)

    async def shutdown(self) -> None:
        """Ends every stream with BYE, as an operator who stops the server expects."""
        await asyncio.gather(*(self._close(stream, "stopped") for stream in list(self._streams.values())))

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return {**self._counters, "background_failures": self._background.failures}

    # --- what callers ask --------------------------------------------------------------------------------------

    async def open_live(self, key: ChannelKey, *, user: str, transport: str | None = None, only_shown: bool = True) -> Session:
        """Joins the channel's running stream or opens it.

        Args:
            only_shown: A stream of which nothing can be shown is no answer; otherwise whoever waits is told elsewhere.

        Raises:
            NotFound: No such channel.
            NoPicture: With the last stage reached, the cause and the remedy.
        """
        self._channels.channel(key)
        loop = asyncio.get_running_loop()
        session = self._sessions.begin(key, user, loop.time())
        try:
            stream = await self._hold(key, session.session_id, transport)
            if only_shown and stream.lack:
                self._start(self._release(stream, session.session_id))
                raise NoPicture(stream.lack, stage=Stage.FIRST_PS, detail={"note": stream.lack})
        except BaseException:
            self._sessions.end(session.session_id)
            raise
        self._sessions.seen(session.session_id, loop.time())
        return self._described(session, stream)

    def sessions(self) -> list[Session]:
        return [self._described(session, self._streams.get(session.key)) for session in self._sessions.all()]

    def session(self, session_id: str) -> Session:
        """Raises: NotFound."""
        found = self._sessions.get(session_id)
        return self._described(found, self._streams.get(found.key))

    async def close(self, session_id: str) -> None:
        """Ends a session; the stream ends with it when nobody else uses it. Raises: NotFound."""
        session = self.session(session_id)
        self._sessions.end(session_id)
        stream = self._streams.get(session.key)
        if stream is not None:
            await self._release(stream, session_id)

    async def hold_for_recording(self, key: ChannelKey, *, transport: str | None = None) -> None:
        stream = await self._hold(key, RECORDING, transport)
        self._apply_recording(stream)

    def release_recording(self, key: ChannelKey) -> None:
        stream = self._streams.get(key)
        if stream is None or not stream.is_recorded:
            return
        stream.holders.discard(RECORDING)
        self._apply_recording(stream)  # at once: somebody who watches may hold the stream for hours
        self._start(self._release(stream, RECORDING))

    def is_recording(self, key: ChannelKey) -> bool:
        stream = self._streams.get(key)
        return stream is not None and stream.is_up and stream.is_recorded

    def stream_state(self, key: ChannelKey) -> StreamState | None:
        stream = self._streams.get(key)
        return stream.state if stream else None

    def channel_of(self, stream_id: str) -> ChannelKey | None:
        stream = self._by_id.get(stream_id)
        return stream.key if stream else None

    def owner_of_call(self, call_id: str) -> ChannelKey | None:
        """Channel of a running dialog: whom a request inside it is from (quirk Q32)."""
        return self._dialogs.channel_of(call_id)

    def viewers(self, counts: dict[ChannelKey, int]) -> None:
        """Takes what the edge says about who watches what now."""
        self._sessions.told(counts, asyncio.get_running_loop().time())

    def want(self, key: ChannelKey) -> None:
        """A viewer with a valid link waits at the edge: opens the stream for it."""
        self._start(self._open_for_viewer(key))

    async def bye(self, request: SipRequest) -> None:
        """A device ends its stream itself (quirk Q98)."""
        stream = self._dialogs.spoken_in(request)
        self._signalling.respond(request, 200 if stream else 481)
        if stream is not None:
            self._start(self._close(stream, "device_bye", bye=False))

    async def info(self, request: SipRequest) -> None:
        """Nothing of a live call is told by INFO; but 481 would tell a strict peer that the call is gone (RFC 5057 §5.1)."""
        self._signalling.respond(request, 200 if self._dialogs.spoken_in(request) else 481)

    # --- opening -----------------------------------------------------------------------------------------------

    async def _open_for_viewer(self, key: ChannelKey) -> None:
        try:
            await self.open_live(key, user="link", only_shown=False)  # the edge says what it sees
        except Gb28181Error as error:
            logger.info("stream for a waiting viewer failed", extra={"channel": str(key), "reason": str(error)})

    async def _hold(self, key: ChannelKey, holder: str, transport: str | None) -> LiveStream:
        while (old := self._streams.get(key)) is not None and old.closing:
            await old.gone.wait()  # the camera must have its BYE before it gets the next INVITE (quirk Q94)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._new(key, uuid.uuid4().hex)
            # Sessions outlive a stream that fell silent: the new one serves them again.
            stream.holders.update(self._sessions.of(key))
            stream.holders.add(holder)
            stream.opener = self._start(self._open(stream, transport))
        else:
            stream.holders.add(holder)
        try:
            await asyncio.shield(stream.up)
        except BaseException:
            # The caller may have gone (a closed page): then the stream must not outlive it.
            self._start(self._release(stream, holder))
            raise
        return stream

    def _new(self, key: ChannelKey, stream_id: str) -> LiveStream:
        stream = LiveStream(key, stream_id)
        self._streams[key] = stream
        self._by_id[stream_id] = stream
        return stream

    async def _open(self, stream: LiveStream, wish: str | None) -> None:
        try:
            await self._opener.establish(stream, wish)
            self._apply_recording(stream)
            await self._opener.await_picture(stream)
        except asyncio.CancelledError:
            stream.settle(NoPicture(say("live.nobody_waits"), stage=stream.stage))
            await self._close(stream, "cancelled")
            raise
        except NoPicture as error:
            self._counters["failed"] += 1
            stream.settle(error)
            self._bus.publish(StreamFailed(stream.key, error.stage, str(error), error.detail))
            logger.info("no picture", extra={"channel": str(stream.key), "stage": error.stage, "reason": str(error)})
            await self._close(stream, "failed")
            return
        except Exception as error:  # border: a background task; whoever waits must be told
            logger.exception("opening a stream failed", extra={"channel": str(stream.key)})
            stream.settle(NoPicture(say("live.internal", error=type(error).__name__), stage=stream.stage))
            await self._close(stream, "failed")
            return
        self._counters["opened"] += 1
        stream.settle(None)
        self._bus.publish(StreamUp(stream.key, stream.stream_id))
        logger.info("stream up", extra={"channel": str(stream.key), "transport": stream.transport})

    def _apply_recording(self, stream: LiveStream) -> None:
        if stream.record is not None and not stream.closing:
            self._ingests.set_recording(stream.record.ingest, stream.stream_id, stream.is_recorded)

    # --- closing -----------------------------------------------------------------------------------------------

    async def _release(self, stream: LiveStream, holder: str) -> None:
        stream.holders.discard(holder)
        if stream.holders or stream.closing:
            return
        if stream.opener is not None and not stream.opener.done():
            stream.opener.cancel()
            return
        await self._close(stream, "closed")

    async def _close(self, stream: LiveStream, cause: str, *, bye: bool = True) -> None:
        """Ends a stream for good. Runs to its end even if whoever asked goes away."""
        if stream.closing:
            return
        stream.closing = True
        if stream.opener is not None and not stream.opener.done() and stream.opener is not asyncio.current_task():
            stream.opener.cancel()
        stream.settle(NoPicture(say("live.closed_meanwhile"), stage=stream.stage))
        if (ending := self._start(self._tear_down(stream, cause, bye))) is not None:
            await asyncio.shield(ending)

    async def _tear_down(self, stream: LiveStream, cause: str, bye: bool) -> None:
        was_up = stream.stage is Stage.FIRST_KEY_FRAME
        stage = stream.stage
        if stream.is_orphan:
            # A camera whose media connection breaks says BYE before the ingest is back: its death is the cause all the same.
            cause = "ingest_restarted"
        try:
            record = self._dialogs.take(stream)
            if record is not None:
                await (self._dialogs.end(record) if bye else self._dialogs.forget(record))
            await self._opener.release(stream, _END_CAUSES.get(cause, "closed"))
        finally:
            self._streams.pop(stream.key, None)
            self._by_id.pop(stream.stream_id, None)
            stream.state = None
            stream.gone.set()
        if cause in ("closed", "stopped", "failed", "cancelled"):
            for holder in stream.holders:
                self._sessions.end(holder)
        if was_up:
            self._counters["ended"] += 1
            logger.info("stream down", extra={"channel": str(stream.key), "cause": cause})
            self._bus.publish(StreamDown(stream.key, stream.stream_id, cause, stage))

    # --- what ingests and devices say ---------------------------------------------------------------------------

    def _progress(self, event: Progress) -> None:
        stream = self._by_id.get(event.stream_id)
        if stream is None:
            return
        if event.what == "first_key_frame":
            stream.lack = event.detail
        if stage := _PROGRESS.get(event.what):
            stream.reach(stage, from_us(event.at))
        if event.what == "silent":
            stream.silent_since = asyncio.get_running_loop().time()
        elif event.what in ("resumed", "first_rtp"):
            stream.silent_since = None

    def _statistics(self, event: Statistics) -> None:
        for state in event.streams:
            if (stream := self._by_id.get(state.stream_id)) is not None:
                stream.state = state
                if state.width:
                    stream.lack = ""

    def _ended_by_ingest(self, event: StreamEnded) -> None:
        if (stream := self._by_id.get(event.stream_id)) is not None:
            self._start(self._close(stream, event.cause))

    def _device_offline(self, event: DeviceOffline) -> None:
        """Deregistration ends streams; a missed keepalive does not while media flow (DESIGN: recordings)."""
        for stream in [stream for stream in self._streams.values() if stream.key.device_id == event.device_id]:
            if event.cause != "keepalive_timeout" or stream.silent_since is not None:
                self._start(self._close(stream, "device_offline"))

    def _device_registered(self, event: DeviceRegistered) -> None:
        self._dialogs.device_heard(event.device_id)
        if event.is_new:
            self._device_moved(event.device_id)

    def _device_moved(self, device_id: DeviceId) -> None:
        for stream in self._streams.values():
            if stream.key.device_id == device_id and self._opener.redirect(stream):
                self._counters["redirected"] += 1

    def _ingest_up(self, event: IngestUp) -> None:
        self._start(self._reconcile(event))

    def _ingest_down(self, event: IngestDown) -> None:
        logger.warning("connection to an ingest lost", extra={"ingest": event.name})
        for stream in self._streams.values():
            if stream.receiver is not None and stream.receiver.ingest == event.name:
                stream.is_orphan = True

    async def _reconcile(self, event: IngestUp) -> None:
        """Compares what we and the store believe with what an ingest holds."""
        held = {state.stream_id: state for state in event.snapshot.streams}
        for stream in list(self._streams.values()):
            if stream.receiver and stream.receiver.ingest == event.name and stream.stream_id not in held:
                self._start(self._close(stream, "ingest_restarted"))
        for record in [record for record in self._unclaimed.values() if record.ingest == event.name]:
            del self._unclaimed[record.stream_id]
            state = held.get(record.stream_id)
            if state is None or record.closing or record.ingest_epoch != event.epoch or record.key in self._streams:
                self._opener.ssrcs.give_back(record.ssrc, asyncio.get_running_loop().time())
                self._dialogs.end_later(record)
            else:
                self._adopt(record, state)
        for state in held.values():
            known = self._by_id.get(state.stream_id)
            if known is None:
                await self._ingests.close_receiver(event.name, state.stream_id, "closed")
            else:
                known.is_orphan = False
                self._catch_up(known, state)
                self._apply_recording(known)

    def forget_missing_ingests(self, names: set[str]) -> None:
        """Ends dialogs whose ingest is no longer configured: nobody will ever answer for them."""
        for record in [record for record in self._unclaimed.values() if record.ingest not in names]:
            del self._unclaimed[record.stream_id]
            self._dialogs.end_later(record)

    def _adopt(self, record: StreamRecord, state: StreamState) -> None:
        stream = self._new(record.key, record.stream_id)
        stream.receiver = Receiver(record.stream_id, record.ingest, record.ingest_epoch, record.receiver_port)
        stream.transport = record.transport
        stream.ssrc = record.ssrc
        stream.reach(Stage.ANSWERED, record.created_at)
        self._dialogs.adopt(stream, record)
        self._catch_up(stream, state)
        if state.recording:
            stream.holders.add(RECORDING)
        # Viewers may be watching: they have as long to show as after a new session.
        stream.holders.add(self._sessions.begin(record.key, "adopted", asyncio.get_running_loop().time()).session_id)
        self._counters["adopted"] += 1
        logger.info("stream adopted", extra={"channel": str(record.key), "call_id": record.dialog.call_id})
        if stream.stage is Stage.FIRST_KEY_FRAME:
            stream.settle(None)
            self._bus.publish(StreamUp(stream.key, stream.stream_id))
        else:
            stream.opener = self._start(self._resume_opening(stream))

    async def _resume_opening(self, stream: LiveStream) -> None:
        try:
            await self._opener.await_picture(stream)
        except NoPicture as error:
            stream.settle(error)
            await self._close(stream, "failed")
            return
        stream.settle(None)
        self._bus.publish(StreamUp(stream.key, stream.stream_id))

    def _catch_up(self, stream: LiveStream, state: StreamState) -> None:
        stream.catch_up(state)
        quiet = self._clock.utc_us() - (state.last_media_at or state.first_rtp_at)
        if state.first_rtp_at and quiet > self._media.silence_s * 1e6:
            stream.silent_since = asyncio.get_running_loop().time() - quiet / 1e6 + self._media.silence_s

    # --- upkeep ------------------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self._sweep_once(asyncio.get_running_loop().time())

    def _sweep_once(self, now: float) -> None:
        """Ends streams that fell silent, and sessions that nobody watches."""
        for stream in list(self._streams.values()):
            if stream.silent_since is not None and not stream.closing:
                silent = now - stream.silent_since + self._media.silence_s
                if silent >= self._media.lost_after_s:
                    self._start(self._close(stream, "silent"))
        for session in self._sessions.idle(now, is_opening=self._is_opening):
            self._sessions.end(session.session_id)
            if (watched := self._streams.get(session.key)) is not None:
                self._start(self._release(watched, session.session_id))

    def _is_opening(self, key: ChannelKey) -> bool:
        stream = self._streams.get(key)
        return stream is not None and not stream.up.done()

    def _described(self, session: Session, stream: LiveStream | None) -> Session:
        if stream is None:
            return session
        return replace(
            session,
            stages=stream.stage_times(),
            transport=stream.transport,
            viewers=self._sessions.viewers(session.key),
            recording=stream.is_recorded,
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        return self._background.start(work, "stream")


_END_CAUSES: Final[dict[str, EndCause]] = {"silent": "silent", "stopped": "stopped", "ingest_restarted": "restart"}
