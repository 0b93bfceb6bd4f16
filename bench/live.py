"""First picture, join, and fan-out: what a viewer waits for, and what viewers cost."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import statistics
import struct
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import clip
import devices
from record import LATE_MS, Sender, invited
from server import LOAD_CORE, PARTS, PASSWORD, PROGRAMS, SERVER_ID, Platform, platform

#: A body of so many bytes holds more than the FLV header and the parameter sets: the key picture has begun to come.
PICTURE_BYTES = 2000
PAYLOAD = 1400


def quantiles(times_s: Sequence[float]) -> dict[str, float]:
    """Median, 95 % and worst, milliseconds."""
    ordered = sorted(times_s)
    return {
        "p50_ms": round(statistics.median(ordered) * 1000, 1),
        "p95_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] * 1000, 1),
        "worst_ms": round(ordered[-1] * 1000, 1),
        "count": len(ordered),
    }


class Viewer:
    """One HTTP-FLV viewer on a plain socket."""

    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setblocking(False)
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()

    async def picture(self) -> float:
        """Asks, and returns the moment at which the first picture has come."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, self._request)
        got = b""
        while len(got.partition(b"\r\n\r\n")[2]) < PICTURE_BYTES:
            block = await loop.sock_recv(self._socket, 1 << 18)
            if not block:
                raise SystemExit(f"the edge closed a viewer: {got[:300]!r}")
            got += block
        return time.perf_counter()

    async def drain(self) -> None:
        """Reads on until cancelled."""
        while await asyncio.get_running_loop().sock_recv(self._socket, 1 << 18):
            pass

    def close(self) -> None:
        self._socket.close()


class Camera:
    """Sends pictures one by one, over UDP or TCP."""

    def __init__(self, want: devices.Wanted) -> None:
        self._tcp = want.transport == "tcp"
        kind = socket.SOCK_STREAM if self._tcp else socket.SOCK_DGRAM
        self._socket = socket.socket(socket.AF_INET, kind)
        if self._tcp:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.connect((want.host, want.port))
        self._ssrc = want.ssrc
        self._sequence = 0

    def send(self, picture: bytes, number: int) -> None:
        for at in range(0, len(picture), PAYLOAD):
            piece = picture[at : at + PAYLOAD]
            marker = 0x80 if at + PAYLOAD >= len(picture) else 0
            head = struct.pack("!BBHII", 0x80, 96 | marker, self._sequence & 0xFFFF, number * 3600, self._ssrc)
            packet = head + piece
            self._socket.sendall(struct.pack("!H", len(packet)) + packet if self._tcp else packet)
            self._sequence += 1

    def close(self) -> None:
        self._socket.close()


async def first_picture(transport: str, trials: int) -> dict[str, Any]:
    """Last packet of the first key picture until its first bytes reach a viewer who waits; a new camera each time."""
    pictures = clip.pictures(clip.make(PROGRAMS, 2000))
    times = []
    with platform(MEDIA__TRANSPORT=transport) as server:
        queue = await devices.start(trials, sip_port=server.sip_port, server_id=SERVER_ID, password=PASSWORD)
        await _listed(server, trials)
        for number in range(trials):
            times.append(await _first(server, f"{devices.DOMAIN}1320{number + 1:06d}", queue, pictures))
    return {"transport": transport, "key_picture_bytes": len(pictures[0]), **quantiles(times)}


async def _first(server: Platform, device: str, queue: asyncio.Queue[devices.Wanted], pictures: list[bytes]) -> float:
    viewer = Viewer(server.http_port, server.live_path(device))
    waiting = asyncio.create_task(viewer.picture())
    async with asyncio.timeout(20):
        camera = Camera(await queue.get())
    await asyncio.sleep(random.uniform(0.2, 0.3))  # ACK; and at any phase of the receiver's tick
    camera.send(pictures[0], 0)
    sent = time.perf_counter()
    for number in range(1, 50):
        done, _ = await asyncio.wait({waiting}, timeout=0.04)
        if done:
            break
        camera.send(pictures[number], number)
    async with asyncio.timeout(5):
        came = await waiting
    camera.close()
    viewer.close()
    return came - sent


async def join_running(trials: int) -> dict[str, Any]:
    """Connect until the first picture, of a stream that another viewer watches."""
    times = []
    with platform(MEDIA__TRANSPORT="udp", RECORDING__DEFAULT_MODE="always") as server:
        sender = Sender(clip.make(PROGRAMS, 2000), 600, "udp")
        try:
            await invited(server, 1, sender)
            device = f"{devices.DOMAIN}1320000001"
            first = Viewer(server.http_port, server.live_path(device))
            await first.picture()
            watching = asyncio.create_task(first.drain())
            for _ in range(trials):
                await asyncio.sleep(random.uniform(0.05, 0.15))
                times.append(await _join(server, device))
            watching.cancel()
            first.close()
        finally:
            sender.kill()
    return quantiles(times)


async def join_recorded(trials: int) -> dict[str, Any]:
    """Connect until the first picture, of streams that are recorded, unwatched, and show a key picture every 10 s."""
    times = []
    with platform(MEDIA__TRANSPORT="udp", RECORDING__DEFAULT_MODE="always") as server:
        sender = Sender(clip.make(PROGRAMS, 1000, 10), 600, "udp")
        try:
            await invited(server, trials, sender)
            await asyncio.sleep(16)
            for number in range(trials):
                await asyncio.sleep(random.uniform(0.1, 0.4))
                times.append(await _join(server, f"{devices.DOMAIN}1320{number + 1:06d}"))
        finally:
            sender.kill()
    return quantiles(times)


async def _join(server: Platform, device: str) -> float:
    path = server.live_path(device)
    begun = time.perf_counter()
    viewer = Viewer(server.http_port, path)
    async with asyncio.timeout(20):
        came = await viewer.picture()
    viewer.close()
    return came - begun


async def fan_out(viewers: int, seconds: float) -> dict[str, Any]:
    """One stream of 4 Mbit/s to many viewers."""
    # All viewers stand behind one address here.
    with platform(MEDIA__TRANSPORT="udp", HTTP__MAX_IDLE_CONNECTIONS_PER_SOURCE="5000") as server:
        sender = Sender(clip.make(PROGRAMS, 4000), seconds + 4, "udp")
        sink: subprocess.Popen[str] | None = None
        try:
            queue = await devices.start(1, sip_port=server.sip_port, server_id=SERVER_ID, password=PASSWORD)
            await _listed(server, 1)
            sink = subprocess.Popen(  # noqa: ASYNC220 - the load, not ours to wait for
                ["nice", "-n", "10", "taskset", "-c", LOAD_CORE, PROGRAMS / "flv_sink", str(server.http_port),
                 server.live_path(f"{devices.DOMAIN}1320000001"), str(viewers), str(seconds)],
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            async with asyncio.timeout(20):
                want = await queue.get()
            sender.add(want.host, want.port, want.ssrc)
            assert sink.stdout is not None
            server.pin()
            await asyncio.to_thread(sink.stdout.readline)
            sender.close()
            before = server.cpu()
            said = json.loads(await asyncio.to_thread(sink.stdout.read))
            after = server.cpu()
            sent = await asyncio.to_thread(sender.result)
        finally:
            sender.kill()
            if sink is not None:
                sink.kill()
                sink.wait()
    gbit = said["bytes"] * 8 / 1e9
    return {
        "viewers": viewers, "seconds": seconds, "delivered_gbit": round(gbit, 2),
        "share_delivered": round(gbit / (viewers * sent["window_bytes"] * 8 / 1e9 * seconds / (seconds + 4)), 3),
        "cpu_s_per_gbit": {part: round((after[part] - before[part]) / gbit, 4) for part in PARTS},
        "longest_silence_ms": said["longest_silence_ms"], "closed": said["closed"], "stalled": said["stalled"],
        "sink_cores": round(said["cpu_s"] / seconds, 2), "sender_late_ms": sent["late_ms"],
        "void": sent["late_ms"] > LATE_MS or said["closed"] > 0,
    }  # fmt: skip


async def _listed(server: Platform, channels: int) -> None:
    """Waits until the cameras' catalogues are in: a picture can be asked for."""
    async with asyncio.timeout(60):
        while len((await asyncio.to_thread(server.call, "GET", "/channels?limit=500"))["items"]) < channels:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
