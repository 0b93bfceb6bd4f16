"""INVITE dialogs in which we called (RFC 3261 §12), and the requests inside them. A dialog is plain data: it is stored before
the ACK, and another process can end it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gb28181.sip.headers import address_tag, address_uri, without_tag
from gb28181.sip.message import Headers, Response
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
    """The dialog that a 2xx to our INVITE makes (RFC 3261 §12.1.2).

    Args:
        uri, headers, cseq: Of the INVITE as sent.
    """
    sent = dict(headers)
    contacts = response.values("contact")
    target = address_uri(contacts[0]) if contacts else ""
    parsed = parse_uri(target)
    if parsed is None or parsed.scheme not in ("sip", "sips") or not parsed.host:
        target = uri  # Contact is missing or not usable: ask where the INVITE went
    return Dialog(
        call_id=sent["call-id"],
        local_uri=without_tag(sent["from"]),
        local_tag=address_tag(sent["from"]),
        remote_uri=without_tag(sent["to"]),
        remote_tag=response.to_tag,
        target=target,
        route_set=tuple(reversed(response.values("record-route"))),
        cseq=cseq,
    )


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
