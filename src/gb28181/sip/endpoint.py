"""The SIP endpoint: messages in, requests and answers out, and all that RFC 3261 asks of a user agent in between.

Sans-IO: bytes and `now` go in; `next_event`, `packets_to_send` and `next_deadline` come out. It knows no MANSCDP, no device
and no socket. Counters of everything dropped or tolerated are in `counters`.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Final

from gb28181.errors import SipSyntaxError
from gb28181.sip.calls import Answered, Call, Calls
from gb28181.sip.compose import Composer, Told
from gb28181.sip.dialog import Dialog, dialog_of_request
from gb28181.sip.layer import TransactionLayer
from gb28181.sip.limits import FloodLimits
from gb28181.sip.message import Headers, Request, Response
from gb28181.sip.parser import is_padding, parse_datagram, parse_head
from gb28181.sip.refusals import SERVED, Refusal, faulty, unsupported
from gb28181.sip.timers import Timers
from gb28181.sip.transaction import (
    ClientTransaction,
    Flow,
    RequestArrived,
    RequestFailed,
    RequestUnanswered,
    ResponseArrived,
    ServerTransaction,
    server_key,
)
from gb28181.sip.uri import host_port, user_of_address

#: What a peer that is refused for overload is told to wait.
RETRY_AFTER_S: Final = 5

EndpointEvent = RequestArrived | ResponseArrived | RequestFailed | Answered


def random_tokens() -> Iterator[str]:
    """Tokens of 64 random bits, from the kernel 512 at a time: one call for each costs as much as the rest of a header."""
    while True:
        pool = os.urandom(4096).hex()
        for start in range(0, len(pool), 16):
            yield pool[start : start + 16]


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
        token: Callable[[], str] | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._server_id = server_id
        timers = timers or Timers()
        self._layer = TransactionLayer(timers, max_servers=max_transactions)
        self._composer = Composer(
            server_id=server_id, domain=domain, user_agent=user_agent, token=token or random_tokens().__next__
        )
        self._calls = Calls(self._layer, self._composer, timers, self.counters)
        self._limits = limits
        self._events: deque[EndpointEvent] = deque()
        self._secret = os.urandom(16)

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
        if status == 401 and transaction.method == "REGISTER" and "authorization" not in request.first:
            # A challenge remembers nothing, and a copy of the request may have another (RFC 3261 §8.2.7): in a storm half of
            # all requests are of this kind.
            packet = self._composer.response(
                request, transaction.flow, status, reason, headers, body, request.to_tag or self._stateless_tag(transaction.key)
            )
            return self._layer.answer_and_forget(transaction, packet)
        if status > 100 and not transaction.to_tag:
            transaction.to_tag = request.to_tag or self._composer.token()
        extra = [*headers, ("content-type", content_type)] if content_type else headers
        packet = self._composer.response(request, transaction.flow, status, reason, extra, body, transaction.to_tag)
        transaction.is_plain = status == 200 and not (extra or body or reason)
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
        local: Told,
        now: float,
    ) -> Dialog | None:
        """Answers a request with 200 and makes the dialog in which we are the called; None where it is too late for that."""
        request, flow = transaction.request, transaction.flow
        if request is None:
            return None
        contact = self._composer.contact(flow, local, is_secure=request.uri.startswith("sips:"))
        if not self.respond(transaction, 200, "", [contact, *headers], body, content_type, now):
            return None
        user = user_of_address(request.header("from"))
        return dialog_of_request(request, transaction.to_tag, f"sip:{user}@{host_port(flow.host, flow.port)}")

    # --- requests of ours

    def request(
        self,
        method: str,
        flow: Flow,
        *,
        to: str,
        local: Told,
        now: float,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> ClientTransaction:
        """Sends a request outside dialogs to `sip:<to>@<host of flow>`.

        Args:
            local: Host and port of ours as this peer is told.
            headers: Beside those that every request has.
        """
        uri, sent = self._composer.request(method, flow, to=to, local=local, headers=headers)
        transaction = ClientTransaction(method, uri, sent, body, flow, Call(local) if method == "INVITE" else None)
        self._layer.send(transaction, now)
        return transaction

    def request_in(
        self,
        dialog: Dialog,
        method: str,
        flow: Flow,
        *,
        local: Told,
        now: float,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> ClientTransaction:
        """Sends a request in a dialog; `dialog.cseq` is its number (see `Dialog.numbered`)."""
        uri, sent = self._composer.request_in(dialog, method, flow, local=local, headers=headers)
        transaction = ClientTransaction(method, uri, sent, body, flow)
        self._layer.send(transaction, now)
        return transaction

    def give_up(self, transaction: ClientTransaction, now: float) -> None:
        """Nobody waits for this answer any more. An INVITE is cancelled, and a 2xx to it gets ACK and BYE, late or not."""
        if isinstance(transaction.call, Call):
            self._calls.give_up(transaction, transaction.call, now)
        self._layer.cancel(transaction, now)
        self._drain(now)

    def acknowledge(self, dialog: Dialog, flow: Flow, *, local: Told, now: float) -> None:
        """Sends the ACK of a 2xx, and again for every copy of that 2xx in the next 64 x T1."""
        self._calls.acknowledge(dialog, flow, local=local, now=now)

    # --- out

    def next_event(self) -> EndpointEvent | None:
        return self._events.popleft() if self._events else None

    def packets_to_send(self) -> Iterator[tuple[Flow, bytes]]:
        outbox = self._layer.outbox
        while outbox:
            yield outbox.popleft()

    def next_deadline(self) -> float | None:
        first, second = self._layer.next_deadline(), self._calls.next_deadline()
        return second if first is None or (second is not None and second < first) else first

    def expire(self, now: float) -> None:
        self._layer.expire(now)
        self._calls.expire(now)
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
            if not self._layer.receive_response(message, now) and not self._calls.acknowledged_again(message):
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
                self._send_stateless(request, flow, refusal)
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
        answered = self._layer.find_answer(key)
        if answered is not None:
            self._answer_again(request, flow, answered)
            return
        if not self._limits.admits_request(flow.host, now, has_credentials="authorization" in request.first):
            self.counters["dropped_unauthenticated_flood"] += 1
            if flow.transport != "udp":
                self._refuse_busy(request, flow)
            return
        if self._layer.is_full:
            self.counters["refused_overload"] += 1
            self._refuse_busy(request, flow)
            return
        if method == "INVITE" and self._layer.has_invite((request.call_id, cseq.number, request.from_tag)):
            # The same INVITE by another way (RFC 3261 §8.2.2.2): served once. Only an INVITE is refused for it; firmware
            # that makes a new branch for each copy of a REGISTER gets its answer.
            self.counters["refused_merged"] += 1
            self._send_stateless(request, flow, Refusal(482))
            return
        transaction = self._layer.open_server(key, request, flow, now)
        if method == "CANCEL":
            self._cancelled(transaction, server_key(request, via, cseq, flow, "INVITE"), now)
            return
        refused = unsupported(request, self._server_id)
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

    def _drain(self, now: float) -> None:
        """Handles what the transactions report: what concerns dialogs here, the rest goes up."""
        events = self._layer.events
        while events:
            event = events.popleft()
            if isinstance(event, RequestUnanswered):
                self.counters["unanswered"] += 1
                self.respond(event.transaction, 500, "", (), b"", "", now)
            elif isinstance(event, ResponseArrived) and isinstance(event.transaction.call, Call):
                if (told := self._calls.answered(event, event.transaction.call, now)) is not None:
                    self._events.append(told)
            else:
                if isinstance(event, RequestFailed) and isinstance(event.transaction.call, Call):
                    event.transaction.call.wanted = False  # who waited has been told; a 2xx now comes too late
                self._events.append(event)

    def _answer_again(self, request: Request, flow: Flow, answered: bytes | str) -> None:
        """A copy of a request that has its final answer: it follows the copy to where that came from."""
        self._layer.retransmissions_received += 1
        if isinstance(answered, str):
            answered = self._composer.response(request, flow, 200, "", (), b"", answered)
        self._layer.outbox.append((flow, answered))
        self._layer.retransmissions_sent += 1

    def _stateless_tag(self, key: str) -> str:
        """To tag of an answer that is not kept: the same for every copy of a request (RFC 3261 §8.2.7)."""
        return blake2b(key.encode("utf-8", "surrogateescape"), key=self._secret, digest_size=8).hexdigest()

    def _send_stateless(self, request: Request, flow: Flow, refusal: Refusal) -> None:
        token = self._composer.token()
        packet = self._composer.response(request, flow, refusal.status, refusal.reason, refusal.headers, b"", token)
        self._layer.outbox.append((flow, packet))

    def _refuse_busy(self, request: Request, flow: Flow) -> None:
        headers: Headers = [("retry-after", str(RETRY_AFTER_S))]
        self._send_stateless(request, flow, Refusal(503, headers))
