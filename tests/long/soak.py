"""Soak: streams, viewers and recordings that come and go at random; memory stays flat and nothing is left."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from gb28181.sim.device import SimulatedCamera
from tests.e2e.platform import path_of
from tests.long.judge import Report
from tests.long.town import PARTS, Town, town

WARM_UP_S = 600.0
VIEWERS = 12
#: A camera that has been back for so long must show a picture when asked.
SETTLED_S = 60.0
#: Share of such requests that may fail, for those that met the very moment of a fault.
MOST_REFUSED = 0.01
PICTURE_S = 20.0


@dataclass
class Life:
    """One camera and what befalls it."""

    camera: SimulatedCamera
    channel: dict[str, Any]
    up_since: float = 0.0  # monotonic; infinite while something is wrong with it


class Soak:
    """The random lives of cameras and viewers; every one of them has a source of chance of its own."""

    def __init__(self, place: Town, seed: int) -> None:
        self._town = place
        self._seed = seed
        self._lives = [Life(camera, place.channels[camera.device_id]) for camera in place.cameras]
        self.done: Counter[str] = Counter()
        self.refused: list[str] = []

    async def run(self, seconds: float) -> None:
        work = [asyncio.create_task(self._live(number, life)) for number, life in enumerate(self._lives)]
        work += [asyncio.create_task(self._watch(number)) for number in range(VIEWERS)]
        measuring = asyncio.create_task(self._town.measure())
        done, _ = await asyncio.wait([*work, measuring], timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for task in (*work, measuring):
            task.cancel()
        await asyncio.gather(*work, measuring, return_exceptions=True)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        for life in self._lives:
            life.camera.resume()
            if life.camera.statistics.registrations == 0 or not life.camera.registered.is_set():
                await asyncio.wait_for(life.camera.registered.wait(), 120)
        await asyncio.gather(*(self._record(life, "off") for life in self._lives))

    async def _live(self, number: int, life: Life) -> None:
        chance = random.Random(f"{self._seed}/camera/{number}")
        await self._record(life, "always")
        while True:
            await asyncio.sleep(chance.expovariate(1 / 240))
            what = chance.choice(("vanish", "vanish", "reboot", "silence", "recording", "recording"))
            length = chance.uniform(5, 60)
            self.done[what] += 1
            match what:
                case "vanish":
                    life.up_since = float("inf")
                    life.camera.drop_network()
                    await asyncio.sleep(length)
                    life.camera.resume()
                case "silence":
                    life.up_since = float("inf")
                    life.camera.go_silent()
                    await asyncio.sleep(length)
                    life.camera.resume()
                case "reboot":
                    life.up_since = float("inf")
                    # Shielded: a reboot cut in the middle would leave the camera off for good.
                    await asyncio.shield(life.camera.reboot(length / 2))
                case _:
                    await self._record(life, "off")
                    await asyncio.sleep(length)
                    await self._record(life, "always")
            life.up_since = time.monotonic()

    async def _record(self, life: Life, mode: str) -> None:
        await self._town.server.record(life.channel, mode)

    async def _watch(self, number: int) -> None:
        chance = random.Random(f"{self._seed}/viewer/{number}")
        async with aiohttp.ClientSession() as client:
            while True:
                await asyncio.sleep(chance.uniform(0.5, 6))
                life = chance.choice(self._lives)
                how, seconds = chance.choice(("flv", "flv", "websocket", "ts", "slow", "gone")), chance.uniform(2, 40)
                up_since = life.up_since
                asked = time.monotonic()
                try:
                    said = await self._view(client, life, how, seconds, close=chance.random() < 0.5)
                except (aiohttp.ClientError, TimeoutError) as error:
                    said = type(error).__name__
                self.done[f"viewer {how}"] += 1
                if said:
                    self.done[f"viewer refused {said[:40]}"] += 1
                    if up_since == life.up_since and asked - up_since > SETTLED_S:
                        at = round(self._town.elapsed)
                        self.refused.append(f"{at} s {life.channel['device_id']} {how}: {said}")
                else:
                    self.done["viewers served"] += 1

    async def _view(self, client: aiohttp.ClientSession, life: Life, how: str, seconds: float, *, close: bool) -> str:
        """Watches a channel for a while; returns what went wrong, "" for nothing."""
        server = self._town.server
        bearer = {"Authorization": f"Bearer {server.token}"}
        async with client.post(
            f"{server.url}/api/v1{path_of(life.channel)}/live", json={}, headers=bearer, timeout=aiohttp.ClientTimeout(total=60)
        ) as response:
            if response.status != 200:
                error = (await response.json())["error"]
                return f"{response.status} {error['code']} {error.get('stage', '')}"
            live = await response.json()
        url = server.url + live["urls"]["ts" if how == "ts" else "flv"]
        got = await (self._websocket(client, url, seconds) if how == "websocket" else self._http(client, url, how, seconds))
        if close and how != "gone":
            async with client.delete(f"{server.url}/api/v1/sessions/{live['session_id']}", headers=bearer):
                pass  # 404 when the stream has ended meanwhile
        return "" if got else "no media"

    async def _http(self, client: aiohttp.ClientSession, url: str, how: str, seconds: float) -> bool:
        got, end = 0, time.monotonic() + seconds
        async with client.get(url, timeout=aiohttp.ClientTimeout(total=None, sock_read=PICTURE_S)) as response:
            if response.status != 200:
                return False
            while time.monotonic() < end:
                try:
                    block = await response.content.readany()
                except TimeoutError:
                    break
                if not block:
                    break
                got += len(block)
                if how == "slow":
                    await asyncio.sleep(0.5)
            if how == "gone" and response.connection is not None and response.connection.transport is not None:
                response.connection.transport.abort()  # a browser that was killed says nothing
        return got > 2000

    async def _websocket(self, client: aiohttp.ClientSession, url: str, seconds: float) -> bool:
        got, end = 0, time.monotonic() + seconds
        async with client.ws_connect(url, timeout=aiohttp.ClientWSTimeout(ws_close=5)) as socket:
            while time.monotonic() < end:
                try:
                    message = await socket.receive(PICTURE_S)
                except TimeoutError:
                    break
                if message.type is not aiohttp.WSMsgType.BINARY:
                    break
                got += len(message.data)
        return got > 2000


async def run(folder: Path, report: Report, *, kbps: int, streams: int = 100) -> None:
    """100 streams by default for `report.minutes`, judged by slope and leftovers."""
    settings = {
        "RECORDING__SEGMENT_SECONDS": "60",
        "RECORDING__RETENTION_HOURS": "0.15",
        "SIP__OFFLINE_AFTER_S": "60",
        "SIP__TRACE_MB": "1",  # a store that fills up for hours, to its bound, is no growth
        "SIP__KEEPALIVE_INTERVAL_S": "20",
    }
    async with town(folder, report, cameras=streams, kbps=kbps, **settings) as place:
        await place.begin()
        soak = Soak(place, report.seed)
        await soak.run(report.minutes * 60)
        report.figures["done"] = dict(soak.done)
        report.figures["refused"] = soak.refused
        served = soak.done["viewers served"]
        share = len(soak.refused) / max(1, served)
        report.claim(served > 0, "no viewer was served")
        report.claim(
            share <= MOST_REFUSED,
            f"{len(soak.refused)} viewers of cameras that were well got no picture ({served} did): {soak.refused[:3]}",
        )
        for part in PARTS:
            report.flat(f"memory of {part}", place.memory[part], since=WARM_UP_S)
        await place.rest()
