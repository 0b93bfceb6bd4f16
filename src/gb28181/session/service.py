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
from collections import deque
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock, from_us
from gb28181.config import MediaSettings, SipSettings
from gb28181.device.model import DeviceMoved, DeviceOffline, DeviceOnline, DeviceRegistered, Route
from gb28181.errors import Gb28181Error, MediaRefused, NoPicture, NotFound, PeerTimeout, Unreachable
from gb28181.ids import DeviceId, Ssrc
from gb28181.messages import EndCause, MediaTransport, Progress, Statistics, StreamEnded, StreamState
from gb28181.ports import Channels, Devices, Ingests, Receiver, Signalling, SipRequest, StreamStore
from gb28181.session.diagnosis import refused, stuck
from gb28181.session.invite import Invitation, Invited
from gb28181.session.model import (
    IngestDown,
    IngestUp,
    Session,
    Stage,
    StageTime,
    StreamDown,
    StreamFailed,
    StreamRecord,
    StreamUp,
)
from gb28181.session.ssrc import SsrcPool

logger = logging.getLogger(__name__)

RECORDING: Final = "recording"

_PROGRESS: Final[dict[str, Stage]] = {
    "connected": Stage.CONNECTED,
    "first_rtp": Stage.FIRST_RTP,
    "first_ps": Stage.FIRST_PS,
    "first_key_frame": Stage.FIRST_KEY_FRAME,
}
_ORDER: Final = tuple(Stage)
#: How often one opening follows a device to a new address.
_MAX_MOVES: Final = 5
#: Pauses between BYEs that a device within reach does not answer, seconds; after the last one it is given up.
_BYE_PAUSES_S: Final = (30.0, 120.0, 600.0)


class LiveStream:
    """One channel's stream on its way up, running, or on its way down."""

    def __init__(self, key: ChannelKey, stream_id: str) -> None:
        self.key = key
        self.stream_id = stream_id
        self.holders: set[str] = set()
        self.stages: dict[Stage, datetime] = {}
        self.transport: MediaTransport = "udp"
        self.ssrc = 0
        self.receiver: Receiver | None = None
        self.record: StreamRecord | None = None
        self.state: StreamState | None = None
        self.up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.moved = asyncio.Event()
        self.gone = asyncio.Event()
        self.is_orphan = False
        self.closing = False
        self.silent_since: float | None = None
        self.opener: asyncio.Task[None] | None = None
        self.invited_at: Route | None = None
        self.inviting: asyncio.Task[Invited] | None = None

    @property
    def stage(self) -> Stage:
        return max(self.stages, key=_ORDER.index, default=Stage.RESERVED)

    def reach(self, stage: Stage, at: datetime) -> None:
        if stage not in self.stages:
            self.stages[stage] = at
            self.moved.set()

    @property
    def is_up(self) -> bool:
        return self.up.done() and not self.up.cancelled() and self.up.exception() is None and not self.closing


class _Moved(Exception):
    """The device registered from another address while it was invited."""


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
        self._ssrcs = SsrcPool(sip.server_id)
        self._invitation = Invitation(media, sip, signalling=signalling, ingests=ingests, devices=devices)
        self._streams: dict[ChannelKey, LiveStream] = {}
        self._by_id: dict[str, LiveStream] = {}
        self._by_call: dict[str, LiveStream] = {}
        self._unclaimed: dict[str, StreamRecord] = {}
        self._sessions: dict[str, Session] = {}
        self._viewers: dict[ChannelKey, int] = {}
        self._viewed_at: dict[ChannelKey, float] = {}
        self._viewers_heard_at: float | None = None
        self._epochs: dict[str, int] = {}
        self._back: dict[DeviceId, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self.counters: dict[str, int] = {"opened": 0, "failed": 0, "adopted": 0, "ended": 0, "redirected": 0}
        bus.subscribe(Progress, self._progress)
        bus.subscribe(Statistics, self._statistics)
        bus.subscribe(StreamEnded, self._ended_by_ingest)
        bus.subscribe(IngestUp, self._ingest_up)
        bus.subscribe(IngestDown, self._ingest_down)
        bus.subscribe(DeviceOffline, self._device_offline)
        bus.subscribe(DeviceMoved, lambda event: self._device_moved(event.device_id))
        bus.subscribe(DeviceRegistered, self._device_registered)
        bus.subscribe(DeviceOnline, lambda event: self._device_heard(event.device_id))

    async def __aenter__(self) -> SessionService:
        self._sweeper = asyncio.create_task(self._sweep(), name="session sweep")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._sweeper:
            self._sweeper.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, *([self._sweeper] if self._sweeper else []), return_exceptions=True)

    async def load(self) -> None:
        """Reads the dialogs of the process before this one; each waits for its ingest to say whether it still runs."""
        for record in await self._store.load_streams():
            self._unclaimed[record.stream_id] = record
            self._ssrcs.adopt(record.ssrc)

    async def shutdown(self) -> None:
        """Ends every stream with BYE, as an operator who stops the server expects."""
        await asyncio.gather(*(self._close(stream, "stopped") for stream in list(self._streams.values())))

    # --- what callers ask --------------------------------------------------------------------------------------

    async def open_live(self, key: ChannelKey, *, user: str, transport: str | None = None) -> Session:
        """Joins the channel's running stream or opens it.

        Raises:
            NotFound: No such channel.
            NoPicture: With the last stage reached, the cause and the remedy.
        """
        self._channels.channel(key)
        session_id = uuid.uuid4().hex
        session = Session(session_id, key, user, self._clock.utc())
        self._sessions[session_id] = session
        self._viewed_at[key] = asyncio.get_running_loop().time()
        try:
            stream = await self._hold(key, session_id, transport)
        except BaseException:
            self._sessions.pop(session_id, None)
            raise
        self._viewed_at[key] = asyncio.get_running_loop().time()
        return self._described(self._sessions.get(session_id, session), stream)

    def sessions(self) -> list[Session]:
        return [self._described(session, self._streams.get(session.key)) for session in self._sessions.values()]

    def session(self, session_id: str) -> Session:
        """Raises: NotFound."""
        found = self._sessions.get(session_id)
        if found is None:
            raise NotFound(f"no session {session_id}: it was closed, or nobody watched it for {self._media.idle_s:.0f} s")
        return self._described(found, self._streams.get(found.key))

    async def close(self, session_id: str) -> None:
        """Ends a session; the stream ends with it when nobody else uses it. Raises: NotFound."""
        session = self.session(session_id)
        self._sessions.pop(session_id, None)
        stream = self._streams.get(session.key)
        if stream is not None:
            await self._release(stream, session_id)

    async def hold_for_recording(self, key: ChannelKey, *, transport: str | None = None) -> None:
        stream = await self._hold(key, RECORDING, transport)
        self._apply_recording(stream)

    def release_recording(self, key: ChannelKey) -> None:
        stream = self._streams.get(key)
        if stream is None or RECORDING not in stream.holders:
            return
        self._start(self._release(stream, RECORDING))
        self._apply_recording(stream)

    def is_recording(self, key: ChannelKey) -> bool:
        stream = self._streams.get(key)
        return stream is not None and stream.is_up and RECORDING in stream.holders

    def stream_state(self, key: ChannelKey) -> StreamState | None:
        stream = self._streams.get(key)
        return stream.state if stream else None

    def channel_of(self, stream_id: str) -> ChannelKey | None:
        stream = self._by_id.get(stream_id)
        return stream.key if stream else None

    def stream_states(self) -> list[StreamState]:
        return [stream.state for stream in self._streams.values() if stream.state]

    def owner_of_call(self, call_id: str) -> ChannelKey | None:
        """Channel of a running dialog: whom a request inside it is from (quirk Q32)."""
        stream = self._by_call.get(call_id)
        return stream.key if stream else None

    def viewers(self, counts: dict[ChannelKey, int]) -> None:
        """Takes what the edge says about who watches what now."""
        now = asyncio.get_running_loop().time()
        self._viewers_heard_at = now
        self._viewers = counts
        for key, count in counts.items():
            if count:
                self._viewed_at[key] = now

    def want(self, key: ChannelKey) -> None:
        """A viewer with a valid link waits at the edge: opens the stream for it."""
        self._start(self._open_for_viewer(key))

    async def bye(self, request: SipRequest) -> None:
        """A device ends its stream itself (quirk Q98)."""
        stream = self._by_call.get(request.call_id)
        self._signalling.respond(request, 200 if stream else 481)
        if stream is not None:
            self._start(self._close(stream, "device_bye", bye=False))

    # --- opening -----------------------------------------------------------------------------------------------

    async def _open_for_viewer(self, key: ChannelKey) -> None:
        try:
            await self.open_live(key, user="link")
        except Gb28181Error as error:
            logger.info("stream for a waiting viewer failed", extra={"channel": str(key), "reason": str(error)})

    async def _hold(self, key: ChannelKey, holder: str, transport: str | None) -> LiveStream:
        while (old := self._streams.get(key)) is not None and old.closing:
            await old.gone.wait()  # the camera must have its BYE before it gets the next INVITE (quirk Q94)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._new(key, uuid.uuid4().hex)
            # Sessions outlive a stream that fell silent: the new one serves them again.
            stream.holders.update(session.session_id for session in self._sessions.values() if session.key == key)
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
        stream.up.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._streams[key] = stream
        self._by_id[stream_id] = stream
        return stream

    async def _open(self, stream: LiveStream, wish: str | None) -> None:
        try:
            await self._establish(stream, wish)
            await self._await_picture(stream)
        except asyncio.CancelledError:
            self._settle(stream, NoPicture("nobody waits for this picture any more", stage=stream.stage))
            await self._close(stream, "cancelled")
            raise
        except NoPicture as error:
            self.counters["failed"] += 1
            self._settle(stream, error)
            self._bus.publish(StreamFailed(stream.key, error.stage, str(error), error.detail))
            logger.info("no picture", extra={"channel": str(stream.key), "stage": error.stage, "reason": str(error)})
            await self._close(stream, "failed")
            return
        except Exception as error:  # border: a background task; whoever waits must be told
            logger.exception("opening a stream failed", extra={"channel": str(stream.key)})
            self._settle(stream, NoPicture(f"internal error: {type(error).__name__}", stage=stream.stage))
            await self._close(stream, "failed")
            return
        self.counters["opened"] += 1
        self._settle(stream, None)
        self._bus.publish(StreamUp(stream.key, stream.stream_id))
        logger.info("stream up", extra={"channel": str(stream.key), "transport": stream.transport})

    def _settle(self, stream: LiveStream, error: NoPicture | None) -> None:
        if stream.up.done():
            return
        if error is None:
            stream.up.set_result(None)
        else:
            stream.up.set_exception(error)

    async def _establish(self, stream: LiveStream, wish: str | None) -> None:
        """Reserves a receiver and walks INVITE, answer, commit, ACK."""
        peer = f"device {stream.key.device_id} at {self._route(stream).remote}"
        stream.reach(Stage.RESERVED, self._clock.utc())
        refusal = MediaRefused("no transport was offered", status=488)
        offers = deque(self._invitation.transports(stream.key, wish))
        moves = 0
        while offers:
            transport = stream.transport = offers.popleft()
            ssrc = self._ssrcs.take(asyncio.get_running_loop().time())
            stream.ssrc = ssrc.value
            stream.receiver = await self._receiver(stream, transport)
            route = self._route(stream)  # it may have moved while the receiver was made
            peer = f"device {stream.key.device_id} at {route.remote}"
            started = asyncio.get_running_loop().time()
            try:
                invited = await self._invite(stream, route, stream.receiver, ssrc)
            except _Moved:
                await self._drop_receiver(stream, "closed")
                moves += 1
                if moves > _MAX_MOVES:
                    raise NoPicture(f"{peer} registers from ever new addresses", stage=Stage.INVITED) from None
                offers.appendleft(transport)
                continue
            except MediaRefused as error:
                refusal = error
                await self._drop_receiver(stream, "closed")
                if wish or refusal.status not in (415, 488, 606):
                    break
                continue  # the next transport: 488 to a TCP offer means UDP only
            except PeerTimeout:
                waited = asyncio.get_running_loop().time() - started
                raise NoPicture(
                    stuck(stream.stage, peer=peer, waited=waited), stage=stream.stage, detail={"waited_s": round(waited, 1)}
                ) from None
            except Unreachable as failure:
                raise NoPicture(str(failure), stage=Stage.RESERVED, detail={"peer": str(route.remote)}) from None
            await self._commit(stream, invited)
            if invited.fallback:
                # The answer says RTP/AVP to a TCP offer: this device cannot do TCP.
                await self._end_dialog(stream)
                await self._drop_receiver(stream, "closed")
                refusal = MediaRefused("the device answered RTP/AVP to an offer of TCP", status=488)
                continue
            return
        raise NoPicture(
            refused(refusal.status, refusal.reason, peer=peer), stage=stream.stage, detail={"sip_status": refusal.status}
        )

    def _route(self, stream: LiveStream) -> Route:
        try:
            return self._devices.route(stream.key.device_id)
        except Unreachable as error:
            raise NoPicture(str(error), stage=Stage.RESERVED, detail={"device": "offline"}) from None

    async def _invite(self, stream: LiveStream, route: Route, receiver: Receiver, ssrc: Ssrc) -> Invited:
        """Sends the INVITE; `_device_moved` ends it when nobody will answer there any more.

        Raises:
            _Moved: It was ended; the device is at another address.
            MediaRefused, PeerTimeout, Unreachable: As for `Invitation.send`.
        """
        stream.stages.pop(Stage.TRYING, None)
        stream.reach(Stage.INVITED, self._clock.utc())
        stream.invited_at = route
        sending = stream.inviting = asyncio.create_task(
            self._invitation.send(
                stream.key,
                route,
                receiver=receiver,
                transport=stream.transport,
                ssrc=ssrc,
                on_provisional=lambda _status: stream.reach(Stage.TRYING, self._clock.utc()),
            )
        )
        try:
            return await sending
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and caller.cancelling():
                raise
            raise _Moved from None
        finally:
            stream.inviting = None

    async def _receiver(self, stream: LiveStream, transport: MediaTransport) -> Receiver:
        try:
            return await self._ingests.open_receiver(stream.stream_id, stream.key, transport=transport, ssrc=stream.ssrc)
        except Gb28181Error as error:
            raise NoPicture(str(error), stage=Stage.RESERVED) from None

    async def _commit(self, stream: LiveStream, invited: Invited) -> None:
        """Stores the dialog, then acknowledges: a crash in between leaves a dialog that the next process can end."""
        assert stream.receiver is not None
        record = StreamRecord(
            stream_id=stream.stream_id,
            key=stream.key,
            ingest=stream.receiver.ingest,
            ingest_epoch=stream.receiver.ingest_epoch,
            transport=invited.transport,
            receiver_port=stream.receiver.port,
            ssrc=stream.ssrc,
            dialog=invited.dialog,
            created_at=self._clock.utc(),
        )
        stream.record = record
        self._by_call[record.dialog.call_id] = stream
        await self._store.save_stream(record)
        self._signalling.ack(record.dialog)
        stream.reach(Stage.ANSWERED, self._clock.utc())
        self._ingests.confirm(stream.receiver, ssrc=invited.ssrc, peer=invited.media)
        self._apply_recording(stream)

    async def _await_picture(self, stream: LiveStream) -> None:
        """Waits for RTP, then for a key frame; each step has its own patience."""
        started = asyncio.get_running_loop().time()
        # A camera that sends has three GOPs of the longest kind in use (quirk Q146) to show a key frame.
        patience = {Stage.ANSWERED: self._media.first_rtp_timeout_s, Stage.CONNECTED: self._media.first_rtp_timeout_s}
        while stream.stage is not Stage.FIRST_KEY_FRAME:
            stream.moved.clear()
            limit = patience.get(stream.stage, max(30.0, 3 * self._media.first_rtp_timeout_s))
            stage = stream.stage
            try:
                async with asyncio.timeout(limit):
                    while stream.stage is stage:
                        await stream.moved.wait()
                        stream.moved.clear()
            except TimeoutError:
                waited = asyncio.get_running_loop().time() - started
                note = stream.state.note if stream.state else ""
                assert stream.record is not None
                if stream.stage is Stage.ANSWERED:
                    self._invitation.distrust(stream.key, stream.transport)
                raise NoPicture(
                    stuck(
                        stream.stage,
                        peer=f"device {stream.key.device_id} at {stream.record.dialog.route.remote}",
                        media=f"port {stream.record.receiver_port}",
                        transport=stream.transport,
                        waited=waited,
                        note=note,
                    ),
                    stage=stream.stage,
                    detail={"waited_s": round(waited, 1), "port": stream.record.receiver_port, "note": note},
                ) from None
        self._invitation.proved(stream.key, stream.transport)

    def _apply_recording(self, stream: LiveStream) -> None:
        if stream.record is not None and not stream.closing:
            self._ingests.set_recording(stream.record.ingest, stream.stream_id, RECORDING in stream.holders)

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
        self._settle(stream, NoPicture("the stream was closed while it was opened", stage=stream.stage))
        await asyncio.shield(self._start(self._tear_down(stream, cause, bye)))

    async def _tear_down(self, stream: LiveStream, cause: str, bye: bool) -> None:
        was_up = stream.stage is Stage.FIRST_KEY_FRAME
        stage = stream.stage
        if stream.is_orphan:
            # A camera whose media connection breaks says BYE before the ingest is back: its death is the cause all the same.
            cause = "ingest_restarted"
        try:
            await self._end_dialog(stream, bye=bye)
            await self._drop_receiver(stream, _END_CAUSES.get(cause, "closed"))
        finally:
            self._streams.pop(stream.key, None)
            self._by_id.pop(stream.stream_id, None)
            stream.state = None
            stream.gone.set()
        for session_id in [holder for holder in stream.holders if holder in self._sessions]:
            if cause in ("closed", "stopped", "failed", "cancelled"):
                self._sessions.pop(session_id, None)
        if was_up:
            self.counters["ended"] += 1
            logger.info("stream down", extra={"channel": str(stream.key), "cause": cause})
            self._bus.publish(StreamDown(stream.key, stream.stream_id, cause, stage))

    async def _end_dialog(self, stream: LiveStream, *, bye: bool = True) -> None:
        record = stream.record
        if record is None:
            return
        stream.record = None
        self._by_call.pop(record.dialog.call_id, None)
        if not bye:
            await self._store.delete_stream(record.stream_id)
            return
        # The camera stops as soon as BYE arrives; its answer may take 32 s on a dead line and nobody waits for that.
        ending = self._start(self._bye(record))
        await asyncio.wait({ending}, timeout=1.0)

    async def _bye(self, record: StreamRecord) -> None:
        """BYE until it is answered or given up; the record stays until then, for the next process.

        A camera that was cut off has heard no BYE and sends on when its network is back, to a port that is another stream's
        by then, and its capacity is taken: it is told again as soon as it is heard.
        """
        if not record.closing:
            await self._store.save_stream(replace(record, closing=True))
        for pause in (*_BYE_PAUSES_S, 0.0):
            try:
                await self._signalling.bye(record.dialog, route=self._reachable(record.key.device_id) or record.dialog.route)
                break
            except (PeerTimeout, Unreachable) as error:
                logger.info("BYE was not answered", extra={"channel": str(record.key), "reason": str(error)})
            if pause and not await self._heard_again(record.key.device_id, pause):
                break
        await self._store.delete_stream(record.stream_id)

    async def _heard_again(self, device_id: DeviceId, pause_s: float) -> bool:
        """Waits until a device is heard, or for the pause where it is within reach; False when it was deleted."""
        while True:
            back = self._back.setdefault(device_id, asyncio.Event())
            try:
                async with asyncio.timeout(pause_s):
                    await back.wait()
                return True
            except TimeoutError:
                pass
            try:
                if self._reachable(device_id) is not None:
                    return True
                self._devices.get(device_id)
            except NotFound:
                return False

    def _reachable(self, device_id: DeviceId) -> Route | None:
        try:
            return self._devices.route(device_id)
        except (NotFound, Unreachable):
            return None

    def _device_heard(self, device_id: DeviceId) -> None:
        if (back := self._back.pop(device_id, None)) is not None:
            back.set()

    async def _drop_receiver(self, stream: LiveStream, cause: EndCause) -> None:
        receiver, stream.receiver = stream.receiver, None
        if stream.ssrc:
            self._ssrcs.give_back(stream.ssrc, asyncio.get_running_loop().time())
        if receiver is None:
            return
        try:
            await self._ingests.close_receiver(receiver.ingest, receiver.stream_id, cause)
        except Gb28181Error as error:
            logger.warning("receiver not closed", extra={"channel": str(stream.key), "reason": str(error)})

    # --- what ingests and devices say ---------------------------------------------------------------------------

    def _progress(self, event: Progress) -> None:
        stream = self._by_id.get(event.stream_id)
        if stream is None:
            return
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

    def _ended_by_ingest(self, event: StreamEnded) -> None:
        if (stream := self._by_id.get(event.stream_id)) is not None:
            self._start(self._close(stream, event.cause))

    def _device_offline(self, event: DeviceOffline) -> None:
        """Deregistration ends streams; a missed keepalive does not while media flow (DESIGN: recordings)."""
        for stream in [stream for stream in self._streams.values() if stream.key.device_id == event.device_id]:
            if event.cause != "keepalive_timeout" or stream.silent_since is not None:
                self._start(self._close(stream, "device_offline"))

    def _device_registered(self, event: DeviceRegistered) -> None:
        self._device_heard(event.device_id)
        if event.is_new:
            self._device_moved(event.device_id)

    def _device_moved(self, device_id: DeviceId) -> None:
        """An INVITE under way to where the device was is cancelled, and sent again to where it is; whoever waits goes on
        waiting. Streams that were answered stay: media says more than an address (a NAT may just have bound anew)."""
        for stream in self._streams.values():
            if stream.key.device_id != device_id or stream.inviting is None or stream.invited_at is None:
                continue
            try:
                route = self._devices.route(device_id)
            except Unreachable:
                continue
            if (route.transport, route.remote) != (stream.invited_at.transport, stream.invited_at.remote):
                self.counters["redirected"] += 1
                stream.inviting.cancel()

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
        self._epochs[event.name] = event.epoch
        for stream in list(self._streams.values()):
            if stream.receiver and stream.receiver.ingest == event.name and stream.stream_id not in held:
                self._start(self._close(stream, "ingest_restarted"))
        for record in [record for record in self._unclaimed.values() if record.ingest == event.name]:
            del self._unclaimed[record.stream_id]
            state = held.get(record.stream_id)
            if state is None or record.closing or record.ingest_epoch != event.epoch or record.key in self._streams:
                self._ssrcs.give_back(record.ssrc, asyncio.get_running_loop().time())
                self._start(self._bye(record))
            else:
                self._adopt(record, state)
        for state in held.values():
            known = self._by_id.get(state.stream_id)
            if known is None:
                await self._ingests.close_receiver(event.name, state.stream_id, "closed")
            else:
                known.is_orphan = False
                known.state = state
                self._catch_up(known, state)
                self._apply_recording(known)

    def forget_missing_ingests(self, names: set[str]) -> None:
        """Ends dialogs whose ingest is no longer configured: nobody will ever answer for them."""
        for record in [record for record in self._unclaimed.values() if record.ingest not in names]:
            del self._unclaimed[record.stream_id]
            self._start(self._bye(record))

    def _adopt(self, record: StreamRecord, state: StreamState) -> None:
        stream = self._new(record.key, record.stream_id)
        stream.record = record
        stream.receiver = Receiver(record.stream_id, record.ingest, record.ingest_epoch, record.receiver_port)
        stream.transport = record.transport
        stream.ssrc = record.ssrc
        stream.state = state
        stream.reach(Stage.ANSWERED, record.created_at)
        self._by_call[record.dialog.call_id] = stream
        self._catch_up(stream, state)
        if state.recording:
            stream.holders.add(RECORDING)
        session_id = uuid.uuid4().hex  # viewers may be watching: they have as long to show as after a new session
        self._sessions[session_id] = Session(session_id, record.key, "adopted", self._clock.utc())
        self._viewed_at[record.key] = asyncio.get_running_loop().time()
        stream.holders.add(session_id)
        self.counters["adopted"] += 1
        logger.info("stream adopted", extra={"channel": str(record.key), "call_id": record.dialog.call_id})
        if stream.stage is Stage.FIRST_KEY_FRAME:
            self._settle(stream, None)
            self._bus.publish(StreamUp(stream.key, stream.stream_id))
        else:
            stream.opener = self._start(self._resume_opening(stream))

    async def _resume_opening(self, stream: LiveStream) -> None:
        try:
            await self._await_picture(stream)
        except NoPicture as error:
            self._settle(stream, error)
            await self._close(stream, "failed")
            return
        self._settle(stream, None)
        self._bus.publish(StreamUp(stream.key, stream.stream_id))

    def _catch_up(self, stream: LiveStream, state: StreamState) -> None:
        for stage, at in (
            (Stage.CONNECTED, state.connected_at),
            (Stage.FIRST_RTP, state.first_rtp_at),
            (Stage.FIRST_PS, state.first_ps_at),
            (Stage.FIRST_KEY_FRAME, state.first_key_frame_at),
        ):
            if at:
                stream.reach(stage, from_us(at))
        quiet = self._clock.utc_us() - (state.last_media_at or state.first_rtp_at)
        if state.first_rtp_at and quiet > self._media.silence_s * 1e6:
            stream.silent_since = asyncio.get_running_loop().time() - quiet / 1e6 + self._media.silence_s

    # --- upkeep ------------------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            try:
                self._sweep_once(asyncio.get_running_loop().time())
            except Exception:  # border: a background task that must never end
                logger.exception("session sweep failed")

    def _sweep_once(self, now: float) -> None:
        """Ends streams that fell silent, and sessions that nobody watches."""
        for stream in list(self._streams.values()):
            if stream.silent_since is not None and not stream.closing:
                silent = now - stream.silent_since + self._media.silence_s
                if silent >= self._media.lost_after_s:
                    self._start(self._close(stream, "silent"))
        if self._viewers_heard_at is None or now - self._viewers_heard_at > 15:
            return  # the edge is not there: nobody knows who watches
        for session in list(self._sessions.values()):
            watched = self._streams.get(session.key)
            opening = watched is not None and not watched.up.done()
            if self._viewers.get(session.key) or opening:
                continue
            if now - self._viewed_at.get(session.key, now) >= self._media.idle_s:
                self._sessions.pop(session.session_id, None)
                if watched is not None:
                    self._start(self._release(watched, session.session_id))

    def _described(self, session: Session, stream: LiveStream | None) -> Session:
        if stream is None:
            return session
        stages = sorted(stream.stages.items(), key=lambda item: _ORDER.index(item[0]))
        return replace(
            session,
            stages=tuple(StageTime(stage, at) for stage, at in stages),
            transport=stream.transport,
            viewers=self._viewers.get(session.key, 0),
            recording=RECORDING in stream.holders,
        )

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("session task failed", exc_info=error)


_END_CAUSES: Final[dict[str, EndCause]] = {"silent": "silent", "stopped": "stopped", "ingest_restarted": "restart"}
