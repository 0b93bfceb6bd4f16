"""Control's side of the edge socket: who watches what, and who waits for a picture."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from gb28181.catalog.model import ChannelKey
from gb28181.errors import Unavailable, WireError
from gb28181.frames import FrameReader, encode
from gb28181.ids import DeviceId
from gb28181.messages import PlaybackControl, Transfer, Viewers, WantStream
from gb28181.texts.text import say

logger = logging.getLogger(__name__)


class EdgeListener:
    """Accepts the edge's connection; the newest one is believed.

    Args:
        viewers: Takes the number of viewers of every watched channel.
        want: Takes a channel that a viewer waits for.
        transferred: Takes how far a device is with a file of ours or of its own.
    """

    def __init__(
        self,
        path: Path,
        *,
        viewers: Callable[[dict[ChannelKey, int]], None],
        want: Callable[[ChannelKey], None],
        transferred: Callable[[Transfer], None],
    ) -> None:
        self._path = path
        self._viewers = viewers
        self._want = want
        self._transferred = transferred
        self._server: asyncio.Server | None = None
        self._newest: asyncio.StreamWriter | None = None
        self.pid = 0
        self.total = 0

    async def __aenter__(self) -> EdgeListener:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        os.chmod(self._path, 0o600)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()
        if self._newest is not None:
            self._newest.close()

    def tell(self, message: PlaybackControl) -> None:
        """Hands a message to the edge.

        Raises:
            Unavailable: None is connected now.
        """
        if self._newest is None or self._newest.is_closing():
            raise Unavailable(say("server.edge_restarting"))
        self._newest.write(encode(message))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        self._newest = writer
        try:
            while data := await reader.read(1 << 16):
                for message in frames.feed(data):
                    if isinstance(message, Viewers) and self._newest is writer:
                        self._take(message)
                    elif isinstance(message, WantStream):
                        self._want(ChannelKey(DeviceId(message.device_id), DeviceId(message.channel_id)))
                    elif isinstance(message, Transfer):
                        self._transferred(message)
        except (OSError, WireError) as error:
            logger.warning("edge connection failed", extra={"reason": str(error)})
        finally:
            writer.close()
            if self._newest is writer:
                self._newest = None
                self.pid = 0

    def _take(self, message: Viewers) -> None:
        self.pid = message.pid
        counts = {ChannelKey(DeviceId(device), DeviceId(channel)): count for device, channel, count in message.channels}
        self.total = sum(counts.values())
        self._viewers(counts)
