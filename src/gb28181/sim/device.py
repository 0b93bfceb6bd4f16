"""A simulated camera or recorder: registers, keeps alive, answers queries, sends media (§9.1, §9.6, Annex A)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from gb28181.errors import Denied, Gb28181Error, PeerTimeout, Unreachable, WireError
from gb28181.sim import manscdp, sip
from gb28181.sim.calls import Calls, Channel
from gb28181.sim.sender import Metronome
from gb28181.sim.settings import Settings
from gb28181.sim.sip import Message
from gb28181.sim.statistics import Recorder, Statistics
from gb28181.sim.studio import Film, Studio
from gb28181.sim.transactions import Address
from gb28181.sim.useragent import UserAgent

logger = logging.getLogger(__name__)

_MISSES: Final = 3
_ALLOW: Final = "INVITE, ACK, CANCEL, BYE, MESSAGE, OPTIONS"
#: Answers under way; a flood of queries beyond gets 200 and nothing more, as from a real device.
_MOST_TASKS: Final = 64
#: Controls that the standard has answered by a Response (A.2.3); all others end with the 200.
_ANSWERED_CONTROLS: Final = frozenset({"recordcmd", "guardcmd", "alarmcmd", "homeposition", "deviceupgrade"})


class SimulatedDevice:
    """One device with its own sockets.

    Args:
        settings: Behaviour.
        device_id: 20-digit code under which it registers.
        name: As DeviceInfo tells it.
        model: As DeviceInfo and the catalogue tell it.
        channels: Its video channels.
        studio: Opens the films; devices of one process share one. Without, the device makes and closes its own.
        metronome: Drives the streams; devices of one event loop share one.
        recorder: Gets every event.
    """

    def __init__(
        self,
        settings: Settings,
        device_id: str,
        name: str,
        model: str,
        channels: Sequence[Channel],
        *,
        studio: Studio | None = None,
        metronome: Metronome | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.settings = settings
        self.device_id = device_id
        self.registered = asyncio.Event()
        self.statistics = Statistics()
        self._name, self._model = name, model
        self._channels = {channel.channel_id: channel for channel in channels}
        self._own_studio = studio is None
        self._studio = studio or Studio()
        self._films: dict[str, Film] = {}
        self._recorder = recorder or Recorder()
        self._tasks: set[asyncio.Task[None]] = set()
        self._main: asyncio.Task[None] | None = None
        self._agent: UserAgent | None = None
        self._attention = asyncio.Event()  # set when the server must be asked to take us anew
        self._is_lost = False
        self._unanswered = 0
        self._sn = 0
        self._is_cut = False
        self._calls = Calls(
            settings,
            device_id,
            self._channels,
            metronome=metronome or Metronome(),
            statistics=self.statistics,
            recorder=self._recorder,
            spawn=self._spawn,
            film_of=lambda channel: self._films.get(channel.channel_id),
        )

    # -- what a test does to a device ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Encodes what it shows, if that is not in the cache, and begins to register; wait for `registered`.

        Raises:
            OSError: The cache folder cannot be written.
        """
        if self.settings.ps_file is None:
            for channel in self._channels.values():
                self._films[channel.channel_id] = await self._studio.film(self.settings.picture, channel.label)
        self._main = asyncio.create_task(self._guarded(self._run()))

    async def stop(self, *, unregister: bool = True) -> None:
        """Ends all streams and tasks and closes the sockets; says good-bye to the server first, if that takes no time."""
        await self._switch_off(unregister=unregister)
        if self._own_studio:
            self._studio.close()

    async def reboot(self, down_s: float = 0.0) -> None:
        """Goes without a word and comes back with new ports, tags and Call-IDs."""
        self._recorder.write("reboot", self.device_id)
        await self._switch_off(unregister=False)
        await asyncio.sleep(down_s)
        self._main = asyncio.create_task(self._guarded(self._run()))

    def go_silent(self) -> None:
        """Sends no more media though the calls stand and signalling goes on: a frozen encoder."""
        self._calls.mute(is_muted=True)

    def drop_network(self) -> None:
        """Neither sends nor receives anything, as with the cable pulled."""
        self._is_cut = True
        self._calls.mute(is_muted=True)
        if self._agent is not None:
            self._agent.cut(is_cut=True)

    def resume(self) -> None:
        """Ends `go_silent` and `drop_network`."""
        self._is_cut = False
        self._calls.mute(is_muted=False)
        if self._agent is not None:
            self._agent.cut(is_cut=False)

    def record_progress(self) -> None:
        """Writes the figures of the running streams to the recorder."""
        for record in self._calls.active():
            self._recorder.write("stream", self.device_id, **record.figures())

    # -- registration and keepalive ------------------------------------------------------------------------------------

    async def _run(self) -> None:
        call_id = f"{secrets.token_hex(8)}@{self.device_id}"
        cseq = 0
        while True:
            try:
                agent = await self._open_agent()
                granted, cseq = await self._register(agent, call_id, cseq, self.settings.expires_s)
            except (PeerTimeout, Unreachable, Denied) as failure:
                self.registered.clear()
                self.statistics.refusals += isinstance(failure, Denied)
                self._recorder.write("register_failed", self.device_id, reason=str(failure))
                logger.info("registration failed", extra={"device_id": self.device_id, "reason": str(failure)})
                cseq += 10  # whatever was sent in vain used some numbers up
                await asyncio.sleep(self.settings.retry_s * random.uniform(1.0, 1.2))
                continue
            self.statistics.registrations += 1
            self._recorder.write("registered", self.device_id, expires=granted, transport=self.settings.transport)
            self._unanswered, self._is_lost = 0, False
            self._attention.clear()
            self.registered.set()
            await self._stay(agent, granted)
            if self._is_lost:
                self.registered.clear()
            if not agent.is_open:
                await asyncio.sleep(self.settings.retry_s * random.uniform(1.0, 1.2))

    async def _open_agent(self) -> UserAgent:
        if self._agent is None or not self._agent.is_open:
            settings = self.settings
            self._agent = UserAgent(
                self,
                (settings.host, settings.port),
                transport=settings.transport,
                local_ip=settings.local_ip,
                timers=settings.timers,
            )
            await self._agent.open()
            self._agent.cut(is_cut=self._is_cut)
        return self._agent

    async def _register(self, agent: UserAgent, call_id: str, cseq: int, expires_s: int) -> tuple[int, int]:
        """One registration; returns the seconds granted and the last CSeq used.

        Raises:
            Denied: The server did not take us.
            PeerTimeout: It did not answer.
            Unreachable: The connection is gone.
        """
        uri = f"sip:{self.settings.server_id}@{self.settings.sip_domain}"
        me = f"<sip:{self.device_id}@{self.settings.sip_domain}>"
        tag = sip.new_tag()
        credentials: str | None = None
        status = 0
        for attempt in range(3):  # without credentials, with them, and with those for a fresh nonce
            cseq += 1
            headers = [
                agent.via(),
                ("From", f"{me};tag={tag}"),
                ("To", me),
                ("Call-ID", call_id),
                ("CSeq", f"{cseq} REGISTER"),
                ("Contact", f"<sip:{self.device_id}@{_host(agent.local[0])}:{agent.local[1]}>"),
                ("Max-Forwards", "70"),
                ("Expires", str(expires_s)),
                ("X-GB-Ver", "3.0"),
                ("User-Agent", "GB28181-simulator"),
            ]
            if credentials is not None:
                headers.append(("Authorization", credentials))
            response = await agent.request(Message("REGISTER", uri, headers=headers))
            status = response.status
            if 200 <= status < 300:
                return _granted(response, expires_s), cseq
            if status == 423 and response.get("min-expires").isdecimal():
                expires_s = max(expires_s, int(response.get("min-expires")[:9]))
                continue
            challenge = response.get("www-authenticate")
            if (
                status != 401
                or not self.settings.password
                or (attempt and "stale=true" not in challenge.replace('"', "").lower())
            ):
                break
            credentials = sip.authorization(
                challenge, username=self.device_id, password=self.settings.password, method="REGISTER", uri=uri
            )
            if credentials is None:
                raise Denied(f"the server's challenge cannot be answered: {challenge[:80]}")
        raise Denied(f"the server answered {status} to REGISTER")

    async def _stay(self, agent: UserAgent, granted_s: int) -> None:
        """Keeps alive until the registration has to be renewed, or the server has lost us."""
        loop = asyncio.get_running_loop()
        renew_at = loop.time() + granted_s - min(60.0, granted_s * 0.2)
        next_at = loop.time() + self.settings.keepalive_s
        while agent.is_open and not self._is_lost:
            wait = min(renew_at, next_at) - loop.time()
            if wait > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._attention.wait()
                continue
            if renew_at <= next_at:
                return
            if self._unanswered >= _MISSES:
                self._lose("no answer to keepalives")
                self._calls.release("released")  # §9.6.1: the server is offline
                return
            next_at += self.settings.keepalive_s
            self._unanswered += 1
            self._spawn(self._keep_alive(agent))

    async def _keep_alive(self, agent: UserAgent) -> None:
        self._sn += 1
        self.statistics.keepalives_sent += 1
        with contextlib.suppress(PeerTimeout, Unreachable):
            response = await self._message(agent, manscdp.keepalive(self._sn, self.device_id))
            if 200 <= response.status < 300:
                self.statistics.keepalives_answered += 1
                self._unanswered = 0
            elif response.status in (401, 403, 404):
                self._lose(f"the server answered {response.status} to a keepalive")

    def _lose(self, reason: str) -> None:
        self._is_lost = True
        self._attention.set()
        self._recorder.write("lost", self.device_id, reason=reason)

    async def _message(self, agent: UserAgent, body: bytes) -> Message:
        server_id, domain = self.settings.server_id, self.settings.sip_domain
        headers = [
            agent.via(),
            ("From", f"<sip:{self.device_id}@{domain}>;tag={sip.new_tag()}"),
            ("To", f"<sip:{server_id}@{domain}>"),
            ("Call-ID", f"{secrets.token_hex(8)}@{self.device_id}"),
            ("CSeq", "20 MESSAGE"),
            ("Max-Forwards", "70"),
            ("Content-Type", manscdp.CONTENT_TYPE),
        ]
        return await agent.request(Message("MESSAGE", f"sip:{server_id}@{domain}", headers=headers, body=body))

    # -- what the server asks ------------------------------------------------------------------------------------------

    def requested(self, request: Message, source: Address) -> None:
        """A new request came from the network."""
        agent = self._agent
        if agent is None:
            return
        match request.method:
            case "INVITE":
                self._calls.invited(agent, request, source)
            case "BYE":
                self._calls.ended(agent, request, source)
            case "CANCEL":
                self._calls.cancelled(agent, request, source)
            case "MESSAGE":
                self._messaged(agent, request, source)
            case "OPTIONS":
                agent.respond(request, sip.response_to(request, 200, headers=[("Allow", _ALLOW)], source=source), source)
            case "SUBSCRIBE":
                agent.respond(request, sip.response_to(request, 489, source=source), source)
            case _:
                agent.respond(request, sip.response_to(request, 405, headers=[("Allow", _ALLOW)], source=source), source)

    def acknowledged(self, call_id: str) -> None:
        """An INVITE's answer was acknowledged."""
        if self._agent is not None:
            self._calls.acknowledged(self._agent, call_id)

    def never_acknowledged(self, call_id: str) -> None:
        """An INVITE's 200 was repeated in vain."""
        if self._agent is not None:
            self._calls.never_acknowledged(self._agent, call_id)

    def connection_lost(self) -> None:
        """The TCP connection to the server ended; media goes on (§18 has no word on it)."""
        self._lose("the connection ended")

    def _messaged(self, agent: UserAgent, request: Message, source: Address) -> None:
        try:
            message = manscdp.parse(request.body)
        except WireError as refusal:
            logger.info("message refused", extra={"device_id": self.device_id, "reason": refusal.reason})
            agent.respond(request, sip.response_to(request, refusal.status, source=source), source)
            return
        agent.respond(request, sip.response_to(request, 200, source=source), source)  # at once, before it is carried out
        self._recorder.write("message", self.device_id, root=message.root, command=message.command, sn=message.sn)
        if message.root == "Query":
            self._spawn(self._answer(agent, message))
        elif message.root == "Control":
            self._control(agent, message)

    def _control(self, agent: UserAgent, control: manscdp.Request) -> None:
        if "teleboot" in control.fields:
            # Not one of the device's own tasks: those end with the reboot.
            self._main = asyncio.create_task(self._guarded(self._boot_again(self._main)))
        elif control.command == "DeviceConfig" or _ANSWERED_CONTROLS & control.fields.keys():
            self._spawn(self._send(agent, manscdp.refused(control)))

    async def _boot_again(self, running: asyncio.Task[None] | None) -> None:
        self._recorder.write("reboot", self.device_id)
        await self._end(running)
        await self._run()

    async def _answer(self, agent: UserAgent, query: manscdp.Request) -> None:
        known = query.device_id == self.device_id or query.device_id in self._channels
        settings = self.settings
        match query.command:
            case "Catalog":
                await self._send_catalog(agent, query)
            case "DeviceInfo" if known:
                body = manscdp.device_info(query, name=self._name, model=self._model, channels=len(self._channels))
                await self._send(agent, body)
            case "DeviceStatus" if known:
                is_encoding = bool(self._calls.active())
                await self._send(agent, manscdp.device_status(query, is_encoding=is_encoding, utc=time.time()))
            case "RecordInfo" if known:
                await self._send(agent, manscdp.no_records(query, self._name))
            case "PresetQuery" if known:
                await self._send(agent, manscdp.no_presets(query))
            case "ConfigDownload" if known and query.fields.get("configtype", "").lower() == "basicparam":
                body = manscdp.basic_parameters(
                    query,
                    name=self._name,
                    expires_s=settings.expires_s,
                    keepalive_s=round(settings.keepalive_s),
                    misses=_MISSES,
                )
                await self._send(agent, body)
            case _:
                await self._send(agent, manscdp.refused(query))

    async def _send(self, agent: UserAgent, body: bytes) -> bool:
        try:
            response = await self._message(agent, body)
        except (PeerTimeout, Unreachable):
            return False
        return 200 <= response.status < 300

    async def _send_catalog(self, agent: UserAgent, query: manscdp.Request) -> None:
        """All channels, or the one that is asked for; the next message only after the answer to the previous one (Annex M)."""
        items = [
            manscdp.Item(channel.channel_id, channel.name, self.device_id, self._model)
            for channel in self._channels.values()
            if query.device_id in (self.device_id, channel.channel_id)
        ]
        size = self.settings.items_per_message
        for start in range(0, max(len(items), 1), size):
            if not await self._send(agent, manscdp.catalog(query, items[start : start + size], len(items))):
                return
        self.statistics.catalogs_answered += 1

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        if len(self._tasks) >= _MOST_TASKS:
            work.close()
            return
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except Gb28181Error as error:
            logger.warning("task failed", extra={"device_id": self.device_id, "reason": str(error)})
        except Exception:  # border: a background task
            logger.exception("task failed", extra={"device_id": self.device_id})

    async def _switch_off(self, *, unregister: bool) -> None:
        running, self._main = self._main, None
        if unregister and running is not None and self.registered.is_set() and self._agent is not None and not self._is_cut:
            with contextlib.suppress(PeerTimeout, Unreachable, Denied, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._register(self._agent, f"{secrets.token_hex(8)}@{self.device_id}", 0, 0)
                    self._recorder.write("unregistered", self.device_id)
        await self._end(running)

    async def _end(self, running: asyncio.Task[None] | None) -> None:
        self.registered.clear()
        self._calls.release("switched_off")
        ending = [task for task in (running, *self._tasks) if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        if self._agent is not None:
            self._agent.close()
            self._agent = None


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _granted(response: Message, asked_s: int) -> int:
    """Lifetime in a 200 to REGISTER: the Contact's parameter before the header (RFC 3261 §10.2.4)."""
    for text in (sip.parameter(response.get("contact"), "expires"), response.get("expires")):
        if text.isascii() and text.isdigit() and int(text[:9]) > 0:
            return int(text[:9])
    return asked_s


class SimulatedCamera(SimulatedDevice):
    """An IPC: one device with one channel."""

    def __init__(
        self,
        settings: Settings,
        device_id: str,
        channel_id: str,
        *,
        name: str = "模拟摄像机",
        label: str = "CAM 01",
        studio: Studio | None = None,
        metronome: Metronome | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        channels = [Channel(channel_id, name, label)]
        super().__init__(settings, device_id, name, "SIM-IPC", channels, studio=studio, metronome=metronome, recorder=recorder)


class SimulatedNvr(SimulatedDevice):
    """A recorder with several channels."""

    def __init__(
        self,
        settings: Settings,
        device_id: str,
        channels: Sequence[Channel],
        *,
        name: str = "模拟录像机",
        studio: Studio | None = None,
        metronome: Metronome | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__(settings, device_id, name, "SIM-NVR", channels, studio=studio, metronome=metronome, recorder=recorder)
