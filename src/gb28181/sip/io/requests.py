"""Requests of ours: what `ports.Signalling` can send, each over the way to its peer and with the answer awaited."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final

from gb28181.clock import Clock
from gb28181.device.model import Address, Route, SipTransport
from gb28181.errors import MediaRefused, MisuseError, SubscriptionRefused, Unreachable
from gb28181.ports import Answered, SipRequest, SipResponse, Subscribed
from gb28181.session.model import Dialog
from gb28181.sip.dialog import Dialog as CoreDialog
from gb28181.sip.dialog import dialog_of, refreshed_target
from gb28181.sip.endpoint import SipEndpoint
from gb28181.sip.io.callers import Callers
from gb28181.sip.io.convert import core_dialog, public_dialog, public_response
from gb28181.sip.io.numbers import Numbers
from gb28181.sip.io.paths import Paths
from gb28181.sip.message import Response
from gb28181.sip.subscription import MAX_EXPIRES_S, check_accepted, granted
from gb28181.sip.transaction import ClientTransaction, ServerTransaction
from gb28181.sip.uri import user_of
from gb28181.texts.text import say

MANSCDP: Final = "Application/MANSCDP+xml"


class Requests(ABC):
    """The sending half of `SipServer`."""

    def __init__(self, endpoint: SipEndpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._counters: Counter[str] = Counter()
        self._callers = Callers(endpoint, self._counters, self._pump)
        self._numbers = Numbers(clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._paths: Paths

    @abstractmethod
    def _pump(self) -> None:
        """Sends what the endpoint has to send."""

    # --- ports.Signalling, outside dialogs

    async def message(self, route: Route, *, to: str, body: bytes, timeout_s: float | None = None) -> SipResponse:
        sent = await self._send(route, "MESSAGE", to, [("content-type", MANSCDP)], body)
        return public_response(await self._callers.final(sent, timeout_s))

    async def options(self, route: Route, *, to: str) -> SipResponse:
        return public_response(await self._callers.final(await self._send(route, "OPTIONS", to)))

    async def invite(
        self,
        route: Route,
        *,
        to: str,
        sdp: bytes,
        subject: str,
        timeout_s: float,
        on_provisional: Callable[[int], None] | None = None,
    ) -> Answered:
        headers = [("subject", subject), ("content-type", "application/sdp")]
        sent = await self._send(route, "INVITE", to, headers, sdp)
        answer = await self._callers.answer(sent, timeout_s, on_provisional)
        if isinstance(answer, Response):
            sentence = "live.invite_answered" if answer.reason else "live.invite_bare"
            said = say(sentence, status=answer.status, reason=answer.reason)
            raise MediaRefused(said, status=answer.status, clause="Annex G")
        return Answered(public_response(answer.response), self._begun(answer.dialog, route, sent))

    async def subscribe(self, route: Route, *, to: str, event: str, body: bytes, expires_s: int) -> Subscribed:
        try:
            return await self._subscribe(route, to, event, body, expires_s)
        except SubscriptionRefused as refusal:
            if refusal.status != 423 or not expires_s < refusal.min_expires_s <= MAX_EXPIRES_S:
                raise
            return await self._subscribe(route, to, event, body, refusal.min_expires_s)

    def local_for(self, remote: Address, transport: SipTransport) -> Address:
        return self._paths.local_for(remote, transport)

    def is_connected(self, route: Route) -> bool:
        return self._paths.ready(route) is not None

    # --- in dialogs

    def ack(self, dialog: Dialog) -> None:
        known = core_dialog(dialog)
        flow = self._paths.ready(dialog.route)
        if flow is None:
            self._spawn(self._ack_over_new_connection(dialog, known))
            return
        self._endpoint.acknowledge(known, flow, local=self._paths.told(flow), now=self._loop.time())
        self._pump()

    async def bye(self, dialog: Dialog, *, route: Route | None = None) -> SipResponse:
        _, answer = await self._ask(dialog, "BYE", route)
        return public_response(answer)

    async def info(self, dialog: Dialog, *, body: bytes, content_type: str, route: Route | None = None) -> SipResponse:
        _, answer = await self._ask(dialog, "INFO", route, [("content-type", content_type)], body)
        return public_response(answer)

    async def resubscribe(
        self, dialog: Dialog, *, event: str, body: bytes, expires_s: int, route: Route | None = None
    ) -> Subscribed:
        sent, answer = await self._ask(dialog, "SUBSCRIBE", route, _subscribing(event, expires_s), body)
        check_accepted(answer)
        refreshed = replace(dialog, cseq=sent.cseq, target=refreshed_target(answer, dialog.target), route=route or dialog.route)
        return Subscribed(refreshed, granted(answer, expires_s), public_response(answer))

    async def notify(self, dialog: Dialog, *, event: str, state: str, body: bytes, route: Route | None = None) -> SipResponse:
        headers = [("event", event), ("subscription-state", state)]
        if body:
            headers.append(("content-type", MANSCDP))
        _, answer = await self._ask(dialog, "NOTIFY", route, headers, body)
        return public_response(answer)

    def accept_subscription(
        self, request: SipRequest, *, expires_s: int, body: bytes = b"", dialog: Dialog | None = None
    ) -> Dialog:
        transaction = request.key
        if not isinstance(transaction, ServerTransaction):
            raise MisuseError("this request did not come from here")
        made = self._endpoint.accept(
            transaction,
            [("expires", str(expires_s))],
            body,
            MANSCDP if body else "",
            local=self._paths.told(transaction.flow),
            now=self._loop.time(),
        )
        if made is None:
            self._counters["answers_too_late"] += 1
            raise Unreachable(say("device.answered_already", method=request.method, remote=request.route.remote))
        if dialog is None:
            self._numbers.begin(made)
        else:
            made = made.numbered(dialog.cseq)
        self._pump()
        return public_dialog(made, request.route)

    # --- how

    async def _send(
        self, route: Route, method: str, to: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> ClientTransaction:
        """Sends a request outside dialogs."""
        flow = await self._paths.find(route, to=to, body=body)
        return self._endpoint.request(
            method, flow, to=to, local=self._paths.told(flow), now=self._loop.time(), body=body, headers=headers
        )

    async def _ask(
        self, dialog: Dialog, method: str, route: Route | None, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> tuple[ClientTransaction, Response]:
        """Sends a request in a dialog under its next number and waits for the final answer."""
        way = self._paths.in_dialog(route or dialog.route, dialog.target)
        flow = await self._paths.find(way, to=user_of(dialog.remote_uri), body=body)
        numbered = self._numbers.next(core_dialog(dialog))
        local = self._paths.told(flow)
        sent = self._endpoint.request_in(numbered, method, flow, local=local, now=self._loop.time(), body=body, headers=headers)
        return sent, await self._callers.final(sent)

    async def _subscribe(self, route: Route, to: str, event: str, body: bytes, expires_s: int) -> Subscribed:
        sent = await self._send(route, "SUBSCRIBE", to, _subscribing(event, expires_s), body)
        answer = await self._callers.final(sent)
        check_accepted(answer)
        made = dialog_of(sent.uri, sent.headers, sent.cseq, answer)
        return Subscribed(self._begun(made, route, sent), granted(answer, expires_s), public_response(answer))

    def _begun(self, made: CoreDialog, route: Route, sent: ClientTransaction) -> Dialog:
        """A dialog that a 2xx to a request of ours made; it goes on over the connection that the request took.

        A large request that left the peer's UDP route for its stream comes back to that route: the stream may close.
        """
        self._numbers.begin(made)
        connection = sent.flow.connection if sent.flow.transport == route.transport else 0
        return public_dialog(made, Route(route.transport, route.remote, route.local, connection))

    async def _ack_over_new_connection(self, dialog: Dialog, known: CoreDialog) -> None:
        try:
            flow = await self._paths.find(self._paths.in_dialog(dialog.route, dialog.target))
        except Unreachable:
            self._counters["acks_unsent"] += 1
            return
        self._endpoint.acknowledge(known, flow, local=self._paths.told(flow), now=self._loop.time())
        self._pump()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _subscribing(event: str, expires_s: int) -> list[tuple[str, str]]:
    return [("event", event), ("expires", str(expires_s)), ("content-type", MANSCDP)]
