"""What we write: headers of our requests and answers (RFC 3261 §8.1.1, §8.2.6, §12.2.1.1). Strict, whatever the peer sent."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Final

from gb28181.sip.dialog import Dialog, in_dialog
from gb28181.sip.headers import stamped_via
from gb28181.sip.message import Headers, Request, request_bytes, response_copying
from gb28181.sip.refusals import ALLOW
from gb28181.sip.transaction import Flow
from gb28181.sip.uri import host_port

#: Host and port of ours as one peer is told.
Told = tuple[str, int]

#: MESSAGE must not have a Contact (RFC 3428 §4), BYE has no use for one (RFC 3261 table 2).
_WITHOUT_CONTACT: Final = frozenset({"MESSAGE", "BYE"})


class Composer:
    """Writes as one user agent.

    Args:
        server_id, domain: Our code and SIP domain: `<sip:server_id@domain>` in From.
        user_agent: Stands in every message; "" leaves it out.
        token: Makes the random parts of branches, tags and Call-IDs.
    """

    def __init__(self, *, server_id: str, domain: str, user_agent: str, token: Callable[[], str]) -> None:
        self.token = token
        self._server_id = server_id
        self._domain = domain
        self._user_agent: Headers = [("user-agent", user_agent)] if user_agent else []
        self._numbers = itertools.count(1)

    def request(
        self, method: str, flow: Flow, *, to: str, local: Told, headers: Sequence[tuple[str, str]] = ()
    ) -> tuple[str, Headers]:
        """Request-URI and headers of a request outside dialogs: a new branch, From tag and Call-ID each time (quirk Q27)."""
        host = f"[{local[0]}]" if ":" in local[0] else local[0]
        sent: Headers = [
            self._via(flow, local),
            ("from", f"<sip:{self._server_id}@{self._domain}>;tag={self.token()}"),
            ("to", f"<sip:{to}@{self._domain}>"),
            ("call-id", f"{self.token()}@{host}"),
            ("cseq", f"{next(self._numbers) % 1_000_000_000 + 1} {method}"),
            ("max-forwards", "70"),
            *self._own(method, flow, local),
            *self._user_agent,
            *headers,
        ]
        return f"sip:{to}@{host_port(flow.host, flow.port)}", sent

    def request_in(
        self, dialog: Dialog, method: str, flow: Flow, *, local: Told, headers: Sequence[tuple[str, str]] = ()
    ) -> tuple[str, Headers]:
        """Request-URI and headers of a request in a dialog, numbered as the dialog says."""
        uri, kept = in_dialog(dialog, method)
        own = self._own(method, flow, local, is_secure=dialog.target.startswith("sips:"))
        return uri, [self._via(flow, local), *kept, ("max-forwards", "70"), *own, *self._user_agent, *headers]

    def ack(self, dialog: Dialog, flow: Flow, *, local: Told) -> bytes:
        """The ACK of a 2xx: outside every transaction (RFC 3261 §13.2.2.4)."""
        uri, headers = in_dialog(dialog, "ACK")
        return request_bytes("ACK", uri, [self._via(flow, local), *headers, ("max-forwards", "70"), *self._user_agent])

    def response(
        self, request: Request, flow: Flow, status: int, reason: str, extra: Sequence[tuple[str, str]], body: bytes, to_tag: str
    ) -> bytes:
        """An answer, to be sent where the request came from."""
        via = request.via
        line = stamped_via(via, flow.host, flow.port) if via is not None else request.header("via")
        own: Sequence[tuple[str, str]] = self._user_agent
        if extra:
            own = [*extra, *own]
        if request.method in ("INVITE", "SUBSCRIBE") and 100 < status < 300:
            own = [*[("record-route", value) for value in request.values("record-route")], *own]
        return response_copying(request, line, status, reason, to_tag, own, body)

    def contact(self, flow: Flow, local: Told, *, is_secure: bool = False) -> tuple[str, str]:
        """Where we want requests in a dialog. A peer that asked by `sips:` gets one (RFC 3261 §12.1.1)."""
        if is_secure:
            return "contact", f"<sips:{self._server_id}@{host_port(*local)}>"
        suffix = "" if flow.transport == "udp" else f";transport={flow.transport}"
        return "contact", f"<sip:{self._server_id}@{host_port(*local)}{suffix}>"

    def _own(self, method: str, flow: Flow, local: Told, *, is_secure: bool = False) -> Headers:
        """Where we are, and with a call what we understand (§4: messages about calls list it)."""
        if method in _WITHOUT_CONTACT:
            return []
        contact = self.contact(flow, local, is_secure=is_secure)
        return [contact, ("allow", ALLOW)] if method == "INVITE" else [contact]

    def _via(self, flow: Flow, local: Told) -> tuple[str, str]:
        return "via", f"SIP/2.0/{flow.transport.upper()} {host_port(*local)};rport;branch=z9hG4bK{self.token()}"
