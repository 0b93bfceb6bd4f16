"""A camera that is moved over the API stops when whoever moves it is gone (quirk Q170).

The camera is written here from the standard: it registers, lists one channel, and keeps every PTZCmd with its time.
"""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.plain_device import PlainDevice
from tests.e2e.platform import Platform, platform, poll

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
DEVICE = "34020000001110000077"
CHANNEL = "34020000001320000077"
PTZ = f"/devices/{DEVICE}/channels/{CHANNEL}/ptz"
RIGHT, STOP = "A50F0101FF0000B5", "A50F0100000000B5"
LONG = 15.0

#: Holds a camera moving and renews it, with its ear at the events, until it is killed.
CLIENT = """
import asyncio, sys, aiohttp
async def main(url, token, path):
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        async with session.ws_connect(f"{url}/api/v1/events") as events:
            await events.receive()
            while True:
                body = {"action": "right", "speed": 1, "lease_s": 15}
                async with session.post(f"{url}/api/v1{path}", json=body) as answer:
                    print((await answer.json())["state"], flush=True)
                await asyncio.sleep(0.3)
asyncio.run(main(*sys.argv[1:]))
"""


class Camera(PlainDevice):
    """Answers every MESSAGE with 200, but those with a PTZCmd while `is_mute`."""

    def __init__(self, server: tuple[str, int]) -> None:
        super().__init__(server, DEVICE)
        self.codes: list[str] = []
        self.is_mute = False

    def asked(self, text: str) -> None:
        code = re.search(r"<PTZCmd>(\w+)</PTZCmd>", text)
        if code:
            self.codes.append(code[1])
        if code and self.is_mute:
            return
        self.answer(text)
        sn = re.search(r"<SN>(\d+)</SN>", text)
        if sn and "<CmdType>Catalog</CmdType>" in text:
            item = f"<Item><DeviceID>{CHANNEL}</DeviceID><Name>Dome</Name><Status>ON</Status><PTZType>1</PTZType></Item>"
            self.says("Response", "Catalog", sn[1], f'<SumNum>1</SumNum><DeviceList Num="1">{item}</DeviceList>')
        elif sn and "<CmdType>PresetQuery</CmdType>" in text:
            item = "<Item><PresetID>1</PresetID><PresetName>大门</PresetName></Item>"
            self.says("Response", "PresetQuery", sn[1], f'<SumNum>1</SumNum><PresetList Num="1">{item}</PresetList>')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with platform(tmp_path_factory.mktemp("ptz")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def camera(server: Platform) -> AsyncIterator[Camera]:
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(
        lambda: Camera(("127.0.0.1", server.sip_port)), local_addr=("127.0.0.1", 0)
    )
    await server.online(1)
    yield made
    transport.close()


@pytest.fixture(autouse=True)
def nothing_was_sent(camera: Camera) -> None:
    camera.codes.clear()
    camera.is_mute = False


async def sent(camera: Camera, server: Platform, *codes: str) -> None:
    """Waits until these have been sent, in this order, repeated ones counted once."""

    async def all_of_them() -> bool:
        seen = [code for index, code in enumerate(camera.codes) if index == 0 or code != camera.codes[index - 1]]
        return seen == list(codes)

    await poll(all_of_them, seconds=LONG, what=f"{codes} at the camera, which has {camera.codes}", log=server.log)


async def test_a_held_movement_is_stopped_when_the_client_dies(server: Platform, camera: Camera) -> None:
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, server.url, server.token, PTZ, stdout=subprocess.PIPE
    )
    assert client.stdout is not None
    said = [(await client.stdout.readline()).decode().strip() for _ in range(3)]
    assert said == ["started", "renewed", "renewed"]
    assert camera.codes == [RIGHT]
    client.send_signal(signal.SIGKILL)
    await client.wait()
    await sent(camera, server, RIGHT, STOP)
    assert (await server.call("GET", PTZ))["moving"] is False


async def test_a_movement_that_nobody_renews_is_stopped_by_its_lease(server: Platform, camera: Camera) -> None:
    await server.call("POST", PTZ, {"action": "right", "speed": 1, "lease_s": 0.5})
    await sent(camera, server, RIGHT, STOP)


async def test_a_movement_whose_request_is_cut_off_is_stopped(server: Platform, camera: Camera) -> None:
    camera.is_mute = True
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {server.token}"}) as session:
        body = {"action": "right", "speed": 1, "lease_s": 15}
        asking = asyncio.create_task(session.post(f"{server.url}/api/v1{PTZ}", json=body))
        await sent(camera, server, RIGHT)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await sent(camera, server, RIGHT, STOP)
    camera.is_mute = False


async def test_presets_come_from_the_camera(server: Platform, camera: Camera) -> None:
    found = await server.call("GET", f"/devices/{DEVICE}/channels/{CHANNEL}/presets")
    assert found == {"items": [{"number": 1, "name": "大门"}], "announced": 1}


async def test_a_camera_that_a_killed_control_left_moving_is_stopped_by_the_next(server: Platform, camera: Camera) -> None:
    await server.call("POST", PTZ, {"action": "right", "speed": 1, "lease_s": 15})
    server.kill("control")

    async def stopped() -> bool:
        return RIGHT in camera.codes and camera.codes[-1] != RIGHT and STOP in camera.codes

    await poll(stopped, seconds=LONG, what=f"a stop at the camera, which has {camera.codes}", log=server.log)

    async def is_back() -> bool:
        assert server.client is not None
        async with server.client.get(f"{server.url}/health") as answer:
            return answer.status == 200

    await poll(is_back, seconds=LONG, what="control again", log=server.log)


async def test_the_end_of_the_server_stops_the_camera(server: Platform, camera: Camera) -> None:
    await server.call("POST", PTZ, {"action": "right", "speed": 1, "lease_s": 15})
    await server.stop()
    await sent(camera, server, RIGHT, STOP)
