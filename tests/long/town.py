"""A platform under cameras that come and go, watched from outside."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp

from gb28181.sim.device import SimulatedCamera
from gb28181.sim.encoder import Picture
from gb28181.sim.sender import Metronome
from gb28181.sim.settings import Settings
from gb28181.sim.statistics import StreamRecord
from gb28181.sim.studio import Studio
from tests.e2e.cameras import CACHE
from tests.e2e.platform import SIP_PASSWORD, Platform, path_of, platform, poll
from tests.long.judge import Report
from tests.long.processes import Usage, holdings, leftovers, usage

PARTS = ("control", "ingest-0", "edge")
SAMPLE_S = 5.0
MEMORY_S = 1.0
KEEPALIVE_S = 20.0
RETRY_S = 5.0
#: Until everything that was ended is forgotten: idle streams 15 s, lost streams and their BYE 32 s, SIP transactions 32 s.
REST_S = 150.0
#: Between a file that retention removed and its row.
ROW_GOES_S = 10.0


class Town:
    """The platform, its cameras, and what was measured."""

    def __init__(self, server: Platform, cameras: list[SimulatedCamera], report: Report) -> None:
        self.server = server
        self.cameras = cameras
        self.report = report
        self.began = time.monotonic()
        self.memory: dict[str, list[tuple[float, float]]] = {part: [] for part in PARTS}
        self.channels: dict[str, dict[str, Any]] = {}
        self._before: dict[str, Counter[str]] = {}
        self._ports_before = 0.0

    @property
    def recordings(self) -> Path:
        return self.server.data / "recordings"

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    async def begin(self) -> None:
        """Waits for every camera and notes what the processes hold while nothing runs."""
        found = await self.server.online(len(self.cameras), seconds=180)
        self.channels = {channel["device_id"]: channel for channel in found}
        warm = path_of(found[0])
        live = await self.server.call("POST", f"{warm}/live", {})
        await self.server.call("DELETE", f"/sessions/{live['session_id']}")
        await poll(self._is_at_rest, seconds=REST_S, what="rest before the beginning", log=self.server.log, pause=1)
        self._before = self._holdings()
        self._ports_before = (await self.figures())["ingest_ports_free"]
        self.began = time.monotonic()

    async def figures(self) -> dict[str, float]:
        """Prometheus figures of control, by name without prefix; several rows of one are added up, events stand apart."""
        client = self.server.client
        assert client is not None
        async with client.get(f"{self.server.url}/metrics", timeout=aiohttp.ClientTimeout(total=15)) as response:
            text = await response.text()
        read: dict[str, float] = {}
        for name, event, value in re.findall(r'^gb28181_(\w+)(?:\{(?:event="(\w+)"|[^}]*)\})? (\S+)', text, re.M):
            key = f"{name} {event}" if event else name
            read[key] = read.get(key, 0.0) + float(value)
        return read

    async def measure(self) -> None:
        """Samples every process until cancelled: its memory each second, everything else now and then.

        What is allocated and freed goes up and down with every write and every tick, by several per cent; a slope of one per
        cent an hour shows only through many samples.
        """
        due = 0.0
        while True:
            row: dict[str, Any] = {"at": round(self.elapsed, 1)}
            for part in PARTS:
                found = self._usage(part)
                if found is not None:
                    self.memory[part].append((self.elapsed, found.resident))
                    row[part] = {name: round(value, 2) for name, value in asdict(found).items()}
            if self.elapsed >= due:
                due = self.elapsed + SAMPLE_S
                self.report.samples.append(row | await self._counted())
            await asyncio.sleep(MEMORY_S)

    async def _counted(self) -> dict[str, Any]:
        try:
            figures = await self.figures()
        except (aiohttp.ClientError, TimeoutError):
            return {"silent": True}  # control or edge is being started again
        counted: dict[str, Any] = {
            name: figures.get(name, 0) for name in ("streams", "streams_recording", "viewers", "devices_online")
        }
        return counted | {"lag_max_ms": round(figures.get("loop_lag_max_seconds", 0) * 1000, 1)}

    def _usage(self, part: str) -> Usage | None:
        try:
            return usage(self.server.pid(part))
        except (FileNotFoundError, ValueError):
            return None

    def running(self) -> list[StreamRecord]:
        """Streams that some camera still sends."""
        return [stream for camera in self.cameras for stream in camera.statistics.streams if not stream.ended]

    async def _is_at_rest(self) -> bool:
        try:
            figures = await self.figures()
        except (aiohttp.ClientError, TimeoutError):
            return False
        streams = figures.get("streams", 1)  # missing until the ingest has told its figures
        return not self.running() and not streams and not figures["viewers"]

    async def rest(self) -> None:
        """After everything was ended: claims that nothing is left, at the cameras, in the processes, on disk."""
        report, server = self.report, self.server
        end = time.monotonic() + REST_S
        while not await self._is_at_rest() and time.monotonic() < end:
            await asyncio.sleep(1)
        for stream in self.running():
            report.claim(False, f"camera still sends {stream.channel_id} to {stream.destination}, call {stream.call_id}")
        figures = await self.figures()
        sessions = (await server.call("GET", "/sessions"))["items"]
        report.claim(not sessions, f"{len(sessions)} sessions are left: {sessions[:3]}")
        for name in ("streams", "viewers"):
            report.claim(not figures[name], f"{name} left: {figures[name]:.0f}")
        free = figures["ingest_ports_free"]
        report.claim(free == self._ports_before, f"free media ports: {self._ports_before:.0f} before, {free:.0f} after")
        # Connections of our own would stand among those of the processes.
        assert server.client is not None
        await server.client.close()
        server.client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
        end = time.monotonic() + REST_S
        while any(leftovers(self._before[part], held) for part, held in self._holdings().items()) and time.monotonic() < end:
            await asyncio.sleep(1)
        after = self._holdings()
        report.figures["held before"] = {part: dict(held) for part, held in self._before.items()}
        report.figures["held after"] = {part: dict(held) for part, held in after.items()}
        for part, held in after.items():
            left = leftovers(self._before[part], held)
            report.claim(not left, f"{part} holds more than at the beginning: {left}")
        await self._check_segments()
        report.figures["events"] = {name: value for name, value in figures.items() if "_events" in name}
        await asyncio.gather(*(camera.stop() for camera in self.cameras))
        end = time.monotonic() + REST_S
        while (alive := await self._transactions()) and time.monotonic() < end:
            await asyncio.sleep(1)
        report.claim(not alive, f"SIP transactions left: {alive:.0f}")

    async def _transactions(self) -> float:
        figures = await self.figures()
        return sum(figures.get(f"sip_events_total {kind}_transactions", 0) for kind in ("client", "server"))

    async def _check_segments(self) -> None:
        """Every segment that is listed is a file of its size, and every file is listed."""
        listed, size, gone = set(), 0, set()
        for channel in self.channels.values():
            for name, bytes_ in (await self._listed(channel)).items():
                path = self.recordings / name
                listed.add(path)
                size += bytes_
                try:
                    found = path.stat().st_size
                except FileNotFoundError:
                    gone.add(name)
                    continue
                if found != bytes_:
                    self.report.faults.append(f"{name} has {found} bytes, listed are {bytes_}")
        if gone:  # a file goes before its row: retention may be at it
            await asyncio.sleep(ROW_GOES_S)
            still = [name for channel in self.channels.values() for name in await self._listed(channel) if name in gone]
            self.report.claim(not still, f"{len(still)} listed but not on disk: {still[:3]}")
        strays = [str(path) for path in self.recordings.rglob("*.ps") if path not in listed]
        self.report.figures["segments"] = {"listed": len(listed), "bytes": size}
        self.report.claim(not strays, f"{len(strays)} recordings on disk are not listed: {strays[:3]}")
        parts = [str(path) for path in self.recordings.rglob("*.part")]
        markers = [str(path) for path in (self.recordings / ".open").rglob("*") if path.is_file()]
        self.report.claim(not parts, f"{len(parts)} unfinished files are left: {parts[:3]}")
        self.report.claim(not markers, f"{len(markers)} markers of open segments are left: {markers[:3]}")

    async def _listed(self, channel: dict[str, Any]) -> dict[str, int]:
        """Paths on the volume and sizes of a channel's segments."""
        segments = (await self.server.recordings(channel))["segments"]
        return {
            segment["url"].partition("?")[0].removeprefix("/media/segment/").partition("/")[2]: segment["bytes"]
            for segment in segments
        }

    def _holdings(self) -> dict[str, Counter[str]]:
        return {part: holdings(self.server.pid(part), self.recordings) for part in PARTS}


@asynccontextmanager
async def town(folder: Path, report: Report, *, cameras: int, kbps: int, **settings: str) -> AsyncIterator[Town]:
    """A platform and its simulated cameras, half of them with media over UDP; at the end nothing of it runs."""
    temporary = folder / "tmp"
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary)
    studio, metronome = Studio(CACHE), Metronome()
    made: list[SimulatedCamera] = []
    pids: dict[str, int] = {}
    async with platform(folder, **settings) as server:
        try:
            for number in range(cameras):
                camera = SimulatedCamera(
                    Settings(
                        port=server.sip_port, password=SIP_PASSWORD, keepalive_s=KEEPALIVE_S, retry_s=RETRY_S,
                        local_ip="127.0.0.1",
                        picture=Picture(width=352, height=288, fps=12, bitrate_kbps=kbps, gop_s=2.0),
                        media="udp" if number % 2 else "tcp", transport="tcp" if number % 4 == 3 else "udp",
                        seed=str(report.seed),
                    ),
                    f"3402000000132{number + 1:07d}", f"3402000000131{number + 1:07d}",
                    name=f"camera {number + 1}", label=f"CAM {number + 1:03d}", studio=studio, metronome=metronome,
                )  # fmt: skip
                made.append(camera)
                await camera.start()
            yield Town(server, made, report)
            pids = {part: server.pid(part) for part in PARTS}
        finally:
            await asyncio.gather(*(camera.stop(unregister=False) for camera in made))
            studio.close()
    for part, pid in pids.items():
        report.claim(usage(pid) is None, f"{part} runs on after the platform was stopped")
    left = [str(path) for path in temporary.rglob("*")]
    report.claim(not left, f"temporary files are left: {left[:5]}")
    waiting = sum(path.read_text().count("SegmentClosed") for path in (folder / "data" / "journal").iterdir())
    report.claim(not waiting, f"{waiting} segments in the journals were never acknowledged")
