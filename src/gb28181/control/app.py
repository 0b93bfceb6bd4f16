"""Composition root of the control process: everything that decides is made, started and stopped here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from gb28181.accounts.service import AccountService
from gb28181.alarm import handlers as alarm_handlers
from gb28181.alarm.service import AlarmService
from gb28181.alarm.sources import Sources
from gb28181.api.app import create_api
from gb28181.api.services import Limits, Services, SipAccess
from gb28181.bus import Bus
from gb28181.catalog import handlers as catalog_handlers
from gb28181.catalog.service import CatalogService
from gb28181.clock import Clock
from gb28181.command import handlers as command_handlers
from gb28181.command.service import CommandService
from gb28181.config import Settings
from gb28181.control.edges import EdgeListener
from gb28181.control.figures import figures
from gb28181.control.health import health
from gb28181.control.ingests import IngestLinks
from gb28181.control.paths import DataFolder, ingest_names
from gb28181.database.database import Database, sqlite_url
from gb28181.database.upkeep import Upkeep
from gb28181.device import handlers as device_handlers
from gb28181.device.model import Address, DeviceRegistered
from gb28181.device.profile import Profiles
from gb28181.device.service import DeviceService
from gb28181.errors import Unavailable
from gb28181.ids import DeviceId
from gb28181.messages import SegmentClosed
from gb28181.ops.garbage import ShortPauses
from gb28181.ops.giving_back import gives_back
from gb28181.ops.keys import load_or_create
from gb28181.ops.logs import configure
from gb28181.ops.loop_lag import LoopLag
from gb28181.ops.moving import MovingFile
from gb28181.ops.sealing import SealedSecrets
from gb28181.ops.system import raise_file_limit
from gb28181.pace import Pace
from gb28181.ports import SipRequest
from gb28181.position import handlers as position_handlers
from gb28181.position.service import PositionService
from gb28181.ptz import handlers as ptz_handlers
from gb28181.ptz.memory import PtzMemory
from gb28181.ptz.service import PtzService
from gb28181.recording.archive import Archive
from gb28181.recording.inventory import Inventory
from gb28181.recording.retention import RetentionService
from gb28181.recording.service import RecordingService
from gb28181.router import Router
from gb28181.session import handlers as session_handlers
from gb28181.session.media_status import MediaStatuses
from gb28181.session.playback import PlaybackService
from gb28181.session.service import SessionService
from gb28181.sip.digest import DigestServer
from gb28181.sip.io.server import SipServer
from gb28181.sip.trace import Trace
from gb28181.storage.io.deposit import Deposit, DepositThreads
from gb28181.storage.io.manifests import ManifestThreads
from gb28181.subscription.service import SubscriptionService
from gb28181.texts.text import say
from gb28181.tokens import derive

logger = logging.getLogger(__name__)

#: How long a start waits for ingests that are still closing what a crash left behind, before it records what it can.
_INGESTS_S: Final = 20.0
_FILES: Final = 16384


class Control:
    """The parts of the control process and how they hang together."""

    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        keys = load_or_create(folder.root)
        secrets = SealedSecrets(derive(keys.secret, "sip passwords"))
        self._settings = settings
        self._folder = folder
        self._clock = Clock()
        self.bus = Bus()
        self.lag = LoopLag()
        self.pace = Pace()
        self.bus.subscribe(DeviceRegistered, lambda event: self.pace.arrived() if event.is_new else None)
        self.database = Database(
            settings.database.url or sqlite_url(folder.root / "gb28181.db"), flush_ms=settings.database.flush_ms
        )
        self.accounts = AccountService(
            self.database,
            secret=keys.secret,
            clock=self._clock,
            ttl_s=settings.http.token_ttl_s,
            attempts_per_minute=settings.http.login_attempts_per_minute,
        )
        self._requests: set[asyncio.Task[None]] = set()
        self.trace = Trace(settings.sip.trace_mb << 20)
        self.sip = SipServer(settings.sip, handler=self._requested)
        self.devices = DeviceService(
            settings.sip,
            signalling=self.sip,
            store=self.database,
            secrets=secrets,
            bus=self.bus,
            clock=self._clock,
            digest=DigestServer(derive(keys.secret, "digest"), settings.sip.domain, settings.sip.nonce_ttl_s),
            strong=DigestServer(derive(keys.secret, "digest"), settings.sip.domain, settings.sip.nonce_ttl_s, "SHA-256"),
            domain_password=settings.sip.password,
            profiles=Profiles.of(settings),
            may_ask=self.pace.may_ask,
        )
        self.catalog = CatalogService(
            settings.catalog,
            devices=self.devices,
            store=self.database,
            bus=self.bus,
            clock=self._clock,
            may_ask=self.pace.may_ask,
        )
        self.exchanges = self.devices.exchanges
        self.ptz = PtzService(
            settings.ptz,
            exchanges=self.exchanges,
            devices=self.devices,
            channels=self.catalog,
            bus=self.bus,
            clock=self._clock,
            notes=MovingFile(folder.root / "moving.json"),
        )
        self.ptz_memory = PtzMemory(exchanges=self.exchanges, devices=self.devices, channels=self.catalog)
        self.ingests = IngestLinks(
            {name: folder.ingest_socket(name) for name in ingest_names(settings)},
            epoch=self._clock.utc_us(),
            bus=self.bus,
            store_segments=self._store_segments,
        )
        self.sessions = SessionService(
            settings.media,
            settings.sip,
            signalling=self.sip,
            ingests=self.ingests,
            devices=self.devices,
            channels=self.catalog,
            store=self.database,
            bus=self.bus,
            clock=self._clock,
        )
        self.media_statuses = MediaStatuses(owner_of_call=self.sessions.owner_of_call, channels=self.catalog, bus=self.bus)
        self.recordings = RecordingService(
            settings.recording,
            streams=self.sessions,
            devices=self.devices,
            channels=self.catalog,
            store=self.database,
            bus=self.bus,
            clock=self._clock,
        )
        self.archive = Archive(recordings=self.recordings, channels=self.catalog, store=self.database, clock=self._clock)
        self.retention = RetentionService(
            settings.recording,
            channels=self.catalog,
            ingests=self.ingests,
            store=self.database,
            bus=self.bus,
            clock=self._clock,
        )
        volumes = folder.volumes(settings)
        self.inventory = Inventory(
            [str(volume) for volume in volumes],
            manifests=ManifestThreads(hashing=settings.recording.hash != "none"),
            store=self.database,
            bus=self.bus,
            clock=self._clock,
        )
        self.commands = CommandService(
            settings.command,
            exchanges=self.exchanges,
            devices=self.devices,
            channels=self.catalog,
            store=self.database,
            deposit=DepositThreads(Deposit(folder.deposit, most_bytes=settings.command.pictures_mib << 20)),
            bus=self.bus,
            clock=self._clock,
            base_url=self._device_url,
            link_key=derive(keys.secret, "link"),
        )
        sources = Sources(self.catalog)
        self.alarms = AlarmService(
            settings.alarm,
            devices=self.devices,
            commands=self.commands,
            sources=sources,
            store=self.database,
            bus=self.bus,
            clock=self._clock,
            count_dropped=lambda device_id: self.devices.count_faults(device_id, {"alarm-flood": 1}),
        )
        self.positions = PositionService(
            settings.position,
            devices=self.devices,
            channel_of=sources.channel_of,
            store=self.database,
            bus=self.bus,
            clock=self._clock,
        )
        self.subscriptions = SubscriptionService(
            settings.subscription,
            signalling=self.sip,
            devices=self.devices,
            store=self.database,
            bus=self.bus,
            clock=self._clock,
            may_ask=self.pace.may_ask,
        )
        self.upkeep = Upkeep(
            self.database,
            keep_days=settings.database.keep_days,
            clock=self._clock,
            alarms=settings.alarm,
            positions=settings.position,
        )
        self.router = Router(
            self.sip,
            self.devices,
            [
                device_handlers.routes(self.devices),
                command_handlers.routes(self.commands, self.exchanges),
                ptz_handlers.routes(self.exchanges),
                catalog_handlers.routes(self.catalog),
                session_handlers.routes(self.sessions, self.media_statuses),
                alarm_handlers.routes(self.alarms),
                position_handlers.routes(self.positions),
            ],
            finders=[session_handlers.by_dialog(self.sessions), self.subscriptions.owners, self.catalog.owners],
            notices=self.subscriptions.notified,
        )
        self.edge = EdgeListener(
            folder.edge_socket,
            viewers=self.sessions.viewers,
            want=self.sessions.want,
            transferred=self.commands.transferred,
        )
        self.playbacks = PlaybackService(
            store=self.database,
            written=self.recordings.being_written,
            tell=self.edge.tell,
            clock=self._clock,
            ttl_s=settings.http.media_token_ttl_s,
        )
        self.metrics = figures(self, volumes)
        self.api = create_api(
            Services(
                devices=self.devices,
                catalog=self.catalog,
                sessions=self.sessions,
                playbacks=self.playbacks,
                recordings=self.recordings,
                archive=self.archive,
                commands=self.commands,
                ptz=self.ptz,
                ptz_memory=self.ptz_memory,
                alarms=self.alarms,
                positions=self.positions,
                subscriptions=self.subscriptions,
                accounts=self.accounts,
                bus=self.bus,
                clock=self._clock,
                link_key=derive(keys.secret, "link"),
                link_ttl_s=settings.http.media_token_ttl_s,
                volumes=[str(volume) for volume in volumes],
                volume_states=self.retention.volumes,
                sip=self._sip_access,
                health=lambda: health(self.ingests, self.edge, self.database, self.retention.volumes()),
                metrics=self.metrics.render,
                trace=self.trace,
                limits=Limits(settings.http.requests_per_s, settings.http.max_sessions_per_user),
            ),
            max_body_bytes=settings.http.max_body_bytes,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Starts in the order in which parts need each other, serves until `stop`, ends every stream, stops in reverse."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.database)
            await self.database.migrate()
            admin_password = await self.accounts.ensure_admin(self._settings.admin.password)
            await self.devices.load()
            await self.catalog.load()
            await self.sessions.load()
            await self.commands.load()
            await self.alarms.load()
            await self.positions.load()
            await self.subscriptions.load()
            await self.sip.start()
            if self._settings.sip.trace_mb:
                self.sip.tap(self.trace.take)
            stack.push_async_callback(self.sip.stop)
            stack.enter_context(self.lag)
            stack.enter_context(ShortPauses())
            stack.enter_context(gives_back())
            for part in (
                self.devices, self.catalog, self.commands, self.sessions, self.inventory, self.ingests, self.recordings,
                self.retention, self.alarms, self.subscriptions, self.upkeep, self.ptz, self.edge,
            ):  # fmt: skip
                await stack.enter_async_context(part)
            await stack.enter_async_context(_listening(self.api, self._folder.control_socket))
            self._say_ready(admin_password)
            opening = asyncio.create_task(self._begin_recording())
            await stop.wait()
            logger.info("stopping: every stream is ended")
            opening.cancel()
            self.recordings.pause()
            await self.sessions.shutdown()

    async def _begin_recording(self) -> None:
        """Lets the ingests say what still runs first, so that no camera is invited twice."""
        await self.ingests.wait_ready(_INGESTS_S)
        self.sessions.forget_missing_ingests(set(self.ingests.links))
        self.recordings.begin()

    def _requested(self, request: SipRequest) -> None:
        work = self.router.receive(request)
        if work is None:
            return
        task = asyncio.get_running_loop().create_task(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _store_segments(self, events: Any) -> None:
        batch: list[SegmentClosed] = list(events)
        await self.recordings.store_segments(batch)

    def _say_ready(self, admin_password: str | None) -> None:
        """Tells the supervisor; the file lies in a private folder and is removed as soon as it was read."""
        ready = self._folder.run / "control.ready"
        ready.unlink(missing_ok=True)
        text = json.dumps({"sip_port": self.sip.port, "admin_password": admin_password})
        waiting = ready.with_suffix(".part")
        waiting.unlink(missing_ok=True)
        with open(os.open(waiting, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
        waiting.rename(ready)

    def _sip_access(self) -> SipAccess:
        sip = self._settings.sip
        # What is told to devices is what a person types into them: the advertised address and port where there is one.
        told = self.sip.local_for(Address("192.0.2.1", 5060), "udp")
        tls_port = self.sip.local_for(Address("192.0.2.1", 5061), "tls").port if sip.tls_certificate else 0
        return SipAccess(sip.server_id, sip.domain, told.host, told.port, tls_port=tls_port)

    def _device_url(self, device_id: DeviceId) -> str:
        """Where a device reaches our HTTP port.

        Raises:
            Unreachable: The device is offline.
            Unavailable: The edge is being started.
        """
        http = self._settings.http
        if http.device_url:
            return http.device_url
        port = self._folder.edge_port()
        if not port:
            raise Unavailable(say("server.edge_restarting"))
        route = self.devices.route(device_id)
        host = self.sip.local_for(route.remote, route.transport).host
        return f"{'https' if http.certificate else 'http'}://{Address(host, port)}"


@contextlib.asynccontextmanager
async def _listening(api: web.Application, path: Path) -> Any:
    """Serves the API on its Unix socket."""
    path.unlink(missing_ok=True)
    runner = web.AppRunner(api, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    os.chmod(path, 0o600)
    try:
        yield
    finally:
        await runner.cleanup()


async def main(settings: Settings, data: Path) -> int:
    """Runs the control process until SIGTERM.

    Raises:
        Gb28181Error: It cannot start; says why and what to do.
    """
    configure(settings.log, "control")
    folder = DataFolder.at(data)
    raise_file_limit(_FILES)
    folder.pid_file("control").write_text(f"{os.getpid()}\n")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Control(settings, folder).run(stop)
    return 0
