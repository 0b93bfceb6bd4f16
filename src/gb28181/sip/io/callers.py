"""Those who await an answer to a request of ours: each gets it, or the reason why there is none, in bounded time."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gb28181.errors import PeerTimeout, Unreachable
from gb28181.sip.calls import Answered
from gb28181.sip.endpoint import SipEndpoint
from gb28181.sip.message import Response
from gb28181.sip.transaction import ClientTransaction, RequestFailed, ResponseArrived
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

#: A provisional answer gives an INVITE its time anew, this many times at most (quirk Q38).
_EXTENSIONS: Final = 2


@dataclass(slots=True, eq=False)
class _Waiter:
    """A caller that awaits the answer to one request."""

    future: asyncio.Future[Answered | Response]
    on_provisional: Callable[[int], None] | None = None
    extensions: int = 0


class Callers:
    """Waits for final answers.

    Args:
        pump: Sends what the endpoint has to send.
    """

    def __init__(self, endpoint: SipEndpoint, counters: Counter[str], pump: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._counters = counters
        self._pump = pump
        self._waiters: dict[ClientTransaction, _Waiter] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    async def final(self, transaction: ClientTransaction, timeout_s: float | None = None) -> Response:
        """The final answer to a request other than INVITE.

        Raises: PeerTimeout, Unreachable.
        """
        answer = await self.answer(transaction, timeout_s)
        assert isinstance(answer, Response)
        return answer

    async def answer(
        self, transaction: ClientTransaction, timeout_s: float | None, on_provisional: Callable[[int], None] | None = None
    ) -> Answered | Response:
        """Waits for the final answer; however the wait ends, the transaction is brought to an end too.

        Raises: PeerTimeout, Unreachable.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future(), on_provisional)
        self._waiters[transaction] = waiter
        self._pump()
        answer = None
        try:
            async with asyncio.timeout(timeout_s) as limit:
                if timeout_s is not None and transaction.method == "INVITE":
                    waiter.on_provisional = self._extending(waiter, limit, timeout_s, on_provisional)
                answer = await waiter.future
        except TimeoutError:
            raise PeerTimeout(say("device.not_answered_within", method=transaction.method, timeout_s=timeout_s or 0)) from None
        finally:
            del self._waiters[transaction]
            if answer is None:
                self._endpoint.give_up(transaction, loop.time())
                self._pump()
        return answer

    def deliver(self, event: ResponseArrived | RequestFailed | Answered) -> None:
        """Gives an event to whom it concerns; nobody may wait any more."""
        waiter = self._waiters.get(event.transaction)
        if waiter is None or waiter.future.done():
            return
        if isinstance(event, RequestFailed):
            waiter.future.set_exception(_failure(event))
        elif isinstance(event, ResponseArrived) and event.response.status < 200:
            self._provisional(waiter, event.response.status)
        else:
            waiter.future.set_result(event if isinstance(event, Answered) else event.response)

    def stop(self) -> None:
        """Everybody who waits gets `Unreachable`."""
        for waiter in self._waiters.values():
            if not waiter.future.done():
                waiter.future.set_exception(Unreachable(say("server.stops")))

    def _extending(
        self, waiter: _Waiter, limit: asyncio.Timeout, timeout_s: float, report: Callable[[int], None] | None
    ) -> Callable[[int], None]:
        """A ringing camera is waking up: its time begins anew (quirk Q38); 100 says nothing of the kind."""

        def provisional(status: int) -> None:
            if status > 100 and waiter.extensions < _EXTENSIONS and not limit.expired():
                waiter.extensions += 1
                limit.reschedule(asyncio.get_running_loop().time() + timeout_s)
            if report is not None:
                report(status)

        return provisional

    def _provisional(self, waiter: _Waiter, status: int) -> None:
        if waiter.on_provisional is not None:
            try:
                waiter.on_provisional(status)
            except Exception:
                self._counters["failures"] += 1
                logger.exception("listener to provisional answers failed")


def _failure(event: RequestFailed) -> PeerTimeout | Unreachable:
    transaction = event.transaction
    if event.cause == "timeout":
        return PeerTimeout(
            say("device.not_answered", method=transaction.method, host=transaction.flow.host, port=transaction.flow.port)
        )
    return Unreachable(say("device.connection_lost", host=transaction.flow.host, port=transaction.flow.port))
