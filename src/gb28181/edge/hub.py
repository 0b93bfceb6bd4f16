"""All watched channels of this edge: who joins shares what runs, who leaves last ends it a little later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from gb28181.background import Background
from gb28181.config import HttpSettings
from gb28181.edge.channel import LiveChannel
from gb28181.edge.feed import Format
from gb28181.edge.ingests import IngestClient
from gb28181.edge.viewer import Framing, Viewer
from gb28181.errors import Unavailable
from gb28181.texts.text import say

#: Who switches between pictures comes back at once.
_LINGER_S: Final = 3.0
#: A GOP may be longer than what a slow viewer may hold (quirk Q146: 10 to 25 s).
_GOP_SHARE: Final = 4


class Hub:
    """Channels by `(device_id, channel_id)`; owns their tasks.

    Args:
        want: Tells control that a channel is waited for.
        changed: Tells that the number of viewers of a channel changed.
    """

    def __init__(
        self,
        settings: HttpSettings,
        ingests: Sequence[IngestClient],
        *,
        want: Callable[[str, str], None],
        changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._ingests = ingests
        self._want = want
        self._changed = changed
        self._channels: dict[tuple[str, str], LiveChannel] = {}
        self._waiting: dict[tuple[str, str], int] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._lingering: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._background = Background()
        self.sent_before = 0
        self.skips = 0
        self.joined = 0

    async def __aenter__(self) -> Hub:
        await self._background.__aenter__()
        self._background.spawn(self._check, "viewers", forever=True)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for handle in self._lingering.values():
            handle.cancel()
        await self._background.__aexit__(*exc)

    @property
    def viewers(self) -> int:
        return sum(self._waiting.values())

    @property
    def channels(self) -> Sequence[LiveChannel]:
        return tuple(self._channels.values())

    @property
    def sent(self) -> int:
        """Bytes handed to viewers' connections since the start."""
        running = sum(feed.sent for channel in self._channels.values() for feed in channel.feeds.values())
        return self.sent_before + running

    def count(self) -> tuple[tuple[str, str, int], ...]:
        """Viewers of every channel, those who still wait for the picture too."""
        return tuple((device, channel, count) for (device, channel), count in self._waiting.items() if count)

    def enter(self, device_id: str, channel_id: str) -> LiveChannel:
        """Counts a viewer in, before there is a picture; `leave` must follow.

        Raises:
            Unavailable: `http.max_viewers` are here already.
        """
        if self.viewers >= self._settings.max_viewers:
            raise Unavailable(say("media.viewers_full", viewers=self.viewers))
        key = (device_id, channel_id)
        self._waiting[key] = self._waiting.get(key, 0) + 1
        self.joined += 1
        if (handle := self._lingering.pop(key, None)) is not None:
            handle.cancel()
        channel = self._channels.get(key)
        if channel is None:
            limit = self._settings.viewer_buffer_bytes * _GOP_SHARE
            channel = LiveChannel(device_id, channel_id, ingests=self._ingests, want=self._wanted, gop_limit=limit)
            self._channels[key] = channel
            self._tasks[key] = self._background.spawn(lambda: self._run(key, channel), f"{device_id}/{channel_id}")
        self._changed()
        return channel

    def viewer(self, channel: LiveChannel, transport: asyncio.Transport, framing: Framing, kind: Format) -> Viewer:
        """Begins to send to a connection."""
        now = asyncio.get_running_loop().time()
        viewer = Viewer(transport, framing, limit=self._settings.viewer_buffer_bytes, now=now)
        channel.join(viewer, kind)
        if channel.failure:
            viewer.end(channel.failure)
        return viewer

    def leave(self, channel: LiveChannel, viewer: Viewer | None) -> None:
        key = (channel.device_id, channel.channel_id)
        if viewer is not None:
            channel.leave(viewer)
            self.skips += viewer.skips
        self._waiting[key] -= 1
        if not self._waiting[key]:
            del self._waiting[key]
            loop = asyncio.get_running_loop()
            self._lingering[key] = loop.call_later(_LINGER_S, self._end, key)
        self._changed()

    def _wanted(self, device_id: str, channel_id: str) -> bool:
        """Asks control for a stream; not for a channel that only lingers: its camera would send to nobody."""
        if (device_id, channel_id) not in self._waiting:
            return False
        self._want(device_id, channel_id)
        return True

    def _end(self, key: tuple[str, str]) -> None:
        self._lingering.pop(key, None)
        # Who comes from now on gets a new channel, not the one that is ending.
        if (channel := self._channels.pop(key, None)) is not None:
            self._tasks.pop(key).cancel()
            self.sent_before += sum(feed.sent for feed in channel.feeds.values())

    async def _run(self, key: tuple[str, str], channel: LiveChannel) -> None:
        try:
            await channel.run()
        finally:
            if self._channels.get(key) is channel:
                self.sent_before += sum(feed.sent for feed in channel.feeds.values())
                del self._channels[key]
                del self._tasks[key]

    async def _check(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            for channel in self.channels:
                for feed in channel.feeds.values():
                    for viewer in tuple(feed.viewers):
                        viewer.check(loop.time())
