"""Where SIP and MANSCDP meet: (method) and (category, CmdType) to the handlers of the features.

A MESSAGE is answered before any work is done (quirk Q13), and only from the address at which its device is registered: no
stranger speaks for a device, and none is met with silence, because 403 makes firmware register again (Q12). One table
turns errors into statuses.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from gb28181.errors import (
    Conflict,
    Denied,
    Gb28181Error,
    Invalid,
    MisuseError,
    NotFound,
    PeerTimeout,
    Unavailable,
    Unreachable,
    WireError,
)
from gb28181.ids import DeviceId
from gb28181.manscdp import codec
from gb28181.manscdp.element import entry_of
from gb28181.ports import Handler, Signalling, SipRequest

logger = logging.getLogger(__name__)

C = TypeVar("C")


@dataclass(slots=True)
class Inbound(Generic[C]):
    """A command from a registered device; its request has been answered. Nobody changes it (see `SipRequest`).

    Args:
        device_id: The device that it came from; `command.device_id` may be one of its channels.
        target: Of a NOTIFY: the channel that its subscription is about, None for the device itself.
        faults: What was tolerated in its body, by name.
    """

    command: C
    device_id: DeviceId
    request: SipRequest
    target: DeviceId | None = None
    faults: Mapping[str, int] = field(default_factory=dict)


CommandHandler = Callable[[Inbound[Any]], Awaitable[None] | None]
#: What a feature handles: a SIP method, or a command class.
Routes = Mapping[str | type, Handler | CommandHandler]

Admission = Literal["accepted", "moved", "refused"]


class Peers(Protocol):
    """Who is registered, and from where."""

    def admit(self, device_id: DeviceId, request: SipRequest) -> Admission:
        """Whether this request may speak for the device: `moved` is its host with another port (quirk Q8)."""

    def at_address(self, request: SipRequest) -> DeviceId | None:
        """The device registered at the source of the request, when it is the only one there."""

    def seen(self, device_id: DeviceId) -> None:
        """A request of the device came from where it is registered."""

    def told(self, device_id: DeviceId, command: object) -> None:
        """A declared command of the device, whether a feature handles it or not."""

    def count_faults(self, device_id: DeviceId, faults: Mapping[str, int]) -> None: ...


@dataclass(frozen=True, slots=True)
class Notice:
    """How a NOTIFY is answered, and what its subscription is about.

    Args:
        status: 200, or 481 where there is no such subscription; what it says counts in either case.
    """

    status: int
    target: DeviceId | None = None


#: Asked for each NOTIFY of a registered device, with its command, None for an empty body or one that nobody knows.
Notices = Callable[[SipRequest, DeviceId, object | None], Notice]

#: By whom a request may be, from what it holds; asked in order.
Finder = Callable[[SipRequest], Iterable[DeviceId]]

#: Methods whose body may be MANSCDP.
_CARRIERS: Final = frozenset({"MESSAGE", "NOTIFY"})
#: Refused where no feature takes them: a call that nobody asked for (§9.12), a subscription by who is no upper platform.
_UNASKED: Final = frozenset({"INVITE", "SUBSCRIBE"})
_KNOWN: Final = frozenset(
    {
        "REGISTER",
        "MESSAGE",
        "INVITE",
        "ACK",
        "BYE",
        "CANCEL",
        "INFO",
        "OPTIONS",
        "SUBSCRIBE",
        "NOTIFY",
        "PRACK",
        "UPDATE",
        "REFER",
    }
)

_STATUS: Final[tuple[tuple[type[Gb28181Error], int], ...]] = (
    (NotFound, 404),
    (Denied, 403),
    (Invalid, 400),
    (Conflict, 486),
    (PeerTimeout, 408),
    (Unreachable, 480),
    (Unavailable, 503),
    (Gb28181Error, 500),
)


def status_of(error: Gb28181Error) -> int:
    """SIP status that says what went wrong."""
    if isinstance(error, WireError):
        return error.status
    return next(status for kind, status in _STATUS if isinstance(error, kind))


class Router:
    """Takes every request that arrives and hands it to the feature that it concerns.

    Args:
        routes: What each feature handles.
        finders: Who may have sent a MESSAGE whose From is no device: by Call-ID, then by channel (quirk Q32).
        notices: Knows our subscriptions; without it a NOTIFY is answered like a MESSAGE.

    Raises:
        MisuseError: Two features claim the same method or command.
    """

    def __init__(
        self,
        signalling: Signalling,
        peers: Peers,
        routes: Iterable[Routes],
        *,
        finders: Iterable[Finder] = (),
        notices: Notices = lambda _request, _device_id, _command: Notice(200),
    ) -> None:
        self._signalling = signalling
        self._peers = peers
        self._notices = notices
        self._finders = (_by_sender, *finders)
        self._methods: dict[str, Handler] = {}
        self._commands: dict[type, CommandHandler] = {}
        for key, handler in (pair for feature in routes for pair in feature.items()):
            self._add(key, handler)
        supported = set(self._methods) | {"MESSAGE", "OPTIONS", "ACK", "CANCEL"}
        self._allow = ("Allow", ", ".join(sorted(supported)))
        self._counters: Counter[str] = Counter()

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return dict(self._counters)

    def receive(self, request: SipRequest) -> Coroutine[Any, Any, None] | None:
        """Answers one request and does what it asks for, at once where nothing is to be waited for: most are of this kind, and
        a task for each would cost more than the rest. What is left to do comes back. Never raises for what the peer sent."""
        try:
            work = self._answer(request)
        except Gb28181Error as error:
            self._refuse(request, error)
            return None
        if isinstance(work, Inbound):
            try:
                work = self._commands[type(work.command)](work)
            except Gb28181Error as error:
                self._command_failed(request, error)
                return None
            return None if work is None else self._finish(request, work, self._command_failed)
        return None if work is None else self._finish(request, work, self._refuse)

    async def handle(self, request: SipRequest) -> None:
        """As `receive`, to the end."""
        if (work := self.receive(request)) is not None:
            await work

    async def _finish(
        self, request: SipRequest, work: Awaitable[None], failed: Callable[[SipRequest, Gb28181Error], None]
    ) -> None:
        try:
            await work
        except Gb28181Error as error:
            failed(request, error)

    def _refuse(self, request: SipRequest, error: Gb28181Error) -> None:
        logger.debug("request refused: %s", error, extra=_where(request))
        self._signalling.respond(request, status_of(error))

    def _command_failed(self, request: SipRequest, error: Gb28181Error) -> None:
        self._counters["handler_failed"] += 1
        logger.warning("command failed: %s", error, extra=_where(request))

    def _answer(self, request: SipRequest) -> Inbound[Any] | Awaitable[None] | None:
        """Answers; what is left to do comes back."""
        if (handler := self._methods.get(request.method)) is not None:
            return handler(request)
        if request.method in _CARRIERS:
            if request.method == "NOTIFY":
                return self._notified(request)
            inbound = self._receive(request)
            self._signalling.respond(request, 200)
            return inbound
        if request.method == "OPTIONS":
            self._signalling.respond(request, 200, headers=(self._allow,))  # W3, Q36: a probe for life
        elif request.method in _UNASKED:
            self._counters["method_refused"] += 1
            self._signalling.respond(request, 403)  # not 405: OPTIONS says that we speak it
        elif request.method != "ACK":
            self._counters["method_refused"] += 1
            self._signalling.respond(request, 405 if request.method in _KNOWN else 501, headers=(self._allow,))
        return None

    # --- MANSCDP ---------------------------------------------------------------------------------------------------

    def _notified(self, request: SipRequest) -> Inbound[Any] | None:
        """A NOTIFY; `terminated` may come without a body (RFC 6665 §4.4.1). Its content counts whatever is answered."""
        device_id = self._sender(request)
        inbound = self._parsed(request, device_id) if request.body.strip() else None
        notice = self._notices(request, device_id, inbound.command if inbound is not None else None)
        self._signalling.respond(request, notice.status)
        return replace(inbound, target=notice.target) if inbound is not None else None

    def _receive(self, request: SipRequest) -> Inbound[Any] | None:
        return self._parsed(request, self._sender(request))

    def _parsed(self, request: SipRequest, device_id: DeviceId) -> Inbound[Any] | None:
        try:
            parsed = codec.parse(request.body)
        except WireError:
            self._counters["xml_refused"] += 1
            self._peers.count_faults(device_id, {"refused-xml": 1})
            raise
        if parsed.faults or request.faults:
            self._peers.count_faults(device_id, Counter(parsed.faults) + Counter(request.faults))
        if not isinstance(parsed.command, codec.Unknown):
            self._peers.told(device_id, parsed.command)
        if isinstance(parsed.command, codec.Unknown) or type(parsed.command) not in self._commands:
            # Lenient: firmware repeats what is refused, and a status for it would help nobody.
            self._counters["command_unknown"] += 1
            return None
        return Inbound(parsed.command, device_id, request, None, parsed.faults)

    def _sender(self, request: SipRequest) -> DeviceId:
        for finder in self._finders:
            for device_id in finder(request):
                admission = self._peers.admit(device_id, request)
                if admission == "accepted":
                    self._peers.seen(device_id)
                if admission != "refused":
                    return device_id
        if (neighbour := self._peers.at_address(request)) is not None:
            return neighbour
        self._counters["sender_refused"] += 1
        raise WireError(
            f"{request.user[:40]!r} is not registered from {request.route.remote}: register first", status=403, clause="9.1"
        )

    # --- set-up and failure ----------------------------------------------------------------------------------------

    def _add(self, key: str | type, handler: Any) -> None:
        if isinstance(key, str):
            if key in self._methods:
                raise MisuseError(f"two features handle {key}")
            self._methods[key] = handler
            return
        entry = entry_of(key)
        if key in self._commands:
            raise MisuseError(f"two features handle {entry.category} {entry.cmd_type}")
        self._commands[key] = handler


def _where(request: SipRequest) -> dict[str, str]:
    return {"method": request.method, "user": request.user, "source": str(request.route.remote)}


def _by_sender(request: SipRequest) -> Iterable[DeviceId]:
    return (DeviceId(request.user),) if request.user else ()
