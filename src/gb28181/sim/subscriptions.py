"""Subscriptions of the platform at a device: SUBSCRIBE answered, NOTIFYs written, forgotten when they end (§9.11, RFC 6665)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gb28181.errors import WireError
from gb28181.sim import manscdp, sip
from gb28181.sim.sip import Message

_DEFAULT_S: Final = 600
_MOST: Final = 64
_DEFAULT_INTERVAL_S: Final = 5.0


@dataclass(slots=True)
class Subscription:
    """One dialog.

    Args:
        kind: CmdType of the query: Catalog, Alarm, MobilePosition, PTZPosition.
        target: Code that is watched.
        event: Value of Event, id included; NOTIFY repeats it.
        ours, theirs: From and To of our NOTIFYs.
        contact: Where they go.
        interval_s: Of positions.
        sn: Of the query; NOTIFYs count on.
    """

    kind: str
    target: str
    event: str
    ours: str
    theirs: str
    contact: str
    call_id: str
    expires_at: float
    interval_s: float
    sn: int
    routes: list[str] = field(default_factory=list)
    cseq: int = 0
    is_over: bool = False

    def notify(self, via: tuple[str, str], contact: str, body: bytes, now: float, *, has_state: bool = True) -> Message:
        """The next NOTIFY; an empty body ends the subscription's life in words."""
        self.cseq += 1
        left = round(self.expires_at - now)
        state = f"active;expires={left};retry-after=0" if left > 0 and not self.is_over else "terminated;reason=timeout"
        headers = [
            via,
            ("From", self.ours),
            ("To", self.theirs),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self.cseq} NOTIFY"),
            ("Contact", contact),
            *[("Route", route) for route in self.routes],
            ("Max-Forwards", "70"),
            ("Event", self.event),
            *([("Subscription-State", state)] if has_state else []),
            *([("Content-Type", manscdp.CONTENT_TYPE)] if body else []),
        ]
        return Message("NOTIFY", self.contact, headers=headers, body=body)


class Subscriptions:
    """All subscriptions of one device."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self._kinds = kinds
        self._kept: dict[str, Subscription] = {}

    def active(self, kind: str, now: float) -> list[Subscription]:
        """Those of a kind that have not ended."""
        return [kept for kept in self._kept.values() if kept.kind == kind and kept.expires_at > now]

    def end(self, subscription: Subscription) -> None:
        """Forgets one."""
        subscription.is_over = True
        self._kept.pop(subscription.call_id, None)

    def expire(self, now: float) -> list[Subscription]:
        """Forgets and returns those that nobody renewed in time."""
        ended = [kept for kept in self._kept.values() if kept.expires_at <= now]
        for kept in ended:
            self.end(kept)
        return ended

    def clear(self) -> None:
        """Forgets all: the device was switched off."""
        self._kept.clear()

    def subscribed(self, request: Message, now: float) -> tuple[Subscription, int, bool]:
        """A SUBSCRIBE: the subscription, the seconds granted, and whether it is new.

        Raises:
            WireError: With the status to answer.
        """
        header = request.get("expires")
        asked = int(header) if header.isascii() and header.isdigit() and len(header) < 10 else _DEFAULT_S
        known = self._kept.get(request.call_id)
        if sip.tag_of(request.get("to")):
            if known is None:
                raise WireError("no such subscription", status=481, clause="RFC 6665 §4.1.2.2")
            known.expires_at = now + asked
            if not asked:
                self.end(known)
            return known, asked, False
        query = manscdp.parse(request.body)
        if query.root != "Query" or query.command not in self._kinds:
            raise WireError(f"{query.command} cannot be subscribed to", status=489, clause="§9.11")
        if len(self._kept) >= _MOST:
            raise WireError("too many subscriptions", status=500)
        made = Subscription(
            query.command,
            query.device_id,
            request.get("event") or "presence",
            f"{request.get('to')};tag={sip.new_tag()}",
            request.get("from"),
            sip.uri_of(request.get("contact") or request.get("from")),
            request.call_id,
            now + asked,
            manscdp.number(query.fields.get("interval", ""), _DEFAULT_INTERVAL_S) or _DEFAULT_INTERVAL_S,
            int(query.sn) if query.sn.isascii() and query.sn.isdigit() and len(query.sn) < 10 else 1,
            request.all("record-route"),
        )
        if asked:
            self._kept[made.call_id] = made
        return made, asked, True
