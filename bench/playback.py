"""Seek and export: what is waited for when a recording is looked at, while others are being recorded."""

from __future__ import annotations

import asyncio
import http.client
import random
import time
from pathlib import Path
from typing import Any

import clip
import footage
from live import quantiles
from record import LATE_MS, Sender, invited
from server import PROGRAMS, Platform, platform

from gb28181 import tokens

#: Cameras that are recorded meanwhile.
STREAMS, KBPS = 50, 2000
#: Length of the playlist of one seek: what a console asks for when the bar is dragged.
PLAYLIST_MS = 600_000


class Player:
    """One HTTP connection."""

    def __init__(self, server: Platform) -> None:
        self._server = server
        self._connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=600)

    def get(self, path: str) -> tuple[float, bytes]:
        """The moment of the first byte of the body, and the body."""
        response = self._ask(path)
        first = response.read(1)
        at = time.perf_counter()
        return at, first + response.read()

    def length(self, path: str) -> int:
        """Reads a body and forgets it; returns its length."""
        response = self._ask(path)
        buffer, total = bytearray(1 << 20), 0
        while got := response.readinto(buffer):
            total += got
        return total

    def _ask(self, path: str) -> http.client.HTTPResponse:
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        if response.status != 200:
            raise SystemExit(f"{path[:100]}: {response.status} {response.read()[:300]!r}")
        return response

    def close(self) -> None:
        self._connection.close()


def _link(server: Platform, action: tokens.Action, resource: str) -> str:
    return tokens.sign(server.key, action, resource, int(time.time()) + 3600)


def _seek(server: Platform, player: Player, start_ms: int) -> tuple[float, float]:
    """Playlist, initialisation and first entry at a moment; seconds to the first byte of media, and to the whole entry."""
    resource = f"{footage.DEVICE}/{footage.CHANNEL}/{start_ms}-{start_ms + PLAYLIST_MS}"
    folder = f"/media/hls/{resource}/{_link(server, 'hls', resource)}"
    begun = time.perf_counter()
    _, playlist = player.get(f"{folder}/index.m3u8")
    lines = playlist.decode().splitlines()
    initialisation = next(line for line in lines if line.startswith("#EXT-X-MAP")).split('"')[1]
    player.get(f"{folder}/{initialisation}")
    first, _ = player.get(f"{folder}/{next(line for line in lines if line and not line.startswith('#'))}")
    return first - begun, time.perf_counter() - begun


def _children_cpu_s(pid: int) -> float:
    """CPU seconds of a process, its children that run, and those that have ended."""
    total = 0.0
    pending = [pid]
    while pending:
        one = pending.pop()
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            pending += [
                int(child) for task in Path(f"/proc/{one}/task").iterdir() for child in (task / "children").read_text().split()
            ]
        except OSError:
            continue
        total += sum(int(value) for value in fields[11:15]) / 100
    return total


def _look(server: Platform, made: footage.Footage, trials: int) -> dict[str, Any]:
    player = Player(server)
    chance = random.Random(28181)
    moments = [chance.randrange(made.start_ms, made.end_ms - PLAYLIST_MS) for _ in range(trials + 1)]
    _seek(server, player, moments[0])  # the first one loads the muxer
    seeks = [_seek(server, player, moment) for moment in moments[1:]]
    exports = {}
    for kind in ("mp4", "ps"):
        name = f"{made.start_ms}-{made.end_ms}.{kind}"
        resource = f"{footage.DEVICE}/{footage.CHANNEL}/{name}"
        before, begun = _children_cpu_s(server.pid("edge")), time.perf_counter()
        size = player.length(f"/media/export/{resource}?token={_link(server, 'export', resource)}")
        wall = time.perf_counter() - begun
        exports[kind] = {
            "bytes": size, "seconds": round(wall, 2), "times_real_time": round((made.end_ms - made.start_ms) / 1000 / wall),
            "cpu_s": round(_children_cpu_s(server.pid("edge")) - before, 2),
        }  # fmt: skip
    player.close()
    return {
        "seek": quantiles([first for first, _ in seeks]),
        "seek_whole_entry": quantiles([whole for _, whole in seeks]),
        "export": exports,
    }


async def playback(trials: int, hour_s: int) -> dict[str, Any]:
    """Seeks and exports of an hour of 2 Mbit/s while `STREAMS` cameras are recorded."""
    with platform(MEDIA__TRANSPORT="udp", RECORDING__DEFAULT_MODE="always") as server:
        instance = (server.data / "instance").read_text().strip()
        made = await asyncio.to_thread(footage.write, server.data / "recordings", instance, hour_s)
        sender = Sender(clip.make(PROGRAMS, KBPS), 5, "udp")
        try:
            await invited(server, STREAMS, sender)
            server.pin()
            result = await asyncio.to_thread(_look, server, made, trials)
            sender.close()
            sent = await asyncio.to_thread(sender.result)
        finally:
            sender.kill()
        await asyncio.sleep(6)  # the figures of an ingest come every 5 s
        figures = server.figures()
        return {
            **result, "footage_s": hour_s, "footage_bytes": made.size, "streams_recorded": STREAMS,
            "lost_packets": int(figures["media_lost_total"]), "tick_late": figures["tick_late_total"],
            "sender_late_ms": sent["late_ms"], "void": sent["late_ms"] > LATE_MS,
        }  # fmt: skip
