"""`ports.Signalling` over real sockets: one SIP endpoint, one UDP socket and a TCP listener on the same port number.

The endpoint decides; this file carries packets, deadlines and answers between it, the sockets and the callers that await.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from gb28181.clock import Clock
from gb28181.config import SipSettings
from gb28181.device.model import Address, Route, SipTransport
from gb28181.errors import MediaRefused, MisuseError, PeerTimeout, SubscriptionRefused, Unreachable
from gb28181.ports import Answered, SipRequest, SipResponse, Subscribed
from gb28181.session.model import Dialog
from gb28181.sip import endpoint as core
from gb28181.sip.calls import Answered as CoreAnswered
from gb28181.sip.dialog import Dialog as CoreDialog
from gb28181.sip.dialog import dialog_of, refreshed_target
from gb28181.sip.framing import Framed
from gb28181.sip.io.connections import Connections
from gb28181.sip.io.convert import core_dialog, public_dialog, public_request, public_response
from gb28181.sip.io.listen import bind
from gb28181.sip.io.local import LocalAddresses, is_address, split_host
from gb28181.sip.io.tcp import TcpConnection
from gb28181.sip.io.udp import UdpShell
from gb28181.sip.limits import FloodLimits
from gb28181.sip.message import Response
from gb28181.sip.subscription import MAX_EXPIRES_S, check_accepted, granted
from gb28181.sip.timers import Timers
from gb28181.sip.transaction import ClientTransaction, Flow, RequestArrived, RequestFailed, ResponseArrived, ServerTransaction

logger = logging.getLogger(__name__)

MANSCDP: Final = "Application/MANSCDP+xml"
#: RFC 5626 §3.5.1.
KEEP_ALIVE: Final = b"\r\n\r\n"
_BACKLOG: Final = 4096
#: Dialogs whose last sequence number is remembered beyond what the caller stored.
_MAX_NUMBERS: Final = 20_000
#: A provisional answer gives an INVITE its time anew, this many times at most (quirk Q38).
_EXTENSIONS: Final = 2
#: 2026-01-01: from then on the numbers of restored dialogs are counted, below 2^31 until 2043.
_NUMBERS_SINCE_US: Final = 1_767_225_600_000_000


@dataclass(slots=True, eq=False)
class _Waiter:
    """A caller that awaits the answer to one request."""

    future: asyncio.Future[CoreAnswered | Response]
    on_provisional: Callable[[int], None] | None = None
    extensions: int = 0


class SipServer:
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
        self._timers = timers or Timers(timeout=settings.transaction_timeout_s)
        self._limits = FloodLimits(per_source=settings.per_source_per_s, unauthenticated=settings.unauthenticated_per_s)
        self._endpoint = core.SipEndpoint(
            server_id=settings.server_id,
            domain=settings.domain,
            limits=self._limits,
            user_agent=settings.user_agent,
            timers=self._timers,
            max_transactions=settings.max_transactions,
        )
        self._counters: Counter[str] = Counter()
        self._waiters: dict[ClientTransaction, _Waiter] = {}
        self._connections = Connections(
            settings, self._limits, self._counters, received=self._messages, lost=self._connection_lost
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._port = 0
        self._advertised_port = 0
        self._is_pumping = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    # --- life

    async def start(self) -> None:
        """Binds UDP and TCP to the same port and begins to serve.

        Raises:
            Unavailable: The address or port cannot be bound.
        """
        loop = self._loop = asyncio.get_running_loop()
        udp, tcp = bind(self._settings.host, self._settings.port)
        self._port = udp.getsockname()[1]
        host, self._advertised_port = split_host(self._settings.advertise)
        self._local = LocalAddresses(advertise=host, bound=udp.getsockname()[0])
        self._udp = UdpShell(udp, self._datagram, max_bytes=self._settings.max_message_bytes, counters=self._counters)
        await loop.create_datagram_endpoint(lambda: self._udp, sock=udp)
        self._connections.start(loop)
        self._listener = await loop.create_server(self._connections.accept, sock=tcp, backlog=_BACKLOG)
        logger.info("SIP listens", extra={"host": self._settings.host, "port": self._port})

    async def stop(self) -> None:
        """Closes every socket; whoever awaits an answer gets `Unreachable`."""
        self._listener.close()
        for waiter in self._waiters.values():
            if not waiter.future.done():
                waiter.future.set_exception(Unreachable("the server stops"))
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

    def metrics(self) -> dict[str, int]:
        """Counters of everything received, refused, dropped and tolerated."""
        return {**self._endpoint.metrics(), **self._counters}

    def gauges(self) -> dict[str, int]:
        """What is alive now."""
        return {
            **self._endpoint.gauges(),
            "tcp_connections": len(self._connections),
            "tcp_held_bytes": self._connections.held_bytes,
            "waiting_callers": len(self._waiters),
        }

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
        self._pump()

    async def message(self, route: Route, *, to: str, body: bytes, timeout_s: float | None = None) -> SipResponse:
        flow = await self._flow(route)
        transaction = self._endpoint.request(
            "MESSAGE",
            flow,
            to=to,
            local=self._told(flow),
            now=self._loop.time(),
            body=body,
            headers=[("content-type", MANSCDP)],
        )
        return await self._final(transaction, timeout_s)

    async def invite(
        self,
        route: Route,
        *,
        to: str,
        sdp: bytes,
        subject: str,
        timeout_s: float,
        on_provisional: Callable[[int], None] | None = None,
    ) -> Answered:
        flow = await self._flow(route)
        transaction = self._endpoint.request(
            "INVITE",
            flow,
            to=to,
            local=self._told(flow),
            now=self._loop.time(),
            body=sdp,
            headers=[("subject", subject), ("content-type", "application/sdp")],
        )
        answer = await self._answer(transaction, timeout_s, on_provisional)
        if isinstance(answer, Response):
            raise MediaRefused(
                f"INVITE was answered {answer.status} {answer.reason}".rstrip(), status=answer.status, clause="Annex G"
            )
        self._remember_number(answer.dialog.key, answer.dialog.cseq)
        used = Route(route.transport, route.remote, route.local, flow.connection)
        return Answered(public_response(answer.response), public_dialog(answer.dialog, used))

    def ack(self, dialog: Dialog) -> None:
        known = core_dialog(dialog)
        flow = self._ready_flow(dialog.route)
        if flow is None:
            self._spawn(self._ack_over_new_connection(dialog, known))
            return
        self._endpoint.acknowledge(known, flow, local=self._told(flow), now=self._loop.time())
        self._pump()

    async def bye(self, dialog: Dialog, *, route: Route | None = None) -> SipResponse:
        _, answer = await self._ask_in(dialog, "BYE", route)
        return public_response(answer)

    async def info(self, dialog: Dialog, *, body: bytes, content_type: str, route: Route | None = None) -> SipResponse:
        _, answer = await self._ask_in(dialog, "INFO", route, [("content-type", content_type)], body)
        return public_response(answer)

    async def options(self, route: Route, *, to: str) -> SipResponse:
        flow = await self._flow(route)
        transaction = self._endpoint.request("OPTIONS", flow, to=to, local=self._told(flow), now=self._loop.time())
        return await self._final(transaction, None)

    async def subscribe(self, route: Route, *, to: str, event: str, body: bytes, expires_s: int) -> Subscribed:
        try:
            return await self._subscribe(route, to, event, body, expires_s)
        except SubscriptionRefused as refusal:
            if refusal.status != 423 or not expires_s < refusal.min_expires_s <= MAX_EXPIRES_S:
                raise
            return await self._subscribe(route, to, event, body, refusal.min_expires_s)

    async def _subscribe(self, route: Route, to: str, event: str, body: bytes, expires_s: int) -> Subscribed:
        flow = await self._flow(route)
        transaction = self._endpoint.request(
            "SUBSCRIBE",
            flow,
            to=to,
            local=self._told(flow),
            now=self._loop.time(),
            body=body,
            headers=[("event", event), ("expires", str(expires_s)), ("content-type", MANSCDP)],
        )
        answer = await self._answer(transaction, None, None)
        assert isinstance(answer, Response)
        check_accepted(answer)
        made = dialog_of(transaction.uri, transaction.headers, transaction.cseq, answer)
        self._remember_number(made.key, made.cseq)
        used = Route(route.transport, route.remote, route.local, flow.connection)
        return Subscribed(public_dialog(made, used), granted(answer, expires_s), public_response(answer))

    async def resubscribe(
        self, dialog: Dialog, *, event: str, body: bytes, expires_s: int, route: Route | None = None
    ) -> Subscribed:
        headers = [("event", event), ("expires", str(expires_s)), ("content-type", MANSCDP)]
        sent, answer = await self._ask_in(dialog, "SUBSCRIBE", route, headers, body)
        check_accepted(answer)
        refreshed = replace(dialog, cseq=sent.cseq, target=refreshed_target(answer, dialog.target), route=route or dialog.route)
        return Subscribed(refreshed, granted(answer, expires_s), public_response(answer))

    def accept_subscription(
        self, request: SipRequest, *, expires_s: int, body: bytes = b"", dialog: Dialog | None = None
    ) -> Dialog:
        transaction = request.key
        if not isinstance(transaction, ServerTransaction):
            raise MisuseError("this request did not come from here")
        made = self._endpoint.accept(
            transaction,
            [("expires", str(expires_s))],
            body,
            MANSCDP if body else "",
            local=self._told(transaction.flow),
            now=self._loop.time(),
        )
        if made is None:
            self._counters["answers_too_late"] += 1
            raise Unreachable(f"the {request.method} of {request.route.remote} was answered already")
        if dialog is None:
            self._remember_number(made.key, made.cseq)
        else:
            made = made.numbered(dialog.cseq)
        self._pump()
        return public_dialog(made, request.route)

    async def notify(self, dialog: Dialog, *, event: str, state: str, body: bytes, route: Route | None = None) -> SipResponse:
        headers = [("event", event), ("subscription-state", state)]
        if body:
            headers.append(("content-type", MANSCDP))
        _, answer = await self._ask_in(dialog, "NOTIFY", route, headers, body)
        return public_response(answer)

    def local_for(self, remote: Address, transport: SipTransport) -> Address:
        port = self._advertised_port or self._port
        if not self._local.fixed and transport == "tcp":
            connection = self._connections.towards(remote.host, remote.port)
            if connection is not None:
                return Address(connection.local, port)
        return Address(self._local.towards(remote.host, self._loop.time()), port)

    def is_connected(self, route: Route) -> bool:
        return self._ready_flow(route) is not None

    def keep_open(self, route: Route) -> None:
        if route.transport == "udp" and is_address(route.remote.host):
            self._udp.send(Flow("udp", route.remote.host, route.remote.port), KEEP_ALIVE)

    # --- requests of ours

    async def _ask_in(
        self, dialog: Dialog, method: str, route: Route | None, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> tuple[ClientTransaction, Response]:
        """Sends a request in a dialog under its next number and waits for the final answer."""
        flow = await self._flow(route or dialog.route)
        numbered = self._numbered(core_dialog(dialog))
        transaction = self._endpoint.request_in(
            numbered, method, flow, local=self._told(flow), now=self._loop.time(), body=body, headers=headers
        )
        answer = await self._answer(transaction, None, None)
        assert isinstance(answer, Response)
        return transaction, answer

    def _numbered(self, dialog: CoreDialog) -> CoreDialog:
        """The dialog with its next number; it rises strictly, also over a restart (quirk Q149b).

        Not every request is stored with its number, so those of an earlier process may have gone beyond what is in the
        dialog. The clock has gone on as well, four times a second, which no dialog outruns; leaps are allowed (§12.2.2).
        """
        last = self._numbers.get(dialog.key)
        if last is None:
            last = (self._clock.utc_us() - _NUMBERS_SINCE_US) // 250_000 % (1 << 31)
        number = max(dialog.cseq, last) + 1
        self._remember_number(dialog.key, number)
        return dialog.numbered(number)

    async def _final(self, transaction: ClientTransaction, timeout_s: float | None) -> SipResponse:
        answer = await self._answer(transaction, timeout_s, None)
        assert isinstance(answer, Response)
        return public_response(answer)

    async def _answer(
        self, transaction: ClientTransaction, timeout_s: float | None, on_provisional: Callable[[int], None] | None
    ) -> CoreAnswered | Response:
        """Waits for the final answer; however the wait ends, the transaction is brought to an end too."""
        waiter = _Waiter(self._loop.create_future(), on_provisional)
        self._waiters[transaction] = waiter
        self._pump()
        answer = None
        try:
            async with asyncio.timeout(timeout_s) as limit:
                if timeout_s is not None and transaction.method == "INVITE":
                    waiter.on_provisional = self._extending(waiter, limit, timeout_s, on_provisional)
                answer = await waiter.future
        except TimeoutError:
            raise PeerTimeout(f"{transaction.method} was not answered within {timeout_s or 0:g} s") from None
        finally:
            del self._waiters[transaction]
            if answer is None:
                self._endpoint.give_up(transaction, self._loop.time())
                self._pump()
        return answer

    def _extending(
        self, waiter: _Waiter, limit: asyncio.Timeout, timeout_s: float, report: Callable[[int], None] | None
    ) -> Callable[[int], None]:
        """A ringing camera is waking up: its time begins anew (quirk Q38); 100 says nothing of the kind."""

        def provisional(status: int) -> None:
            if status > 100 and waiter.extensions < _EXTENSIONS and not limit.expired():
                waiter.extensions += 1
                limit.reschedule(self._loop.time() + timeout_s)
            if report is not None:
                report(status)

        return provisional

    async def _ack_over_new_connection(self, dialog: Dialog, known: CoreDialog) -> None:
        try:
            flow = await self._flow(dialog.route)
        except Unreachable:
            self._counters["acks_unsent"] += 1
            return
        self._endpoint.acknowledge(known, flow, local=self._told(flow), now=self._loop.time())
        self._pump()

    def _remember_number(self, key: tuple[str, str, str], number: int) -> None:
        self._numbers.pop(key, None)
        if len(self._numbers) >= _MAX_NUMBERS:
            del self._numbers[next(iter(self._numbers))]
        self._numbers[key] = number

    # --- ways to peers

    def _ready_flow(self, route: Route) -> Flow | None:
        """The way that can be used at once: UDP, the connection of the route, or another one to the same address."""
        remote = route.remote
        if route.transport == "udp":
            return Flow("udp", remote.host, remote.port)
        connection = self._connections.get(route.connection) or self._connections.towards(remote.host, remote.port)
        return connection.flow if connection is not None else None

    async def _flow(self, route: Route) -> Flow:
        """As `_ready_flow`, else over a new connection (quirk Q34)."""
        remote = route.remote
        if not is_address(remote.host) or not 0 < remote.port < 65536:
            raise Unreachable(f"{remote} is no address to send to")
        ready = self._ready_flow(route)
        if ready is not None:
            return ready
        return (await self._connections.connect(remote)).flow

    def _told(self, flow: Flow) -> tuple[str, int]:
        """Host and port of ours as they stand in Via and Contact towards this peer."""
        port = self._advertised_port or self._port
        connection = self._connections.get(flow.connection) if flow.connection else None
        if connection is not None and not self._local.fixed:
            return connection.local, port
        return self._local.towards(flow.host, self._loop.time()), port

    # --- receiving

    def _messages(self, connection: TcpConnection, messages: list[Framed]) -> None:
        for head, body, faults in messages:
            try:
                self._endpoint.receive_framed(head, body, faults, connection.flow, self._loop.time())
            except Exception:
                self._failed("message", connection.flow)
        self._pump()

    def _connection_lost(self, connection: TcpConnection) -> None:
        self._endpoint.connection_lost(connection.number, self._loop.time())
        self._pump()

    def _datagram(self, data: bytes, flow: Flow) -> None:
        try:
            self._endpoint.receive_datagram(data, flow, self._loop.time())
            self._pump()
        except Exception:
            self._failed("datagram", flow)

    def _failed(self, what: str, flow: Flow) -> None:
        """A bug of ours that one peer met: nobody else notices."""
        self._counters["failures"] += 1
        logger.exception("SIP %s failed", what, extra={"host": flow.host, "port": flow.port})

    def _pump(self) -> None:
        """Hands events up and packets down until there are none; a handler that answers at once comes back in here."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while (event := self._endpoint.next_event()) is not None:
                self._deliver(event)
            for flow, packet in self._endpoint.packets_to_send():
                self._send(flow, packet)
        finally:
            self._is_pumping = False
        self._rearm()

    def _send(self, flow: Flow, packet: bytes) -> None:
        if flow.transport == "udp":
            self._udp.send(flow, packet)
        elif (connection := self._connections.get(flow.connection)) is not None:
            connection.send(packet)
        else:
            self._counters["tcp_unsent"] += 1

    def _rearm(self) -> None:
        deadline = self._endpoint.next_deadline()
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        # The handle cannot be asked for its time: uvloop returns another kind when the deadline has passed.
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._expire, deadline)

    def _expire(self, deadline: float) -> None:
        self._timer = None
        try:
            self._endpoint.expire(max(deadline, self._loop.time()))
            self._pump()
        except Exception:
            self._counters["failures"] += 1
            logger.exception("SIP timer failed")
            self._rearm()

    def _deliver(self, event: core.EndpointEvent) -> None:
        if isinstance(event, RequestArrived):
            self._hand_up(event)
            return
        waiter = self._waiters.get(event.transaction)
        if waiter is None or waiter.future.done():
            return
        if isinstance(event, RequestFailed):
            waiter.future.set_exception(_failure(event))
        elif isinstance(event, ResponseArrived) and event.response.status < 200:
            self._provisional(waiter, event.response.status)
        else:
            waiter.future.set_result(event if isinstance(event, CoreAnswered) else event.response)

    def _provisional(self, waiter: _Waiter, status: int) -> None:
        if waiter.on_provisional is not None:
            try:
                waiter.on_provisional(status)
            except Exception:
                self._counters["failures"] += 1
                logger.exception("listener to provisional answers failed")

    def _hand_up(self, event: RequestArrived) -> None:
        transaction, message = event
        try:
            self._handler(public_request(event, Address(*self._told(transaction.flow))))
        except Exception:
            self._failed(f"handler of {message.method}", transaction.flow)
            self._endpoint.respond(transaction, 500, "", (), b"", "", self._loop.time())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _failure(event: RequestFailed) -> PeerTimeout | Unreachable:
    transaction = event.transaction
    if event.cause == "timeout":
        return PeerTimeout(f"{transaction.method} to {transaction.flow.host}:{transaction.flow.port} was not answered")
    return Unreachable(f"the connection to {transaction.flow.host}:{transaction.flow.port} was lost")
