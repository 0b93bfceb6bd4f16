"""Recordings in a browser, judged by the bar code of the second in each picture: played, sought, heard, exported."""

from __future__ import annotations

import asyncio
import base64
import itertools
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from gb28181.sim import barcode
from tests.e2e.cameras import cameras
from tests.e2e.platform import ADMIN_PASSWORD, Platform, path_of, platform, poll

CHROMIUM = shutil.which("chromium") or ""
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed (scripts/setup --test)"),
]

SEGMENT_S = 6
GAP_S = 8
FRAMES_PER_S = 10
ZONE = timezone(timedelta(hours=8))
CAMERA = (
    *("--ipc", "1", "--keepalive", "20", "--retry", "2"),
    *("--size", "352x288", "--fps", str(FRAMES_PER_S), "--gop", "1", "--bitrate", "256"),
)

#: The picture on show as grey bytes, and the wall clock that the console shows under it.
LOOK = """() => {
    const video = document.querySelector('[data-testid=video]');
    if (!video) return { grey: '', ready: false, wall: 0, state: '', problem: '' };
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [352, 288];
    const drawing = canvas.getContext('2d', { willReadFrequently: true });
    drawing.drawImage(video, 0, 0, 352, 288);
    const { data } = drawing.getImageData(0, 0, 352, 288);
    const grey = new Uint8Array(352 * 288);
    for (let i = 0; i < grey.length; i += 1) grey[i] = data[4 * i + 1];
    let text = '';
    for (let i = 0; i < grey.length; i += 4096) text += String.fromCharCode(...grey.subarray(i, i + 4096));
    return { grey: btoa(text), ready: video.readyState >= 2 && !video.seeking,
        wall: Number(document.querySelector('[data-testid=wallclock]').dataset.at) / 1000,
        state: document.querySelector('[data-testid=playback-state]')?.dataset.state ?? '',
        problem: document.querySelector('[data-testid=problem]')?.textContent ?? '' };
}"""

LOUDEST = """async () => {
    const context = new AudioContext();
    await context.resume();
    const analyser = context.createAnalyser();
    context.createMediaElementSource(document.querySelector('[data-testid=video]')).connect(analyser);
    analyser.connect(context.destination);
    const samples = new Float32Array(analyser.fftSize);
    let loudest = 0;
    for (let i = 0; i < 60 && loudest < 0.02; i += 1) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        analyser.getFloatTimeDomainData(samples);
        loudest = Math.max(loudest, ...samples.map(Math.abs));
    }
    return loudest;
}"""


@dataclass(frozen=True)
class Shown:
    """What the browser shows: the bar code's second, None while none can be read, and the wall clock under it."""

    second: int | None
    wall: float
    state: str
    problem: str


@dataclass
class Archive:
    """A platform whose one camera was recorded, away for a while, and recorded again; and a browser before it."""

    server: Platform
    channel: dict[str, Any]
    page: Page

    async def recordings(self) -> dict[str, Any]:
        return await self.server.recordings(self.channel)

    async def look(self) -> Shown:
        seen = await self.page.evaluate(LOOK)
        second = None
        if seen["ready"]:
            second = barcode.read(np.frombuffer(base64.b64decode(seen["grey"]), np.uint8).reshape(288, 352))
        return Shown(second, seen["wall"], seen["state"], seen["problem"])

    async def shown_at(self, at: float) -> Shown:
        """Goes to a moment by the page's address."""
        name = f"{self.channel['device_id']}~{self.channel['channel_id']}"
        moment = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
        await self.page.evaluate("hash => { location.hash = hash }", f"#/playback/{name}?at={moment}")
        return await self.shows(at)

    async def shows(self, at: float) -> Shown:
        """Waits for a picture of a moment that can be read."""
        last: list[Shown] = []

        async def there() -> Shown | None:
            last[:] = [await self.look()]
            return last[0] if last[0].second is not None and -1 <= last[0].wall - at <= 4 else None

        try:
            found: Shown = await poll(there, seconds=60, what="a picture")
        except AssertionError:
            raise AssertionError(f"no picture of {at}: {last}\n{self.server.log.read_text()[-3000:]}") from None
        return found

    async def watched(self, until: float) -> list[float]:
        """The wall clock of every picture seen until it shows a moment; each picture has the second of its wall clock.

        The console writes the clock five times a second, so that behind a gap the picture is ahead of it for a moment.
        """
        walls: list[float] = []
        wrong: list[float] = []

        async def reached() -> bool:
            seen = await self.look()
            if seen.second is None:
                return False
            if abs(off(seen.second, seen.wall)) > 1.5:
                wrong.append(time.monotonic())
                assert wrong[-1] - wrong[0] < 0.6, seen
                return False
            wrong.clear()
            walls.append(seen.wall)
            return seen.wall >= until

        await poll(reached, seconds=25, what="playing on", log=self.server.log, pause=0.05)
        return walls


def off(second: int | None, wall: float) -> float:
    """Seconds between the middle of a bar code's second and a wall clock, the short way round the minute."""
    assert second is not None
    return (second + 0.5 - wall % 60 + 30) % 60 - 30


def unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Archive]:
    folder = tmp_path_factory.mktemp("console")
    settings = {
        "RECORDING__DEFAULT_MODE": "always",
        "RECORDING__SEGMENT_SECONDS": str(SEGMENT_S),
        "RECORDING__GAP_SECONDS": "1",
        "RECORDING__WRITE_SECONDS": "0.3",
        "RECORDING__RETRY_MAX_S": "2",
    }
    async with platform(folder, **settings) as server:
        with cameras(server.sip_port, folder, *CAMERA, name="first") as camera:
            (channel,) = await server.online(1)
            await closed(server, channel, 3)
            camera.kill()
        away = time.monotonic()
        await poll(lambda: _passed(away + GAP_S), seconds=GAP_S + 5, what="the gap")
        with cameras(server.sip_port, folder, *CAMERA, name="second"):
            await closed(server, channel, 6)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=CHROMIUM,
                    args=["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
                )
                try:
                    size: Any = {"width": 1366, "height": 768}
                    context = await browser.new_context(viewport=size, timezone_id="Asia/Shanghai", locale="zh-CN")
                    page = await context.new_page()
                    await page.goto(server.url)
                    await page.get_by_test_id("username").fill("admin")
                    await page.get_by_test_id("password").fill(ADMIN_PASSWORD)
                    await page.get_by_test_id("login").click()
                    await page.get_by_test_id("missing").wait_for()
                    yield Archive(server, channel, page)
                finally:
                    await browser.close()


async def _passed(end: float) -> bool:
    return time.monotonic() > end


async def closed(server: Platform, channel: dict[str, Any], count: int) -> None:
    async def enough() -> bool:
        return len((await server.recordings(channel))["segments"]) >= count

    await poll(enough, seconds=60, what=f"{count} closed segments", log=server.log, pause=0.5)


async def test_seeking_shows_the_second_that_was_asked_for(archive: Archive) -> None:
    segments = (await archive.recordings())["segments"]
    starts = [unix(segment["start"]) for segment in segments]
    last = unix(segments[-1]["end"])
    for at in (starts[0] + 1.5, starts[1] - 0.6, starts[1] + 0.6, starts[2] + 2.2, last - 2.5, starts[0] + 3.0):
        seen = await archive.shown_at(at)
        assert abs(off(seen.second, seen.wall)) <= 1.5, (at, seen)


async def test_a_press_on_the_timeline_goes_there(archive: Archive) -> None:
    segments = (await archive.recordings())["segments"]
    await archive.shown_at(unix(segments[0]["start"]) + 1)
    line = archive.page.get_by_test_id("timeline")
    box = await line.bounding_box()
    assert box is not None
    await archive.page.get_by_role("button", name="10 分钟", exact=True).click()
    begin, end = [float(await line.get_attribute(name) or 0) / 1000 for name in ("data-from", "data-to")]
    assert end - begin == pytest.approx(600)
    at = unix(segments[2]["start"]) + 2.0
    await line.click(position={"x": (at - begin) / (end - begin) * box["width"], "y": 34})
    seen = await archive.shows(at)
    assert abs(off(seen.second, seen.wall)) <= 1.5, seen


async def test_playing_goes_on_over_a_segment_border_and_over_a_gap(archive: Archive) -> None:
    found = await archive.recordings()
    gap = max(found["gaps"], key=lambda gap: unix(gap["end"] or gap["start"]) - unix(gap["start"]))
    before, after = unix(gap["start"]), unix(gap["end"])
    assert after - before > GAP_S / 2
    assert gap["cause"]
    border = unix(found["segments"][1]["start"])
    await archive.shown_at(border - 1.5)
    walls = await archive.watched(until=border + 1.5)
    assert max(b - a for a, b in itertools.pairwise(walls)) < 2.5
    await archive.shown_at(before - 2)
    walls = await archive.watched(until=after + 1.5)
    assert not [wall for wall in walls if before + 1 < wall < after - 1]


async def test_the_camera_is_heard(archive: Archive) -> None:
    segments = (await archive.recordings())["segments"]
    await archive.shown_at(unix(segments[-1]["start"]) - 3)
    assert await archive.page.evaluate(LOUDEST) > 0.02


async def test_the_export_button_gives_the_range_that_was_asked_for(archive: Archive, tmp_path: Path) -> None:
    segments = (await archive.recordings())["segments"]
    start = int(unix(segments[0]["start"])) + 2
    end = start + SEGMENT_S + 2  # over a border
    page = archive.page
    await archive.shown_at(start)
    await page.get_by_test_id("export").click()
    for name, at in (("from", start), ("to", end)):
        field = page.get_by_test_id(f"export-{name}")
        await field.fill(datetime.fromtimestamp(at, ZONE).strftime("%Y-%m-%dT%H:%M:%S"))
        await field.press("Tab")
    await page.get_by_test_id("export-start").click()
    link = page.get_by_test_id("export-link")
    await link.wait_for(timeout=30_000)
    async with page.expect_download() as download:
        await link.click()
    file = tmp_path / "export.mp4"
    await (await download.value).save_as(file)
    seconds = await asyncio.to_thread(seconds_of, file)
    assert abs(off(seconds[0], start)) <= 1.5, seconds
    assert abs(off(seconds[-1], end)) <= 1.5, seconds
    assert {(b - a) % 60 for a, b in itertools.pairwise(seconds)} == {0, 1}, seconds
    assert len(seconds) >= 0.9 * FRAMES_PER_S * (end - start)


def seconds_of(file: Path) -> list[int]:
    """The bar codes of a file's pictures."""
    with av.open(str(file)) as container:
        found = [barcode.read(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    assert found
    assert None not in found
    return [second for second in found if second is not None]


async def test_the_calendar_and_the_overview_know_the_recordings(archive: Archive) -> None:
    server, channel = archive.server, archive.channel
    first = datetime.fromisoformat((await archive.recordings())["segments"][0]["start"]).astimezone(ZONE)
    answer = await server.call("GET", f"{path_of(channel)}/recordings/calendar", month=f"{first:%Y-%m}", zone="+08:00")
    (day,) = [day for day in answer["days"] if day["date"] == f"{first:%Y-%m-%d}"]
    assert day["recorded_s"] > 0
    assert day["bytes"] > 0
    overview = await server.call("GET", "/overview")
    assert overview["recording"] == {"due": 1, "recording": 1}
    assert overview["missing_total"] == 0
    assert overview["disks"][0]["oldest_at"] is not None
    assert sum(total["gaps"] for total in overview["gaps"]) >= 1
