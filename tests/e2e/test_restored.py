"""A registration of before a restart: shown online, and never invited before its device was heard (decision 0011)."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.cameras import cameras
from tests.e2e.platform import Platform, path_of, platform, poll

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
CAMERA = ("--ipc", "1", "--keepalive", "20", "--retry", "5", "--size", "352x288", "--bitrate", "256")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with platform(
        tmp_path_factory.mktemp("restored"), RECORDING__DEFAULT_MODE="always", RECORDING__RETRY_MAX_S="2"
    ) as started:
        yield started


class Stranger:
    """Somebody who has got the address of a camera and answers nothing."""

    def __init__(self, host: str, port: int) -> None:
        self.heard: list[str] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.setblocking(False)

    def methods(self) -> set[str]:
        while True:
            try:
                self.heard.append(self.socket.recv(65535).decode("latin-1").partition(" ")[0])
            except BlockingIOError:
                return set(self.heard)


@contextmanager
def stranger(address: str) -> Iterator[Stranger]:
    host, _, port = address.rpartition(":")
    made = Stranger(host, int(port))
    try:
        yield made
    finally:
        made.socket.close()


async def test_who_has_got_the_address_of_a_camera_is_asked_and_never_invited(server: Platform, tmp_path: Path) -> None:
    with cameras(server.sip_port, tmp_path, *CAMERA) as camera:
        channel = (await server.online(1))[0]
        await poll(lambda: _recording(server), seconds=30, what="the first picture", log=server.log)
        device = await server.call("GET", f"/devices/{channel['device_id']}")
        await poll(lambda: _stored(server), seconds=60, what="the channel in the database", log=server.log)
        camera.kill()
        server.kill("control")
    with stranger(device["address"]) as other:

        async def said() -> str | None:
            try:
                found = (await server.channels())[0]
            except (AssertionError, aiohttp.ClientError):
                return None
            message = str(found["recording"]["message"])
            return message if "not heard since" in message else None

        message = await poll(said, seconds=60, what="the reason why there is no picture", log=server.log)
        assert device["address"] in message
        await poll(lambda: _asked(other), seconds=60, what="the question to the restored address", log=server.log)
        end = time.monotonic() + 5  # two attempts of the recorder and of whoever else wants to
        while time.monotonic() < end:
            with pytest.raises(AssertionError, match="not heard since"):
                await server.call("POST", f"{path_of(channel)}/live", {})
            await asyncio.sleep(0.5)
        assert (await server.call("GET", f"/devices/{channel['device_id']}"))["online"]
        assert "INVITE" not in other.methods()
        # The same camera at another address is recorded as soon as it registers.
        with cameras(server.sip_port, tmp_path, *CAMERA, name="again"):
            await poll(lambda: _recording(server), seconds=30, what="a picture from its new address", log=server.log)
        assert "INVITE" not in other.methods()


async def _stored(server: Platform) -> bool:
    """Channels are written behind: a kill within their 200 ms costs them until the catalogue comes again."""
    with closing(sqlite3.connect(f"file:{server.data / 'gb28181.db'}?mode=ro", uri=True)) as database:
        return bool(database.execute("SELECT 1 FROM channels").fetchone())


async def _asked(other: Stranger) -> bool:
    return "MESSAGE" in other.methods()


async def _recording(server: Platform) -> bool:
    return any(found["recording"]["state"] == "recording" for found in await server.channels())
