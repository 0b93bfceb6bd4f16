"""A device of the 2022 edition uploads pictures and takes a firmware over the public doors.

The device is written here from the standard: it registers with X-GB-Ver 3.0, accepts what it is told, and keeps the links.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.plain_device import PlainDevice
from tests.e2e.platform import Platform, platform, poll
from tests.media.test_jpeg import jpeg

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
DEVICE = "34020000001320000088"
PICTURES = [jpeg(64, 48), jpeg(64, 64), jpeg(64, 80)]
FIRMWARE = bytes(range(256)) * 4000


class Camera(PlainDevice):
    """Answers every request with 200 and every control with OK; `told` is what it was told, by the name of the element."""

    def __init__(self, server: tuple[str, int]) -> None:
        super().__init__(server, DEVICE, "X-GB-Ver: 3.0")
        self.told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def asked(self, text: str) -> None:
        self.answer(text)
        kind, sn = (re.search(rf"<{name}>(\w+)</{name}>", text) for name in ("CmdType", "SN"))
        assert kind
        assert sn
        if kind[1] in ("DeviceConfig", "DeviceControl"):
            self.says("Response", kind[1], sn[1], "<Result>OK</Result>")
            for name in ("UploadURL", "FileURL", "SessionID"):
                if found := re.search(f"<{name}>([^<]+)</{name}>", text):
                    self.told.put_nowait((name, found[1]))

    async def hears(self) -> dict[str, str]:
        """A link and its session, as the next control names them."""
        return dict([await asyncio.wait_for(self.told.get(), 60) for _ in range(2)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with platform(tmp_path_factory.mktemp("commands"), COMMAND__SNAPSHOT_MARGIN_S="1") as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def camera(server: Platform) -> AsyncIterator[Camera]:
    loop = asyncio.get_running_loop()
    address = ("127.0.0.1", server.sip_port)
    transport, made = await loop.create_datagram_endpoint(lambda: Camera(address), local_addr=("127.0.0.1", 0))
    await asyncio.wait_for(made.registered.wait(), 60)
    yield made
    transport.close()


async def upload(server: Platform, url: str, data: Any, method: str = "PUT") -> int:
    assert server.client is not None
    async with server.client.request(method, url, data=data) as response:
        return response.status


async def ended(server: Platform, order_id: str) -> dict[str, Any]:
    async def over() -> dict[str, Any] | None:
        order = await server.call("GET", f"/orders/{order_id}")
        return None if order["open"] else order

    return dict(await poll(over, seconds=60, what=f"the end of {order_id}", log=server.log))


async def test_pictures_are_ordered_uploaded_reported_and_served(server: Platform, camera: Camera) -> None:
    order = await server.call("POST", f"/devices/{DEVICE}/device-snapshots", {"count": 2, "interval_s": 3})
    told = await camera.hears()
    assert told["SessionID"] == order["order_id"]
    url = told["UploadURL"]
    assert url.startswith(f"{server.url}/media/upload/")
    form = aiohttp.FormData()
    form.add_field("file", PICTURES[1], filename="34020000001320000088022026030108000000002.jpg", content_type="image/jpeg")
    assert await upload(server, url, PICTURES[0]) == 200
    assert await upload(server, url, form, "POST") == 200
    camera.says(
        "Notify", "UploadSnapShotFinished", "7",
        f"<SessionID>{order['order_id']}</SessionID><SnapShotList><SnapShotFileID>1</SnapShotFileID>"
        "<SnapShotFileID>34020000001320000088022026030108000000002</SnapShotFileID></SnapShotList>",
    )  # fmt: skip
    assert (await ended(server, order["order_id"]))["state"] == "done"
    shown = await server.call("GET", f"/device-snapshots/{order['order_id']}")
    assert server.client is not None
    served = []
    for picture in shown["pictures"]:
        async with server.client.get(server.url + picture["url"]) as response:
            assert (response.status, response.content_type) == (200, "image/jpeg")
            served.append(await response.read())
    assert served == PICTURES[:2]
    assert await upload(server, url, PICTURES[2]) == 409  # more than were ordered
    assert len((await server.call("GET", f"/device-snapshots/{order['order_id']}"))["pictures"]) == 2


async def test_a_link_for_pictures_is_closed_when_they_ought_to_have_come(server: Platform, camera: Camera) -> None:
    order = await server.call("POST", f"/devices/{DEVICE}/device-snapshots", {"count": 1, "interval_s": 1})
    url = (await camera.hears())["UploadURL"]
    assert (await ended(server, order["order_id"]))["state"] == "failed"
    assert await upload(server, url, PICTURES[0]) == 403


async def test_an_upgrade_goes_through_our_restart(server: Platform, camera: Camera) -> None:
    made = await server.call("POST", "/firmware", {"name": "v2.bin", "version": "V2.0", "manufacturer": "Hand"})
    assert await upload(server, server.url + made["upload_url"], FIRMWARE) == 200
    order = await server.call("POST", f"/devices/{DEVICE}/upgrade", {"firmware_id": made["firmware_id"]})
    url = (await camera.hears())["FileURL"]
    server.kill("control")
    client = server.client
    assert client is not None
    async with client.get(url) as response:  # the edge goes on without control
        assert hashlib.sha256(await response.read()).digest() == hashlib.sha256(FIRMWARE).digest()

    async def downloaded() -> bool:
        async with client.get(
            f"{server.url}/api/v1/orders/{order['order_id']}", headers={"Authorization": f"Bearer {server.token}"}
        ) as answer:
            return answer.status == 200 and (await answer.json())["state"] == "downloaded"

    await poll(downloaded, seconds=60, what="control back, and told of the download", log=server.log)
    camera.says(
        "Notify", "DeviceUpgradeResult", "8",
        f"<SessionID>{order['order_id']}</SessionID><UpgradeResult>OK</UpgradeResult><Firmware>V2.0</Firmware>",
    )  # fmt: skip
    assert (await ended(server, order["order_id"]))["state"] == "done"
