"""Dialogs of live streams: committed before the ACK, ended by BYE until it is answered or given up (RFC 3261 §12, §15)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Final

from gb28181.background import Background
from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock
from gb28181.device.model import Route
from gb28181.errors import NotFound, PeerTimeout, Unreachable
from gb28181.ids import DeviceId
from gb28181.ports import Devices, Receiver, Signalling, SipRequest, StreamStore
from gb28181.session.invite import Invited
from gb28181.session.model import StreamRecord
from gb28181.session.stream import LiveStream

logger = logging.getLogger(__name__)

#: Pauses between BYEs that a device within reach does not answer, seconds; after the last one it is given up.
_PAUSES_S: Final = (30.0, 120.0, 600.0)
_PATIENCE_S: Final = 1.0
#: A device that has just refused a call is there: it has the copies of a BYE under way within this time (T2 is 4 s).
_SETTLE_S: Final = 5.0


class Dialogs:
    """Knows the dialog of every live stream and what of it is on disk.

    Args:
        background: Says BYE; what is not answered when it ends stays stored for the next process.
    """

    def __init__(
        self, *, signalling: Signalling, devices: Devices, store: StreamStore, clock: Clock, background: Background
    ) -> None:
        self._signalling = signalling
        self._devices = devices
        self._store = store
        self._clock = clock
        self._background = background
        self._by_call: dict[str, LiveStream] = {}
        self._back: dict[DeviceId, asyncio.Event] = {}
        self._endings: dict[asyncio.Task[None], ChannelKey] = {}

    async def load(self) -> list[StreamRecord]:
        """What the process before this one left."""
        return await self._store.load_streams()

    def spoken_in(self, request: SipRequest) -> LiveStream | None:
        """The stream in whose call this request is: it comes from where the call goes, or from where its device is now (S7).

        The port is free, and so are the tags: recorders end calls from other sockets.
        """
        stream = self._by_call.get(request.call_id)
        if stream is None or stream.record is None:
            return None
        now = self._reachable(stream.key.device_id)
        hosts = {stream.record.dialog.route.remote.host, now.remote.host if now is not None else ""}
        return stream if request.route.remote.host in hosts else None

    def channel_of(self, call_id: str) -> ChannelKey | None:
        stream = self._by_call.get(call_id)
        return stream.key if stream else None

    async def commit(self, stream: LiveStream, receiver: Receiver, invited: Invited) -> None:
        """Stores the dialog, then acknowledges: a crash in between leaves a dialog that the next process can end."""
        record = StreamRecord(
            stream_id=stream.stream_id,
            key=stream.key,
            ingest=receiver.ingest,
            ingest_epoch=receiver.ingest_epoch,
            transport=invited.transport,
            receiver_port=receiver.port,
            ssrc=stream.ssrc,
            dialog=invited.dialog,
            created_at=self._clock.utc(),
        )
        self.adopt(stream, record)
        await self._store.save_stream(record)
        self._signalling.ack(record.dialog)

    def adopt(self, stream: LiveStream, record: StreamRecord) -> None:
        """The stream goes on in a dialog that is stored already."""
        stream.record = record
        self._by_call[record.dialog.call_id] = stream

    def take(self, stream: LiveStream) -> StreamRecord | None:
        """The stream has no dialog any more; whoever takes it ends or forgets it."""
        record, stream.record = stream.record, None
        if record is not None:
            self._by_call.pop(record.dialog.call_id, None)
        return record

    async def forget(self, record: StreamRecord) -> None:
        await self._store.delete_stream(record.stream_id)

    async def end(self, record: StreamRecord) -> None:
        """Says BYE and goes on after a second at most: the camera stops at once, its answer may take 32 s on a dead line."""
        if (ending := self.end_later(record)) is not None:
            await asyncio.wait({ending}, timeout=_PATIENCE_S)

    def end_later(self, record: StreamRecord) -> asyncio.Task[None] | None:
        """Says BYE until it is answered or given up."""
        ending = self._background.start(self._say_bye(record), f"BYE {record.key}")
        if ending is not None:
            self._endings[ending] = record.key
            ending.add_done_callback(self._endings.pop)
        return ending

    async def settle(self, key: ChannelKey) -> bool:
        """Says BYE anew for calls of a channel that its device may still count as running (quirk Q94).

        Returns:
            Whether there were any, and all of them are over now.
        """
        endings = {task for task, of in self._endings.items() if of == key}
        if not endings:
            return False
        self.device_heard(key.device_id)
        _, pending = await asyncio.wait(endings, timeout=_SETTLE_S)
        return not pending

    async def _say_bye(self, record: StreamRecord) -> None:
        """BYE until it is answered or given up; the record stays until then, for the next process.

        A camera that was cut off has heard no BYE and sends on when its network is back, to a port that is another stream's
        by then, and its capacity is taken: it is told again as soon as it is heard.
        """
        if not record.closing:
            await self._store.save_stream(replace(record, closing=True))
        for pause in (*_PAUSES_S, 0.0):
            try:
                await self._signalling.bye(record.dialog, route=self._reachable(record.key.device_id) or record.dialog.route)
                break
            except (PeerTimeout, Unreachable) as error:
                logger.info("BYE was not answered", extra={"channel": str(record.key), "reason": str(error)})
            if pause and not await self._heard_again(record.key.device_id, pause):
                break
        await self._store.delete_stream(record.stream_id)

    def device_heard(self, device_id: DeviceId) -> None:
        """A device that owes us the answer to a BYE may be there again."""
        if (back := self._back.pop(device_id, None)) is not None:
            back.set()

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
