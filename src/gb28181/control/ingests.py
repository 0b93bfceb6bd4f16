"""Control's side of the ingest sockets: one connection per ingest, kept for ever, requests answered by number.

Implements `ports.Ingests`. What an ingest reports goes on the bus; closed segments go to recording and are acknowledged once
they are in the database, so that none is lost between the two processes.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from gb28181 import __version__
from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.device.model import Address
from gb28181.errors import Unavailable, WireError
from gb28181.frames import FrameReader, encode
from gb28181.messages import (
    Acknowledge,
    Attach,
    CloseReceiver,
    ConfirmReceiver,
    DeleteSegments,
    Done,
    EndCause,
    Failed,
    Hello,
    MediaTransport,
    Message,
    OpenReceiver,
    Progress,
    ReceiverOpened,
    SegmentClosed,
    SetRecording,
    Snapshot,
    SnapshotRequest,
    Statistics,
    StreamEnded,
)
from gb28181.ports import Receiver
from gb28181.session.model import IngestDown, IngestUp
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

T = TypeVar("T")

_REQUEST_S: Final = 10.0
_RETRY_S: Final = 0.25
_BATCH: Final = 500

StoreSegments = Callable[[Sequence[SegmentClosed]], Awaitable[None]]


class IngestLink:
    """One ingest: its connection, what it said last, and requests under way."""

    def __init__(self, name: str, path: Path, epoch: int, *, bus: Bus, store_segments: StoreSegments) -> None:
        self.name = name
        self.epoch = 0
        self.pid = 0
        self.statistics: Statistics | None = None
        self.assigned = 0
        self._path = path
        self._control_epoch = epoch
        self._bus = bus
        self._store_segments = store_segments
        self._writer: asyncio.StreamWriter | None = None
        self._requests: dict[int, asyncio.Future[Message]] = {}
        self._numbers = itertools.count(1)
        self._closed: asyncio.Queue[SegmentClosed] = asyncio.Queue()
        self.ready = asyncio.Event()

    @property
    def is_up(self) -> bool:
        return self._writer is not None and self.ready.is_set()

    async def run(self) -> None:
        """Connects, serves until the connection breaks, connects again; ends only by cancellation."""
        while True:
            try:
                await self._serve()
            except (OSError, WireError) as error:
                logger.debug("no ingest", extra={"ingest": self.name, "reason": str(error)})
            self._lost()
            await asyncio.sleep(_RETRY_S)

    def tell(self, message: Message) -> None:
        """Sends without waiting; nothing is sent while the ingest is away (its snapshot tells what it missed)."""
        if self._writer is not None:
            self._writer.write(encode(message))

    async def ask(self, make: Callable[[int], Message], expect: type[T]) -> T:
        """Sends a request and returns its answer.

        Raises:
            Unavailable: The ingest is away, refused, or did not answer within 10 s.
        """
        if self._writer is None:
            raise Unavailable(say("server.ingest_restarting", name=self.name))
        number = next(self._numbers)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._requests[number] = future
        try:
            self.tell(make(number))
            async with asyncio.timeout(_REQUEST_S):
                answer = await future
        except TimeoutError:
            raise Unavailable(say("server.ingest_silent", name=self.name, seconds=_REQUEST_S)) from None
        finally:
            self._requests.pop(number, None)
        if isinstance(answer, Failed):
            raise Unavailable(answer.message)
        if not isinstance(answer, expect):
            raise Unavailable(
                say("server.ingest_answer", name=self.name, answered=type(answer).__name__, expected=expect.__name__)
            )
        return answer

    async def _serve(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self._path)
        frames = FrameReader()
        storing = asyncio.create_task(self._store())
        greeting: asyncio.Task[None] | None = None
        try:
            writer.write(encode(Attach(self._control_epoch, __version__)))
            while data := await reader.read(1 << 18):
                for message in frames.feed(data):
                    if isinstance(message, Hello):
                        self._writer = writer
                        self.pid = message.pid
                        self.epoch = message.epoch
                        greeting = asyncio.create_task(self._greet())
                    else:
                        self._take(message)
        finally:
            storing.cancel()
            if greeting is not None:
                greeting.cancel()
            await asyncio.gather(storing, *([greeting] if greeting else []), return_exceptions=True)
            writer.close()

    async def _greet(self) -> None:
        """Asks what it holds; what its journal replays is stored before anybody draws conclusions from the snapshot."""
        snapshot = await self.ask(SnapshotRequest, Snapshot)
        await self._closed.join()
        self.assigned = len(snapshot.streams)
        self.ready.set()
        logger.info("ingest up", extra={"ingest": self.name, "pid": self.pid, "streams": len(snapshot.streams)})
        self._bus.publish(IngestUp(self.name, self.epoch, snapshot))

    def _take(self, message: Message) -> None:
        if isinstance(message, (ReceiverOpened, Done, Failed, Snapshot)):
            future = self._requests.get(message.request_id)
            if future is not None and not future.done():
                future.set_result(message)
        elif isinstance(message, SegmentClosed):
            self._closed.put_nowait(message)
        elif isinstance(message, Statistics):
            self.statistics = message
            self.assigned = len(message.streams)
            self._bus.publish(message)
        elif isinstance(message, (Progress, StreamEnded)):
            self._bus.publish(message)

    async def _store(self) -> None:
        """Stores closed segments in batches, in order, and acknowledges; a database that fails is tried again."""
        while True:
            batch = [await self._closed.get()]
            while len(batch) < _BATCH and not self._closed.empty():
                batch.append(self._closed.get_nowait())
            pause = 0.5
            while True:
                try:
                    await self._store_segments(batch)
                    break
                except Exception:  # border: the journal keeps them until this succeeds
                    logger.exception("segments not stored, trying again", extra={"ingest": self.name, "count": len(batch)})
                    await asyncio.sleep(pause)
                    pause = min(10.0, pause * 2)
            self.tell(Acknowledge(max(event.seq for event in batch)))
            for _ in batch:
                self._closed.task_done()

    def _lost(self) -> None:
        was_up, epoch = self.ready.is_set(), self.epoch
        self._writer = None
        self.ready.clear()
        self._closed = asyncio.Queue()  # what was not acknowledged is replayed
        for future in self._requests.values():
            if not future.done():
                future.set_result(Failed(0, "gone", f"{self.name} went away: it is being restarted"))
        if was_up:
            self._bus.publish(IngestDown(self.name, epoch))


class IngestLinks:
    """All ingests; `ports.Ingests` for the services.

    Args:
        paths: Socket of each ingest by name.
        epoch: Start of this control process, UTC microseconds.
    """

    def __init__(self, paths: dict[str, Path], *, epoch: int, bus: Bus, store_segments: StoreSegments) -> None:
        self.links = {
            name: IngestLink(name, path, epoch, bus=bus, store_segments=store_segments) for name, path in paths.items()
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> IngestLinks:
        self._tasks = [asyncio.create_task(link.run(), name=link.name) for link in self.links.values()]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_ready(self, timeout_s: float) -> None:
        """Returns when every ingest has said what it holds, or after the time."""
        waits = [asyncio.create_task(link.ready.wait()) for link in self.links.values()]
        await asyncio.wait(waits, timeout=timeout_s)
        for wait in waits:
            wait.cancel()

    async def open_receiver(self, stream_id: str, key: ChannelKey, *, transport: MediaTransport, ssrc: int) -> Receiver:
        up = [link for link in self.links.values() if link.is_up]
        if not up:
            raise Unavailable(say("server.no_ingest_restarting"))
        link = min(up, key=lambda link: link.assigned)
        link.assigned += 1
        opened = await link.ask(
            lambda number: OpenReceiver(number, stream_id, str(key.device_id), str(key.channel_id), transport, ssrc),
            ReceiverOpened,
        )
        return Receiver(stream_id, link.name, link.epoch, opened.port)

    def confirm(self, receiver: Receiver, *, ssrc: int, peer: Address) -> None:
        self._tell(receiver.ingest, ConfirmReceiver(receiver.stream_id, ssrc, peer.host, peer.port))

    def set_recording(self, ingest: str, stream_id: str, recording: bool) -> None:
        self._tell(ingest, SetRecording(stream_id, recording))

    async def close_receiver(self, ingest: str, stream_id: str, cause: EndCause) -> None:
        link = self.links.get(ingest)
        if link is None or not link.is_up:
            return
        link.assigned = max(0, link.assigned - 1)
        await link.ask(lambda number: CloseReceiver(number, stream_id, cause), Done)

    async def delete_segments(self, volume: str, paths: Sequence[str]) -> frozenset[str]:
        link = next((link for link in self.links.values() if link.is_up), None)
        if link is None:
            raise Unavailable(say("server.no_ingest"))
        done = await link.ask(lambda number: DeleteSegments(number, volume, tuple(paths)), Done)
        return frozenset(done.failed)

    def _tell(self, ingest: str, message: Any) -> None:
        if (link := self.links.get(ingest)) is not None:
            link.tell(message)
