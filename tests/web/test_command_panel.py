"""Configuration and maintenance on the device page: what is read is shown as a form, what is written is what was typed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Route, expect

from tests.web.demo_server import CAMERA
from tests.web.test_pages import CHROMIUM, Seat, browser, seat  # noqa: F401  # fixtures

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (scripts/setup --test)"),
    pytest.mark.asyncio(loop_scope="module"),
]
AT = "2026-03-01T08:00:00.000Z"
OSD = {
    "length": 704, "width": 576, "time_x": 8, "time_y": 8, "time_type": 1, "sum_num": 1,
    "items": [{"text": "东门", "x": 1, "y": 2}],
}  # fmt: skip
ORDER = {
    "order_id": "0" * 32, "kind": "snapshot", "device_id": CAMERA, "channel_id": None, "user": "admin", "state": "done",
    "open": False, "progress": 1, "ordered_at": AT, "deadline": AT, "ended_at": AT, "message": "", "detail": {},
}  # fmt: skip
PICTURE = {"name": "01.jpg", "bytes": 9, "at": AT, "url": f"/media/picture/{'0' * 32}/01.jpg?token=x"}


async def test_a_configuration_is_read_changed_and_written(seat: Seat) -> None:  # noqa: F811
    written: list[Any] = []

    async def config(route: Route) -> None:
        if route.request.method == "PUT":
            written.append(json.loads(route.request.post_data or ""))
            await route.fulfill(json={"asked_at": AT, "results": {"osd_config": {"ok": True, "target": CAMERA}}})
        else:
            assert "types=osd_config" in route.request.url
            answer = {"asked_at": AT, "config": {"osd_config": OSD}, "missing": [], "target": CAMERA, "known": []}
            await route.fulfill(json=answer)

    await seat.page.route("**/api/v1/devices/*/config*", config)
    await seat.login(f"/devices/{CAMERA}")
    panel = seat.page.get_by_test_id("commands")
    await panel.locator("summary").click()
    await panel.get_by_test_id("tab-config").click()
    await panel.get_by_test_id("config-type").select_option("osd_config")
    await panel.get_by_test_id("read-config").click()
    text = panel.locator("tbody input").first
    await expect(text).to_have_value("东门")
    await text.fill("西门")
    await text.blur()
    write = panel.get_by_test_id("write-config")
    await write.click()
    await expect(write).to_have_class("danger")  # asks once more
    assert written == []
    await write.click()
    await expect(panel.get_by_role("status").last).to_contain_text(CAMERA)
    expected = {name: value for name, value in OSD.items() if name != "sum_num"}
    assert written == [{"osd_config": expected | {"items": [{"text": "西门", "x": 1, "y": 2}]}}]


async def test_pictures_that_came_are_shown(seat: Seat) -> None:  # noqa: F811
    async def orders(route: Route) -> None:
        await route.fulfill(json={"items": [ORDER], "next": None})

    async def snapshots(route: Route) -> None:
        await route.fulfill(json=ORDER | {"pictures": [PICTURE]})

    await seat.page.route("**/api/v1/orders*", orders)
    await seat.page.route("**/api/v1/device-snapshots/*", snapshots)
    await seat.page.route("**/media/picture/**", lambda route: route.fulfill(body=b"", content_type="image/jpeg"))
    await seat.login(f"/devices/{CAMERA}")
    panel = seat.page.get_by_test_id("commands")
    await panel.locator("summary").click()
    await panel.get_by_test_id("tab-snapshots").click()
    await expect(panel.get_by_test_id("thumbs").locator("img")).to_have_attribute("src", PICTURE["url"])
    await expect(panel.get_by_test_id("order-snapshot")).to_be_visible()


async def test_each_channel_of_a_device_with_thousands_can_be_chosen(seat: Seat) -> None:  # noqa: F811
    some = seat.world.channels[CAMERA][0]
    seat.world.channels[CAMERA] += [
        some | {"channel_id": f"3402000000131{number:07d}", "name": f"枪机 {number}"} for number in range(1000, 1600)
    ]
    await seat.login(f"/devices/{CAMERA}")
    panel = seat.page.get_by_test_id("commands")
    await panel.locator("summary").click()
    target = panel.get_by_test_id("command-target")
    await expect(target.get_by_text("枪机 1000", exact=True)).to_be_attached()
    await expect(target.get_by_text("枪机 1599", exact=True)).to_have_count(0)
    await panel.get_by_test_id("command-target-search").fill("枪机 1599")
    await expect(target).to_have_value("34020000001310001599")
    await panel.get_by_test_id("command-target-search").fill("没有这个")
    await expect(panel.get_by_text("没有符合条件的通道")).to_be_visible()
    await expect(target).to_have_value("34020000001310001599")  # what was chosen stays
    await panel.get_by_test_id("command-target-search").fill("")
    await target.select_option("")  # the device itself


async def test_why_a_firmware_file_is_not_taken_is_told(seat: Seat) -> None:  # noqa: F811
    firmware = {
        "firmware_id": "f" * 32, "name": "v2.bin", "version": "2", "manufacturer": "ACME", "stored": False, "bytes": 0,
        "sha256": "", "created_at": AT, "upload_url": f"/media/firmware/{'f' * 32}?token=x",
    }  # fmt: skip

    async def known(route: Route) -> None:
        await route.fulfill(json=firmware if route.request.method == "POST" else {"items": [], "next": None})

    async def refused(route: Route) -> None:
        assert route.request.headers["accept-language"] == "zh-CN"
        said = {"error": {"code": "too_large", "message": "固件文件超过 100 字节（command.firmware_mib）"}}
        await route.fulfill(status=413, json=said, headers={"Content-Language": "zh"})

    await seat.page.route("**/api/v1/orders*", lambda route: route.fulfill(json={"items": [], "next": None}))
    await seat.page.route("**/api/v1/firmware*", known)
    await seat.page.route("**/media/firmware/**", refused)
    await seat.login(f"/devices/{CAMERA}")
    panel = seat.page.get_by_test_id("commands")
    await panel.locator("summary").click()
    await panel.get_by_test_id("tab-maintenance").click()
    await panel.locator("input[type=file]").set_input_files({"name": "v2.bin", "mimeType": "x/y", "buffer": b"x" * 200})
    await panel.get_by_placeholder("版本").fill("2")
    await panel.get_by_placeholder("厂商").fill("ACME")
    await panel.locator("form button[type=submit]").click()
    await expect(panel.get_by_role("alert")).to_contain_text("固件文件超过 100 字节")
