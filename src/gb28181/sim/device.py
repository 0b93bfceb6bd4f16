"""A simulated camera, recorder or lower platform: its sockets, its life, and who inside it does what (§9.1, §9.6, Annex A)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from gb28181.errors import Denied, Gb28181Error, PeerTimeout, Unreachable, WireError
from gb28181.sim import catalog, manscdp, sip
from gb28181.sim.answers import Answers
from gb28181.sim.calls import Calls, Channel
from gb28181.sim.catalog import Contents, Item
from gb28181.sim.dialects import table
from gb28181.sim.dialects.dialect import Trait
from gb28181.sim.edition import EDITIONS
from gb28181.sim.events import Events
from gb28181.sim.functions import Functions
from gb28181.sim.registration import Registration
from gb28181.sim.sender import Metronome
from gb28181.sim.settings import Settings
from gb28181.sim.sip import Message
from gb28181.sim.speech import Speech
from gb28181.sim.statistics import Recorder, Statistics
from gb28181.sim.studio import Film, Studio
from gb28181.sim.subscriptions import Subscription
from gb28181.sim.transactions import Address
from gb28181.sim.useragent import UserAgent

logger = logging.getLogger(__name__)

_ALLOW: Final = "INVITE, ACK, CANCEL, BYE, INFO, MESSAGE, OPTIONS, SUBSCRIBE, NOTIFY"
#: Answers under way; a flood of queries beyond gets 200 and nothing more, as from a real device.
_MOST_TASKS: Final = 64


class SimulatedDevice:
    """One device with its own sockets.

    Args:
        settings: Behaviour; what its dialects change is already in `self.settings`.
        device_id: 20-digit code under which it registers.
        name: As DeviceInfo tells it.
        model: As DeviceInfo and the catalogue tell it.
        channels: Its video channels.
        items: Its catalogue; without, the channels.
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
        items: Iterable[Item] = (),
        studio: Studio | None = None,
        metronome: Metronome | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        dialects = table.resolve(settings.dialects)
        for dialect in dialects:
            settings = replace(settings, **dialect.settings)
        self.settings = settings
        self.device_id = device_id
        self.registered = asyncio.Event()
        self.statistics = Statistics()
        self.speech = Speech(EDITIONS[settings.edition], dialects)
        self._channels = {channel.channel_id: channel for channel in channels}
        self._own_studio = studio is None
        self._studio = studio or Studio()
        self._films: dict[str, Film] = {}
        self._recorder = recorder or Recorder()
        self._tasks: set[asyncio.Task[None]] = set()
        self._outliving: set[asyncio.Task[None]] = set()
        self._main: asyncio.Task[None] | None = None
        self._agent: UserAgent | None = None
        self._second: UserAgent | None = None  # another port, where a dialect has one
        self._is_cut = False
        self.functions = Functions(
            self.speech.edition,
            device_id,
            [(channel.channel_id, channel.name) for channel in channels],
            name=name,
            model=model,
            expires_s=settings.expires_s,
            keepalive_s=settings.keepalive_s,
            recorded_hours=settings.recorded_hours,
            now=time.monotonic(),
            utc=time.time(),
        )
        self.contents = Contents(items or (_item(channel, device_id, model) for channel in channels))
        self._add_told_codes()
        common: dict[str, Any] = {"statistics": self.statistics, "recorder": self._recorder, "spawn": self._spawn}
        self._registration = Registration(
            settings, self.speech, self.functions, self, device_id, registered=self.registered, **common
        )
        self._events = Events(settings, self.speech, self.functions, self.contents, self, self._spawn)
        self._answers = Answers(settings, self.speech, self.functions, self.contents, self, outlive=self._outlive, **common)
        self._calls = Calls(
            settings,
            device_id,
            self._channels,
            speech=self.speech,
            metronome=metronome or Metronome(),
            film_of=lambda channel: self._films.get(channel.label),
            is_recorded=lambda code, start, end: self.functions.is_recorded(code, start, end, time.time()),
            **common,
        )

    def _add_told_codes(self) -> None:
        """Codes that only a dialect tells mean the channels that really are there."""
        real = [item.device_id for item in self.contents.all() if item.is_camera]
        told = [item.device_id for item in self.speech.items(self.contents.all(), self.device_id) if item.is_camera]
        for code, other in zip(real, told, strict=False):
            if other not in self._channels and code in self._channels:
                self._channels[other] = self._channels[code]
                self.functions.aliases[other] = code

    # -- what a test does to a device ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Encodes what it shows, if that is not in the cache, and begins to register; wait for `registered`.

        Raises:
            OSError: The cache folder cannot be written.
        """
        if self.settings.ps_file is None:
            for label in dict.fromkeys(channel.label for channel in self._channels.values()):
                self._films[label] = await self._studio.film(self.settings.picture, label)
        self._main = asyncio.create_task(self._guarded(self._run()))

    async def stop(self, *, unregister: bool = True) -> None:
        """Ends all streams and tasks and closes the sockets; says good-bye to the server first, if that takes no time."""
        await self._switch_off(unregister=unregister)
        for task in self._outliving:
            task.cancel()
        await asyncio.gather(*self._outliving, return_exceptions=True)
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
        self._cut(is_cut=True)

    def resume(self) -> None:
        """Ends `go_silent` and `drop_network`."""
        self._cut(is_cut=False)

    def _cut(self, *, is_cut: bool) -> None:
        self._is_cut = is_cut
        self._calls.mute(is_muted=is_cut)
        for agent in (self._agent, self._second):
            if agent is not None:
                agent.cut(is_cut=is_cut)

    def record_progress(self) -> None:
        """Writes the figures of the running streams to the recorder."""
        for record in self._calls.active():
            self._recorder.write("stream", self.device_id, **record.figures())

    async def raise_alarm(self) -> None:
        """One alarm now."""
        await self._events.alarm()

    async def report_position(self) -> None:
        """One position that nobody subscribed to, now."""
        await self._events.report_position()

    async def change_catalog(self) -> None:
        """One change of the catalogue now."""
        await self._events.change()

    # -- the way to the server -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._registration.run())
            group.create_task(self._events.run())

    async def open_agent(self, server: Address) -> UserAgent:
        """The agent that registers; a new one where there is none, or it leads elsewhere.

        Raises:
            Unreachable: There is no way to the server.
        """
        if self._agent is None or not self._agent.is_open or self._agent.server != server:
            if self._agent is not None:
                self._agent.close()
            self._agent = await self._opened(server)
            if self.speech.does(Trait.KEEPALIVE_OTHER_PORT) or self.speech.does(Trait.MESSAGE_FROM_CHANNEL):
                if self._second is not None:
                    self._second.close()
                self._second = await self._opened(server)
        return self._agent

    async def _opened(self, server: Address) -> UserAgent:
        settings = self.settings
        agent = UserAgent(
            self,
            server,
            transport=settings.transport,
            local_ip=settings.local_ip,
            timers=settings.timers,
            rewrite=self.speech.message,
            hole_s=settings.nat_hole_s,
        )
        await agent.open()
        agent.cut(is_cut=self._is_cut)
        return agent

    async def message(self, body: bytes, *, from_id: str = "", is_keepalive: bool = False) -> Message:
        """Sends a MESSAGE and returns the answer.

        Raises:
            PeerTimeout: There was none.
            Unreachable: The device has no connection.
        """
        agent = self._agent
        if is_keepalive and self.speech.does(Trait.KEEPALIVE_OTHER_PORT):
            agent = self._second
        if from_id and self.speech.does(Trait.MESSAGE_FROM_CHANNEL):
            agent = self._second
        else:
            from_id = self.device_id
        if agent is None:
            raise Unreachable("the device is switched off")
        server_id, domain = self._registration.server_id, self.settings.sip_domain
        headers = [
            agent.via(),
            ("From", f"<sip:{from_id}@{domain}>;tag={sip.new_tag()}"),
            ("To", f"<sip:{server_id}@{domain}>"),
            ("Call-ID", f"{secrets.token_hex(8)}@{self.device_id}"),
            ("CSeq", "20 MESSAGE"),
            ("Max-Forwards", "70"),
            ("Content-Type", manscdp.CONTENT_TYPE),
        ]
        return await agent.request(Message("MESSAGE", f"sip:{server_id}@{domain}", headers=headers, body=body))

    async def tell(self, text: str, *, channel_id: str = "") -> bool:
        """Sends a document; whether it was taken."""
        try:
            response = await self.message(self.speech.body(text), from_id=channel_id)
        except (PeerTimeout, Unreachable):
            return False
        return 200 <= response.status < 300

    async def notify(self, subscription: Subscription, text: str) -> int:
        """Sends a NOTIFY and returns the status of its answer.

        Raises:
            PeerTimeout: There was none.
            Unreachable: The device has no connection.
        """
        agent = self._agent
        if agent is None:
            raise Unreachable("the device is switched off")
        contact = f"<sip:{self.device_id}@{agent.local[0]}:{agent.local[1]}>"
        has_state = not self.speech.does(Trait.NO_SUBSCRIPTION_STATE)
        body = self.speech.body(text) if text else b""
        now = time.monotonic()
        return (await agent.request(subscription.notify(agent.via(), contact, body, now, has_state=has_state))).status

    def release_media(self) -> None:
        """All media end without a word."""
        self._calls.release("released")

    def is_encoding(self) -> bool:
        """Whether some picture is being sent."""
        return bool(self._calls.active())

    # -- what the server asks ------------------------------------------------------------------------------------------

    def requested(self, agent: UserAgent, request: Message, source: Address) -> None:
        """A new request came from the network."""
        match request.method:
            case "INVITE":
                self._calls.invited(agent, request, source)
            case "BYE":
                self._calls.ended(agent, request, source)
            case "INFO":
                self._calls.informed(agent, request, source)
            case "CANCEL":
                self._calls.cancelled(agent, request, source)
            case "MESSAGE":
                self._messaged(agent, request, source)
            case "OPTIONS":
                agent.respond(request, sip.response_to(request, 200, headers=[("Allow", _ALLOW)], source=source), source)
            case "SUBSCRIBE":
                self._subscribed(agent, request, source)
            case _:
                agent.respond(request, sip.response_to(request, 405, headers=[("Allow", _ALLOW)], source=source), source)

    def acknowledged(self, agent: UserAgent, call_id: str) -> None:
        """An INVITE's answer was acknowledged."""
        self._calls.acknowledged(agent, call_id)

    def never_acknowledged(self, agent: UserAgent, call_id: str) -> None:
        """An INVITE's 200 was repeated in vain."""
        self._calls.never_acknowledged(agent, call_id)

    def connection_lost(self) -> None:
        """The TCP connection to the server ended; media goes on (§18 has no word on it)."""
        self._registration.lose("the connection ended")

    def _messaged(self, agent: UserAgent, request: Message, source: Address) -> None:
        try:
            message = manscdp.parse(request.body)
        except WireError as refusal:
            logger.info("message refused", extra={"device_id": self.device_id, "reason": refusal.reason})
            agent.respond(request, sip.response_to(request, refusal.status, source=source), source)
            return
        agent.respond(request, sip.response_to(request, 200, source=source), source)  # at once, before it is carried out
        self._recorder.write("message", self.device_id, root=message.root, command=message.command, sn=message.sn)
        self._answers.carry_out(message)

    def _subscribed(self, agent: UserAgent, request: Message, source: Address) -> None:
        now = time.monotonic()
        try:
            subscription, granted, is_new = self._events.subscriptions.subscribed(request, now)
        except WireError as refusal:
            agent.respond(request, sip.response_to(request, refusal.status, source=source), source)
            return
        headers = [("Contact", f"<sip:{self.device_id}@{agent.local[0]}:{agent.local[1]}>")]
        if not self.speech.does(Trait.NO_SUBSCRIPTION_STATE):
            headers.append(("Expires", str(granted)))
        tag = sip.tag_of(subscription.ours)
        agent.respond(request, sip.response_to(request, 200, to_tag=tag, headers=headers, source=source), source)
        self._recorder.write("subscribed", self.device_id, command=subscription.kind, expires=granted, is_new=is_new)
        if is_new and granted:
            self._events.subscribed(subscription, now)

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def boot_again(self) -> None:
        """Restarts without waiting for it."""
        # Not one of the device's own tasks: those end with the reboot.
        self._main = asyncio.create_task(self._guarded(self._boot(self._main)))

    async def _boot(self, running: asyncio.Task[None] | None) -> None:
        self._recorder.write("reboot", self.device_id)
        await self._end(running)
        await self._run()

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        self._start(work, self._tasks)

    def _outlive(self, work: Coroutine[Any, Any, object]) -> None:
        self._start(work, self._outliving)

    def _start(self, work: Coroutine[Any, Any, object], tasks: set[asyncio.Task[None]]) -> None:
        if len(tasks) >= _MOST_TASKS:
            work.close()
            return
        task = asyncio.create_task(self._guarded(work))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

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
                    await self._registration.register(self._agent, f"{secrets.token_hex(8)}@{self.device_id}", 0, 0)
                    self._recorder.write("unregistered", self.device_id)
        await self._end(running)

    async def _end(self, running: asyncio.Task[None] | None) -> None:
        self.registered.clear()
        self._calls.release("switched_off")
        self._events.subscriptions.clear()
        ending = [task for task in (running, *self._tasks) if task is not None]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for agent in (self._agent, self._second):
            if agent is not None:
                agent.close()
        self._agent = self._second = None


def _item(channel: Channel, device_id: str, model: str) -> Item:
    return Item(
        device_id=channel.channel_id,
        name=channel.name,
        model=model,
        civil_code=channel.channel_id[:6],
        parent_id=device_id,
    )


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
        **shared: Any,
    ) -> None:
        super().__init__(settings, device_id, name, "SIM-IPC", [Channel(channel_id, name, label)], **shared)


class SimulatedNvr(SimulatedDevice):
    """A recorder with several channels."""

    def __init__(
        self,
        settings: Settings,
        device_id: str,
        channels: Sequence[Channel],
        *,
        name: str = "模拟录像机",
        **shared: Any,
    ) -> None:
        super().__init__(settings, device_id, name, "SIM-NVR", channels, **shared)


class SimulatedPlatform(SimulatedDevice):
    """A lower platform (type 200) with divisions, organisations and so many cameras, which all show one picture."""

    def __init__(self, settings: Settings, device_id: str, channels: int, *, name: str = "模拟下级平台", **shared: Any) -> None:
        items = list(catalog.town(device_id, channels))
        cameras = [Channel(item.device_id, item.name or "", "LOWER") for item in items if item.is_camera]
        super().__init__(settings, device_id, name, "SIM-PLATFORM", cameras, items=items, **shared)
