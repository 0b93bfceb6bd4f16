"""The documentation of the API in a real browser, through the real edge and its content policy."""

from __future__ import annotations

import shutil

import pytest
from playwright.async_api import async_playwright

from gb28181.api.app import create_api
from tests.api.api_world import World as ApiWorld
from tests.edge.conftest import make_world

__all__ = ["make_world"]

CHROMIUM = shutil.which("chromium") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (scripts/setup --test)")


@pytest.fixture
async def address(make_world) -> str:
    return (await make_world(api=create_api(ApiWorld().services()))).url


async def test_the_page_is_styled_and_opens_its_calls_without_breaking_the_policy(address: str):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text))
        answer = await page.goto(f"{address}/api/docs")
        assert answer is not None
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert await page.evaluate("getComputedStyle(document.querySelector('.method')).display") == "inline-block"
        await page.get_by_text("/api/v1/login").click()
        assert await page.get_by_text("Gives a token for a user name and password.").first.is_visible()
        await browser.close()
    assert [text for text in complaints if "Content Security" in text] == []
