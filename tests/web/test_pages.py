"""The pages in a real browser, against a made-up API that sends real FLV (`demo_server.py`)."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from tests.web import demo_server
from tests.web.console_build import ROOT, load
from tests.web.demo_server import CAMERA, PASSWORD, RECORDER, SILENT, World

CHROMIUM = shutil.which("chromium") or ""
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (scripts/setup --test)"),
    pytest.mark.asyncio(loop_scope="module"),  # one browser for all
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    if not (demo_server.CONSOLE / "index.html").is_file():
        load().build(ROOT)
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        await opened.close()


@dataclass
class Seat:
    """An operator before the console."""

    page: Page
    world: World
    address: str
    complaints: list[str]

    async def login(self, path: str) -> None:
        await self.page.goto(f"{self.address}/#{path}")
        await self.page.get_by_test_id("username").fill("admin")
        await self.page.get_by_test_id("password").fill(PASSWORD)
        await self.page.get_by_test_id("login").click()
        await expect(self.page.get_by_test_id("login")).to_have_count(0)


@pytest_asyncio.fixture(loop_scope="module")
async def seat(browser: Browser) -> AsyncIterator[Seat]:
    of = demo_server.world()
    async with demo_server.serving(of) as address:
        context = await browser.new_context(viewport={"width": 1366, "height": 768}, locale="zh-CN", timezone_id=_zone())
        page = await context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
        yield Seat(page, of, address, complaints)
        await context.close()
    assert complaints == []


def _zone() -> str:
    """A zone where it is between noon and one now, so that the recordings of the last hours are of today."""
    ahead = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-ahead:+d}"  # POSIX: GMT-8 is eight hours ahead


def _channel(number: int) -> str:
    return f"3402000000131{number:07d}"


async def test_nine_cells_fill_with_the_first_channels_and_play(seat: Seat):
    await seat.login("/live?grid=9")
    for index in range(8):
        await expect(seat.page.get_by_test_id(f"cell-{index}")).to_have_attribute("data-state", "playing")
    first = seat.page.get_by_test_id("cell-0")
    await expect(first.get_by_test_id("name")).to_have_text("城北出入口")
    await expect(first.get_by_test_id("age")).to_have_text("0 秒")
    # Chromium without hardware decoding has no H.265.
    await expect(seat.page.get_by_test_id("cell-8").get_by_test_id("problem")).to_contain_text("此浏览器不能解码 H.265")
    before = await first.locator("video").evaluate("video => video.currentTime")
    await seat.page.wait_for_function("then => document.querySelector('video').currentTime > then + 1", arg=before)


async def test_a_cell_says_which_step_failed_and_what_to_do(seat: Seat):
    chosen = "&".join(f"c={RECORDER}~{_channel(number)}" for number in range(101, 108))
    await seat.login(f"/live?grid=9&{chosen}")
    told = ["请求没有发出", "设备没有应答", "SIP 486", "防火墙", "没有发送数据", "不是 PS 流", "I 帧间隔"]
    for index, words in enumerate(told):
        await expect(seat.page.get_by_test_id(f"cell-{index}").get_by_test_id("problem")).to_contain_text(words)
    await expect(seat.page.get_by_test_id("cell-3").get_by_test_id("problem")).to_contain_text("进行到第 4/8 步")


async def test_a_picture_that_failed_comes_by_itself_when_the_cause_is_gone(seat: Seat):
    channel = seat.world.channel(RECORDER, _channel(102))
    fault = channel["fault"]
    await seat.login(f"/live?grid=1&c={RECORDER}~{_channel(102)}")
    await expect(seat.page.get_by_test_id("cell-0").get_by_test_id("problem")).to_be_visible()
    assert fault[0] == "invited"
    del channel["fault"]
    await expect(seat.page.get_by_test_id("cell-0")).to_have_attribute("data-state", "playing")


async def test_the_server_is_asked_in_the_language_of_the_page_not_of_the_browser(seat: Seat):
    await seat.login("/alarms")
    asked: list[str] = []
    seat.page.on("request", lambda of: asked.append(of.headers["accept-language"]) if "/api/" in of.url else None)
    async with seat.page.expect_response(re.compile("/api/v1/devices")):
        await seat.page.goto(f"{seat.address}/#/devices")
    assert set(asked) == {"zh-CN"}
    await seat.page.get_by_test_id("language").click()
    asked.clear()
    async with seat.page.expect_response(re.compile(f"/api/v1/devices/{CAMERA}")):
        await seat.page.goto(f"{seat.address}/#/devices/{CAMERA}")
    assert set(asked) == {"en"}


@pytest.mark.parametrize("path", ["/", f"/devices/{CAMERA}", "/alarms"])
async def test_another_language_is_asked_for_at_once_what_the_page_shows(seat: Seat, path: str):
    await seat.login(path)
    await expect(seat.page.get_by_test_id("language")).to_have_text("English")
    await seat.page.wait_for_load_state("networkidle")
    async with seat.page.expect_request(lambda of: "/api/" in of.url and of.headers["accept-language"] == "en", timeout=5_000):
        await seat.page.get_by_test_id("language").click()


async def test_why_there_is_no_picture_is_told_anew_in_the_other_language(seat: Seat):
    await seat.login(f"/live?grid=1&c={RECORDER}~{_channel(102)}")
    await expect(seat.page.get_by_test_id("cell-0").get_by_test_id("problem")).to_be_visible()
    asked = lambda of: of.url.endswith("/live") and of.headers["accept-language"] == "en"  # noqa: E731
    async with seat.page.expect_request(asked, timeout=5_000):
        await seat.page.get_by_test_id("language").click()


@pytest.mark.parametrize("size", [(1366, 768), (1920, 1080)])
async def test_sixteen_pictures_or_what_is_wrong_with_them_fit(seat: Seat, size: tuple[int, int]):
    await seat.page.set_viewport_size({"width": size[0], "height": size[1]})
    await seat.login(f"/live?grid=16&c={RECORDER}~{_channel(102)}")
    cell = seat.page.get_by_test_id("cell-0")
    await expect(seat.page.get_by_test_id("cell-15")).to_be_in_viewport(ratio=1.0)
    await expect(cell.get_by_test_id("problem").locator("strong")).to_be_in_viewport(ratio=1.0)
    button, box = await cell.get_by_test_id("problem").locator("button").bounding_box(), await cell.bounding_box()
    assert button is not None
    assert box is not None
    assert button["y"] + button["height"] <= box["y"] + box["height"]


async def test_a_tab_that_is_older_than_the_server_finds_its_pages(seat: Seat):
    """After an update the files that an open tab knows by name are gone: 404 for a page's script."""
    await seat.login("/")
    lost = re.compile(r"/assets/DevicesPage-.*\.js")
    await seat.page.route(lost, lambda route: route.fulfill(status=404, body="{}"), times=1)
    await seat.page.get_by_role("link", name="设备", exact=True).click()
    await expect(seat.page.get_by_test_id("add-device")).to_be_visible()


async def test_the_zone_of_the_times_is_told(seat: Seat):
    await seat.login("/")
    ahead = -await seat.page.evaluate("() => new Date().getTimezoneOffset()") // 60
    await expect(seat.page.get_by_test_id("zone")).to_have_text(f"UTC{ahead:+d}" if ahead else "UTC")


async def test_a_closed_cell_ends_its_session(seat: Seat):
    await seat.login(f"/live?grid=1&c={CAMERA}~{_channel(1)}")
    await expect(seat.page.get_by_test_id("cell-0")).to_have_attribute("data-state", "playing")
    async with seat.page.expect_response(lambda answer: answer.request.method == "DELETE"):
        await seat.page.get_by_test_id("cell-0").press("Delete")
    await expect(seat.page.get_by_test_id("cell-0")).to_have_attribute("data-state", "idle")
    assert seat.world.ended == ["s1"]


async def test_devices_show_state_stream_and_recording(seat: Seat):
    await seat.login(f"/devices/{CAMERA}")
    row = seat.page.get_by_test_id(f"channel-{_channel(2)}")
    await expect(row).to_contain_text("录像中")
    await expect(row).to_contain_text("912 kbit/s")
    await expect(row).to_contain_text("丢包 0.02 %")
    await seat.page.get_by_test_id("refresh-catalog").click()
    await expect(seat.page.get_by_test_id("catalog-progress")).to_have_text("目录完整，共 9 项")


async def test_recording_starts_at_once_and_stops_only_when_confirmed(seat: Seat):
    await seat.login(f"/devices/{CAMERA}")
    row = seat.page.get_by_test_id(f"channel-{_channel(5)}")
    await row.get_by_test_id("record").click()
    await expect(row).to_contain_text("录像中")
    await row.get_by_test_id("record").click()
    assert seat.world.channel(CAMERA, _channel(5))["recording"]["mode"] == "always"
    await row.get_by_test_id("record").click()
    await expect(row).to_contain_text("未录像")


async def test_an_event_changes_what_is_shown(seat: Seat):
    await seat.login("/devices")
    shown = seat.page.get_by_test_id(f"device-{SILENT}")
    await expect(shown).to_contain_text("离线")
    await expect(seat.page.get_by_text("实时更新")).to_be_visible()
    seat.world.devices[2]["online"] = True
    await seat.world.tell({"type": "device_online", "device_id": SILENT})
    await expect(shown).to_contain_text("在线")


async def test_access_data_and_refusals_are_shown_to_who_connects_a_camera(seat: Seat):
    await seat.login("/devices")
    panel = seat.page.get_by_test_id("access")
    for words in ("34020000002000000001", "3402000000", "192.168.1.10", "5060", "34020000001320000077", "wrong password"):
        await expect(panel).to_contain_text(words)


async def test_a_stranger_is_let_in_with_one_press(seat: Seat):
    stranger = {"device_id": "34020000001320000099", "source": "192.168.1.99:5060", "user_agent": "IP Camera", "count": 7}
    seat.world.strangers = [
        stranger | {"reason": "unknown", "last_seen_at": "2026-03-01T00:00:00Z"},
        stranger | {"device_id": "34020000001320000098", "reason": "wrong-password", "last_seen_at": "2026-03-01T00:00:00Z"},
    ]
    await seat.login("/devices")
    await expect(seat.page.get_by_test_id("accept-34020000001320000098")).to_be_disabled()
    await seat.page.get_by_test_id("accept-34020000001320000099").click()
    await expect(seat.page.get_by_test_id("device-34020000001320000099")).to_be_visible()
    assert [found["device_id"] for found in seat.world.strangers] == ["34020000001320000098"]


async def test_what_is_wrong_with_a_device_is_said_in_words(seat: Seat):
    hint = {"code": "clock", "words": {"zh": "设备时钟快 40 秒", "en": "its clock is 40 s ahead"}}
    device = seat.world.devices[0] | {"hints": [hint], "clock": {"offset_s": 40.2, "measured_at": None, "warning": True}}
    seat.world.devices[0] = device
    await seat.login(f"/devices/{device['device_id']}")
    await expect(seat.page.get_by_test_id("hint-clock")).to_have_text("设备时钟快 40 秒")


async def test_the_password_of_a_new_device_is_shown_once(seat: Seat):
    await seat.login("/devices")
    await seat.page.get_by_test_id("add-device").click()
    await seat.page.get_by_test_id("new-device-id").fill("34020000001320000088")
    await seat.page.keyboard.press("Enter")
    await expect(seat.page.get_by_test_id("new-password")).to_have_text("k7Qm-2xVd-9pRt")
    await seat.page.keyboard.press("Escape")
    await expect(seat.page.get_by_test_id("new-password")).to_have_count(0)
    await expect(seat.page.get_by_test_id("device-34020000001320000088")).to_be_visible()


async def test_a_wrong_password_is_said_and_an_expired_token_leads_back_to_the_login(seat: Seat):
    await seat.page.goto(seat.address)
    await seat.page.get_by_test_id("username").fill("admin")
    await seat.page.get_by_test_id("password").fill("guess")
    await seat.page.get_by_test_id("login").click()
    await expect(seat.page.get_by_role("alert")).to_have_text("用户名或密码不正确")
    await seat.page.get_by_test_id("password").fill(PASSWORD)
    await seat.page.get_by_test_id("login").click()
    await expect(seat.page.get_by_test_id("missing")).to_be_visible()
    await seat.page.evaluate("sessionStorage.setItem('gb28181.token', 'expired')")
    await seat.page.reload()
    await expect(seat.page.get_by_test_id("login")).to_be_visible()


async def test_a_viewer_is_offered_only_what_a_viewer_may_do(seat: Seat):
    seat.world.role = "viewer"
    await seat.login(f"/devices/{CAMERA}")
    await expect(seat.page.get_by_test_id(f"channel-{_channel(1)}").get_by_role("link")).to_have_text(["回放", "观看"])
    for offer in ("record", "add-device", "refresh-catalog"):
        await expect(seat.page.get_by_test_id(offer)).to_have_count(0)


async def test_the_state_of_the_platform_stands_on_every_page(seat: Seat):
    seat.world.volumes = [{"path": "/mnt/disk2", "total_bytes": 1, "free_bytes": 0, "suspect": False, "error": "read-only"}]
    await seat.login("/live?grid=1")
    for words in ("设备2/3", "通道17/18", "录像2/4", "存储故障：/mnt/disk2 read-only"):
        await expect(seat.page.get_by_test_id("counts")).to_contain_text(words)


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_the_bar_shows_everything_of_thousands_of_channels(seat: Seat, language: str):
    counts = {"devices": {"total": 300, "online": 298}, "channels": {"total": 3300, "online": 3270}}
    counts |= {"recording": {"due": 3000, "recording": 2998}}

    async def system(route: Route) -> None:
        await route.fulfill(json=await (await route.fetch()).json() | counts)

    await seat.page.route("**/api/v1/system", system)
    await seat.page.route("**/api/v1/alarms/open", lambda route: route.fulfill(json={"count": 100, "more": True}))
    await seat.login("/positions")
    if language == "en":
        await seat.page.get_by_test_id("language").click()
    told = seat.page.get_by_test_id("counts")
    await expect(told).to_contain_text("2998/3000")
    await expect(seat.page.get_by_test_id("badge-alarms")).to_have_text("100+")
    assert await told.evaluate("of => of.scrollWidth - of.clientWidth") <= 0
    assert await seat.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_the_language_can_be_changed_and_is_kept(seat: Seat):
    await seat.page.goto(seat.address)
    await seat.page.get_by_test_id("language").click()
    await expect(seat.page.get_by_test_id("login")).to_have_text("Log in")
    await seat.page.reload()
    await expect(seat.page.get_by_test_id("login")).to_have_text("Log in")
    assert await seat.page.evaluate("document.documentElement.lang") == "en"


async def test_start_page_says_what_is_wrong_now(seat: Seat):
    await seat.login("/")
    page = seat.page
    await expect(page.get_by_test_id("tile-recording")).to_contain_text("2")
    missing = page.get_by_test_id("missing")
    await expect(missing).to_contain_text("实验小学正门")
    await expect(missing).to_contain_text("取不到画面")
    await expect(missing).to_contain_text("设备离线")
    await expect(page.get_by_test_id("disks")).to_contain_text("Input/output error")
    await expect(page.get_by_test_id("kept")).to_contain_text("15 天")
    await expect(page.get_by_test_id("gaps")).to_contain_text("存储故障")
    seat.world.overview |= {"missing": [], "missing_total": 0, "disks": seat.world.overview["disks"][:2]}
    await page.reload()
    await expect(missing).to_contain_text("存储正常")


async def test_a_recording_opens_at_the_moment_of_its_address(seat: Seat):
    at = _ago(minutes=30)
    await seat.login(_playback(at))
    await _plays_from(seat, at)
    today = seat.page.get_by_test_id(f"calendar-{at.astimezone(ZoneInfo(_zone())):%Y-%m-%d}")
    await expect(today).not_to_have_attribute("data-coverage", "0")
    await expect(today).to_have_class(re.compile("is-chosen"))


async def test_the_timeline_seeks_and_goes_on_after_a_gap(seat: Seat):
    await seat.login(_playback(_ago(minutes=30)))
    await _plays_from(seat, None)
    begin, end, _ = seat.world.holes[-1]
    assert end is not None
    inside = begin + (end - begin) / 2
    await seat.page.get_by_role("button", name="1 小时", exact=True).click()
    line = seat.page.get_by_test_id("timeline")
    box = await line.bounding_box()
    assert box is not None
    first, last = [float(await line.get_attribute(name) or 0) / 1000 for name in ("data-from", "data-to")]
    where = (inside.timestamp() - first) / (last - first) * box["width"]
    await line.click(position={"x": where, "y": 34})
    await expect(seat.page.get_by_test_id("notice")).to_contain_text("设备停止发送媒体")
    await _plays_from(seat, end)


async def test_keys_pause_and_step_ten_seconds(seat: Seat):
    await seat.login(_playback(_ago(minutes=40)))
    await _plays_from(seat, None)
    await seat.page.keyboard.press("Space")
    await expect(seat.page.get_by_test_id("playback-state")).to_have_attribute("data-state", "paused")
    before = await _wall(seat)
    await seat.page.keyboard.press("ArrowRight")
    await seat.page.wait_for_function(f"then => Number({WALL}) > then", arg=before + 9_000)
    assert abs(await _wall(seat) - before - 10_000) < 1_000
    await seat.page.get_by_test_id("speed").select_option("4")
    assert await seat.page.get_by_test_id("video").evaluate("video => video.playbackRate") == 4


async def test_a_range_is_exported_and_its_link_comes(seat: Seat):
    await seat.login(_playback(_ago(minutes=40)))
    await _plays_from(seat, None)
    await seat.page.get_by_test_id("export").click()
    await seat.page.get_by_test_id("export-start").click()
    await expect(seat.page.get_by_test_id("export-link")).to_have_attribute("href", "/media/exports/e1/file")


async def test_a_device_shows_the_figures_of_its_streams(seat: Seat):
    await seat.login(f"/devices/{CAMERA}")
    row = seat.page.get_by_test_id(f"channel-{_channel(1)}")
    await expect(row).to_contain_text("1920×1080 · 25 fps · PS · TCP")
    await expect(row).to_contain_text("关键帧间隔 2.0 秒")


WALL = "document.querySelector('[data-testid=wallclock]').dataset.at"


def _ago(**much: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(**much)


def _playback(at: datetime) -> str:
    return f"/playback/{CAMERA}~{_channel(1)}?at={at.isoformat().replace('+00:00', 'Z')}"


async def _wall(seat: Seat) -> float:
    return float(await seat.page.evaluate(f"Number({WALL})"))


async def _plays_from(seat: Seat, at: datetime | None) -> None:
    if at is not None:
        between = [at.timestamp() * 1000, at.timestamp() * 1000 + 10_000]
        await seat.page.wait_for_function(f"([a, b]) => a <= Number({WALL}) && Number({WALL}) < b", arg=between)
    await expect(seat.page.get_by_test_id("playback-state")).to_have_attribute("data-state", "playing")


async def test_the_tree_is_walked_by_keyboard_and_searched(seat: Seat):
    await seat.login("/live?grid=4&c=&c=&c=&c=")
    page = seat.page
    await page.get_by_test_id("tree-by").select_option("device")
    await page.get_by_test_id(f"node-{CAMERA}").focus()
    for key in ("ArrowRight", "ArrowDown", "Enter"):
        await page.locator('[role=tree] [tabindex="0"]').press(key)
        if key == "ArrowRight":
            await expect(page.get_by_test_id(f"node-{CAMERA}")).to_have_attribute("aria-expanded", "true")
            await expect(page.locator('[role=treeitem][aria-level="2"]').first).to_be_visible()
    await expect(page.locator('[role=treeitem][aria-selected="true"]')).to_have_count(1)
    await page.get_by_test_id("tree-search").fill("急诊")
    await expect(page.get_by_test_id("tree-found").get_by_role("button").first).to_contain_text("急诊")
    await page.get_by_test_id("tree-search").fill("没有")
    await expect(page.get_by_text("没有找到通道")).to_be_visible()
