"""One viewer of a live stream: takes what its connection can carry and never makes anybody wait.

Blocks are shared by all viewers of a format; what differs between HTTP and WebSocket is a frame around the same bytes, made
once and shared too.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from gb28181.texts.text import say

Framing = Literal["plain", "chunked", "websocket"]

_STALLED_S: Final = 30.0
_WS_BINARY: Final = 0x82


def _websocket(data: bytes) -> bytes:
    """One unmasked binary message (RFC 6455 §5.2)."""
    size = len(data)
    if size < 126:
        return bytes((_WS_BINARY, size)) + data
    if size < 1 << 16:
        return struct.pack(">BBH", _WS_BINARY, 126, size) + data
    return struct.pack(">BBQ", _WS_BINARY, 127, size) + data


_FRAMINGS: Final[Mapping[Framing, Callable[[bytes], bytes]]] = {
    "plain": lambda data: data,
    "chunked": lambda data: b"%x\r\n%b\r\n" % (len(data), data),
    "websocket": _websocket,
}


@dataclass(slots=True)
class Block:
    """Frames that are sent together.

    Args:
        is_key: The first of them is a key frame; a key frame never stands elsewhere.
    """

    data: bytes
    is_key: bool
    _framed: dict[Framing, bytes] = field(default_factory=dict)

    def framed(self, framing: Framing) -> bytes:
        found = self._framed.get(framing)
        if found is None:
            found = self._framed[framing] = _FRAMINGS[framing](self.data)
        return found


class Viewer:
    """Writes blocks to one connection.

    Args:
        limit: Bytes that may wait in the write buffer; beyond it blocks are left out until a key frame comes and most of
            the buffer has drained.
    """

    def __init__(self, transport: asyncio.Transport, framing: Framing, *, limit: int, now: float) -> None:
        self.framing: Framing = framing
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.sent = 0
        self.skips = 0
        self._transport = transport
        self._limit = limit
        self._allowance = limit
        self._skipping = True  # nothing can be shown before a key frame
        self._moved = now
        self._waiting = 0

    def begin(self, block: Block) -> None:
        """The first bytes: headers, and the pictures since the last key frame if they are at hand."""
        self._skipping = False
        self._write(block)
        # A long group of pictures at the start is not slowness; the bound holds from when it has been read.
        self._allowance = self._limit + self._transport.get_write_buffer_size()

    @property
    def begun(self) -> bool:
        return self.sent > 0

    def offer(self, block: Block) -> None:
        """Sends the block, or leaves it out when the connection is behind."""
        transport = self._transport
        if transport.is_closing():
            self.end(say("media.connection_closed"))
            return
        waiting = transport.get_write_buffer_size()
        if self._skipping:
            if not block.is_key or waiting > self._limit // 4:
                return
            self._skipping = False
        elif waiting > self._allowance:
            self._skipping = True
            self.skips += 1
            return
        elif waiting < self._limit:
            self._allowance = self._limit
        self._write(block)

    def _write(self, block: Block) -> None:
        data = block.framed(self.framing)
        self.sent += len(data)
        self._transport.write(data)

    def check(self, now: float) -> None:
        """Called each second: ends a viewer whose connection has taken nothing for half a minute, or is gone."""
        waiting = self._transport.get_write_buffer_size()
        if self._transport.is_closing():
            self.end(say("media.connection_closed"))
        elif not waiting or waiting < self._waiting:
            self._moved = now
        elif now - self._moved > _STALLED_S:
            self._transport.abort()
            self.end(say("media.viewer_stalled"))
        self._waiting = waiting

    def end(self, reason: str) -> None:
        if not self.over.done():
            self.over.set_result(reason)
