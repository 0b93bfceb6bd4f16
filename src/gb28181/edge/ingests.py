"""Connections to the ingests: asks for streams and hands on what comes, reconnecting for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from gb28181.errors import WireError
from gb28181.frames import FrameReader, encode
from gb28181.messages import Hello, MediaChunk, Message, Unwatch, Watch, WatchEnded, WatchStarted

logger = logging.getLogger(__name__)

_RETRY_S: Final = (0.1, 0.2, 0.5, 1.0)


class Watcher(Protocol):
    """Who asked for a stream. Called in the event loop, at once, with `watch_id` in each message."""

    def started(self, client: IngestClient, message: WatchStarted) -> None: ...

    def chunk(self, chunk: MediaChunk) -> None: ...

    def ended(self, watch_id: int, cause: str) -> None: ...


class IngestClient:
    """One ingest.

    Args:
        ids: Numbers for watches, shared by all clients of this edge.

    Attributes:
        connected: Set while the ingest answers.
    """

    def __init__(self, name: str, path: Path, ids: Iterator[int]) -> None:
        self.name = name
        self.connected = asyncio.Event()
        self._path = path
        self._ids = ids
        self._watchers: dict[int, Watcher] = {}
        self._transport: asyncio.Transport | None = None

    async def run(self) -> None:
        """Keeps the connection until cancelled."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            try:
                transport, link = await loop.create_unix_connection(lambda: _Link(self), str(self._path))
            except OSError:
                await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])
                failures += 1
                continue
            try:
                greeted = await link.until_closed()
            finally:
                transport.abort()
            failures = 0 if greeted else failures + 1
            await asyncio.sleep(_RETRY_S[min(failures, len(_RETRY_S) - 1)])

    def watch(self, watcher: Watcher, device_id: str, channel_id: str) -> int | None:
        """Asks for a stream; the number of the watch, None while the ingest is away."""
        if self._transport is None:
            return None
        watch_id = next(self._ids)
        self._watchers[watch_id] = watcher
        self._transport.write(encode(Watch(watch_id, device_id, channel_id)))
        return watch_id

    def unwatch(self, watch_id: int) -> None:
        if self._watchers.pop(watch_id, None) is not None and self._transport is not None:
            self._transport.write(encode(Unwatch(watch_id)))

    def greeted(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.connected.set()

    def received(self, message: Message | MediaChunk) -> None:
        if isinstance(message, MediaChunk):
            if (watcher := self._watchers.get(message.watch_id)) is not None:
                watcher.chunk(message)
        elif isinstance(message, WatchStarted):
            if (watcher := self._watchers.get(message.watch_id)) is not None:
                watcher.started(self, message)
        elif isinstance(message, WatchEnded) and (watcher := self._watchers.pop(message.watch_id, None)) is not None:
            watcher.ended(message.watch_id, message.cause)

    def lost(self) -> None:
        self._transport = None
        self.connected.clear()
        watchers, self._watchers = self._watchers, {}
        for watch_id, watcher in watchers.items():
            watcher.ended(watch_id, "ingest_lost")


class _Link(asyncio.Protocol):
    """Carries bytes between one connection and the client."""

    def __init__(self, client: IngestClient) -> None:
        self._client = client
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._greeted = False
        self._closed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def until_closed(self) -> bool:
        return await self._closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        try:
            messages = self._frames.feed(data)
        except WireError as error:
            logger.warning("ingest connection dropped", extra={"ingest": self._client.name, "reason": error.reason})
            self._transport.abort()
            return
        for message in messages:
            if isinstance(message, Hello):
                self._greeted = True
                self._client.greeted(self._transport)
            else:
                self._client.received(message)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._greeted:
            self._client.lost()
        if not self._closed.done():
            self._closed.set_result(self._greeted)
