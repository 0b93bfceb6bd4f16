"""All transactions of an endpoint (RFC 3261 §17, corrected by RFC 6026): one interpreter of the tables in `transitions.py`.

Invariant: a request that was received once is handed up once; an answer is given to every retransmission of it from here.
A request other than INVITE that has its final answer, whoever sent it, is no transaction any more but an entry in `kept.py`.
A client INVITE that was given up stays for a while, because its 2xx may still come and must be ended with ACK and BYE.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Final

from gb28181.errors import MisuseError
from gb28181.sip.kept import Kept
from gb28181.sip.message import Headers, Request, Response, request_bytes
from gb28181.sip.timers import TimerQueue, Timers
from gb28181.sip.transaction import (
    ClientTransaction,
    Flow,
    RequestFailed,
    RequestUnanswered,
    ResponseArrived,
    ServerTransaction,
    TransactionEvent,
)
from gb28181.sip.transitions import (
    ACCEPTED,
    ACK,
    CANCEL,
    DOUBLE_A,
    DOUBLE_E,
    DOUBLE_G,
    E_AT_T2,
    FAILED,
    FAILURE,
    PASS_UP,
    PROVISIONAL,
    REQUEST,
    RESEND,
    SEND_ACK,
    SEND_CANCEL,
    SEND_FAILURE,
    SEND_PROVISIONAL,
    SEND_SUCCESS,
    START_B,
    START_CANCEL,
    START_D,
    START_G,
    START_H,
    START_I,
    START_J,
    START_K,
    START_L,
    START_LATE,
    START_M,
    STOP,
    SUCCESS,
    TERMINATED,
    TIMED_OUT,
    TIMER_A,
    TIMER_B,
    TIMER_CANCEL,
    TIMER_D,
    TIMER_E,
    TIMER_F,
    TIMER_G,
    TIMER_H,
    TIMER_I,
    TIMER_L,
    TIMER_LATE,
    TIMER_M,
    TIMER_UNANSWERED,
    TRANSPORT_ERROR,
    UNANSWERED,
)

_Transaction = ServerTransaction | ClientTransaction


class TransactionLayer:
    """All transactions of an endpoint. Outputs are `events` and `outbox`, emptied by whoever drives it.

    Args:
        max_servers: Server transactions kept at once; `is_full` says that no more may be begun.
    """

    def __init__(self, timers: Timers, *, max_servers: int) -> None:
        self.timers = timers
        self.events: deque[TransactionEvent] = deque()
        self.outbox: deque[tuple[Flow, bytes]] = deque()
        self.retransmissions_sent = 0
        self.retransmissions_received = 0
        self._max_servers = max_servers
        self._queue = TimerQueue()
        self._servers: dict[str, ServerTransaction] = {}
        # Requests other than INVITE that nobody above has answered yet, and until when; all wait equally long.
        self._waiting: OrderedDict[ServerTransaction, float] = OrderedDict()
        self._answered = Kept(timers.span)
        self._absorbed = Kept(timers.t4)
        self._invites: dict[tuple[str, int, str], ServerTransaction] = {}
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._alternates: dict[tuple[str, int, str], ClientTransaction] = {}
        self._by_connection: dict[int, set[ClientTransaction]] = {}

    @property
    def servers(self) -> int:
        return len(self._servers) + len(self._answered)

    @property
    def clients(self) -> int:
        return len(self._clients)

    @property
    def is_full(self) -> bool:
        return len(self._servers) + len(self._answered) >= self._max_servers

    # --- server side

    def find_server(self, key: str) -> ServerTransaction | None:
        return self._servers.get(key)

    def find_answer(self, key: str) -> bytes | str | None:
        """What an earlier copy of this request was answered: the bytes, or of a plain 200 the To tag alone."""
        return self._answered.find(key)

    def open_server(self, key: str, request: Request, flow: Flow, now: float) -> ServerTransaction:
        """Begins the transaction of a request that `find_server` did not know."""
        transaction = ServerTransaction(key, request, flow)
        self._servers[key] = transaction
        if request.method == "INVITE":
            self._invites[transaction.invite_key] = transaction
            self._queue.arm(transaction, TIMER_UNANSWERED, now + 4 * self.timers.unanswered)
        else:
            self._waiting[transaction] = now + self.timers.unanswered
        return transaction

    def repeat(self, transaction: ServerTransaction, flow: Flow, now: float) -> None:
        """A retransmission arrived; the answer follows it to where it came from."""
        self.retransmissions_received += 1
        transaction.flow = flow
        self._step(transaction, REQUEST, now)

    def has_invite(self, invite: tuple[str, int, str]) -> bool:
        """Whether an INVITE with this Call-ID, number and From tag is being served, whatever its branch."""
        return invite in self._invites

    def acknowledge(self, key: str, invite: tuple[str, int, str], now: float) -> bool:
        """An ACK arrived: of a failure by its branch, of a 2xx by its dialog. False where it belongs to nothing."""
        transaction = self._servers.get(key) or self._invites.get(invite)
        if transaction is None:
            return False
        self._step(transaction, ACK, now)
        return True

    def answer(self, transaction: ServerTransaction, status: int, packet: bytes, now: float) -> bool:
        """Sends an answer, once; False where the transaction has its final answer already."""
        event = SEND_PROVISIONAL if status < 200 else SEND_SUCCESS if status < 300 else SEND_FAILURE
        if (transaction.state, event) not in transaction.table:
            return False
        transaction.packet = packet
        if status >= 200:
            transaction.request = None
        self._step(transaction, event, now)
        return True

    def answer_and_forget(self, transaction: ServerTransaction, packet: bytes) -> bool:
        """Sends a final answer that a copy of the request would be given anew (RFC 3261 §8.2.7)."""
        if transaction.request is None:
            return False
        transaction.request = None
        transaction.state = TERMINATED
        self.outbox.append((transaction.flow, packet))
        self._remove(transaction)
        return True

    # --- client side

    def send(self, transaction: ClientTransaction, now: float) -> None:
        """Begins a transaction of ours and sends its request."""
        if transaction.key in self._clients:
            raise MisuseError("a branch was used twice")
        self._clients[transaction.key] = transaction
        self._alternates[transaction.alternate] = transaction
        if transaction.flow.connection:
            self._by_connection.setdefault(transaction.flow.connection, set()).add(transaction)
        timers = self.timers
        is_invite = transaction.method == "INVITE"
        self.outbox.append((transaction.flow, transaction.packet))
        self._queue.arm(transaction, TIMER_B if is_invite else TIMER_F, now + (timers.timeout or timers.span))
        if transaction.flow.transport == "udp":
            transaction.interval = timers.t1
            self._queue.arm(transaction, TIMER_A if is_invite else TIMER_E, now + timers.t1)

    def receive_response(self, response: Response, now: float) -> bool:
        """Gives an answer to the request it belongs to; False where there is none.

        A branch that came back changed is tolerated: Call-ID and CSeq name the transaction as well (quirk Q29).
        """
        cseq, via = response.cseq, response.via
        if cseq is None:
            return False
        method = cseq.method.upper()
        transaction = self._clients.get((via.branch, method)) if via is not None else None
        alternate = (response.call_id, cseq.number, method)
        if transaction is None:
            transaction = self._alternates.get(alternate)
        if transaction is None:
            return self._absorbed.find(alternate) is not None
        event = PROVISIONAL if response.status < 200 else SUCCESS if response.status < 300 else FAILURE
        self._step(transaction, event, now, response)
        return True

    def cancel(self, transaction: ClientTransaction, now: float) -> None:
        """Nobody waits for the answer any more: an INVITE is cancelled as soon as it may be, another request ends."""
        self._step(transaction, CANCEL, now)

    def connection_lost(self, connection: int, now: float) -> None:
        """A TCP connection is gone: what waits for an answer on it fails."""
        for transaction in list(self._by_connection.get(connection, ())):
            self._step(transaction, TRANSPORT_ERROR, now)

    # --- time

    def next_deadline(self) -> float | None:
        deadlines = (
            self._queue.next_deadline(),
            next(iter(self._waiting.values()), None),
            self._answered.next_deadline(),
            self._absorbed.next_deadline(),
        )
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def expire(self, now: float) -> None:
        self._answered.expire(now)
        self._absorbed.expire(now)
        while self._waiting and (first := next(iter(self._waiting))) and self._waiting[first] <= now:
            del self._waiting[first]
            self._step(first, TIMER_UNANSWERED, now)
        for owner, name in self._queue.due(now):
            if isinstance(owner, ServerTransaction | ClientTransaction):
                self._step(owner, name, now)

    # --- the interpreter

    def _step(self, transaction: _Transaction, event: str, now: float, response: Response | None = None) -> None:
        move = transaction.table.get((transaction.state, event))
        if move is None:
            return
        transaction.state, actions = move
        for action in actions:
            _ACTIONS[action](self, transaction, now, response)
        if event in _RESENDING and RESEND in actions:
            self.retransmissions_sent += 1
        if transaction.state == TERMINATED:
            self._remove(transaction)

    def _remove(self, transaction: _Transaction) -> None:
        self._queue.disarm(transaction)
        if isinstance(transaction, ServerTransaction):
            self._servers.pop(transaction.key, None)
            self._waiting.pop(transaction, None)
            if transaction.method == "INVITE" and self._invites.get(transaction.invite_key) is transaction:
                del self._invites[transaction.invite_key]
        else:
            self._clients.pop(transaction.key, None)
            self._alternates.pop(transaction.alternate, None)
            if (same := self._by_connection.get(transaction.flow.connection)) is not None:
                same.discard(transaction)
                if not same:
                    del self._by_connection[transaction.flow.connection]

    def _resend(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        if transaction.packet:
            self.outbox.append((transaction.flow, transaction.packet))

    def _stop(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        self._queue.disarm(transaction)
        if isinstance(transaction, ServerTransaction):
            self._waiting.pop(transaction, None)

    def _pass_up(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        assert isinstance(transaction, ClientTransaction)
        assert response is not None
        self.events.append(ResponseArrived(transaction, response))

    def _timed_out(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        assert isinstance(transaction, ClientTransaction)
        self.events.append(RequestFailed(transaction, "timeout"))

    def _failed(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        assert isinstance(transaction, ClientTransaction)
        self.events.append(RequestFailed(transaction, "transport"))

    def _unanswered(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        assert isinstance(transaction, ServerTransaction)
        self.events.append(RequestUnanswered(transaction))

    def _double_a(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        transaction.interval *= 2
        self._queue.arm(transaction, TIMER_A, now + transaction.interval)

    def _double_e(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        transaction.interval = min(transaction.interval * 2, self.timers.t2)
        self._queue.arm(transaction, TIMER_E, now + transaction.interval)

    def _e_at_t2(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        self._queue.arm(transaction, TIMER_E, now + self.timers.t2)

    def _start_g(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        # A failure over TCP is sent once; a 2xx is repeated over every transport, because it goes end to end.
        if transaction.flow.transport == "udp" or transaction.state == ACCEPTED:
            transaction.interval = self.timers.t1
            self._queue.arm(transaction, TIMER_G, now + transaction.interval)

    def _double_g(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        transaction.interval = min(transaction.interval * 2, self.timers.t2)
        self._queue.arm(transaction, TIMER_G, now + transaction.interval)

    def _send_ack(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        """ACK of a failure: part of this transaction, with the To of the answer (RFC 3261 §17.1.1.3)."""
        assert isinstance(transaction, ClientTransaction)
        assert response is not None
        to = response.header("to") or dict(transaction.headers)["to"]
        self.outbox.append((transaction.flow, self._repeated(transaction, "ACK", to)))

    def _send_cancel(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        """CANCEL is a transaction of its own with the branch of the INVITE (RFC 3261 §9.1); its answer tells nothing."""
        assert isinstance(transaction, ClientTransaction)
        headers = self._repeated_headers(transaction, "CANCEL", dict(transaction.headers)["to"])
        self.send(ClientTransaction("CANCEL", transaction.uri, headers, b"", transaction.flow), now)

    def _repeated(self, transaction: ClientTransaction, method: str, to: str) -> bytes:
        return request_bytes(method, transaction.uri, self._repeated_headers(transaction, method, to))

    @staticmethod
    def _repeated_headers(transaction: ClientTransaction, method: str, to: str) -> Headers:
        kept = ("via", "route", "from", "call-id", "max-forwards", "user-agent")
        headers = [(name, value) for name, value in transaction.headers if name in kept]
        return [*headers, ("to", to), ("cseq", f"{transaction.cseq} {method}")]

    def _start_j(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        """Over TCP nothing is retransmitted, and nothing is kept."""
        assert isinstance(transaction, ServerTransaction)
        if transaction.flow.transport == "udp":
            answer = transaction.to_tag if transaction.is_plain else transaction.packet
            self._answered.keep(transaction.key, answer, now)
        self._remove(transaction)

    def _start_k(self, transaction: _Transaction, now: float, response: Response | None) -> None:
        assert isinstance(transaction, ClientTransaction)
        if transaction.flow.transport == "udp":
            self._absorbed.keep(transaction.alternate, "", now)
        self._remove(transaction)

    def _start(self, transaction: _Transaction, timer: str, delay: float, now: float) -> None:
        if delay > 0:
            self._queue.arm(transaction, timer, now + delay)
        else:
            self._step(transaction, timer, now)


_Action = Callable[[TransactionLayer, _Transaction, float, Response | None], None]


def _starting(timer: str, delay: Callable[[Timers], float], *, reliable: bool) -> _Action:
    """Action that starts a timer; with `reliable` False it is zero over TCP, where nothing is retransmitted."""

    def start(layer: TransactionLayer, transaction: _Transaction, now: float, response: Response | None) -> None:
        wait = delay(layer.timers) if reliable or transaction.flow.transport == "udp" else 0.0
        layer._start(transaction, timer, wait, now)

    return start


_RESENDING: Final = frozenset({TIMER_A, TIMER_E, TIMER_G, REQUEST})

_ACTIONS: Final[Mapping[str, _Action]] = {
    RESEND: TransactionLayer._resend,
    STOP: TransactionLayer._stop,
    PASS_UP: TransactionLayer._pass_up,
    TIMED_OUT: TransactionLayer._timed_out,
    FAILED: TransactionLayer._failed,
    UNANSWERED: TransactionLayer._unanswered,
    DOUBLE_A: TransactionLayer._double_a,
    DOUBLE_E: TransactionLayer._double_e,
    E_AT_T2: TransactionLayer._e_at_t2,
    START_G: TransactionLayer._start_g,
    DOUBLE_G: TransactionLayer._double_g,
    SEND_ACK: TransactionLayer._send_ack,
    SEND_CANCEL: TransactionLayer._send_cancel,
    START_B: _starting(TIMER_B, lambda timers: timers.timeout or timers.span, reliable=True),
    START_D: _starting(TIMER_D, lambda timers: timers.span, reliable=False),
    START_H: _starting(TIMER_H, lambda timers: timers.span, reliable=True),
    START_I: _starting(TIMER_I, lambda timers: timers.t4, reliable=False),
    START_J: TransactionLayer._start_j,
    START_K: TransactionLayer._start_k,
    START_L: _starting(TIMER_L, lambda timers: timers.span, reliable=True),
    START_M: _starting(TIMER_M, lambda timers: timers.span, reliable=True),
    START_CANCEL: _starting(TIMER_CANCEL, lambda timers: timers.span, reliable=True),
    START_LATE: _starting(TIMER_LATE, lambda timers: timers.late_answer, reliable=True),
}
