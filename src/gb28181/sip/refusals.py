"""Why a request is answered by the endpoint and never reaches a service (RFC 3261 §8.2), and what is tolerated instead."""

from __future__ import annotations

from typing import Final, NamedTuple

from gb28181.sip.headers import CSeq, Via
from gb28181.sip.message import Headers, Request
from gb28181.sip.uri import parse_uri

#: Methods that services answer. ACK and CANCEL end here, OPTIONS too (quirk Q36).
SERVED: Final = frozenset({"REGISTER", "MESSAGE", "NOTIFY", "SUBSCRIBE", "INFO", "BYE", "INVITE"})
ALLOW: Final = "INVITE, ACK, CANCEL, BYE, INFO, OPTIONS, MESSAGE, REGISTER, SUBSCRIBE, NOTIFY"
ACCEPT: Final = "Application/MANSCDP+xml, application/sdp, Application/MANSRTSP"

#: Faults that are tolerated above the parser.
NO_BRANCH: Final = "missing-branch"
NO_FROM_TAG: Final = "missing-from-tag"
CSEQ_CASE: Final = "cseq-method-case"

_SINGLE: Final = ("from", "to", "call-id", "cseq")


class Refusal(NamedTuple):
    """Why a request is answered here: status and the headers that go with it."""

    status: int
    headers: Headers = []  # noqa: RUF012  # of a tuple, and never changed
    reason: str = ""


def faulty(request: Request, via: Via | None, cseq: CSeq | None) -> Refusal | None:
    """What makes a readable request unusable, None where it can be served; adds to its faults what is tolerated."""
    if request.version != "SIP/2.0":
        return Refusal(505)
    first = request.first
    for name in ("via", *_SINGLE):
        if name not in first:
            return Refusal(400, reason=f"Missing {name}")
    if via is None:
        return Refusal(400, reason="Unreadable Via")
    if cseq is None:
        return Refusal(400, reason="Unreadable CSeq")
    if cseq.method != request.method:
        if cseq.method.upper() != request.method:
            return Refusal(400, reason="CSeq of another method")
        request.faults = (*request.faults, CSEQ_CASE)
    if len(request.headers) != len(first) and any(_differ(request, name) for name in (*_SINGLE, "content-length")):
        return Refusal(400, reason="Header given twice")
    if not via.branch:
        request.faults = (*request.faults, NO_BRANCH)
    if "tag" not in first["from"] or not request.from_tag:
        request.faults = (*request.faults, NO_FROM_TAG)
    return None


def _differ(request: Request, name: str) -> bool:
    return len({value for other, value in request.headers if other == name}) > 1


def unsupported(request: Request) -> Refusal | None:
    """What the endpoint answers without asking a service (RFC 3261 §8.2.1, §8.2.2, §11.2), None for the rest."""
    if request.method not in SERVED and request.method != "OPTIONS":
        return Refusal(405, [("allow", ALLOW)])
    uri = parse_uri(request.uri.strip("<>"))
    if uri is None or uri.scheme not in ("sip", "sips"):
        return Refusal(416)
    if required := request.values("require"):
        return Refusal(420, [("unsupported", ", ".join(required))])
    if request.method == "OPTIONS":
        return Refusal(200, [("allow", ALLOW), ("accept", ACCEPT)], "OK")
    return None
