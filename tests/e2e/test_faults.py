"""Ten cameras record; each part is killed, then everything: pictures come back by themselves, gaps are listed."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.cameras import Cameras, cameras
from tests.e2e.platform import Platform, path_of, platform, poll

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
KEEPALIVE_S = 20
CAMERAS = (
    *("--ipc", "10", "--keepalive", str(KEEPALIVE_S), "--retry", "5"),
    *("--size", "352x288", "--gop", "1", "--bitrate", "256"),
)


class Town:
    """A platform and ten cameras of it."""

    def __init__(self, server: Platform, camera: Cameras) -> None:
        self.server = server
        self.camera = camera

    async def recording(self, *, since: float = 0.0, seconds: float) -> list[dict[str, Any]]:
        """Waits until all ten channels are being written, in segments that began after `since`."""

        async def all_ten() -> list[dict[str, Any]] | None:
            found = [c for c in await self.server.channels() if c["recording"]["state"] == "recording"]
            fresh = [c for c in found if _unix(c["recording"]["since"]) >= since]
            return found if len(fresh) >= 10 else None

        return await poll(all_ten, seconds=seconds, what="ten channels recording", log=self.server.log, pause=0.25)

    async def all_on_disk(self) -> None:
        """Waits for a moment at which every open segment has bytes on disk: those that began just now have none to adopt."""

        async def written() -> bool:
            parts = list((self.server.data / "recordings").rglob("*.ps.part"))
            return len(parts) == 10 and all(_size(part) for part in parts)

        await poll(written, seconds=30, what="ten open segments with bytes", log=self.server.log, pause=0.02)

    def calls(self) -> dict[str, str]:
        """Call-ID of the newest INVITE of each camera."""
        return {row["device"]: row["call_id"] for row in self.camera.events("invite")}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # renamed since it was listed: it was closed
        return 0


def _unix(text: str | None) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp() if text else 0.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    folder = tmp_path_factory.mktemp("faults")
    settings = {
        "RECORDING__DEFAULT_MODE": "always",
        "RECORDING__SEGMENT_SECONDS": "5",
        "RECORDING__GAP_SECONDS": "1",
        "RECORDING__WRITE_SECONDS": "0.3",
        "RECORDING__RETRY_MAX_S": "5",
        "SIP__OFFLINE_AFTER_S": "20",
    }
    async with platform(folder, **settings) as server:
        with cameras(server.sip_port, folder, *CAMERAS) as camera:
            made = Town(server, camera)
            await made.recording(seconds=120)
            yield made


async def test_control_killed_loses_no_picture_and_no_dialog(town: Town) -> None:
    before = town.calls()
    assert len(before) == 10
    killed = time.time()
    town.server.kill("control")
    await poll(_answers(town.server), seconds=30, what="control answers again", log=town.server.log)
    channels = await town.recording(seconds=30)

    async def rotated() -> bool:
        """Segments that span the kill are closed."""
        pages = [await town.server.recordings(channel) for channel in channels]
        return all(any(_unix(s["end"]) > killed + 1 for s in page["segments"]) for page in pages)

    await poll(rotated, seconds=40, what="segments across the kill", log=town.server.log, pause=0.5)
    assert town.calls() == before
    for channel in channels:
        page = await town.server.recordings(channel)
        around = [s for s in page["segments"] if _unix(s["end"]) > killed - 10]
        assert sum(segment["lost"] for segment in around) == 0
        for one, next_one in itertools.pairwise(around):
            assert _unix(next_one["start"]) - _unix(one["end"]) < 0.5, (one, next_one)
        assert not [gap for gap in page["gaps"] if _unix(gap["start"]) > killed - 10]


async def test_ingest_killed_records_again_within_15_seconds_and_the_gap_is_listed(town: Town) -> None:
    await town.all_on_disk()
    killed = time.time()
    town.server.kill("ingest-0")
    channels = await town.recording(since=killed, seconds=15)

    async def listed() -> bool:
        pages = [await town.server.recordings(channel) for channel in channels]
        return all(any(_unix(gap["start"]) >= killed - 15 for gap in page["gaps"]) for page in pages) and all(
            any(segment["adopted"] for segment in page["segments"]) for page in pages
        )

    await poll(listed, seconds=30, what="adopted segments and gaps of the kill", log=town.server.log, pause=0.5)


async def test_edge_killed_shows_pictures_again_within_15_seconds_and_recording_does_not_notice(town: Town) -> None:
    channel = (await town.server.channels())[0]
    before = town.calls()
    killed = time.time()
    town.server.kill("edge")

    async def picture() -> bool:
        try:
            live = await town.server.call("POST", f"{path_of(channel)}/live", {})
            assert town.server.client is not None
            async with town.server.client.get(
                town.server.url + live["urls"]["flv"], timeout=aiohttp.ClientTimeout(total=10)
            ) as response:
                return response.status == 200 and len(await response.content.readexactly(20_000)) == 20_000
        except (aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError):
            return False

    await poll(picture, seconds=15, what="a picture from the new edge", log=town.server.log)
    assert time.time() - killed < 15
    assert town.calls() == before


async def test_everything_killed_comes_back_closed_segments_unchanged(town: Town) -> None:
    recordings = town.server.data / "recordings"

    async def enough() -> bool:
        return len(list(recordings.rglob("*.ps"))) >= 10

    await poll(enough, seconds=30, what="closed segments", log=town.server.log)
    await town.all_on_disk()
    town.server.kill_everything()
    parts = list(recordings.rglob("*.ps.part"))
    assert len(parts) == 10
    closed = {path: hashlib.sha256(path.read_bytes()).digest() for path in recordings.rglob("*.ps")}
    started = time.time()
    await town.server.start()
    channels = await town.recording(since=started, seconds=KEEPALIVE_S + 30)
    for path, digest in closed.items():
        assert hashlib.sha256(path.read_bytes()).digest() == digest, path
    assert not [path for path in parts if path.exists()]

    async def listed() -> bool:
        pages = [await town.server.recordings(channel) for channel in channels]
        return all(
            any(s["adopted"] and _unix(s["start"]) > started - 60 for s in page["segments"])
            and any(_unix(gap["end"]) >= started for gap in page["gaps"] if gap["end"])
            for page in pages
        )

    await poll(listed, seconds=30, what="adopted segments and gaps", log=town.server.log, pause=0.5)


async def test_a_camera_that_goes_away_and_comes_back_is_recorded_again(town: Town) -> None:
    town.camera.kill()
    gone = time.time()

    async def none_recording() -> bool:
        return not [c for c in await town.server.channels() if c["recording"]["state"] == "recording"]

    await poll(none_recording, seconds=40, what="silence noticed", log=town.server.log)
    folder = town.server.data.parent
    with cameras(town.server.sip_port, folder, *CAMERAS, name="again"):
        back = time.time()
        channels = await town.recording(since=back, seconds=30)

        async def listed() -> bool:
            pages = [await town.server.recordings(channel) for channel in channels]
            return all(any(gap["end"] and _unix(gap["end"]) >= gone for gap in page["gaps"]) for page in pages)

        await poll(listed, seconds=30, what="the gap with its end", log=town.server.log, pause=0.5)


def _answers(server: Platform) -> Any:
    async def claim() -> bool:
        try:
            return bool(await server.call("GET", "/channels", limit=1))
        except (AssertionError, aiohttp.ClientError):
            return False

    return claim
