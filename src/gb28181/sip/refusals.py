"""Why a request is answered by the endpoint and never reaches a service (RFC 3261 §8.2), and what is tolerated instead."""

from __future__ import annotations

from typing import Final, NamedTuple

from gb28181.sip.headers import CSeq, Via
from gb28181.sip.message import Headers, Request
from gb28181.sip.uri import parse_uri

#: Methods that services answer. ACK and CANCEL end here, OPTIONS too (quirk Q36).
SERVED: Final = frozenset({"REGISTER", "MESSAGE", "NOTIFY", "SUBSCRIBE", "INFO", "BYE", "INVITE"})
#: Methods of SIP that GB/T 28181 has no use for: known and refused (405); any other is not known (501, RFC 3261 §21.5.2).
_REFUSED: Final = frozenset({"PRACK", "UPDATE", "REFER", "PUBLISH"})
#: Methods that may be meant for somebody behind us; the others end here whatever their Max-Forwards.
_RELAYED: Final = frozenset({"INVITE", "SUBSCRIBE", "MESSAGE"})
ALLOW: Final = "INVITE, ACK, CANCEL, BYE, INFO, OPTIONS, MESSAGE, REGISTER, SUBSCRIBE, NOTIFY"
ACCEPT: Final = "Application/MANSCDP+xml, application/sdp, Application/MANSRTSP"

#: Faults that are tolerated above the parser.
NO_BRANCH: Final = "missing-branch"
NO_FROM_TAG: Final = "missing-from-tag"
CSEQ_CASE: Final = "cseq-method-case"

_BLANKS: Final = b"\r\n\0 \t\xef\xbb\xbf"
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


def unsupported(request: Request, server_id: str) -> Refusal | None:
    """What the endpoint answers without asking a service (RFC 3261 §8.2.1-8.2.3, §11.2, §14.2), None for the rest."""
    method = request.method
    if method not in SERVED and method != "OPTIONS":
        return Refusal(405 if method in _REFUSED else 501, [("allow", ALLOW)])
    first = request.first
    hops = first.get("max-forwards")
    if hops == "0" or not request.uri.startswith(("sip:", "sips:")):
        uri = parse_uri(request.uri.strip("<>"))
        if uri is None or uri.scheme not in ("sip", "sips"):
            return Refusal(416)
        if hops == "0" and method in _RELAYED and uri.user not in (server_id, ""):
            return Refusal(483)  # it has gone in a circle of platforms (§16.3)
    if "require" in first:
        return Refusal(420, [("unsupported", ", ".join(request.values("require")))])
    if method == "OPTIONS":
        return Refusal(200, [("allow", ALLOW), ("accept", ACCEPT), ("accept-encoding", "identity")], "OK")
    if request.body and (refusal := _unreadable(request)) is not None:
        return refusal
    if method == "INVITE" and request.to_tag:
        # A re-INVITE: no GB flow has one. The session goes on as it was agreed (§14.2).
        return Refusal(488)
    return None


def _unreadable(request: Request) -> Refusal | None:
    """415 for a body that nobody here reads (§8.2.3). What it looks like counts for more than what it is called: firmware
    leaves Content-Type out or calls MANSCDP `text/plain`."""
    first = request.first
    if request.body.startswith(b"<") and "content-encoding" not in first:
        return None
    if first.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        return Refusal(415, [("accept-encoding", "identity")])
    kind = request.content_type
    if request.method == "INFO" or not kind or "manscdp" in kind or "xml" in kind or kind == "application/sdp":
        return None
    if request.body.lstrip(_BLANKS)[:2].startswith((b"<", b"v=")) or "handling=optional" in first.get(
        "content-disposition", ""
    ):
        return None
    return Refusal(415, [("accept", ACCEPT)])
