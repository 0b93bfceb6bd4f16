"""Dialogs of INVITE and SUBSCRIBE (RFC 3261 §12, RFC 6665 §4), and the requests inside them. A dialog is plain data: it is
stored before the ACK, and another process can go on with it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gb28181.sip.headers import address_tag, address_uri, without_tag
from gb28181.sip.message import Headers, Request, Response
from gb28181.sip.uri import parse_uri


@dataclass(frozen=True, slots=True)
class Dialog:
    """See `session.model.Dialog`, which is this one and the way to the peer.

    Args:
        local_uri, remote_uri: From and To without tags, in angle brackets.
        target: Remote target, a URI without brackets.
        route_set: Route values, first hop first.
        cseq: Of the last request sent in it.
    """

    call_id: str
    local_uri: str
    local_tag: str
    remote_uri: str
    remote_tag: str
    target: str
    route_set: tuple[str, ...]
    cseq: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells dialogs apart (RFC 3261 §12); the remote tag may be "" (quirk Q29)."""
        return self.call_id, self.local_tag, self.remote_tag

    def numbered(self, cseq: int) -> Dialog:
        """The dialog for its next request; numbers rise strictly (quirk Q149b)."""
        return replace(self, cseq=cseq)


def dialog_of(uri: str, headers: Headers, cseq: int, response: Response) -> Dialog:
    """The dialog that a 2xx to our INVITE or SUBSCRIBE makes (RFC 3261 §12.1.2).

    Args:
        uri, headers, cseq: Of the request as sent.
    """
    sent = dict(headers)
    return Dialog(
        call_id=sent["call-id"],
        local_uri=without_tag(sent["from"]),
        local_tag=address_tag(sent["from"]),
        remote_uri=without_tag(sent["to"]),
        remote_tag=response.to_tag,
        target=_target(response.values("contact"), uri),
        route_set=tuple(reversed(response.values("record-route"))),
        cseq=cseq,
    )


def dialog_of_request(request: Request, local_tag: str, source: str) -> Dialog:
    """The dialog that our 2xx to a peer's INVITE or SUBSCRIBE makes (RFC 3261 §12.1.1).

    Args:
        local_tag: To tag of our answer.
        source: URI of where the request came from, for a peer without a usable Contact.
    """
    return Dialog(
        call_id=request.call_id,
        local_uri=without_tag(request.header("to")),
        local_tag=local_tag,
        remote_uri=without_tag(request.header("from")),
        remote_tag=request.from_tag,
        target=_target(request.values("contact"), source),
        route_set=tuple(request.values("record-route")),
        cseq=0,
    )


def refreshed_target(response: Response, target: str) -> str:
    """Remote target after a 2xx to a request that may move it (RFC 3261 §12.2.1.2)."""
    return _target(response.values("contact"), target)


def _target(contacts: list[str], otherwise: str) -> str:
    """Contact where it is there and usable, else where the request went or came from."""
    target = address_uri(contacts[0]) if contacts else ""
    parsed = parse_uri(target)
    return target if parsed is not None and parsed.scheme in ("sip", "sips") and parsed.host else otherwise


def in_dialog(dialog: Dialog, method: str) -> tuple[str, Headers]:
    """Request-URI and headers of a request in a dialog, without Via and Contact (RFC 3261 §12.2.1.1)."""
    uri, routes = dialog.target, list(dialog.route_set)
    if routes:
        first = address_uri(routes[0])
        parsed = parse_uri(first)
        if parsed is not None and not parsed.is_loose:
            # A strict router expects itself in the Request-URI and the target as the last route.
            uri, routes = first, [*routes[1:], f"<{dialog.target}>"]
    headers: Headers = [("route", route) for route in routes]
    headers += [
        ("from", f"{dialog.local_uri};tag={dialog.local_tag}"),
        ("to", f"{dialog.remote_uri};tag={dialog.remote_tag}" if dialog.remote_tag else dialog.remote_uri),
        ("call-id", dialog.call_id),
        ("cseq", f"{dialog.cseq} {method}"),
    ]
    return uri, headers
