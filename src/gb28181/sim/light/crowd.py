"""Thousands of devices that register and report and do nothing else, without sockets or clocks (§9.1.2.1, §9.6.1).

A device is a few numbers in arrays; what it says is made when it is sent, and kept only until it is answered. Every request
is a non-INVITE client transaction of RFC 3261 §17.1.2 with timers E and F.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gb28181.errors import Invalid
from gb28181.sim.light import wire
from gb28181.sim.light.figures import Figures
from gb28181.sim.light.wire import Wire

#: Timers are kept by slots of so many seconds; one fires up to a slot late.
SLOT_S: Final = 0.05
_T1: Final = 0.5
_T2: Final = 4.0
_LIFE_S: Final = 64 * _T1
#: §9.6.1: the third keepalive in a row without answer means that the server is offline.
_MISSES: Final = 3
_CSEQ_BITS: Final = 24
_REGISTER, _AUTHORIZED, _KEEPALIVE, _ANSWER = range(4)
_KINDS: Final = ("REGISTER", "REGISTER", "Keepalive", "Response")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a crowd does.

    Args:
        count: Devices.
        first_id: 20-digit code of the first; the others count on.
        server_id: Server's code.
        domain: SIP domain, "" for the first ten digits of `server_id`.
        password: Of all of them.
        keepalive_s: Seconds between keepalives.
        expires_s: Lifetime asked for.
        retry_s: Seconds to wait after a failed registration; up to a fifth more by chance.
        over_s: Seconds over which the devices are switched on.
        seed: Makes the moments repeatable.
    """

    count: int
    first_id: str = "34020000001320000001"
    server_id: str = "34020000002000000001"
    domain: str = ""
    password: str = ""
    keepalive_s: float = 60.0
    expires_s: int = 86_400
    retry_s: float = 60.0
    over_s: float = 20.0
    seed: str = "0"

    def __post_init__(self) -> None:
        if len(self.first_id) != 20 or not self.first_id.isdecimal() or int(self.first_id[13:]) + self.count > 10_000_000:
            raise Invalid(f"{self.first_id!r} is not a 20-digit code with {self.count} codes after it")
        if self.count < 1 or min(self.keepalive_s, self.expires_s, self.retry_s) <= 0 or self.over_s < 0:
            raise Invalid("light devices, keepalive, expires and retry are above 0")


class _Request:
    __slots__ = ("begun_at", "data", "interval", "kind", "sent_at")

    def __init__(self, data: bytes, kind: int, begun_at: float, sent_at: float) -> None:
        self.data, self.kind, self.begun_at, self.sent_at = data, kind, begun_at, sent_at
        self.interval = _T1


class Crowd:
    """The devices of one process.

    Args:
        plan: What they do.
        own: `address:port` of each.
        now: Monotonic seconds; the first device is switched on at this moment.
    """

    def __init__(self, plan: Plan, own: Sequence[str], now: float) -> None:
        self.figures = Figures(devices=plan.count)
        self._plan = plan
        self._own = own
        chance = random.Random(f"{plan.seed}/{plan.first_id}")
        self._chance = chance
        self._wire = Wire(
            server_id=plan.server_id,
            domain=plan.domain,
            password=plan.password,
            expires_s=plan.expires_s,
            run=random.SystemRandom().randbytes(4).hex(),
        )
        self._prefix, self._first = plan.first_id[:13], int(plan.first_id[13:])
        self._is_registered = bytearray(plan.count)
        self._missed = bytearray(plan.count)
        self._cseq = array("L", bytes(array("L").itemsize * plan.count))
        self._due = array("d", bytes(8 * plan.count))
        self._renew_at = array("d", bytes(8 * plan.count))
        self._pending: dict[int, _Request] = {}
        self._slots: dict[int, list[int]] = {}
        self._slot = int(now / SLOT_S)
        # Requests of the server that were answered, in two generations: a retransmission gets its 200 again and no more.
        self._seen: tuple[set[int], set[int]] = (set(), set())
        self._turned_at = now
        self._outbox: list[tuple[int, bytes]] = []
        for index in range(plan.count):
            self._schedule(index, now + plan.over_s * (index + chance.random()) / plan.count)

    def packets_to_send(self) -> list[tuple[int, bytes]]:
        """What has to go out now: number of the device, bytes."""
        packets, self._outbox = self._outbox, []
        return packets

    def next_deadline(self) -> float:
        """When `expire` has to be called again."""
        return (self._slot + 1) * SLOT_S

    def code(self, index: int) -> str:
        """20-digit code of a device."""
        return f"{self._prefix}{self._first + index:07d}"

    # -- time ----------------------------------------------------------------------------------------------------------

    def _schedule(self, index: int, at: float) -> None:
        self._due[index] = at
        self._slots.setdefault(max(math.ceil(at / SLOT_S), self._slot + 1), []).append(~index)

    def expire(self, now: float) -> None:
        """Fires every timer up to now."""
        until = int(now / SLOT_S)
        while self._slot < until:
            self._slot += 1
            for entry in self._slots.pop(self._slot, ()):
                if entry >= 0:
                    self._resend(entry, now)
                elif self._due[~entry] <= now + SLOT_S:  # later: it was put off since
                    self._act(~entry, now)
        if now - self._turned_at > _LIFE_S:
            self._turned_at = now
            self._seen = (set(), self._seen[0])

    def _act(self, index: int, now: float) -> None:
        self._due[index] = math.inf
        if not self._is_registered[index] or now >= self._renew_at[index]:
            self._register(index, now)
        elif self._missed[index] >= _MISSES:
            self._lose(index, now)
        else:
            self._missed[index] += 1
            self.figures.keepalives_sent += 1
            cseq = self._next_cseq(index)
            self._send(index, cseq, self._wire.keepalive(self.code(index), self._own[index], cseq), _KEEPALIVE, now, now)
            self._schedule(index, min(now + self._plan.keepalive_s, self._renew_at[index]))

    def _register(self, index: int, now: float) -> None:
        cseq = self._next_cseq(index)
        self._send(index, cseq, self._wire.register(self.code(index), self._own[index], cseq, ""), _REGISTER, now, now)

    def _lose(self, index: int, now: float) -> None:
        self.figures.lost += 1
        self._forget(index)
        self._register(index, now)

    def _forget(self, index: int) -> None:
        if self._is_registered[index]:
            self._is_registered[index] = 0
            self.figures.registered -= 1
        self._due[index] = math.inf

    def _fail(self, index: int, now: float, wait_s: float) -> None:
        self.figures.failed += 1
        self._forget(index)
        self._schedule(index, now + wait_s * self._chance.uniform(1.0, 1.2))

    # -- client transactions -------------------------------------------------------------------------------------------

    def _next_cseq(self, index: int) -> int:
        self._cseq[index] = cseq = (self._cseq[index] + 1) & ((1 << _CSEQ_BITS) - 1)
        return cseq

    def _send(self, index: int, cseq: int, data: bytes, kind: int, begun_at: float, now: float) -> None:
        key = index << _CSEQ_BITS | cseq
        self._pending[key] = _Request(data, kind, begun_at, now)
        self._slots.setdefault(math.ceil((now + _T1) / SLOT_S), []).append(key)
        self._outbox.append((index, data))

    def _resend(self, key: int, now: float) -> None:
        request = self._pending.get(key)
        if request is None:
            return
        index = key >> _CSEQ_BITS
        if now - request.sent_at >= _LIFE_S:
            del self._pending[key]
            _count(self.figures.unanswered, _KINDS[request.kind])
            if request.kind <= _AUTHORIZED:
                self._fail(index, now, self._plan.retry_s)
            return
        self.figures.retransmissions += 1
        self._outbox.append((index, request.data))
        request.interval = min(2 * request.interval, _T2)
        self._slots.setdefault(math.ceil((now + request.interval) / SLOT_S), []).append(key)

    # -- what arrives --------------------------------------------------------------------------------------------------

    def receive(self, index: int, data: bytes, now: float) -> None:
        """One datagram; what is no SIP message is dropped."""
        status = wire.status_of(data)
        if status >= 200:
            self._answered(index, data, status, now)
        elif not status and data[:1].isalpha():
            self._requested(index, data, now)

    def _answered(self, index: int, data: bytes, status: int, now: float) -> None:
        request = self._pending.pop(index << _CSEQ_BITS | wire.cseq_of(data) & ((1 << _CSEQ_BITS) - 1), None)
        if request is None:
            return
        if status >= 300:
            _count(self.figures.statuses, str(status))
        if request.kind <= _AUTHORIZED:
            self._register_answered(index, data, status, request, now)
        elif request.kind == _KEEPALIVE:
            if status < 300:
                self.figures.keepalives_answered += 1
                self.figures.keepalive.add(now - request.begun_at)
                self._missed[index] = 0
            elif status in (401, 403, 404) and self._is_registered[index]:
                self._lose(index, now)

    def _register_answered(self, index: int, data: bytes, status: int, request: _Request, now: float) -> None:
        figures = self.figures
        if status < 300:
            figures.registrations += 1
            figures.register.add(now - request.begun_at)
            figures.registered += not self._is_registered[index]
            self._is_registered[index], self._missed[index] = 1, 0
            granted = wire.granted_of(data, self._plan.expires_s)
            self._renew_at[index] = now + granted - min(60.0, granted * 0.2)
            self._schedule(index, min(now + self._plan.keepalive_s, self._renew_at[index]))
            return
        # A second challenge is answered when it says that only the nonce was the fault (RFC 2617 §3.2.1).
        may_answer = status == 401 and (request.kind == _REGISTER or b"stale=true" in data.replace(b'"', b"").lower())
        credentials = self._wire.credentials(self.code(index), data) if may_answer else None
        if credentials is None:
            wait = wire.retry_after_of(data, self._plan.retry_s) if status == 503 else self._plan.retry_s
            self._fail(index, now, wait)
            return
        cseq = self._next_cseq(index)
        message = self._wire.register(self.code(index), self._own[index], cseq, credentials)
        self._send(index, cseq, message, _AUTHORIZED, request.begun_at, now)

    def _requested(self, index: int, data: bytes, now: float) -> None:
        method = wire.method_of(data)
        if method == b"ACK":
            return
        identity = hash((index, wire.identity_of(data)))
        is_new = identity not in self._seen[0] and identity not in self._seen[1]
        self._seen[0].add(identity)
        if is_new:
            _count(self.figures.asked, method.decode("ascii", "replace"))
        if method == b"INVITE":
            self._outbox.append((index, wire.reply(data, b"486 Busy Here")))
            return
        if method == b"SUBSCRIBE":
            self._outbox.append((index, wire.reply(data, b"489 Bad Event")))
            return
        self._outbox.append((index, wire.reply(data, b"200 OK")))
        asked = wire.asked_of(data) if is_new and method == b"MESSAGE" else None
        if asked is not None and asked.wants_answer:
            cseq = self._next_cseq(index)
            self._send(index, cseq, self._wire.answer(self.code(index), self._own[index], cseq, asked), _ANSWER, now, now)


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
