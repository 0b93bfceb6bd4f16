"""The listening socket: who may stay connected without asking for anything.

A connection that is being served is bounded by what it does (viewers, sessions, requests); one that waits costs nothing to
open, so what is bounded here is waiting: how long for the first request, how many of one address, how many in all. Who has
waited longest gives way first, so nobody who is watching is ever cut off for a stranger.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from gb28181.config import HttpSettings
from gb28181.edge.replies import Protocol

logger = logging.getLogger(__name__)

_BACKLOG: Final = 1024
_STOP_S: Final = 3.0
#: A peer that takes nothing for so long is gone or means harm; a browser that asks where to save a file is neither.
_STALLED_MS: Final = 300_000
#: One customer of an IPv6 network has at least this much.
_IPV6_SITE: Final = 64


class Door:
    """Accepts connections for an application and counts those that wait.

    Args:
        app: Gets a middleware that says when a connection is busy.

    Attributes:
        counters: Connections that gave way (`displaced`), were refused (`full`), or sent no request in time (`late`).
    """

    def __init__(self, settings: HttpSettings, app: web.Application) -> None:
        self._settings = settings
        self._all: set[Visitor] = set()
        self._waiting: OrderedDict[Visitor, None] = OrderedDict()
        self._by_source: dict[str, OrderedDict[Visitor, None]] = {}
        self._server: asyncio.Server | None = None
        # A handler is cancelled when its client goes: a viewer that leaves is gone at once.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_STOP_S)
        self.counters: dict[str, int] = {"displaced": 0, "full": 0, "late": 0}
        app.middlewares.insert(0, _arrivals)

    async def open(self, tls: ssl.SSLContext | None) -> int:
        """Listens; returns the port that was bound.

        Raises:
            OSError: The address cannot be bound.
        """
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        loop = asyncio.get_running_loop()

        def accept() -> Visitor:
            # The access log is not for logging: it is how aiohttp says that an answer has been sent to its end.
            inner = Protocol(
                server,
                loop=loop,
                access_log=logger,
                access_log_class=_Departures,
                keepalive_timeout=self._settings.keep_alive_s,
            )
            return Visitor(self, inner)

        self._server = await loop.create_server(
            accept,
            self._settings.host,
            self._settings.port,
            ssl=tls,
            ssl_handshake_timeout=self._settings.request_head_s if tls else None,
            backlog=_BACKLOG,
            reuse_address=True,
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    @property
    def connections(self) -> int:
        return len(self._all)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def admit(self, visitor: Visitor) -> bool:
        """Whether a new connection may stay; another one may have given way to it."""
        mine = self._by_source.get(visitor.source)
        if mine is not None and len(mine) >= self._settings.max_idle_connections_per_source:
            self._displace(next(iter(mine)))
        if len(self._all) >= self._settings.max_connections:
            if not self._waiting:
                self.counters["full"] += 1
                return False
            self._displace(next(iter(self._waiting)))
        self._all.add(visitor)
        self.waits(visitor)
        return True

    def waits(self, visitor: Visitor) -> None:
        """It may ask for something now."""
        if visitor in self._all:
            self._waiting[visitor] = None
            self._by_source.setdefault(visitor.source, OrderedDict())[visitor] = None

    def busy(self, visitor: Visitor) -> None:
        """It is being served."""
        if self._waiting.pop(visitor, visitor) is visitor:
            return
        mine = self._by_source[visitor.source]
        del mine[visitor]
        if not mine:
            del self._by_source[visitor.source]

    def left(self, visitor: Visitor) -> None:
        self.busy(visitor)
        self._all.discard(visitor)

    def _displace(self, visitor: Visitor) -> None:
        self.counters["displaced"] += 1
        self.left(visitor)
        visitor.abort()

    @property
    def patience_s(self) -> float:
        """Time for the first request of a connection."""
        return self._settings.request_head_s


class Visitor(asyncio.Protocol):
    """One connection: passes everything on to aiohttp's protocol and tells the door when it waits and when it is busy."""

    def __init__(self, door: Door, inner: asyncio.Protocol) -> None:
        self._door = door
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._is_in = False
        self.source = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.source = source_of(transport.get_extra_info("peername"))
        if not self._door.admit(self):
            transport.abort()
            return
        self._is_in = True
        self._patience = asyncio.get_running_loop().call_later(self._door.patience_s, self._late)
        _give_up_on_the_dead(transport)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        if self._is_in:
            self._door.left(self)
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_in:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._is_in else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def busy(self) -> None:
        self._calm()
        self._door.busy(self)

    def waits(self) -> None:
        self._door.waits(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _late(self) -> None:
        self._patience = None
        self._door.counters["late"] += 1
        self.abort()

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def source_of(peer: Any) -> str:
    """Whose connections are counted together: an IPv4 address, or a /64 of IPv6."""
    host = str(peer[0]) if isinstance(peer, tuple) and peer else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, _IPV6_SITE), strict=False))
    return str(address)


def _visitor(request: web.BaseRequest) -> Visitor | None:
    protocol = None if request.transport is None else request.transport.get_protocol()
    return protocol if isinstance(protocol, Visitor) else None


@web.middleware
async def _arrivals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if (visitor := _visitor(request)) is not None:
        visitor.busy()
    return await handler(request)


class _Departures(AbstractAccessLogger):
    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        if (visitor := _visitor(request)) is not None:
            visitor.waits()


def _give_up_on_the_dead(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, AttributeError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED_MS)
