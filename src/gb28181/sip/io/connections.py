"""All TCP and TLS connections of the server: numbered, found by number, address or user, bounded, closed when idle."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from gb28181.config import SipSettings
from gb28181.device.model import Address, SipTransport
from gb28181.errors import Unreachable
from gb28181.sip.framing import Framed
from gb28181.sip.io.tcp import UNPROVED_MESSAGE, TcpConnection
from gb28181.sip.io.tls import client_context
from gb28181.sip.limits import FloodLimits
from gb28181.texts.text import reason_of, say

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
        self._by_remote: dict[tuple[str, str, int], TcpConnection] = {}
        self._by_user: dict[tuple[str, str], TcpConnection] = {}
        self._connecting: dict[tuple[str, str, int], asyncio.Task[TcpConnection]] = {}
        self._client_tls: ssl.SSLContext | None = None
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
        """Protocol factory of the TCP listener."""
        self.count("tcp_accepted")
        return self._new("tcp")

    def accept_tls(self) -> TcpConnection:
        """Protocol factory of the TLS listener."""
        self.count("tls_accepted")
        return self._new("tls")

    def get(self, number: int) -> TcpConnection | None:
        return self._by_number.get(number)

    def towards(self, transport: SipTransport, remote: Address) -> TcpConnection | None:
        """An open connection with this address at its other end; the newest, where there are several."""
        return self._by_remote.get((transport, remote.host, remote.port))

    def of_user(self, host: str, user: str) -> TcpConnection | None:
        """The connection over which this user of this host has registered, if it stands."""
        return self._by_user.get((host, user))

    def claim(self, number: int, user: str) -> None:
        """A user has proved over this connection who it is."""
        connection = self._by_number.get(number)
        if connection is not None and connection.user != user:
            self._forget_user(connection)
            connection.user = user
            self._by_user[connection.flow.host, user] = connection

    async def connect(self, transport: SipTransport, remote: Address) -> TcpConnection:
        """A new connection (quirk Q34); callers that want the same one share it.

        Raises:
            Unreachable: Refused, no route, a certificate that is not good, or no answer in time.
        """
        key = (transport, remote.host, remote.port)
        task = self._connecting.get(key)
        if task is None:
            task = self._connecting[key] = self._loop.create_task(self._connect(transport, remote))
            task.add_done_callback(lambda _: self._connecting.pop(key, None))
        # Others may wait for it too: cancelling one of them must not end it, so nobody awaits the task itself.
        await asyncio.wait([task])
        if task.cancelled():
            raise Unreachable(say("server.stops"))
        if (error := task.exception()) is not None:
            raise Unreachable(str(error))
        return task.result()

    async def _connect(self, transport: SipTransport, remote: Address) -> TcpConnection:
        name = transport.upper()
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, connection = await self._loop.create_connection(
                    lambda: self._new(transport), remote.host, remote.port, ssl=self._tls() if transport == "tls" else None
                )
        except TimeoutError:
            raise Unreachable(say("device.no_connection_within", name=name, remote=remote, seconds=_CONNECT_S)) from None
        except OSError as error:
            raise Unreachable(say("device.no_connection", name=name, remote=remote, why=reason_of(error))) from None
        if not connection.is_open:
            raise Unreachable(say("device.connection_closed", name=name, remote=remote))
        connection.has_spoken = True  # ours: the sweep for silent strangers passes it over
        return connection

    def _tls(self) -> ssl.SSLContext:
        if self._client_tls is None:
            self._client_tls = client_context(self._settings)
        return self._client_tls

    def _new(self, transport: SipTransport) -> TcpConnection:
        self._last_number += 1
        return TcpConnection(self._last_number, transport, self, self._loop, per_s=self._settings.per_connection_per_s)

    # --- ConnectionOwner

    def opened(self, connection: TcpConnection) -> None:
        if len(self._by_number) >= self._settings.max_tcp_connections and not self._evict():
            self.count("tcp_refused_full")
            connection.is_open = False
            connection.abort()
            return
        self._by_number[connection.number] = connection
        self._by_remote[connection.flow[:3]] = connection

    def closed(self, connection: TcpConnection) -> None:
        if self._by_number.pop(connection.number, None) is None:
            return
        if self._by_remote.get(connection.flow[:3]) is connection:
            del self._by_remote[connection.flow[:3]]
        self._forget_user(connection)
        self._lost(connection)

    def _forget_user(self, connection: TcpConnection) -> None:
        key = (connection.flow.host, connection.user)
        if self._by_user.get(key) is connection:
            del self._by_user[key]

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
