"""All TCP connections of the server: numbered, found by number or by address, bounded, closed when idle."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from gb28181.config import SipSettings
from gb28181.device.model import Address
from gb28181.errors import Unreachable
from gb28181.sip.framing import Framed
from gb28181.sip.io.tcp import UNPROVED_MESSAGE, TcpConnection
from gb28181.sip.limits import FloodLimits

_CONNECT_S: Final = 5.0
#: A connection that has not carried one whole message by then is closed.
_SILENT_S: Final = 30.0
_SWEEP_S: Final = 5.0
#: Incomplete messages of all connections together.
_MAX_HELD: Final = 256 << 20


class Connections:
    """Opens, finds and closes connections; their messages and ends go to the server.

    Args:
        limits: Says which hosts have proved who they are and may send large messages.
        received: Called with the messages that a connection completed.
        lost: Called with a connection that was open and is not any more.
    """

    def __init__(
        self,
        settings: SipSettings,
        limits: FloodLimits,
        counters: Counter[str],
        *,
        received: Callable[[TcpConnection, list[Framed]], None],
        lost: Callable[[TcpConnection], None],
    ) -> None:
        self.held_bytes = 0
        self._settings = settings
        self._limits = limits
        self._counters = counters
        self._received = received
        self._lost = lost
        self._loop: asyncio.AbstractEventLoop
        self._by_number: dict[int, TcpConnection] = {}
        self._by_remote: dict[tuple[str, int], TcpConnection] = {}
        self._connecting: dict[tuple[str, int], asyncio.Task[TcpConnection]] = {}
        self._last_number = 0
        self._sweep_s = min(_SWEEP_S, settings.tcp_idle_s / 2)
        self._sweep_timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._by_number)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._sweep_timer = loop.call_later(self._sweep_s, self._sweep)

    async def stop(self) -> None:
        """Closes every connection and gives up those that are being made."""
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        tasks = list(self._connecting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._by_number.values()):
            connection.abort()
        await asyncio.sleep(0)  # they report their end

    def accept(self) -> TcpConnection:
        """Protocol factory of the listener."""
        self.count("tcp_accepted")
        return self._new()

    def get(self, number: int) -> TcpConnection | None:
        return self._by_number.get(number)

    def towards(self, host: str, port: int) -> TcpConnection | None:
        """An open connection with this address at its other end; the newest, where there are several."""
        return self._by_remote.get((host, port))

    async def connect(self, remote: Address) -> TcpConnection:
        """A new connection (quirk Q34); callers that want the same one share it.

        Raises:
            Unreachable: Refused, no route, or no answer in time.
        """
        key = (remote.host, remote.port)
        task = self._connecting.get(key)
        if task is None:
            task = self._connecting[key] = self._loop.create_task(self._connect(remote))
            task.add_done_callback(lambda _: self._connecting.pop(key, None))
        # Others may wait for it too: cancelling one of them must not end it, so nobody awaits the task itself.
        await asyncio.wait([task])
        if task.cancelled():
            raise Unreachable("the server stops")
        if (error := task.exception()) is not None:
            raise Unreachable(str(error))
        return task.result()

    async def _connect(self, remote: Address) -> TcpConnection:
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, connection = await self._loop.create_connection(self._new, remote.host, remote.port)
        except TimeoutError:
            raise Unreachable(f"no TCP connection to {remote} within {_CONNECT_S:g} s") from None
        except OSError as error:
            raise Unreachable(f"no TCP connection to {remote}: {error.strerror or error}") from None
        if not connection.is_open:
            raise Unreachable(f"TCP connection to {remote} was closed at once")
        connection.has_spoken = True  # ours: the sweep for silent strangers passes it over
        return connection

    def _new(self) -> TcpConnection:
        self._last_number += 1
        return TcpConnection(self._last_number, self, self._loop)

    # --- ConnectionOwner

    def opened(self, connection: TcpConnection) -> None:
        if len(self._by_number) >= self._settings.max_tcp_connections and not self._evict():
            self.count("tcp_refused_full")
            connection.is_open = False
            connection.abort()
            return
        self._by_number[connection.number] = connection
        self._by_remote[connection.flow.host, connection.flow.port] = connection

    def closed(self, connection: TcpConnection) -> None:
        if self._by_number.pop(connection.number, None) is None:
            return
        key = (connection.flow.host, connection.flow.port)
        if self._by_remote.get(key) is connection:
            del self._by_remote[key]
        self._lost(connection)

    def framed(self, connection: TcpConnection, messages: list[Framed]) -> None:
        self._received(connection, messages)

    def message_limit(self, host: str) -> int:
        return self._settings.max_tcp_message_bytes if self._limits.is_known(host) else UNPROVED_MESSAGE

    def may_hold(self, change: int) -> bool:
        self.held_bytes += change
        return change <= 0 or self.held_bytes <= _MAX_HELD

    def count(self, name: str) -> None:
        self._counters[name] += 1

    # --- bounds

    def _evict(self) -> bool:
        """Makes room by closing the oldest connection that never said anything; False when every one has."""
        silent = next((one for one in self._by_number.values() if not one.has_spoken), None)
        if silent is None:
            return False
        self.count("tcp_evicted")
        silent.abort()
        self.closed(silent)
        return True

    def _sweep(self) -> None:
        now = self._loop.time()
        idle_s = self._settings.tcp_idle_s
        for connection in list(self._by_number.values()):
            if now - connection.heard_at > (idle_s if connection.has_spoken else min(_SILENT_S, idle_s)):
                self.count("tcp_closed_idle")
                connection.abort()
        self._sweep_timer = self._loop.call_later(self._sweep_s, self._sweep)
