"""What the edge tells control: how many watch what, and which channel somebody waits for; and what it is told."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gb28181.errors import WireError
from gb28181.frames import FrameReader, encode
from gb28181.messages import PlaybackControl, Transfer, Viewers, WantStream

logger = logging.getLogger(__name__)

_PERIOD_S: Final = 5.0
_RETRY_S: Final = 0.5
#: Transfers that a control which comes back is told of; older ones are forgotten.
_MOST_TRANSFERS: Final = 1000


class Report:
    """Keeps a connection to control's edge socket.

    Args:
        count: The viewers of every channel now, `(device_id, channel_id, viewers)`.
        wish: Takes what the API wants of a playback session.
    """

    def __init__(
        self,
        path: Path,
        count: Callable[[], tuple[tuple[str, str, int], ...]],
        wish: Callable[[PlaybackControl], None],
    ) -> None:
        self._path = path
        self._wish = wish
        self._count = count
        self._epoch = time.time_ns() // 1000
        self._changed = asyncio.Event()
        self._wanted: dict[tuple[str, str], None] = {}  # bounded by the viewers that wait
        self._transfers: dict[str, Transfer] = {}
        self._unsaid: set[str] = set()
        self.connected = False

    def changed(self) -> None:
        """The number of viewers of some channel is another one now."""
        self._changed.set()

    def want(self, device_id: str, channel_id: str) -> None:
        """Somebody waits for this channel and no ingest has it; said once control can be reached."""
        self._wanted[device_id, channel_id] = None
        self._changed.set()

    def transferred(self, session_id: str, done: int, total: int) -> None:
        """How far a device is with a file; said once control can be reached, and again to one that was started anew."""
        self._transfers.pop(session_id, None)
        self._transfers[session_id] = Transfer(session_id, done, total)
        self._unsaid.add(session_id)
        if len(self._transfers) > _MOST_TRANSFERS:
            oldest = next(iter(self._transfers))
            del self._transfers[oldest]
            self._unsaid.discard(oldest)
        self._changed.set()

    async def run(self) -> None:
        """Reports until cancelled."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path))
            except OSError:
                await asyncio.sleep(_RETRY_S)
                continue
            self.connected = True
            try:
                await self._report(reader, writer)
            except OSError:
                pass
            finally:
                self.connected = False
                writer.close()
            await asyncio.sleep(_RETRY_S)

    async def _report(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def watch_for_end() -> None:
            frames = FrameReader()
            try:
                while data := await reader.read(1 << 12):
                    for message in frames.feed(data):
                        if isinstance(message, PlaybackControl):
                            self._wish(message)
            except WireError as error:
                logger.warning("control is not understood", extra={"reason": str(error)})
            except OSError:
                pass  # it was killed; the next one is waited for
            self._changed.set()

        # What was written to a control that died is lost, so this one hears everything.
        self._unsaid = set(self._transfers)

        async with asyncio.TaskGroup() as group:
            ended = group.create_task(watch_for_end())
            try:
                while not ended.done():
                    self._changed.clear()
                    writer.write(encode(Viewers(self._epoch, os.getpid(), self._count())))
                    wanted, self._wanted = self._wanted, {}
                    for device_id, channel_id in wanted:
                        writer.write(encode(WantStream(device_id, channel_id)))
                    unsaid, self._unsaid = self._unsaid, set()
                    for session_id in unsaid:
                        writer.write(encode(self._transfers[session_id]))
                    await writer.drain()
                    try:
                        async with asyncio.timeout(_PERIOD_S):
                            await self._changed.wait()
                    except TimeoutError:
                        pass
            finally:
                ended.cancel()
