"""What the parts of the console do together: badges, the notice of an alarm, users and audit, folded panels of a device."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import expect

from tests.web.demo_server import CAMERA
from tests.web.test_pages import CHROMIUM, Seat, browser, seat  # noqa: F401  # fixtures

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (scripts/setup --test)"),
    pytest.mark.asyncio(loop_scope="module"),
]
LIVE = f"/live?grid=1&c={CAMERA}~34020000001310000001"


async def test_what_waits_is_counted_beside_its_page_and_an_alarm_is_announced_everywhere(seat: Seat) -> None:  # noqa: F811
    await seat.login("/devices")
    page = seat.page
    await expect(page.get_by_test_id("badge-alarms")).to_have_text("3")
    await expect(page.get_by_test_id("badge-start")).to_have_text("2")
    await expect(page.get_by_test_id("access")).to_contain_text("5061 TLS")
    new = {**seat.world.alarms[0], "alarm_id": 9, "description": "新报警", "at": "2026-03-01T08:00:10.000Z"}
    seat.world.alarms.insert(0, new)
    await seat.world.tell({"type": "alarm_raised", "alarm_id": 9, "device_id": CAMERA})
    notice = page.get_by_test_id("alarm-notice")
    await expect(notice).to_contain_text("新报警")
    await expect(page.get_by_test_id("badge-alarms")).to_have_text("4")
    await notice.get_by_role("link", name="回放报警前 10 秒").click()
    await expect(page).to_have_url(re.compile(r"#/playback/\d+~\d+\?at=2026-03-01T08:00:00"))
    await page.get_by_test_id("alarm-dismiss").click()
    await expect(notice).to_have_count(0)


async def test_all_alarms_of_a_filter_are_acknowledged_in_one_go(seat: Seat) -> None:  # noqa: F811
    await seat.login("/alarms")
    await seat.page.get_by_test_id("acknowledge-all").click()
    await seat.page.get_by_test_id("all-note").fill("演练")
    await seat.page.get_by_test_id("acknowledge-all-confirm").click()
    await expect(seat.page.get_by_test_id("no-alarms")).to_be_visible()
    await expect(seat.page.get_by_text("已处理 3 条")).to_be_visible()
    assert [alarm["note"] for alarm in seat.world.alarms] == ["演练"] * 3 + ["误报，树枝晃动"]
    await expect(seat.page.get_by_test_id("badge-alarms")).to_have_count(0)


async def test_an_administrator_keeps_users_and_reads_the_audit(seat: Seat) -> None:  # noqa: F811
    await seat.login("/system")
    page, desk = seat.page, seat.world.desk
    await page.get_by_test_id("new-username").fill("李娜")
    await page.get_by_test_id("new-user-password").fill("long-enough")
    await page.get_by_test_id("new-role").select_option("operator")
    await page.keyboard.press("Enter")
    row = page.get_by_test_id("user-李娜")
    await expect(row.get_by_role("combobox")).to_have_value("operator")
    await row.get_by_test_id("open-reset").click()
    await row.get_by_test_id("reset-password").fill("quite-another")
    await page.keyboard.press("Enter")
    await expect(row.get_by_test_id("open-reset")).to_be_visible()
    assert desk.passwords == {"李娜": "quite-another"}
    await row.get_by_test_id("disable").click()
    await expect(row).to_contain_text("已停用")
    await row.get_by_test_id("remove-user").click()
    assert "李娜" in desk.users  # asks once more
    await row.get_by_test_id("remove-user").click()
    await expect(row).to_have_count(0)
    await expect(page.get_by_test_id("user-admin").get_by_test_id("remove-user")).to_be_disabled()
    await page.get_by_test_id("system-audit").click()
    rows = page.get_by_test_id("audit").locator("tbody tr")
    await expect(rows).to_have_count(50)
    await page.get_by_role("button", name="下一页").click()
    await expect(rows).to_have_count(10)
    await page.get_by_test_id("audit-user").select_option("王伟")
    await page.get_by_test_id("audit-action").select_option("live.open")
    await expect(rows).to_have_count(10)
    await expect(rows.first).to_contain_text("打开实况")


async def test_the_audit_speaks_as_the_page_does(seat: Seat) -> None:  # noqa: F811
    seat.world.desk.audit[0] |= {
        "action": "recording.export",
        "detail": {"start": "2026-03-01T00:00:00.000Z", "format": "mp4", "unheard_of": 3},
    }
    await seat.login("/system/audit")
    row = seat.page.get_by_test_id("audit").locator("tbody tr").first
    await expect(row).to_contain_text("格式: mp4; unheard_of: 3")
    local = await seat.page.evaluate("() => new Date('2026-03-01T00:00:00Z').toLocaleString('sv')")
    await expect(row).to_contain_text(f"开始: {local};")


async def test_a_viewer_has_no_page_of_the_system(seat: Seat) -> None:  # noqa: F811
    seat.world.role = "viewer"
    await seat.login("/system/audit")
    await expect(seat.page.get_by_test_id("missing")).to_be_visible()
    await expect(seat.page.get_by_role("link", name="系统")).to_have_count(0)


async def test_settings_and_recordings_of_a_device_unfold_below_its_channels(seat: Seat) -> None:  # noqa: F811
    await seat.login(f"/devices/{CAMERA}")
    page = seat.page
    held = page.get_by_test_id("held")
    await held.locator("summary").click()
    await held.get_by_test_id("held-search").click()
    await expect(held.get_by_test_id("held-summary")).to_contain_text("5 段录像，共 2 小时 30 分钟。 缺失 1 处，共 30 分钟。")
    await expect(held.get_by_test_id("held-bar").locator(".gap")).to_have_count(1)
    await expect(held.get_by_test_id("held-list").locator("tbody tr")).to_have_count(5)
    settings = page.get_by_test_id("settings")
    await settings.locator("summary").click()
    await settings.locator("[name=ignore_notified_status]").select_option("true")
    await settings.get_by_role("button", name="保存").click()
    await expect(settings.locator("summary")).to_contain_text("已改 1 项")
    assert seat.world.changes == [{"profile": {"ignore_notified_status": True}}]


async def test_cruises_switches_home_and_places_are_steered(seat: Seat) -> None:  # noqa: F811
    await seat.login(LIVE)
    page, said = seat.page, seat.world.steered.said
    await page.get_by_test_id("steer").click()
    await expect(page.get_by_test_id("ptz-preset")).to_be_enabled()
    await page.get_by_test_id("ptz-more").click()
    await page.get_by_test_id("ptz-cruise-read").click()
    await expect(page.get_by_test_id("ptz-track")).to_have_value("2")
    await expect(page.get_by_test_id("ptz-cruise-points")).to_have_text("夜间 1 → 8")
    await page.get_by_test_id("ptz-cruise-add").click()
    await expect(page.get_by_test_id("ptz-cruise-points")).to_have_text("夜间 1 → 8 → 1")
    await page.get_by_test_id("ptz-cruise-start").click()
    await page.get_by_test_id("ptz-tab-auxiliary").click()
    await page.get_by_test_id("ptz-switch-true").click()
    await expect(page.get_by_test_id("ptz-notice")).to_have_text("已发送")
    await page.get_by_test_id("ptz-tab-home").click()
    await page.get_by_test_id("ptz-home-read").click()
    await expect(page.get_by_role("checkbox")).to_be_checked()
    await page.get_by_test_id("ptz-home-set").click()
    await page.get_by_test_id("ptz-tab-precise").click()
    await page.get_by_test_id("ptz-place-read").click()
    await expect(page.get_by_test_id("ptz-pan")).to_have_value("182.5")
    await page.get_by_test_id("ptz-pan").fill("90")
    await page.get_by_test_id("ptz-place-go").click()
    wanted = [
        "POST cruises/2/points {'preset': 1}", "POST cruises/2/start", "PUT auxiliaries/2 {'on': True}",
        "PUT home {'enabled': True, 'after_s': 90, 'preset': 8}", "POST ptz/precise {'pan': 90, 'tilt': -4, 'zoom': 3}",
    ]  # fmt: skip
    async with asyncio.timeout(10):
        while said != wanted:  # the made-up platform tells nobody
            await asyncio.sleep(0.02)
