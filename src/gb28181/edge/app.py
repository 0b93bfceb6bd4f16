"""The edge process: the one public HTTP door. Builds everything, serves until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from gb28181.background import Background
from gb28181.config import HttpSettings, Settings
from gb28181.edge.deposit import DepositRoutes
from gb28181.edge.door import Door
from gb28181.edge.export import ExportRoutes
from gb28181.edge.export_jobs import Jobs
from gb28181.edge.figures import Figures
from gb28181.edge.hls import HlsRoutes
from gb28181.edge.hub import Hub
from gb28181.edge.ingests import IngestClient
from gb28181.edge.live import LiveRoutes
from gb28181.edge.playback import PlaybackRoutes
from gb28181.edge.proxy import Proxy
from gb28181.edge.recorded import Recordings
from gb28181.edge.replies import guard, harden
from gb28181.edge.report import Report
from gb28181.edge.segments import SegmentRoutes
from gb28181.edge.site import Site
from gb28181.edge.snapshot import SnapshotRoutes
from gb28181.errors import Invalid, Unavailable
from gb28181.ops.giving_back import gives_back
from gb28181.ops.system import raise_file_limit
from gb28181.storage.io.deposit import Deposit
from gb28181.texts.text import reason_of, say

logger = logging.getLogger(__name__)

_FILES_BESIDE: Final = 2048


def main(
    settings: Settings,
    *,
    console: Path,
    control_socket: Path,
    edge_socket: Path,
    ingest_sockets: Mapping[str, Path],
    volumes: Sequence[Path],
    deposit: Path,
    link_key: bytes,
    pid_file: Path,
) -> int:
    """Runs the edge until SIGTERM or SIGINT.

    The port that was bound (`http.port` may be 0) is written into `pid_file.with_suffix(".port")` once requests are answered.

    Raises:
        Invalid: The certificate cannot be used.
        Unavailable: The address cannot be bound.
    """
    tls = _tls(settings.http)
    edge = Edge(
        settings,
        console=console,
        control_socket=control_socket,
        edge_socket=edge_socket,
        ingest_sockets=ingest_sockets,
        volumes=volumes,
        deposit=deposit,
        link_key=link_key,
    )
    # Each connection may have another one to control behind it.
    raise_file_limit(2 * settings.http.max_connections + _FILES_BESIDE)
    # The plain loop on purpose: uvloop has no sendfile, which downloads of recordings live on.
    return asyncio.run(_serve(edge, settings.http, tls, pid_file))


class Edge:
    """The edge without its process.

    Attributes:
        port: The port that was bound, after `start`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        console: Path,
        control_socket: Path,
        edge_socket: Path,
        ingest_sockets: Mapping[str, Path],
        volumes: Sequence[Path],
        deposit: Path,
        link_key: bytes,
    ) -> None:
        http = settings.http
        ids = itertools.count(1)
        self._http = http
        self.ingests = [IngestClient(name, path, ids) for name, path in ingest_sockets.items()]
        recordings = Recordings(volumes)
        self.playback = PlaybackRoutes(recordings, link_key)
        self.report = Report(edge_socket, lambda: self.hub.count(), self.playback.heard)
        self.hub = Hub(http, self.ingests, want=self.report.want, changed=self.report.changed)
        self.figures = Figures(self.hub, self.ingests, lambda: self.door)
        self.proxy = Proxy(control_socket, max_body_bytes=http.max_body_bytes, body_s=http.request_body_s)
        self.app = web.Application(middlewares=[guard], client_max_size=http.max_body_bytes)
        self.app.on_response_prepare.append(harden)
        self.door = Door(http, self.app)
        self.figures.add_to(self.app)
        self.proxy.add_to(self.app)
        LiveRoutes(self.hub, link_key).add_to(self.app)
        SegmentRoutes(volumes, link_key).add_to(self.app)
        HlsRoutes(recordings, link_key).add_to(self.app)
        self.jobs = Jobs(volumes)
        ExportRoutes(recordings, volumes, self.jobs, link_key).add_to(self.app)
        SnapshotRoutes(self.hub, recordings, link_key).add_to(self.app)
        self.playback.add_to(self.app)
        command = settings.command
        DepositRoutes(
            Deposit(deposit, most_bytes=command.pictures_mib << 20),
            link_key,
            transferred=self.report.transferred,
            most_picture_bytes=command.picture_bytes,
            most_firmware_bytes=command.firmware_mib << 20,
        ).add_to(self.app)
        # The console takes every path that is left, so it comes last.
        Site(console).add_to(self.app)
        self.port = 0
        self._stack = contextlib.AsyncExitStack()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Binds the address and answers requests from then on.

        Raises:
            OSError: The address cannot be bound.
        """
        self._stack.enter_context(gives_back())
        await self._stack.enter_async_context(self.proxy)
        await self._stack.enter_async_context(self.hub)
        await self._stack.enter_async_context(self.jobs)
        tasks = await self._stack.enter_async_context(Background())
        for client in self.ingests:
            tasks.spawn(client.run, client.name, forever=True)
        tasks.spawn(self.report.run, "report", forever=True)
        tasks.spawn(self.figures.run, "figures", forever=True)
        self._stack.push_async_callback(self.door.close)
        self.port = await self.door.open(tls)

    async def stop(self) -> None:
        for channel in self.hub.channels:
            for feed in channel.feeds.values():
                for viewer in tuple(feed.viewers):
                    viewer.end(say("server.stops"))
        await self._stack.aclose()


async def _serve(edge: Edge, http: HttpSettings, tls: ssl.SSLContext | None, pid_file: Path) -> int:
    try:
        await edge.start(tls)
    except OSError as error:
        await edge.stop()
        raise Unavailable(say("start.edge_listen", host=http.host, port=http.port, why=reason_of(error))) from None
    _write(pid_file, str(os.getpid()))
    _write(pid_file.with_suffix(".port"), str(edge.port))
    logger.info("edge listening", extra={"url": f"{'https' if tls else 'http'}://{http.host}:{edge.port}/"})
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    await edge.stop()
    return 0


def _write(path: Path, text: str) -> None:
    """Whole or not at all: the supervisor waits for this file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_text(text)
    draft.replace(path)


def _tls(http: HttpSettings) -> ssl.SSLContext | None:
    if not http.certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(http.certificate, http.private_key or None)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(say("start.edge_certificate", error=error)) from None
    return context
