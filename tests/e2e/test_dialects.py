"""Every dialect of the simulator at once against one platform: nobody is refused, misread or lost.

To add a dialect: a row in `sim/dialects/`, and here in `OWED` what the server owes it beyond four channels that are online.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest
import pytest_asyncio

from gb28181.sim.calls import Channel
from gb28181.sim.device import SimulatedNvr
from gb28181.sim.dialects import rows, table
from gb28181.sim.encoder import Picture
from gb28181.sim.sender import Metronome
from gb28181.sim.settings import Settings
from gb28181.sim.studio import Studio
from tests.e2e.cameras import CACHE
from tests.e2e.platform import SIP_PASSWORD, Platform, path_of, platform, poll, rfc3339

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

CHANNELS = 4
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Owed:
    """What the server must have made of a dialect.

    Args:
        channels: Shown for the device.
        name: Stands in the name of each.
        is_playable: A live picture is asked for.
        keepalives: Answered, and the device is online after them.
        records: Least and most recordings that the device is found to have in two hours, and whether that is told as all.
        alarms: Kept after one alarm of the device.
        has_position: A position is known after one report.
    """

    channels: tuple[int, ...] = (CHANNELS,)
    name: str = ""
    is_playable: bool = False
    keepalives: int = 1
    records: tuple[int, int, bool] | None = None
    alarms: int | None = None
    has_position: bool = False


_MEDIA = Owed(is_playable=True)
OWED = {
    "content-length-short": Owed(name="中文摄像机"),
    "keepalive-other-port": Owed(keepalives=3, is_playable=True),
    "keepalive-after-expiry": Owed(keepalives=4, is_playable=True),
    "registers-often": Owed(keepalives=3),
    "private-via": _MEDIA,
    "nat-hole-closes": Owed(keepalives=5, is_playable=True),
    "no-tags": _MEDIA,
    "gbk-declared-gb2312": Owed(name=rows.RARE),
    "gbk-declared-utf8": Owed(name=rows.RARE),
    "utf8-declared-gb2312": Owed(name=rows.RARE),
    "no-declaration": Owed(name=rows.RARE),
    "unescaped-ampersand": Owed(name="甲&乙"),
    "unescaped-angle": Owed(name="东<1>门"),
    "truncated-xml": Owed(channels=(CHANNELS - 1, CHANNELS)),  # the last Item may be salvaged too
    "channel-is-device": Owed(channels=(1,)),
    "empty-catalog": Owed(channels=(0, 1)),  # one may be made up (Q66)
    "no-catalog": Owed(channels=(0, 1)),
    "empty-names": Owed(name="3402"),
    "empty-slots": Owed(channels=(CHANNELS, CHANNELS + 4)),
    "parents-last": Owed(channels=(CHANNELS + 1,)),
    "same-channel-ids": _MEDIA,
    "ssrc-missing": _MEDIA,
    "ssrc-other": _MEDIA,
    "ssrc-lies": _MEDIA,
    "ssrc-nine-digits": _MEDIA,
    "payload-type-98": _MEDIA,
    "payload-type-100": _MEDIA,
    "setup-missing": _MEDIA,
    "one-stream-only": _MEDIA,
    "rings-first": _MEDIA,
    "platform-a": Owed(),
    "recorder-b": _MEDIA,
    "records-wrong-sumnum": Owed(records=(12, 13, False)),
    "records-last-part-lost": Owed(records=(10, 12, False)),
    "records-empty-list": Owed(records=(0, 0, False)),
    "media-status-twice": Owed(records=(12, 13, True)),
    "alarm-by-message": Owed(alarms=1),
    "alarm-twice": Owed(alarms=1),
    "position-as-alarm": Owed(has_position=True),
    "camera-4g": _MEDIA,
    "camera-cheap": _MEDIA,
}
#: Lengths mean something else where messages follow each other on a connection.
TCP = ("content-length-zero", "content-length-short", "content-length-missing", "empty-lines", "unknown-headers", "recorder-a")
CASES: dict[str, tuple[str, Literal["udp", "tcp"]]] = {
    **{name: (name, "udp") for name in table.DIALECTS},
    **{f"{name}-tcp": (name, "tcp") for name in TCP},
}


class World:
    """The platform and a recorder for each dialect."""

    def __init__(self, server: Platform) -> None:
        self.server = server
        self.devices: dict[str, SimulatedNvr] = {}
        self.checks: dict[str, asyncio.Task[None]] = {}

    async def channels(self, name: str) -> list[dict[str, Any]]:
        device_id = self.devices[name].device_id
        return list((await self.server.call("GET", f"/devices/{device_id}/channels", limit=500))["items"])

    async def is_online(self, name: str) -> bool:
        return bool((await self.server.call("GET", f"/devices/{self.devices[name].device_id}"))["online"])

    async def check(self, name: str) -> None:
        """Waits for what is owed to one dialect; all are waited for at the same time."""
        owed, device = OWED.get(CASES[name][0], Owed()), self.devices[name]
        async with asyncio.timeout(PATIENCE_S):
            await device.registered.wait()

        async def enough() -> list[dict[str, Any]] | None:
            found = await self.channels(name)
            named = all(owed.name in channel["name"] for channel in found)
            return found if len(found) in owed.channels and named else None

        try:
            channels = await poll(enough, seconds=PATIENCE_S, what="channels")
        except AssertionError:
            channels = await self.channels(name)
            raise AssertionError(f"{name}: {[(channel['channel_id'], channel['name']) for channel in channels]}") from None
        async with asyncio.timeout(PATIENCE_S):
            while device.statistics.keepalives_answered < owed.keepalives:
                await asyncio.sleep(0.05)
        assert await self.is_online(name)
        if owed.is_playable:
            live = await self.server.call("POST", f"{path_of(channels[0])}/live", {})
            await self.server.call("DELETE", f"/sessions/{live['session_id']}")
        await self.check_functions(owed, device, channels)

    async def check_functions(self, owed: Owed, device: SimulatedNvr, channels: list[dict[str, Any]]) -> None:
        """What is not there at once but asked for."""
        if owed.records is not None:
            now = time.time()
            found = await self.server.call(
                "GET", f"{path_of(channels[0])}/device-recordings", start=rfc3339(now - 7200), end=rfc3339(now)
            )
            least, most, is_complete = owed.records
            assert least <= len(found["items"]) <= most, found["items"]
            assert found["complete"] is is_complete
        if owed.alarms is not None:
            await device.raise_alarm()
            kept = await poll(lambda: self.items("/alarms", device), seconds=PATIENCE_S, what="an alarm")
            assert len(kept) == owed.alarms
        if owed.has_position:
            await device.report_position()
            await poll(lambda: self.items("/positions", device), seconds=PATIENCE_S, what="a position")

    async def items(self, path: str, device: SimulatedNvr) -> list[dict[str, Any]] | None:
        return (await self.server.call("GET", path, device_id=device.device_id))["items"] or None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    studio, metronome = Studio(CACHE), Metronome()
    # One user asks for all devices at once, again and again.
    settings = {"SIP__REGISTER_MIN_EXPIRES_S": "1", "SIP__NAT_KEEPALIVE_S": "1", "HTTP__REQUESTS_PER_S": "5000"}
    async with platform(tmp_path_factory.mktemp("dialects"), **settings) as server:
        made = World(server)
        for number, (name, (dialect, transport)) in enumerate(CASES.items()):
            channels = [
                Channel(f"3402000000131{number + 1:03d}{channel + 1:04d}", f"通道{channel + 1}", "DIALECT")
                for channel in range(CHANNELS)
            ]
            made.devices[name] = SimulatedNvr(
                Settings(
                    port=server.sip_port, password=SIP_PASSWORD, local_ip="127.0.0.1", keepalive_s=1.0, retry_s=1.0,
                    picture=Picture("h264", 176, 144, 5, 200, 1.0), dialects=(dialect,), transport=transport,
                ),
                f"3402000000118{number + 1:07d}", channels, name=name, studio=studio, metronome=metronome,
            )  # fmt: skip
        try:
            await asyncio.gather(*(device.start() for device in made.devices.values()))
            made.checks = {name: asyncio.create_task(made.check(name)) for name in made.devices}
            yield made
        finally:
            for task in made.checks.values():
                task.cancel()
            await asyncio.gather(*made.checks.values(), return_exceptions=True)
            await asyncio.gather(*(device.stop(unregister=False) for device in made.devices.values()))
            studio.close()


@pytest.mark.parametrize("name", list(CASES))
async def test_a_device_of_this_dialect_is_online_with_its_channels(world: World, name: str) -> None:
    """Rows Q1 to Q101 as far as the simulator can emit them; the table in `sim/dialects` names the row of each."""
    await world.checks[name]


async def test_after_a_restart_every_device_is_online_from_its_next_keepalive(world: World) -> None:
    """Row Q12: a device that never registers by itself is known to the server that was started again."""
    name = "no-register-after-restart"
    device = world.devices[name]
    registrations, answered = device.statistics.registrations, device.statistics.keepalives_answered
    world.server.kill("control")
    async with asyncio.timeout(30):
        while device.statistics.keepalives_answered < answered + 2:
            await asyncio.sleep(0.05)
    await poll(lambda: world.is_online(name), seconds=PATIENCE_S, what="online after the restart", log=world.server.log)
    assert device.statistics.registrations == registrations
