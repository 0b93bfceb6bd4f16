"""Storm: thousands of devices register and report at once, again and again; nobody is forgotten and nothing grows."""

from __future__ import annotations

import asyncio
import importlib
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.e2e.platform import SIP_PASSWORD, poll
from tests.long.judge import Report
from tests.long.town import Town, town

BENCH = Path(__file__).parents[2] / "bench"
WARM_UP_S = 300.0
#: Cameras that are recorded meanwhile and must not notice.
CAMERAS = 5
#: A whole town is registered again after so long.
REGISTERED_S = 120.0
#: Pause between the keepalives of a device; half an offline period.
KEEPALIVE_S = 25.0


async def run(folder: Path, report: Report, *, kbps: int, streams: int = 3000, devices: int = 0) -> None:
    """`streams` devices behind one address in waves; or `devices` with a port and an address each, which stay."""
    sys.path.insert(0, str(BENCH))
    if devices:
        await asyncio.to_thread(_region, folder, report, devices)
        return
    signalling: Any = importlib.import_module("signalling")
    settings = {
        "SIP__PER_SOURCE_PER_S": "1000000",  # a whole town stands behind one address
        "SIP__UNAUTHENTICATED_PER_S": "1000000",
        "SIP__OFFLINE_AFTER_S": "60",
        "SIP__KEEPALIVE_INTERVAL_S": "20",
        "SIP__PASSWORD": SIP_PASSWORD,
    }
    signalling.PASSWORD = SIP_PASSWORD
    async with town(folder, report, cameras=CAMERAS, kbps=kbps, **settings) as place:
        await place.begin()
        for channel in place.channels.values():
            await place.server.record(channel)
        measuring = asyncio.create_task(place.measure())
        with signalling.Town(streams, place.server.sip_port, first=100_000) as crowd:
            await _storm(place, report, crowd, signalling.everyone)
            report.figures["requests repeated"] = crowd.repeated
            measuring.cancel()
            await asyncio.gather(measuring, return_exceptions=True)
            await _check_recordings(place, report)
            for channel in place.channels.values():
                await place.server.record(channel, "off")
            report.flat("memory of control", place.memory["control"], since=WARM_UP_S)
            report.figures["loop lag, worst"] = max(row.get("lag_max_ms", 0) for row in report.samples)
            await place.rest()


def _region(folder: Path, report: Report, devices: int) -> None:
    """A region comes back after a power cut and then reports every minute; control is killed once at the end."""
    storm: Any = importlib.import_module("storm")
    result = storm.storm(devices, report.minutes, seed=report.seed, restart=True, folder=folder)
    report.samples = result.pop("samples")
    report.faults += result.pop("faults")
    report.figures |= result
    report.notes += storm.table(result).splitlines()
    # The restarted control is another process: its memory begins anew.
    kept = [(row["at"], row["memory_mib"]) for row in report.samples if "memory_mib" in row]
    steady = report.samples[0]["at"] + WARM_UP_S
    before_restart = [sample for sample in kept if sample[0] <= kept[-1][0] - result["restart_took_s"]]
    report.flat("memory of control", before_restart, since=steady)


async def _storm(place: Town, report: Report, crowd: Any, everyone: Any) -> None:
    chance = random.Random(f"{report.seed}/storm")
    size = len(crowd.devices)
    waves: Counter[str] = Counter()
    slowest = 0.0
    end = time.monotonic() + report.minutes * 60
    while time.monotonic() < end:
        wave = "power" if not waves else chance.choice(("power", "keepalives", "keepalives", "keepalives", "part"))
        waves[wave] += 1
        began = time.monotonic()
        try:
            match wave:
                case "power":  # comes back: everybody at the same moment
                    slowest = max(slowest, await everyone(crowd.devices, crowd.register, window=size))
                case "keepalives":
                    await everyone(crowd.devices, crowd.keep_alive, window=chance.choice((64, size)))
                case _:  # a district falls silent until it is offline, the others report
                    silent = set(chance.sample(range(size), size // 3))
                    others = [device for number, device in enumerate(crowd.devices) if number not in silent]
                    for _ in range(4):
                        await everyone(others, crowd.keep_alive, window=64)
                        await asyncio.sleep(KEEPALIVE_S)
                    report.claim(
                        (await place.figures())["devices_online"] <= len(others) + CAMERAS, "silent devices are still online"
                    )
                    await everyone([crowd.devices[number] for number in silent], crowd.register, window=len(silent))
                    await everyone(others, crowd.keep_alive, window=64)
        except SystemExit as error:  # a device that was never answered, or refused
            report.faults.append(f"{wave} at {place.elapsed:.0f} s: {error}")
        await poll(lambda: _online(place, size + CAMERAS), seconds=REGISTERED_S, what=f"all online after {wave}", pause=1)
        await asyncio.sleep(max(0.0, KEEPALIVE_S - (time.monotonic() - began)))
    report.figures["waves"] = dict(waves)
    report.figures["slowest registration of all, s"] = round(slowest, 1)
    report.claim(slowest <= REGISTERED_S, f"a registration of all {size} took {slowest:.0f} s")


async def _online(place: Town, count: int) -> bool:
    return (await place.figures())["devices_online"] >= count


async def _check_recordings(place: Town, report: Report) -> None:
    lost = (await place.figures())["media_lost_total"]
    report.claim(not lost, f"{lost:.0f} packets of the recorded cameras were lost in the storm")
    for channel in place.channels.values():
        gaps = (await place.server.recordings(channel))["gaps"]
        report.claim(not gaps, f"gaps in the recording of {channel['device_id']}: {gaps[:2]}")
