"""`scripts/serve --demo` as a new user runs it: Chromium logs in and sees nine moving pictures."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from tests.e2e.cameras import CACHE

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts"

pytestmark = pytest.mark.e2e


class Demo:
    def __init__(self, data: Path, output: Path, log: Path) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GB28181__")}
        environ |= {
            "GB28181__SIP__PORT": "0",
            "GB28181__HTTP__PORT": "0",
            "XDG_CACHE_HOME": str(CACHE),
        }
        self.output = output
        self.log = log
        with output.open("wb") as out, log.open("wb") as err:
            self.process = subprocess.Popen(
                [str(ROOT / "scripts" / "serve"), "--demo", "--data", str(data)],
                env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip

    def banner(self, seconds: float) -> dict[str, str]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            text = self.output.read_text()
            found = {
                "console": re.search(r"Console \S+ \S+\s+(\S+)", text),
                "password": re.search(r"\n  Password / 密码\s+(\S+)", text),
                "server": re.search(r"SIP server ID \S+ \S+\s+(\d{20})", text),
                "domain": re.search(r"SIP domain \S+ \S+\s+(\d+)", text),
                "address": re.search(r"SIP server \S+ \S+\s+([\d.]+)", text),
                "port": re.search(r"SIP port \S+ \S+\s+(\d+)", text),
                "sip_password": re.search(r"SIP password \S+ \S+\s+(\S+)", text),
            }
            if all(found.values()):
                return {name: match[1] for name, match in found.items() if match}
            time.sleep(0.1)
        raise AssertionError(f"no banner within {seconds:.0f} s:\n{self.output.read_text()}\n{self.log.read_text()[-4000:]}")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path / "demo", tmp_path / "out", tmp_path / "log")
    try:
        yield made
    finally:
        made.process.send_signal(signal.SIGTERM)
        try:
            made.process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(made.process.pid, signal.SIGKILL)
            raise


async def test_chromium_sees_nine_moving_pictures_while_the_api_answers(demo: Demo) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "chromium is missing: scripts/setup --test installs it"
    said = await asyncio.to_thread(demo.banner, 300)
    ARTIFACTS.mkdir(exist_ok=True)
    base = re.sub(r"//[^:/]+:", "//127.0.0.1:", said["console"])
    token = (await asyncio.to_thread(request, base, "login", {"username": "admin", "password": said["password"]}))["token"]

    end = time.monotonic() + 120
    while True:
        page = await asyncio.to_thread(request, base, "channels?online=true&limit=100", None, token)
        if len([channel for channel in page["items"] if channel["playable"]]) >= 9:
            break
        assert time.monotonic() < end, demo.log.read_text()[-4000:]
        await asyncio.sleep(0.5)

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
                  "--disable-sync", "--no-first-run", "--disable-quic", "--autoplay-policy=no-user-gesture-required"],
        )  # fmt: skip
        try:
            view = await browser.new_page(viewport={"width": 1366, "height": 768})
            await view.goto(base)
            await view.get_by_test_id("username").fill("admin")
            await view.get_by_test_id("password").fill(said["password"])
            await view.get_by_test_id("login").click()
            await view.wait_for_url("**/#/**")
            await view.get_by_test_id("login").wait_for(state="detached")
            await view.screenshot(path=ARTIFACTS / "devices.png")
            await view.goto(f"{base}#/live?grid=9")
            await nine_moving(view, demo, base, token)
            await view.screenshot(path=ARTIFACTS / "live-9.png")
        finally:
            await browser.close()


async def nine_moving(view: Page, demo: Demo, base: str, token: str) -> None:
    """Every video has new pictures, seen twice, while the API answers."""
    script = """() => [...document.querySelectorAll('video')].map(v => ({
        time: v.currentTime, width: v.videoWidth, frames: v.getVideoPlaybackQuality().totalVideoFrames }))"""
    end = time.monotonic() + 90
    first: list[dict[str, Any]] = []
    while True:
        now: list[dict[str, Any]] = await view.evaluate(script)
        health = await asyncio.to_thread(request, base, "health", None, token)
        assert health["status"] == "ok", health
        playing = [video for video in now if video["width"] and video["frames"]]
        if not first and len(playing) >= 9:
            first = now
        elif first and len(now) == len(first):
            moved = [a for a, b in zip(now, first, strict=True) if a["time"] > b["time"] + 2 and a["frames"] > b["frames"] + 10]
            if len(moved) >= 9:
                return
        if time.monotonic() > end:
            await view.screenshot(path=ARTIFACTS / "live-9-failed.png")
            raise AssertionError(f"not nine moving pictures: {now}\n{demo.log.read_text()[-5000:]}")
        await asyncio.sleep(0.5)


def request(base: str, path: str, body: Any = None, token: str = "") -> Any:
    made = urllib.request.Request(
        f"{base}api/v1/{path}",
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {}),
    )
    with urllib.request.urlopen(made, timeout=20) as response:
        return json.loads(response.read())
