"""Registration and keepalive of one device (§9.1.2, §9.6), with what its dialects make of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gb28181.errors import Denied, PeerTimeout, Unreachable
from gb28181.sim import manscdp, sip
from gb28181.sim.dialects.dialect import Trait
from gb28181.sim.functions import Functions
from gb28181.sim.settings import Settings
from gb28181.sim.sip import Message
from gb28181.sim.speech import Speech
from gb28181.sim.statistics import Recorder, Statistics
from gb28181.sim.useragent import UserAgent

logger = logging.getLogger(__name__)


class Line(Protocol):
    """The device's way to the server."""

    async def open_agent(self, server: tuple[str, int]) -> UserAgent:
        """The agent that registers, opened where it is not."""

    async def message(self, body: bytes, *, from_id: str = "", is_keepalive: bool = False) -> Message:
        """Sends a MESSAGE and waits for its answer."""

    def release_media(self) -> None:
        """The server is gone: media end."""


class Registration:
    """Keeps one device registered.

    Args:
        registered: Set while it is.
        spawn: Starts a task that ends with the device.
    """

    def __init__(
        self,
        settings: Settings,
        speech: Speech,
        functions: Functions,
        line: Line,
        device_id: str,
        *,
        registered: asyncio.Event,
        statistics: Statistics,
        recorder: Recorder,
        spawn: Callable[[Coroutine[Any, Any, object]], None],
    ) -> None:
        self._settings, self._speech, self._functions, self._line = settings, speech, functions, line
        self._device_id = device_id
        self._registered, self._statistics, self._recorder, self._spawn = registered, statistics, recorder, spawn
        self._attention = asyncio.Event()  # set when the server must be asked to take us anew
        self._is_lost = False
        self._unanswered = 0
        self._sn = 0
        self.server_id = settings.server_id
        self._server = (settings.host, settings.port)

    async def run(self) -> None:
        """Registers, stays, and begins again, until cancelled."""
        call_id = f"{secrets.token_hex(8)}@{self._device_id}"
        cseq = 0
        while True:
            try:
                agent = await self._line.open_agent(self._server)
                if self._speech.does(Trait.UNREGISTERS_FIRST) and not cseq:
                    _, cseq = await self.register(agent, call_id, cseq, 0)
                granted, cseq = await self.register(agent, call_id, cseq, self._functions.expires_s)
            except (PeerTimeout, Unreachable, Denied) as failure:
                self._failed(failure)
                cseq += 10  # whatever was sent in vain used some numbers up
                await self._pause()
                continue
            self._statistics.registrations += 1
            self._recorder.write("registered", self._device_id, expires=granted, transport=self._settings.transport)
            self._unanswered, self._is_lost = 0, False
            self._attention.clear()
            self._registered.set()
            cseq = await self._stay(agent, granted, call_id, cseq)
            if self._is_lost:
                self._registered.clear()
            if not agent.is_open:
                await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(self._settings.retry_s * random.uniform(1.0, 1.2))

    def _failed(self, failure: Exception) -> None:
        self._registered.clear()
        self._statistics.refusals += isinstance(failure, Denied)
        self._recorder.write("register_failed", self._device_id, reason=str(failure))
        logger.info("registration failed", extra={"device_id": self._device_id, "reason": str(failure)})
        # Redirected and refused there: back to the one that redirected.
        self._server, self.server_id = (self._settings.host, self._settings.port), self._settings.server_id

    async def register(self, agent: UserAgent, call_id: str, cseq: int, expires_s: int) -> tuple[int, int]:
        """One registration; returns the seconds granted and the last CSeq used.

        Raises:
            Denied: The server did not take us.
            PeerTimeout: It did not answer.
            Unreachable: The connection is gone.
        """
        settings = self._settings
        tag = sip.new_tag()
        credentials: str | None = None
        status = 0
        for attempt in range(4):  # without credentials, with them, with those for a fresh nonce, and where we are sent
            cseq += 1
            uri = f"sip:{self.server_id}@{settings.sip_domain}"
            response = await agent.request(self._request(agent, call_id, cseq, expires_s, tag, credentials))
            status = response.status
            if 200 <= status < 300:
                return _granted(response, expires_s), cseq
            if status == 423 and response.get("min-expires").isdecimal():
                expires_s = max(expires_s, int(response.get("min-expires")[:9]))
                continue
            if status == 302 and response.get("contact") and self._speech.edition.is_2022:
                self.server_id, host, port = sip.uri_parts(response.get("contact"))
                self._server = (host, port)
                agent, credentials = await self._line.open_agent(self._server), None
                continue
            challenge = response.get("www-authenticate")
            if status != 401 or not settings.password:
                break
            if attempt and credentials and "stale=true" not in challenge.replace('"', "").lower():
                break
            credentials = sip.authorization(
                challenge, username=self._device_id, password=settings.password, method="REGISTER", uri=uri
            )
            if credentials is None:
                raise Denied(f"the server's challenge cannot be answered: {challenge[:80]}")
        raise Denied(f"the server answered {status} to REGISTER")

    def _request(self, agent: UserAgent, call_id: str, cseq: int, expires_s: int, tag: str, credentials: str | None) -> Message:
        domain = self._settings.sip_domain
        me = f"<sip:{self._device_id}@{domain}>"
        host = f"[{agent.local[0]}]" if ":" in agent.local[0] else agent.local[0]
        headers = [
            agent.via(),
            ("From", f"{me};tag={tag}"),
            ("To", me),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} REGISTER"),
            ("Contact", f"<sip:{self._device_id}@{host}:{agent.local[1]}>"),
            ("Max-Forwards", "70"),
            ("Expires", str(expires_s)),
            *([("X-GB-Ver", self._speech.edition.version)] if self._speech.edition.version else []),
            ("User-Agent", "GB28181-simulator"),
            *([("Authorization", credentials)] if credentials is not None else []),
        ]
        return Message("REGISTER", f"sip:{self.server_id}@{domain}", headers=headers)

    async def _stay(self, agent: UserAgent, granted_s: int, call_id: str, cseq: int) -> int:
        """Keeps alive until the registration has to be renewed, or the server has lost us; returns the last CSeq."""
        loop = asyncio.get_running_loop()
        renew_at = loop.time() + granted_s - min(60.0, granted_s * 0.2)
        if self._speech.does(Trait.KEEPALIVE_AFTER_EXPIRY):
            renew_at = math.inf
        next_at = loop.time() + self._functions.keepalive_s
        while agent.is_open and not self._is_lost:
            wait = min(renew_at, next_at) - loop.time()
            if wait > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._attention.wait()
                continue
            if renew_at <= next_at:
                return cseq
            if self._unanswered >= self._functions.misses and not self._speech.does(Trait.NO_REGISTER_AFTER_RESTART):
                self.lose("no answer to keepalives")
                self._line.release_media()  # §9.6.1: the server is offline
                return cseq
            next_at += self._functions.keepalive_s
            self._unanswered += 1
            if self._speech.does(Trait.REGISTERS_OFTEN):
                with contextlib.suppress(PeerTimeout, Denied):
                    _, cseq = await self.register(agent, call_id, cseq, self._functions.expires_s)
            self._spawn(self._keep_alive())
        return cseq

    async def _keep_alive(self) -> None:
        self._sn += 1
        self._statistics.keepalives_sent += 1
        with contextlib.suppress(PeerTimeout, Unreachable):
            body = self._speech.body(manscdp.keepalive(self._sn, self._device_id))
            response = await self._line.message(body, is_keepalive=True)
            if 200 <= response.status < 300:
                self._statistics.keepalives_answered += 1
                self._unanswered = 0
            elif response.status in (401, 403, 404):
                self.lose(f"the server answered {response.status} to a keepalive")

    def lose(self, reason: str) -> None:
        """The server does not know us any more, or is not there."""
        self._is_lost = True
        self._attention.set()
        self._recorder.write("lost", self._device_id, reason=reason)


def _granted(response: Message, asked_s: int) -> int:
    """Lifetime in a 200 to REGISTER: the Contact's parameter before the header (RFC 3261 §10.2.4)."""
    for text in (sip.parameter(response.get("contact"), "expires"), response.get("expires")):
        if text.isascii() and text.isdigit() and int(text[:9]) > 0:
            return int(text[:9])
    return asked_s
