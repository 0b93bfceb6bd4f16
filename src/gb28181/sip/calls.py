"""INVITEs of ours above their transactions: the ACK of a 2xx, again for each copy of it (W2), and the end of every 2xx that
nobody wants any more (RFC 3261 §9.1, §13.2.2.4; W4).

Invariant: every INVITE ends by one dialog that is handed up, or by an ACK and a BYE of ours for each 2xx that came.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gb28181.sip.compose import Composer, Told
from gb28181.sip.dialog import Dialog, dialog_of
from gb28181.sip.layer import TransactionLayer
from gb28181.sip.message import Response
from gb28181.sip.timers import TimerQueue, Timers
from gb28181.sip.transaction import ClientTransaction, Flow, ResponseArrived

#: Late answers with different tags to one INVITE that are ended; more come only from somebody who plays with us.
_MAX_FORKS: Final = 8


class Answered(NamedTuple):
    """The first 2xx to an INVITE of ours; `acknowledge` it, or end the dialog."""

    transaction: ClientTransaction
    response: Response
    dialog: Dialog


@dataclass(slots=True)
class Call:
    """What is known of one INVITE of ours beside its transaction. Not `wanted`: nobody waits for the answer any more."""

    local: Told
    wanted: bool = True
    confirmed: str | None = None
    dialog: Dialog | None = None
    ended: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _SentAck:
    """The ACK of a 2xx, sent again for each copy of it."""

    key: tuple[str, str, str]
    flow: Flow
    packet: bytes
    armed: dict[str, int] = field(default_factory=dict)


class Calls:
    """All INVITEs of ours that a 2xx may still come to."""

    def __init__(self, layer: TransactionLayer, composer: Composer, timers: Timers, counters: Counter[str]) -> None:
        self._layer = layer
        self._composer = composer
        self._timers = timers
        self._counters = counters
        self._acks: dict[tuple[str, str, str], _SentAck] = {}
        self._queue = TimerQueue()

    def acknowledge(self, dialog: Dialog, flow: Flow, *, local: Told, now: float) -> None:
        """Sends the ACK of a 2xx, and again for every copy of that 2xx in the next 64 x T1."""
        packet = self._composer.ack(dialog, flow, local=local)
        ack = _SentAck(dialog.key, flow, packet)
        self._acks[dialog.key] = ack
        self._queue.arm(ack, "forget", now + self._timers.span)
        self._layer.outbox.append((flow, packet))

    def acknowledged_again(self, response: Response) -> bool:
        """A copy of a 2xx whose INVITE transaction is gone, in the other process too: the stored ACK answers it."""
        cseq = response.cseq
        if not 200 <= response.status < 300 or cseq is None or cseq.method.upper() != "INVITE":
            return False
        ack = self._acks.get((response.call_id, response.from_tag, response.to_tag))
        if ack is None:
            return False
        self._layer.outbox.append((ack.flow, ack.packet))
        self._counters["acks_repeated"] += 1
        return True

    def answered(self, event: ResponseArrived, call: Call, now: float) -> ResponseArrived | Answered | None:
        """What of an answer to an INVITE is handed up; the rest is dealt with here."""
        transaction, response = event
        if not 200 <= response.status < 300:
            return event if call.wanted else None
        if self.acknowledged_again(response):
            return None
        tag = response.to_tag
        if tag == call.confirmed:
            return None  # a copy while the dialog is being stored; the ACK comes when that is done
        dialog = dialog_of(transaction.uri, transaction.headers, transaction.cseq, response)
        if call.confirmed is None and call.wanted:
            call.confirmed = tag
            call.dialog = dialog
            return Answered(transaction, response, dialog)
        if tag not in call.ended and len(call.ended) < _MAX_FORKS:
            # Late, after CANCEL, or from another branch of a fork: somebody sends media that nobody takes.
            self._end(transaction, call, dialog, now)
        return None

    def give_up(self, transaction: ClientTransaction, call: Call, now: float) -> None:
        """Nobody waits for the answer any more; one that came already is ended."""
        call.wanted = False
        if call.dialog is not None and not call.ended:
            self._end(transaction, call, call.dialog, now)

    def next_deadline(self) -> float | None:
        return self._queue.next_deadline()

    def expire(self, now: float) -> None:
        for owner, _ in self._queue.due(now):
            if isinstance(owner, _SentAck) and self._acks.get(owner.key) is owner:
                del self._acks[owner.key]

    def _end(self, transaction: ClientTransaction, call: Call, dialog: Dialog, now: float) -> None:
        call.ended.add(dialog.remote_tag)
        self._counters["late_answers_ended"] += 1
        flow = transaction.flow
        self.acknowledge(dialog, flow, local=call.local, now=now)
        uri, headers = self._composer.request_in(dialog.numbered(dialog.cseq + 1), "BYE", flow, local=call.local)
        self._layer.send(ClientTransaction("BYE", uri, headers, b"", flow), now)
