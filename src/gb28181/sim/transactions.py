"""Transactions of a device, without sockets or clocks (RFC 3261 §17): its own requests, and requests answered once.

The device never sends INVITE, so there are three machines: non-INVITE client (timers E and F), server of any method (a
retransmission gets the same answer), and the final answer to INVITE, repeated until its ACK (§13.3.1.4, timers G and H).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gb28181.sim.sip import Message

Address = tuple[str, int]

#: Requests remembered for answering their retransmissions; beyond, the oldest is forgotten.
_MOST_SERVED: Final = 1024


@dataclass(frozen=True, slots=True)
class Timers:
    """Seconds: T1 round trip, T2 longest interval of retransmission; a transaction lives 64 x T1."""

    t1: float = 0.5
    t2: float = 4.0

    @property
    def life(self) -> float:
        return 64 * self.t1


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request that was not seen before."""

    request: Message
    source: Address


@dataclass(frozen=True, slots=True)
class Answered:
    """The final response to a request of ours."""

    branch: str
    response: Message


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A request of ours was never answered."""

    branch: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """ACK of a final answer to INVITE."""

    call_id: str


@dataclass(frozen=True, slots=True)
class NeverAcknowledged:
    """A 2xx to INVITE was repeated in vain."""

    call_id: str


Event = Arrived | Answered | TimedOut | Acknowledged | NeverAcknowledged
_Key = tuple[str, str, int, str]


@dataclass(slots=True)
class _Client:
    data: bytes
    resend_at: float | None
    interval: float
    ends_at: float


@dataclass(slots=True)
class _Server:
    source: Address
    data: bytes | None
    ends_at: float
    resend_at: float | None = None
    interval: float = 0.0
    awaits_ack: bool = False
    is_success: bool = False


class Transactions:
    """All transactions of one device.

    Args:
        is_reliable: TCP: nothing but a 2xx to INVITE is sent twice.
        timers: T1 and T2.
    """

    def __init__(self, *, is_reliable: bool, timers: Timers) -> None:
        self._is_reliable = is_reliable
        self._timers = timers
        self._clients: dict[str, _Client] = {}
        self._servers: OrderedDict[_Key, _Server] = OrderedDict()
        self._outbox: list[tuple[bytes, Address | None]] = []

    def packets_to_send(self) -> list[tuple[bytes, Address | None]]:
        """What has to go out now; no address means to the server."""
        packets, self._outbox = self._outbox, []
        return packets

    def request(self, message: Message, now: float) -> None:
        """Sends a request of ours; its Via branch names the transaction."""
        data = message.to_bytes()
        t1 = self._timers.t1
        self._clients[message.branch] = _Client(data, None if self._is_reliable else now + t1, t1, now + self._timers.life)
        self._outbox.append((data, None))

    def respond(self, request: Message, response: Message, source: Address, now: float) -> None:
        """Sends the response and keeps it for retransmissions of the request."""
        server = self._servers.setdefault(_key(request), _Server(source, None, now + self._timers.life))
        server.data, server.source = response.to_bytes(), source
        if request.method == "INVITE" and response.status >= 200:
            server.awaits_ack, server.is_success = True, response.status < 300
            server.ends_at = now + self._timers.life
            if server.is_success or not self._is_reliable:
                server.interval = self._timers.t1
                server.resend_at = now + server.interval
        self._outbox.append((server.data, source))

    def receive(self, message: Message, source: Address, now: float) -> list[Event]:
        """One message from the network."""
        if message.status:
            return self._response(message, now)
        if message.method == "ACK":
            return self._ack(message)
        key = _key(message)
        server = self._servers.get(key)
        if server is not None:
            if server.data is not None:
                self._outbox.append((server.data, source))
            return []
        self._servers[key] = _Server(source, None, now + self._timers.life)
        while len(self._servers) > _MOST_SERVED:
            self._servers.popitem(last=False)
        return [Arrived(message, source)]

    def _response(self, message: Message, now: float) -> list[Event]:
        client = self._clients.get(message.branch)
        if client is None:
            return []
        if message.status < 200:
            if client.resend_at is not None:
                client.interval, client.resend_at = self._timers.t2, now + self._timers.t2
            return []
        del self._clients[message.branch]
        return [Answered(message.branch, message)]

    def _ack(self, message: Message) -> list[Event]:
        # The ACK of a 2xx has a branch of its own: Call-ID and CSeq name the INVITE.
        for key, server in self._servers.items():
            if key[:3] == ("INVITE", message.call_id, message.cseq) and server.awaits_ack:
                server.awaits_ack, server.resend_at = False, None
                return [Acknowledged(message.call_id)]
        return []

    def next_deadline(self) -> float | None:
        """When `expire` has something to do."""
        moments = [min(entry.ends_at, entry.resend_at or entry.ends_at) for entry in self._clients.values()]
        moments += [min(entry.ends_at, entry.resend_at or entry.ends_at) for entry in self._servers.values()]
        return min(moments, default=None)

    def expire(self, now: float) -> list[Event]:
        """Retransmits and gives up what is due."""
        events: list[Event] = []
        for branch, client in list(self._clients.items()):
            if now >= client.ends_at:
                del self._clients[branch]
                events.append(TimedOut(branch))
            elif client.resend_at is not None and now >= client.resend_at:
                client.interval = min(2 * client.interval, self._timers.t2)
                client.resend_at = now + client.interval
                self._outbox.append((client.data, None))
        for key, server in list(self._servers.items()):
            if now >= server.ends_at:
                del self._servers[key]
                if server.awaits_ack and server.is_success:
                    events.append(NeverAcknowledged(key[1]))
            elif server.resend_at is not None and server.data is not None and now >= server.resend_at:
                server.interval = min(2 * server.interval, self._timers.t2)
                server.resend_at = now + server.interval
                self._outbox.append((server.data, server.source))
        return events


def _key(request: Message) -> _Key:
    return (request.method, request.call_id, request.cseq, request.branch)
