"""Kill: parts of the platform are killed at random; what was recorded stays, holes are no longer than a start takes."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp

from tests.e2e.platform import poll
from tests.long.judge import Report
from tests.long.town import KEEPALIVE_S, PARTS, Town, town

#: What a death may cost a channel, seconds (from the last byte before to the first one after). Control and edge cost nothing.
COST = {"ingest-0": 20.0, "everything": KEEPALIVE_S + 35.0}
#: Rotation from one file to the next is no hole.
SEAM_S = 1.5


@dataclass(frozen=True, slots=True)
class Death:
    """When and of what."""

    at: float
    part: str


async def run(folder: Path, report: Report, *, kbps: int, streams: int = 20) -> None:
    """Every camera is recorded from the beginning to the end of the run."""
    settings = {
        "RECORDING__SEGMENT_SECONDS": "30",
        "RECORDING__GAP_SECONDS": "1",
        "RECORDING__RETRY_MAX_S": "5",
        "SIP__OFFLINE_AFTER_S": "60",
        "SIP__KEEPALIVE_INTERVAL_S": "20",
    }
    async with town(folder, report, cameras=streams, kbps=kbps, **settings) as place:
        await place.begin()
        for channel in place.channels.values():
            await place.server.record(channel)
        await _all_record(place, seconds=60)
        began = time.time()
        measuring = asyncio.create_task(place.measure())
        deaths = await _reap(place, random.Random(f"{report.seed}/kill"), report.minutes * 60)
        await _all_record(place, seconds=90)
        ended = time.time()
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)
        for channel in place.channels.values():
            await place.server.record(channel, "off")
        report.figures["deaths"] = dict(Counter(death.part for death in deaths))
        await _check_coverage(place, report, deaths, began, ended)
        await place.rest()


async def _reap(place: Town, chance: random.Random, seconds: float) -> list[Death]:
    deaths = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(chance.uniform(15, 45))
        part = chance.choice((*PARTS, *PARTS, "everything"))
        deaths.append(Death(time.time(), part))
        if part == "everything":
            place.server.kill_everything()
            await place.server.start()
        else:
            try:
                place.server.kill(part)
            except ProcessLookupError:
                deaths.pop()  # it is being started again just now
        if chance.random() < 0.5:
            # Otherwise the next one dies while this one is still coming back.
            await _all_record(place, seconds=120)
    return deaths


async def _all_record(place: Town, *, seconds: float) -> None:
    async def all_of_them() -> bool:
        try:
            channels = await place.server.channels()
        except (AssertionError, aiohttp.ClientError):
            return False
        return [channel["recording"]["state"] for channel in channels].count("recording") >= len(place.cameras)

    await poll(all_of_them, seconds=seconds, what="every channel recording", log=place.server.log, pause=1)


async def _check_coverage(place: Town, report: Report, deaths: list[Death], began: float, ended: float) -> None:
    """Every hole of every channel belongs to a death that may cost so much, and is listed with a cause."""
    worst: dict[str, float] = {}

    async def closed() -> bool:
        pages = [await place.server.recordings(channel) for channel in place.channels.values()]
        return all(page["segments"] and _unix(page["segments"][-1]["end"]) > ended - SEAM_S for page in pages)

    try:
        await poll(closed, seconds=30, what="the last segments closed", pause=1)
    except AssertionError as error:
        report.faults.append(str(error))
    for channel in place.channels.values():
        page = await place.server.recordings(channel)
        spans = sorted((_unix(segment["start"]), _unix(segment["end"])) for segment in page["segments"])
        gaps = [(_unix(gap["start"]), _unix(gap["end"]) if gap["end"] else ended) for gap in page["gaps"]]
        at = began
        for start, end in [*spans, (ended, ended)]:
            if start - at > SEAM_S:
                hole = f"{channel['device_id']}: {start - at:.1f} s from {at:.1f}"
                causes = [death for death in deaths if at - 5 <= death.at <= start and death.part in COST]
                allowed = sum(COST[death.part] for death in causes)
                report.claim(start - at <= allowed, f"hole without a reason, or longer than one: {hole}, {causes}")
                listed = any(low - 2 <= at and start <= high + 2 for low, high in gaps)
                report.claim(listed, f"hole that is not listed: {hole}")
                for death in causes:
                    worst[death.part] = max(worst.get(death.part, 0.0), start - at)
            at = max(at, end)
    report.figures["worst hole"] = worst


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
