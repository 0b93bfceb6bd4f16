"""Subscriptions at a device, what happens there by itself, files that it leaves and fetches, a lower platform's tree."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gb28181.sim import catalog
from gb28181.sim.device import SimulatedDevice, SimulatedPlatform
from gb28181.sim.edition import EDITIONS
from gb28181.sim.studio import Studio
from tests.sim.conftest import SMALL
from tests.sim.platform import PATIENCE_S, Platform, Received, take
from tests.sim.test_device import CAMERA, CHANNEL, camera, settings

PLATFORM = "34020000002000000002"


async def subscribe(platform: Platform, command: str, target: str = CAMERA, **changes: Any) -> Received:
    platform.subscribe(command, target, "s1", **changes)
    return await platform.final("SUBSCRIBE")


def tag_of(answer: Received) -> str:
    return answer.headers["to"].partition(";tag=")[2]


async def of_kind(platform: Platform, command: str) -> Received:
    while True:
        message = await take(platform.messages)
        platform.accept(message)
        if message.element("CmdType") == command:
            return message


async def test_an_alarm_comes_in_the_dialog_of_its_subscription(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    device = await camera(platform, studio, devices)
    answer = await subscribe(platform, "Alarm")
    assert (answer.status, answer.headers["expires"]) == (200, "600")
    await device.raise_alarm()
    notify = await take(platform.notifies)
    assert notify.headers["call-id"] == "s1"
    assert notify.headers["event"] == "presence;id=7"
    assert notify.headers["from"].endswith(tag_of(answer))
    assert notify.headers["subscription-state"].startswith("active;expires=")
    assert (notify.element("CmdType"), notify.element("DeviceID"), notify.element("AlarmMethod")) == ("Alarm", CHANNEL, "5")


async def test_an_alarm_without_a_subscription_is_a_message(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    await camera(platform, studio, devices, alarms_per_minute=600)
    alarm = await of_kind(platform, "Alarm")
    assert alarm.element("AlarmTime")


async def test_a_device_alarm_latches_until_it_is_reset(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    device = await camera(platform, studio, devices)
    await subscribe(platform, "Alarm")
    for _ in range(10):  # every fifth is of method 2
        await device.raise_alarm()
    methods = [platform.notifies.get_nowait().element("AlarmMethod") for _ in range(platform.notifies.qsize())]
    assert methods.count("2") == 1
    assert len(methods) == 9


@pytest.mark.parametrize(("edition", "fields"), [("2016", {"Longitude", "Speed"}), ("2022", {"SumNum", "CaptureTime"})])
async def test_positions_come_at_their_interval_in_the_form_of_the_edition(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], edition: str, fields: set[str]
) -> None:
    await camera(platform, studio, devices, edition=edition)
    await subscribe(platform, "MobilePosition", inner="<Interval>1</Interval>")
    first, second = await take(platform.notifies), await take(platform.notifies)
    assert first.element("CmdType") == "MobilePosition"
    assert fields <= set(re.findall(r"<(\w+)", first.text))
    assert first.headers["cseq"] != second.headers["cseq"]


async def test_a_dome_that_moves_tells_its_angles(platform: Platform, studio: Studio, devices: list[SimulatedDevice]) -> None:
    await camera(platform, studio, devices)
    await subscribe(platform, "PTZPosition", CHANNEL)
    assert (await take(platform.notifies)).element("Pan") == "0.00"
    inner = "<PTZPreciseCtrl><Pan>45</Pan></PTZPreciseCtrl>"
    platform.query("DeviceControl", 9, CHANNEL, inner, root="Control")
    assert (await take(platform.notifies)).element("Pan") == "45.00"


async def test_a_change_of_the_catalogue_is_told_and_stays(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    device = await camera(platform, studio, devices)
    await subscribe(platform, "Catalog")
    await device.change_catalog()
    notify = await take(platform.notifies)
    assert notify.element("Event") in {"OFF", "VLOST", "DEFECT"}
    assert notify.element("DeviceID") == CAMERA
    platform.query("Catalog", 8, CAMERA)
    assert (await of_kind(platform, "Catalog")).element("Status") == "OFF"


async def test_a_subscription_is_renewed_cancelled_and_forgotten(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    device = await camera(platform, studio, devices)
    tag = tag_of(await subscribe(platform, "Alarm"))
    assert (await subscribe(platform, "Alarm", cseq=2, to_tag=tag, expires=100)).headers["expires"] == "100"
    assert (await subscribe(platform, "Alarm", cseq=3, to_tag=tag, expires=0)).status == 200
    assert (await subscribe(platform, "Alarm", cseq=4, to_tag=tag)).status == 481
    await asyncio.gather(device.raise_alarm(), of_kind(platform, "Alarm"))  # a message again


async def test_a_subscription_that_nobody_renews_ends_with_a_word(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    await camera(platform, studio, devices)
    await subscribe(platform, "Alarm", expires=1)
    assert (await take(platform.notifies)).headers["subscription-state"].startswith("terminated")


async def test_a_subscription_of_a_later_edition_is_refused(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    await camera(platform, studio, devices, edition="2016")
    assert (await subscribe(platform, "PTZPosition")).status == 489


@pytest.mark.parametrize(("edition", "version"), [("2016", None), ("2022", "3.0")])
async def test_only_2022_tells_its_version(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice], edition: str, version: str | None
) -> None:
    await camera(platform, studio, devices, edition=edition)
    assert (await take(platform.registers)).headers.get("x-gb-ver") == version


# -- files -------------------------------------------------------------------------------------------------------------


class Files(BaseHTTPRequestHandler):
    """Takes pictures, gives one firmware file."""

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.left.append((self.path, data))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        found = self.path == "/firmware"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b"bytes" if found else b"")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def files() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    left: list[tuple[str, bytes]] = []
    server.left = left  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", left
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_snapshot_is_left_and_told(platform: Platform, studio: Studio, devices: list[SimulatedDevice]) -> None:
    await camera(platform, studio, devices)
    with files() as (url, left):
        order = f"<SnapNum>1</SnapNum><Interval>1</Interval><UploadURL>{url}/up/token</UploadURL><SessionID>s-1</SessionID>"
        platform.query("DeviceConfig", 3, CHANNEL, f"<SnapShotConfig>{order}</SnapShotConfig>", root="Control")
        assert (await of_kind(platform, "DeviceConfig")).element("Result") == "OK"
        finished = await of_kind(platform, "UploadSnapShotFinished")
    [(path, data)] = left
    assert (data[:2], data[-2:]) == (b"\xff\xd8", b"\xff\xd9")
    name = finished.element("SnapShotFileID")
    assert path == f"/up/token/{name}.jpg"
    assert re.fullmatch(rf"{CHANNEL}02\d{{17}}\d\d", name)
    assert finished.element("SessionID") == "s-1"


async def test_a_snapshot_that_cannot_be_left_is_told_as_such(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    await camera(platform, studio, devices)
    order = "<SnapNum>1</SnapNum><UploadURL>ftp://127.0.0.1/x</UploadURL><SessionID>s</SessionID>"
    platform.query("DeviceConfig", 3, CHANNEL, f"<SnapShotConfig>{order}</SnapShotConfig>", root="Control")
    assert "SnapShotFileID" not in (await of_kind(platform, "UploadSnapShotFinished")).text


async def test_an_upgrade_registers_anew_and_tells_its_result(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    device = await camera(platform, studio, devices)
    with files() as (url, _):
        order = (
            f"<Firmware>V2.0</Firmware><FileURL>{url}/firmware</FileURL><Manufacturer>x</Manufacturer><SessionID>u</SessionID>"
        )
        platform.query("DeviceControl", 4, CAMERA, f"<DeviceUpgrade>{order}</DeviceUpgrade>", root="Control")
        result = await of_kind(platform, "DeviceUpgradeResult")
    assert (result.element("UpgradeResult"), result.element("Firmware")) == ("OK", "V2.0")
    assert device.statistics.registrations == 2


async def test_an_upgrade_without_a_file_fails_with_its_reason(
    platform: Platform, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    await camera(platform, studio, devices)
    with files() as (url, _):
        order = f"<Firmware>V2.0</Firmware><FileURL>{url}/none</FileURL><SessionID>u</SessionID>"
        platform.query("DeviceControl", 4, CAMERA, f"<DeviceUpgrade>{order}</DeviceUpgrade>", root="Control")
        result = await of_kind(platform, "DeviceUpgradeResult")
    assert (result.element("UpgradeResult"), result.element("UpgradeFailedReason")) == ("ERROR", "01")


# -- lower platform ----------------------------------------------------------------------------------------------------


def test_every_item_of_a_lower_platform_hangs_somewhere() -> None:
    items = {item.device_id: item for item in catalog.town(PLATFORM, 1000)}
    cameras = [item for item in items.values() if item.is_camera]
    assert len(cameras) == 1000
    for item in items.values():
        assert all(parent in items for parent in (item.parent_id or "").split("/") if parent)
        assert item.business_group_id is None or item.business_group_id in items
    assert all(item.civil_code in items for item in cameras)
    assert {len(code) for code, item in items.items() if item.is_bare} == {2, 4, 6}


def test_a_part_of_the_tree_is_found_by_organisation_and_by_division() -> None:
    items = list(catalog.town(PLATFORM, 1000))
    organisation = f"{PLATFORM[:10]}2160000001"
    below = catalog.under(items, organisation)
    assert sum(item.is_camera for item in below) == 50
    assert sum(item.is_camera for item in catalog.under(items, "340201")) == 400


@pytest.mark.parametrize("edition", list(EDITIONS))
def test_an_item_has_the_elements_of_its_edition(edition: str) -> None:
    *_, last = catalog.town(PLATFORM, 10)
    row = catalog.row(last, EDITIONS[edition])
    assert ("<Owner>" in row) == (edition != "2022")
    assert ("<GrassrootsCode>" in row) == (edition == "2022")
    assert ("<Info>" in row) == (edition != "2011")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_lower_platform_sends_its_tree_part_by_part(
    platform: Platform, tcp_platform: Platform, studio: Studio, devices: list[SimulatedDevice], transport: str
) -> None:
    platform = platform if transport == "udp" else tcp_platform
    lower = SimulatedPlatform(settings(platform, picture=SMALL, items_per_message=4), PLATFORM, 120, studio=studio)
    devices.append(lower)
    await lower.start()
    async with asyncio.timeout(PATIENCE_S):
        await lower.registered.wait()
    platform.query("Catalog", 5, PLATFORM)
    codes: list[str] = []
    first = await take(platform.messages)
    total = int(first.element("SumNum"))
    while True:
        assert platform.messages.empty()  # the next part waits for the answer to this one
        codes += re.findall(r"<Item>\s*<DeviceID>(\d+)<", first.text)
        platform.accept(first)
        if len(codes) >= total:
            break
        first = await take(platform.messages)
    assert len(set(codes)) == total == len(list(catalog.town(PLATFORM, 120)))
