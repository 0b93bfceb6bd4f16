"""The SIP endpoint: messages in, requests and answers out, and all that RFC 3261 asks of a user agent in between.

Sans-IO: bytes and `now` go in; `next_event`, `packets_to_send` and `next_deadline` come out. It knows no MANSCDP, no device
and no socket. Counters of everything dropped or tolerated are in `counters`.
"""

from __future__ import annotations

import itertools
import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gb28181.errors import SipSyntaxError
from gb28181.sip.dialog import Dialog, dialog_of, dialog_of_request, in_dialog
from gb28181.sip.headers import address_uri, stamped_via
from gb28181.sip.limits import FloodLimits
from gb28181.sip.message import Headers, Request, Response, request_bytes, response_bytes
from gb28181.sip.parser import is_padding, parse_datagram, parse_head
from gb28181.sip.refusals import SERVED, faulty, unsupported
from gb28181.sip.timers import TimerQueue, Timers
from gb28181.sip.transaction import (
    ClientTransaction,
    Flow,
    RequestArrived,
    RequestFailed,
    RequestUnanswered,
    ResponseArrived,
    ServerTransaction,
    TransactionLayer,
    server_key,
)
from gb28181.sip.uri import host_port, user_of

_RETRY_AFTER_S: Final = 5
#: Late answers with different tags to one INVITE that are ended; more come only from somebody who plays with us.
_MAX_FORKS: Final = 8


class Answered(NamedTuple):
    """The first 2xx to an INVITE of ours; `acknowledge` it, or end the dialog."""

    transaction: ClientTransaction
    response: Response
    dialog: Dialog


EndpointEvent = RequestArrived | ResponseArrived | RequestFailed | Answered


@dataclass(slots=True)
class _Call:
    """What is known of one INVITE of ours beside its transaction. Not `wanted`: nobody waits for the answer any more."""

    local: tuple[str, int]
    wanted: bool = True
    confirmed: str | None = None
    dialog: Dialog | None = None
    ended: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _SentAck:
    """The ACK of a 2xx, sent again for each copy of it (quirk W2)."""

    key: tuple[str, str, str]
    flow: Flow
    packet: bytes
    armed: dict[str, int] = field(default_factory=dict)


class SipEndpoint:
    """One user agent: server for peers that register with us, client towards them.

    Args:
        server_id, domain: Our code and SIP domain: `<sip:server_id@domain>` in From.
        user_agent: Sent in every message; "" leaves it out.
        max_transactions: Server transactions at once; more requests get 503 with Retry-After.
        token: Makes the random parts of branches, tags and Call-IDs.
    """

    def __init__(
        self,
        *,
        server_id: str,
        domain: str,
        limits: FloodLimits,
        user_agent: str = "",
        timers: Timers | None = None,
        max_transactions: int = 200_000,
        token: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._server_id = server_id
        self._domain = domain
        self._user_agent: Headers = [("user-agent", user_agent)] if user_agent else []
        self._timers = timers or Timers()
        self._layer = TransactionLayer(self._timers, max_servers=max_transactions)
        self._limits = limits
        self._token = token
        self._numbers = itertools.count(1)
        self._events: deque[EndpointEvent] = deque()
        self._acks: dict[tuple[str, str, str], _SentAck] = {}
        self._ack_queue = TimerQueue()

    # --- in

    def receive_datagram(self, data: bytes, flow: Flow, now: float) -> None:
        """Takes one UDP datagram. Whatever it holds, it raises nothing."""
        if not self._limits.admits_packet(flow.host, now):
            self.counters["dropped_source_flood"] += 1
            return
        try:
            message = parse_datagram(data)
        except SipSyntaxError:
            self.counters["keep_alives" if is_padding(data) else "dropped_not_sip"] += 1
            return
        self._receive(message, flow, now)

    def receive_framed(self, head: bytes, body: bytes, faults: tuple[str, ...], flow: Flow, now: float) -> None:
        """Takes one message that the framer cut out of a stream."""
        admitted = self._limits.admits_packet(flow.host, now)
        try:
            message = parse_head(head, faults, body)
        except SipSyntaxError:
            self.counters["dropped_not_sip"] += 1
            return
        if admitted:
            self._receive(message, flow, now)
            return
        # Nobody sends a message over TCP twice; it must be told.
        self.counters["dropped_source_flood"] += 1
        if isinstance(message, Request) and message.method != "ACK":
            self._refuse_busy(message, flow)

    def connection_lost(self, connection: int, now: float) -> None:
        self._layer.connection_lost(connection, now)
        self._drain(now)

    # --- answers to requests of peers

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        content_type: str,
        now: float,
    ) -> bool:
        """Answers a request, once; False where it was answered already or has ended."""
        request = transaction.request
        if request is None:
            return False
        if status > 100 and not transaction.to_tag:
            transaction.to_tag = request.to_tag or self._token()
        extra = [*headers, ("content-type", content_type)] if content_type else list(headers)
        packet = self._response(request, transaction.flow, status, reason, extra, body, transaction.to_tag)
        if not self._layer.answer(transaction, status, packet, now):
            return False
        if 200 <= status < 300 and transaction.method in SERVED:
            self._limits.proved(transaction.flow.host)
        return True

    def accept(
        self,
        transaction: ServerTransaction,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        content_type: str,
        *,
        local: tuple[str, int],
        now: float,
    ) -> Dialog | None:
        """Answers a request with 200 and makes the dialog in which we are the called; None where it is too late for that."""
        request, flow = transaction.request, transaction.flow
        if request is None:
            return None
        if not self.respond(transaction, 200, "", [self._contact(flow, local), *headers], body, content_type, now):
            return None
        user = user_of(address_uri(request.header("from")))
        return dialog_of_request(request, transaction.to_tag, f"sip:{user}@{host_port(flow.host, flow.port)}")

    # --- requests of ours

    def request(
        self,
        method: str,
        flow: Flow,
        *,
        to: str,
        local: tuple[str, int],
        now: float,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> ClientTransaction:
        """Sends a request outside dialogs to `sip:<to>@<host of flow>`.

        Args:
            local: Host and port of ours as this peer is told.
            headers: Beside those that every request has.
        """
        domain = f"<sip:{to}@{self._domain}>"
        sent: Headers = [
            self._via(flow, local),
            ("from", f"<sip:{self._server_id}@{self._domain}>;tag={self._token()}"),
            ("to", domain),
            ("call-id", f"{self._token()}@{host_port(*local) if ':' in local[0] else local[0]}"),
            ("cseq", f"{next(self._numbers) % 1_000_000_000 + 1} {method}"),
            ("max-forwards", "70"),
            self._contact(flow, local),
            *self._user_agent,
            *headers,
        ]
        call = _Call(local) if method == "INVITE" else None
        transaction = ClientTransaction(method, f"sip:{to}@{host_port(flow.host, flow.port)}", sent, body, flow, call)
        self._layer.send(transaction, now)
        return transaction

    def give_up(self, transaction: ClientTransaction, now: float) -> None:
        """Nobody waits for this answer any more. An INVITE is cancelled, and a 2xx to it gets ACK and BYE, late or not."""
        call = transaction.call
        if isinstance(call, _Call):
            call.wanted = False
            if call.dialog is not None and not call.ended:
                self._end(transaction, call, call.dialog, now)
        self._layer.cancel(transaction, now)
        self._drain(now)

    def acknowledge(self, dialog: Dialog, flow: Flow, *, local: tuple[str, int], now: float) -> None:
        """Sends the ACK of a 2xx, and again for every copy of that 2xx in the next 64 x T1."""
        uri, headers = in_dialog(dialog, "ACK")
        packet = request_bytes("ACK", uri, [self._via(flow, local), *headers, ("max-forwards", "70"), *self._user_agent])
        ack = _SentAck(dialog.key, flow, packet)
        self._acks[dialog.key] = ack
        self._ack_queue.arm(ack, "forget", now + self._timers.span)
        self._layer.outbox.append((flow, packet))

    def request_in(
        self,
        dialog: Dialog,
        method: str,
        flow: Flow,
        *,
        local: tuple[str, int],
        now: float,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> ClientTransaction:
        """Sends a request in a dialog; `dialog.cseq` is its number (see `Dialog.numbered`)."""
        uri, kept = in_dialog(dialog, method)
        sent = [self._via(flow, local), *kept, ("max-forwards", "70"), self._contact(flow, local), *self._user_agent, *headers]
        transaction = ClientTransaction(method, uri, sent, body, flow)
        self._layer.send(transaction, now)
        return transaction

    # --- out

    def next_event(self) -> EndpointEvent | None:
        return self._events.popleft() if self._events else None

    def packets_to_send(self) -> Iterator[tuple[Flow, bytes]]:
        outbox = self._layer.outbox
        while outbox:
            yield outbox.popleft()

    def next_deadline(self) -> float | None:
        deadlines = [one for one in (self._layer.next_deadline(), self._ack_queue.next_deadline()) if one is not None]
        return min(deadlines) if deadlines else None

    def expire(self, now: float) -> None:
        self._layer.expire(now)
        for owner, _ in self._ack_queue.due(now):
            if isinstance(owner, _SentAck) and self._acks.get(owner.key) is owner:
                del self._acks[owner.key]
        self._drain(now)

    def metrics(self) -> dict[str, int]:
        """Everything counted since the start."""
        return {
            **self.counters,
            "retransmissions_sent": self._layer.retransmissions_sent,
            "retransmissions_received": self._layer.retransmissions_received,
        }

    def gauges(self) -> dict[str, int]:
        """How many transactions are alive."""
        return {"server_transactions": self._layer.servers, "client_transactions": self._layer.clients}

    # --- receiving

    def _receive(self, message: Request | Response, flow: Flow, now: float) -> None:
        if isinstance(message, Response):
            self.counters["responses_received"] += 1
            if not self._layer.receive_response(message, now) and not self._acknowledged_again(message):
                self.counters["dropped_stray_response"] += 1
        else:
            self.counters["requests_received"] += 1
            self._receive_request(message, flow, now)
        for fault in message.faults:
            self.counters[f"fault_{fault}"] += 1
        self._drain(now)

    def _receive_request(self, request: Request, flow: Flow, now: float) -> None:
        via, cseq = request.via, request.cseq
        refusal = faulty(request, via, cseq)
        if refusal is not None or via is None or cseq is None:
            self.counters["refused_malformed"] += 1
            if request.method != "ACK" and refusal is not None:
                # Without a transaction: what is missing is what a transaction is told by.
                self._send_stateless(request, flow, refusal.status, refusal.headers, refusal.reason)
            return
        method = request.method
        if method == "ACK":
            key = server_key(request, via, cseq, flow, "INVITE")
            if not self._layer.acknowledge(key, (request.call_id, cseq.number, request.from_tag), now):
                self.counters["dropped_stray_ack"] += 1
            return
        key = server_key(request, via, cseq, flow, method)
        known = self._layer.find_server(key)
        if known is not None:
            self._layer.repeat(known, flow, now)
            return
        if not self._limits.admits_request(flow.host, now):
            self.counters["dropped_unauthenticated_flood"] += 1
            if flow.transport == "tcp":
                self._refuse_busy(request, flow)
            return
        if self._layer.is_full:
            self.counters["refused_overload"] += 1
            self._refuse_busy(request, flow)
            return
        transaction = self._layer.open_server(key, request, flow, now)
        if method == "CANCEL":
            self._cancelled(transaction, server_key(request, via, cseq, flow, "INVITE"), now)
            return
        refused = unsupported(request)
        if refused is not None:
            self.respond(transaction, refused.status, refused.reason, refused.headers, b"", "", now)
            return
        if method == "INVITE":
            self.respond(transaction, 100, "", (), b"", "", now)
        self._events.append(RequestArrived(transaction, request))

    def _cancelled(self, transaction: ServerTransaction, invite_key: str, now: float) -> None:
        """CANCEL: 200 to it, 487 to the INVITE (RFC 3261 §9.2); the service's own answer then comes too late."""
        invite = self._layer.find_server(invite_key)
        self.respond(transaction, 200 if invite is not None else 481, "", (), b"", "", now)
        if invite is not None:
            self.respond(invite, 487, "", (), b"", "", now)

    def _acknowledged_again(self, response: Response) -> bool:
        """A copy of a 2xx whose INVITE transaction is gone, in the other process too: the stored ACK answers it."""
        cseq = response.cseq
        if not 200 <= response.status < 300 or cseq is None or cseq.method.upper() != "INVITE":
            return False
        ack = self._acks.get((response.call_id, response.from_tag, response.to_tag))
        if ack is None:
            return False
        self._layer.outbox.append((ack.flow, ack.packet))
        self.counters["acks_repeated"] += 1
        return True

    def _drain(self, now: float) -> None:
        """Handles what the transactions report: what concerns dialogs here, the rest goes up."""
        events = self._layer.events
        while events:
            event = events.popleft()
            if isinstance(event, RequestUnanswered):
                self.counters["unanswered"] += 1
                self.respond(event.transaction, 500, "", (), b"", "", now)
            elif isinstance(event, ResponseArrived) and isinstance(event.transaction.call, _Call):
                self._invite_answered(event, event.transaction.call, now)
            else:
                if isinstance(event, RequestFailed) and isinstance(event.transaction.call, _Call):
                    event.transaction.call.wanted = False  # who waited has been told; a 2xx now comes too late
                self._events.append(event)

    def _invite_answered(self, event: ResponseArrived, call: _Call, now: float) -> None:
        transaction, response = event
        if not 200 <= response.status < 300:
            if call.wanted:
                self._events.append(event)
            return
        if self._acknowledged_again(response):
            return
        tag = response.to_tag
        if tag == call.confirmed:
            return  # a copy while the dialog is being stored; the ACK comes when that is done
        dialog = dialog_of(transaction.uri, transaction.headers, transaction.cseq, response)
        if call.confirmed is None and call.wanted:
            call.confirmed = tag
            call.dialog = dialog
            self._events.append(Answered(transaction, response, dialog))
        elif tag not in call.ended and len(call.ended) < _MAX_FORKS:
            # Late, after CANCEL, or from another branch of a fork: somebody sends media that nobody takes.
            self._end(transaction, call, dialog, now)

    def _end(self, transaction: ClientTransaction, call: _Call, dialog: Dialog, now: float) -> None:
        call.ended.add(dialog.remote_tag)
        self.counters["late_answers_ended"] += 1
        self.acknowledge(dialog, transaction.flow, local=call.local, now=now)
        self.request_in(dialog.numbered(dialog.cseq + 1), "BYE", transaction.flow, local=call.local, now=now)

    # --- building

    def _via(self, flow: Flow, local: tuple[str, int]) -> tuple[str, str]:
        transport = "TCP" if flow.transport == "tcp" else "UDP"
        return "via", f"SIP/2.0/{transport} {host_port(*local)};rport;branch=z9hG4bK{self._token()}"

    def _contact(self, flow: Flow, local: tuple[str, int]) -> tuple[str, str]:
        suffix = ";transport=tcp" if flow.transport == "tcp" else ""
        return "contact", f"<sip:{self._server_id}@{host_port(*local)}{suffix}>"

    def _response(
        self, request: Request, flow: Flow, status: int, reason: str, extra: Headers, body: bytes, to_tag: str
    ) -> bytes:
        first = request.first
        headers: Headers = []
        via = request.via
        for name, value in request.headers:
            if name == "via":
                headers.append((name, stamped_via(via, flow.host, flow.port) if via is not None and not headers else value))
        if "from" in first:
            headers.append(("from", first["from"]))
        if (to := first.get("to")) is not None:
            headers.append(("to", f"{to};tag={to_tag}" if to_tag and not request.to_tag else to))
        headers += [(name, first[name]) for name in ("call-id", "cseq") if name in first]
        if request.method in ("INVITE", "SUBSCRIBE") and 100 < status < 300:
            headers += [("record-route", value) for value in request.values("record-route")]
        return response_bytes(status, reason, [*headers, *extra, *self._user_agent], body)

    def _send_stateless(self, request: Request, flow: Flow, status: int, headers: Headers, reason: str = "") -> None:
        packet = self._response(request, flow, status, reason, headers, b"", self._token())
        self._layer.outbox.append((flow, packet))

    def _refuse_busy(self, request: Request, flow: Flow) -> None:
        self._send_stateless(request, flow, 503, [("retry-after", str(_RETRY_AFTER_S))])
