"""Steering in the live page: what is held moves, what is let go stops, whatever else happens."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.web.demo_server import CAMERA
from tests.web.test_pages import CHROMIUM, Seat, browser, seat  # noqa: F401  # fixtures

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (scripts/setup --test)"),
    pytest.mark.asyncio(loop_scope="module"),
]
FIRST = f"/live?grid=1&c={CAMERA}~34020000001310000001"
FIXED = f"/live?grid=1&c={CAMERA}~34020000001310000002"


async def opened(seat: Seat, path: str = FIRST) -> Page:  # noqa: F811
    """The live page with the panel of its first cell."""
    await seat.login(path)
    await expect(seat.page.get_by_test_id("cell-0")).to_have_attribute("data-state", "playing")
    await seat.page.get_by_test_id("steer").click()
    await expect(seat.page.get_by_test_id("ptz-preset")).to_be_enabled()
    return seat.page


async def said(seat: Seat, *words: str) -> None:  # noqa: F811
    """Waits until the cameras were told this, renewals and repeated stops left out."""

    def told() -> list[str]:
        moves = iter(seat.world.steered.moves)
        out: list[str] = []
        before: object = None
        for word in seat.world.steered.said:
            if word == "move":
                speed = next(moves)["speed"]
                if speed == before:
                    continue
                before = speed
                word = f"move {speed}"
            else:
                before = None
            if word == "stop" and out[-1:] == ["stop"]:
                continue  # said again by a page that is left, in case the first is lost with it
            out.append(word)
        return out

    async with asyncio.timeout(15):
        while told() != list(words):  # the made-up platform tells nobody
            await asyncio.sleep(0.02)


async def centre(page: Page, name: str) -> tuple[float, float]:
    box = await page.get_by_test_id(name).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


async def test_a_held_button_moves_and_letting_go_stops(seat: Seat) -> None:  # noqa: F811
    page = await opened(seat)
    await page.mouse.move(*await centre(page, "ptz-left_up"))
    await page.mouse.down()
    await said(seat, "move {'pan': -0.5, 'tilt': 0.5}")
    assert seat.world.steered.moves[0]["lease_s"] == 3
    async with asyncio.timeout(10):
        while len(seat.world.steered.moves) < 2:  # a renewal
            await asyncio.sleep(0.05)
    await page.mouse.move(5, 5)  # the pointer may leave the button, the button keeps it
    await page.mouse.up()
    await said(seat, "move {'pan': -0.5, 'tilt': 0.5}", "stop")


async def test_arrow_keys_move_together_and_a_lost_window_stops(seat: Seat) -> None:  # noqa: F811
    page = await opened(seat)
    await page.get_by_test_id("cell-0").focus()
    await page.keyboard.down("ArrowRight")
    await said(seat, "move {'pan': 0.5}")
    await page.keyboard.down("ArrowDown")
    await said(seat, "move {'pan': 0.5}", "move {'pan': 0.5, 'tilt': -0.5}")
    await page.keyboard.up("ArrowRight")
    await page.evaluate("window.dispatchEvent(new Event('blur'))")
    await said(seat, "move {'pan': 0.5}", "move {'pan': 0.5, 'tilt': -0.5}", "move {'tilt': -0.5}", "stop")


async def test_a_page_that_is_left_stops_the_camera(seat: Seat) -> None:  # noqa: F811
    page = await opened(seat)
    await page.mouse.move(*await centre(page, "ptz-zoom-more"))
    await page.mouse.down()
    await said(seat, "move {'zoom': 0.5}")
    await page.goto("about:blank")
    await said(seat, "move {'zoom': 0.5}", "stop")


async def test_a_closed_panel_stops_the_camera(seat: Seat) -> None:  # noqa: F811
    page = await opened(seat)
    await page.get_by_test_id("cell-0").focus()
    await page.keyboard.down("+")
    await said(seat, "move {'zoom': 0.5}")
    await page.get_by_test_id("steer").dispatch_event("click")
    await expect(page.get_by_test_id("ptz")).to_have_count(0)
    await said(seat, "move {'zoom': 0.5}", "stop")


async def test_who_steers_is_told_in_words(seat: Seat) -> None:  # noqa: F811
    page = await opened(seat)
    seat.world.steered.held = ("王队长", "2026-03-01T08:00:08Z")
    await page.get_by_test_id("ptz-up").click()
    await expect(page.get_by_test_id("ptz-notice")).to_contain_text("王队长 正在控制")
    assert seat.world.steered.moves == []


async def test_presets_are_called_set_and_deleted(seat: Seat) -> None:  # noqa: F811
    page = await opened(seat)
    await expect(page.get_by_test_id("ptz-preset").locator("option")).to_have_text(["1 大门", "2 停车场", "8 ", "3（新）"])
    await page.get_by_test_id("ptz-call").click()
    await said(seat, "preset POST 1")
    await page.get_by_test_id("ptz-preset").select_option("3")
    await page.get_by_test_id("ptz-name").fill("西门")
    await page.get_by_test_id("ptz-set").click()
    await expect(page.get_by_test_id("ptz-preset").locator("option").nth(2)).to_have_text("3 西门")
    await page.get_by_test_id("ptz-delete").click()
    await said(seat, "preset POST 1", "preset DELETE 3")
    assert 3 not in seat.world.steered.presets


async def test_a_box_on_the_picture_is_a_drag_zoom(seat: Seat) -> None:  # noqa: F811
    page = await opened(seat)
    await page.get_by_test_id("ptz-drag").click()
    x, y = await centre(page, "ptz-drag-area")
    await page.mouse.move(x, y)
    await page.mouse.down()
    await page.mouse.move(x + 120, y + 90)
    await expect(page.locator(".drag rect")).to_be_visible()
    await page.mouse.up()
    async with asyncio.timeout(10):
        while not seat.world.steered.boxes:  # the made-up platform tells nobody
            await asyncio.sleep(0.02)
    box = seat.world.steered.boxes[0]
    assert (box["direction"], box["window_width"], box["window_height"]) == ("in", 352, 288)
    assert 0 < box["width"] < 352
    assert abs(box["width"] * 90 - box["height"] * 120) <= 240  # no axis is stretched
    assert box["center_x"] > 176


async def test_a_lock_is_held_and_freed(seat: Seat) -> None:  # noqa: F811
    page = await opened(seat)
    await page.get_by_test_id("ptz-lock").click()
    await expect(page.get_by_test_id("ptz-lock")).to_have_attribute("aria-pressed", "true")
    await page.get_by_test_id("ptz-lock").click()
    await expect(page.get_by_test_id("ptz-lock")).to_have_attribute("aria-pressed", "false")
    assert not seat.world.steered.locked


async def test_a_viewer_and_a_fixed_camera_have_nothing_to_steer(seat: Seat) -> None:  # noqa: F811
    await seat.login(FIXED)
    await expect(seat.page.get_by_test_id("name")).to_have_text("人民路与解放街路口")
    await expect(seat.page.get_by_test_id("steer")).to_have_count(0)
    await seat.page.evaluate("sessionStorage.setItem('gb28181.role', 'viewer')")
    await seat.page.goto(f"{seat.address}/?again#{FIRST}")
    await expect(seat.page.get_by_test_id("name")).to_have_text("城北出入口")
    await expect(seat.page.get_by_test_id("steer")).to_have_count(0)
