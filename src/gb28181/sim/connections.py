"""Media connections over TCP: opened by the device, or waited for (Annex D)."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from gb28181.sim.transactions import Address

#: Opening the media connection: at least three tries, at least a second apart (Annex D).
_CONNECT_TRIES: Final = 3
_CONNECT_PAUSE_S: Final = 1.0
_CONNECT_S: Final = 5.0
_ACCEPT_S: Final = 10.0


async def connected(bound: socket.socket, peer: Address) -> socket.socket | None:
    """Connects the bound socket, later ones from other ports; None after the last try."""
    loop = asyncio.get_running_loop()
    local = bound.getsockname()[0]
    for attempt in range(_CONNECT_TRIES):
        if attempt:
            await asyncio.sleep(_CONNECT_PAUSE_S)
            bound = socket.socket(bound.family, socket.SOCK_STREAM)
            bound.setblocking(False)
            bound.bind((local, 0))
        try:
            async with asyncio.timeout(_CONNECT_S):
                await loop.sock_connect(bound, peer)
        except OSError:
            bound.close()
        else:
            return bound
    return None


async def accepted(listening: socket.socket) -> socket.socket | None:
    """The first connection that comes, None if none does in time."""
    try:
        async with asyncio.timeout(_ACCEPT_S):
            connection, _ = await asyncio.get_running_loop().sock_accept(listening)
    except OSError:
        return None
    finally:
        listening.close()
    return connection
