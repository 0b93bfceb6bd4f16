"""`ports.Signalling` over real sockets: one SIP endpoint, one UDP socket, and listeners for TCP and TLS.

The endpoint decides; this file carries packets and deadlines between it and the sockets, and requests to the services.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from gb28181.clock import Clock
from gb28181.config import SipSettings
from gb28181.device.model import Route
from gb28181.errors import MisuseError
from gb28181.ports import SipRequest
from gb28181.sip.endpoint import RETRY_AFTER_S, EndpointEvent, SipEndpoint
from gb28181.sip.framing import Framed
from gb28181.sip.io.connections import Connections
from gb28181.sip.io.convert import public_request
from gb28181.sip.io.listen import bind
from gb28181.sip.io.local import is_address
from gb28181.sip.io.paths import Paths
from gb28181.sip.io.requests import Requests
from gb28181.sip.io.tcp import TcpConnection
from gb28181.sip.io.tls import TlsListener, server_context
from gb28181.sip.io.udp import UdpShell
from gb28181.sip.limits import FloodLimits
from gb28181.sip.timers import Timers
from gb28181.sip.trace import TracedMessage
from gb28181.sip.transaction import Flow, RequestArrived, ServerTransaction

logger = logging.getLogger(__name__)

#: RFC 5626 §3.5.1.
KEEP_ALIVE: Final = b"\r\n\r\n"
_BACKLOG: Final = 4096
_TICK_S: Final = 0.05


class SipServer(Requests):
    """The SIP side of the control process; implements `ports.Signalling`.

    Args:
        settings: Section `sip`.
        handler: Called with every request for the services, once; it must return at once and answer by `respond`, at
            once or from a task. A request that nobody answers gets 500.
        timers: Other than those of RFC 3261, for tests and slow networks.
    """

    def __init__(
        self,
        settings: SipSettings,
        *,
        handler: Callable[[SipRequest], None],
        timers: Timers | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or Clock()
        self._handler = handler
        self._limits = FloodLimits(
            per_source=settings.per_source_per_s,
            unauthenticated=settings.unauthenticated_per_s,
            per_device=settings.per_device_per_s,
        )
        endpoint = SipEndpoint(
            server_id=settings.server_id,
            domain=settings.domain,
            limits=self._limits,
            user_agent=settings.user_agent,
            timers=timers or Timers(timeout=settings.transaction_timeout_s),
            max_transactions=settings.max_transactions,
        )
        super().__init__(endpoint, self._clock)
        self._connections = Connections(
            settings, self._limits, self._counters, received=self._messages, lost=self._connection_lost
        )
        self._tap: Callable[[TracedMessage], None] | None = None
        self._tls: TlsListener | None = None
        self._port = 0
        self._tls_port = 0
        self._is_pumping = False
        self._timer: asyncio.TimerHandle | None = None

    # --- life

    async def start(self) -> None:
        """Binds UDP and TCP to the same port, TLS to its own where there is a certificate, and begins to serve.

        Raises:
            Unavailable: The address or a port cannot be bound.
            Invalid: The certificate cannot be used.
        """
        loop = self._loop = asyncio.get_running_loop()
        settings = self._settings
        context = server_context(settings) if settings.tls_certificate else None
        udp, tcp, secure = bind(settings.host, settings.port, settings.tls_port if context is not None else None)
        host, self._port = udp.getsockname()[:2]
        self._tls_port = secure.getsockname()[1] if secure is not None else 0
        self._paths = Paths(settings, self._connections, bound=host, port=self._port, tls_port=self._tls_port)
        self._udp = UdpShell(
            udp,
            receive=self._datagram,
            done=self._datagrams_done,
            usual=self._paths.usual,
            max_bytes=settings.max_message_bytes,
            counters=self._counters,
        )
        self._paths.met_at = self._udp.met_at
        self._udp.start()
        self._connections.start(loop)
        self._listener = await loop.create_server(self._connections.accept, sock=tcp, backlog=_BACKLOG)
        if context is not None and secure is not None:
            self._tls = TlsListener(secure, context, self._connections.accept_tls, self._counters)
            self._tls.start()
        logger.info("SIP listens", extra={"host": settings.host, "port": self._port, "tls_port": self._tls_port})

    async def stop(self) -> None:
        """Closes every socket; whoever awaits an answer gets `Unreachable`."""
        self._listener.close()
        if self._tls is not None:
            await self._tls.stop()
        self._callers.stop()
        await asyncio.sleep(0)  # those who waited leave, and cancel what they had begun
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connections.stop()
        self._udp.close()
        if self._timer is not None:
            self._timer.cancel()

    @property
    def port(self) -> int:
        """The port that is bound, also where the configuration says 0."""
        return self._port

    @property
    def tls_port(self) -> int:
        """The port for TLS, 0 where there is no certificate."""
        return self._tls_port

    def metrics(self) -> dict[str, int]:
        """Counters of everything received, refused, dropped and tolerated."""
        return {**self._endpoint.metrics(), **self._counters}

    def gauges(self) -> dict[str, int]:
        """What is alive now."""
        return {
            **self._endpoint.gauges(),
            "tcp_connections": len(self._connections),
            "tcp_held_bytes": self._connections.held_bytes,
            "waiting_callers": len(self._callers),
        }

    def tap(self, listener: Callable[[TracedMessage], None] | None) -> None:
        """Shows every message to a listener from now on, as it stands on the wire; None ends that.

        The listener is called on the event loop for each message, before it is read and as it is sent: it must be quick
        and raise nothing. Junk and keep-alives over UDP are shown too.
        """
        self._tap = listener

    # --- ports.Signalling

    def respond(
        self,
        request: SipRequest,
        status: int,
        reason: str = "",
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> None:
        if not isinstance(request.key, ServerTransaction):
            raise MisuseError("this request did not come from here")
        if not self._endpoint.respond(request.key, status, reason, headers, body, content_type, self._loop.time()):
            self._counters["answers_too_late"] += 1
        elif request.route.connection and request.method == "REGISTER" and 200 <= status < 300:
            # Only who has proved who it is: others behind the same address can write any name into From (S7).
            self._connections.claim(request.route.connection, request.user)
        self._pump()

    def keep_open(self, route: Route) -> None:
        if route.transport == "udp" and is_address(route.remote.host):
            self._udp.send(Flow("udp", route.remote.host, route.remote.port), KEEP_ALIVE)

    # --- receiving

    def _messages(self, connection: TcpConnection, messages: list[Framed]) -> None:
        for head, body, faults in messages:
            if self._tap is not None:
                self._show(True, connection.flow, head + b"\r\n\r\n" + body)
            try:
                self._endpoint.receive_framed(head, body, faults, connection.flow, self._loop.time())
            except Exception:
                self._failed("message", connection.flow)
        self._pump()

    def _connection_lost(self, connection: TcpConnection) -> None:
        self._endpoint.connection_lost(connection.number, self._loop.time())
        self._pump()

    def _datagram(self, data: bytes, flow: Flow) -> None:
        if self._tap is not None:
            self._show(True, flow, data)
        try:
            self._endpoint.receive_datagram(data, flow, self._loop.time())
        except Exception:
            self._failed("datagram", flow)

    def _datagrams_done(self) -> None:
        try:
            self._pump()
        except Exception:
            self._counters["failures"] += 1
            logger.exception("SIP pump failed")

    def _failed(self, what: str, flow: Flow) -> None:
        """A bug of ours that one peer met: nobody else notices."""
        self._counters["failures"] += 1
        logger.exception("SIP %s failed", what, extra={"host": flow.host, "port": flow.port})

    def _show(self, is_inbound: bool, flow: Flow, data: bytes) -> None:
        if (listener := self._tap) is None:
            return
        try:
            listener(TracedMessage(self._clock.utc_us(), is_inbound, flow.transport, flow.host, flow.port, data))
        except Exception:
            self._tap = None
            self._failed("tap", flow)

    def _pump(self) -> None:
        """Hands events up and packets down until there are none; a handler that answers at once comes back in here."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while (event := self._endpoint.next_event()) is not None:
                self._deliver(event)
            for flow, packet in self._endpoint.packets_to_send():
                self._carry(flow, packet)
        finally:
            self._is_pumping = False
        self._rearm()

    def _carry(self, flow: Flow, packet: bytes) -> None:
        if self._tap is not None:
            self._show(False, flow, packet)
        if flow.transport == "udp":
            self._udp.send(flow, packet)
        elif (connection := self._connections.get(flow.connection)) is not None:
            connection.send(packet)
        else:
            self._counters["tcp_unsent"] += 1

    def _rearm(self) -> None:
        """Deadlines are looked at every `_TICK_S` while there are any: a storm has thousands of them a second."""
        if self._timer is None and self._endpoint.next_deadline() is not None:
            self._timer = self._loop.call_later(_TICK_S, self._expire)

    def _expire(self) -> None:
        self._timer = None
        try:
            self._endpoint.expire(self._loop.time())
            self._pump()
        except Exception:
            self._counters["failures"] += 1
            logger.exception("SIP timer failed")
            self._rearm()

    def _deliver(self, event: EndpointEvent) -> None:
        if isinstance(event, RequestArrived):
            self._hand_up(event)
        else:
            self._callers.deliver(event)

    def _hand_up(self, event: RequestArrived) -> None:
        transaction, message = event
        now = self._loop.time()
        try:
            request = public_request(event, self._paths.local_of(transaction.flow))
            if self._limits.admits_device(request.user, transaction.flow.host, now, octets=len(request.body)):
                self._handler(request)
                return
        except Exception:
            self._failed(f"handler of {message.method}", transaction.flow)
            self._endpoint.respond(transaction, 500, "", (), b"", "", self._loop.time())
            return
        self._counters["refused_device_flood"] += 1
        self._endpoint.respond(transaction, 503, "", [("retry-after", str(RETRY_AFTER_S))], b"", "", now)
