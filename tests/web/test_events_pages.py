"""Alarms, positions and subscriptions in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.web.demo_server import CAMERA
from tests.web.test_pages import CHROMIUM, Seat, browser, seat

__all__ = ["browser", "seat"]  # fixtures
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (scripts/setup --test)"),
    pytest.mark.asyncio(loop_scope="module"),
]


async def test_an_alarm_is_acknowledged_with_a_note_and_leaves_the_open_ones(seat: Seat) -> None:
    await seat.login("/alarms")
    row = seat.page.get_by_test_id("alarm-4")
    await expect(row).to_contain_text("入侵检测报警 · 进入区域")
    await expect(row).to_contain_text("周界北侧有人翻越")
    await row.get_by_test_id("alarm-acknowledge").click()
    await row.get_by_test_id("alarm-note").fill("已派人到场")
    await row.get_by_test_id("alarm-confirm").click()
    await expect(row).to_have_count(0)
    await seat.page.get_by_test_id("alarm-status").select_option("done")
    await expect(seat.page.get_by_test_id("alarm-4")).to_contain_text("已派人到场")
    assert seat.complaints == []


async def test_an_alarm_that_arrives_shows_by_itself_and_leads_to_its_recording(seat: Seat) -> None:
    await seat.login("/alarms")
    await expect(seat.page.get_by_test_id("alarm-4")).to_be_visible()
    new = {**seat.world.alarms[0], "alarm_id": 9, "description": "新报警"}
    seat.world.alarms.insert(0, new)
    for socket in seat.world.sockets:
        await socket.send_json({"type": "alarm_raised", "alarm_id": 9, "device_id": CAMERA})
    row = seat.page.get_by_test_id("alarm-9")
    await expect(row).to_contain_text("新报警")
    await expect(row).to_have_class(re.compile("is-fresh"))
    await row.get_by_role("link", name="回放").click()
    await expect(seat.page).to_have_url(re.compile(r"#/playback/\d+~\d+\?at=2"))


async def test_a_track_is_drawn_without_a_map(seat: Seat) -> None:
    await seat.login("/positions")
    channel = seat.world.positions[0]["channel_id"]
    await seat.page.get_by_test_id(f"position-{channel}").click()
    line = seat.page.get_by_test_id("track").locator("polyline")
    points = (await line.get_attribute("points") or "").split()
    assert len(points) == len(seat.world.positions)
    await expect(seat.page.get_by_test_id("track-points").locator("tbody tr")).to_have_count(200)
    assert seat.complaints == []


async def test_a_subscription_shows_why_it_does_not_stand_and_is_switched(seat: Seat) -> None:
    await seat.login(f"/devices/{CAMERA}")
    await seat.page.get_by_test_id("subscriptions").locator("summary").click()
    await expect(seat.page.get_by_test_id("subscription-ptz_position")).to_contain_text("489")
    row = seat.page.get_by_test_id("subscription-mobile_position")
    await row.get_by_role("combobox").select_option("on")
    await expect(row).to_contain_text("等待")
    assert seat.world.subscriptions[2]["own"]["enabled"] is True
