"""The two kinds of transaction (RFC 3261 §17): what is kept of one request, and what is reported of it upwards.

`layer.py` moves them by the tables in `transitions.py`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from gb28181.sip.headers import CSeq, Via
from gb28181.sip.message import Headers, Request, Response, request_bytes
from gb28181.sip.transitions import (
    CALLING,
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    PROCEEDING,
    TRYING,
)

Transport = Literal["udp", "tcp", "tls"]


class Flow(NamedTuple):
    """Where a packet came from or goes to.

    Args:
        connection: Number of the TCP or TLS connection, 0 for UDP.
    """

    transport: Transport
    host: str
    port: int
    connection: int = 0


# --- the two kinds of transaction ------------------------------------------------------------------------------------


class ServerTransaction:
    """One request of a peer and our answer to it.

    Args:
        request: None once it has its final answer.
        is_plain: That answer holds nothing but what it repeats of the request: it can be written again.
        invite_key: Call-ID, number and From tag of an INVITE: by these an ACK of its 2xx finds it.
    """

    __slots__ = (
        *("armed", "flow", "interval", "invite_key", "is_plain", "key"),
        *("method", "packet", "request", "state", "table", "to_tag"),
    )

    def __init__(self, key: str, request: Request, flow: Flow) -> None:
        self.key = key
        self.request: Request | None = request
        self.method = request.method
        self.flow = flow
        self.table = INVITE_SERVER if request.method == "INVITE" else NON_INVITE_SERVER
        self.state = PROCEEDING if request.method == "INVITE" else TRYING
        self.packet = b""
        self.is_plain = False
        self.to_tag = ""
        self.interval = 0.0
        self.armed: dict[str, int] = {}
        self.invite_key = ("", 0, "")
        if request.method == "INVITE":
            cseq = request.cseq
            self.invite_key = (request.call_id, cseq.number if cseq else 0, request.from_tag)


class ClientTransaction:
    """One request of ours.

    Args:
        call: What the endpoint knows of an INVITE; this layer only carries it.
        headers: What was sent, for the ACK and CANCEL that repeat parts of it.
    """

    __slots__ = (
        *("alternate", "armed", "call", "cseq", "flow", "headers", "interval"),
        *("key", "method", "packet", "state", "table", "uri"),
    )

    def __init__(self, method: str, uri: str, headers: Headers, body: bytes, flow: Flow, call: object = None) -> None:
        first = dict(headers)
        self.method = method
        self.uri = uri
        self.headers = headers
        self.flow = flow
        self.call = call
        self.packet = request_bytes(method, uri, headers, body)
        self.cseq = int(first["cseq"].split()[0])
        self.key = (first["via"].rpartition("branch=")[2], method)
        self.alternate = (first["call-id"], self.cseq, method)
        self.table = INVITE_CLIENT if method == "INVITE" else NON_INVITE_CLIENT
        self.state = CALLING if method == "INVITE" else TRYING
        self.interval = 0.0
        self.armed: dict[str, int] = {}


# --- what goes up ------------------------------------------------------------------------------------------------------


class RequestArrived(NamedTuple):
    """A new request; answer it through its transaction."""

    transaction: ServerTransaction
    request: Request


class ResponseArrived(NamedTuple):
    """An answer to a request of ours; every copy of a 2xx to INVITE, else each final answer once."""

    transaction: ClientTransaction
    response: Response


class RequestFailed(NamedTuple):
    """A request of ours has no answer: `timeout`, or `transport` when it could not be carried."""

    transaction: ClientTransaction
    cause: Literal["timeout", "transport"]


class RequestUnanswered(NamedTuple):
    """Nobody above answered in time."""

    transaction: ServerTransaction


TransactionEvent = RequestArrived | ResponseArrived | RequestFailed | RequestUnanswered


def server_key(request: Request, via: Via, cseq: CSeq, flow: Flow, method: str) -> str:
    """What a request and its retransmissions have in common (RFC 3261 §17.2.3).

    Call-ID, CSeq and From belong to it although the branch should be enough: devices repeat branches or send none
    (RFC 2543), and hundreds with the same factory settings sit behind one address.
    """
    first = request.first
    hop = f"{via.branch}\n{via.sent_by}\n{flow.transport} {flow.host}"
    return f"{method}\n{first['call-id']}\n{cseq.number}\n{first['from']}\n{hop}"
