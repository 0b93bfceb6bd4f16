"""Sound, exports and snapshots of running cameras, through the public door."""

from __future__ import annotations

import asyncio
import io
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import pytest_asyncio

from gb28181.sim import barcode
from tests.e2e.cameras import cameras
from tests.e2e.platform import Platform, path_of, platform, poll, rfc3339

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

OPTIONS = ("--first-id", "34020000001320000051", "--ipc", "2", "--codec", "mixed", "--size", "352x288", "--bitrate", "256")


class Recorded:
    """A platform that records an H.264 and an H.265 camera, and a range of some seconds that both have."""

    def __init__(self, server: Platform, channels: list[dict[str, Any]], start: int) -> None:
        self.server = server
        self.channels = channels
        self.start, self.end = start, start + 6

    def export(self, channel: dict[str, Any], kind: str) -> str:
        query = f"start={rfc3339(self.start)}&end={rfc3339(self.end)}&format={kind}"
        return f"{self.server.url}/api/v1{path_of(channel)}/recordings/export?{query}"

    async def curl(self, url: str, *options: str) -> bytes:
        """What an operator's script gets: one command with the login's token, which follows redirects."""
        command = ["curl", "-sS", "--fail", "-L", "-H", f"Authorization: Bearer {self.server.token}", *options, url]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recorded]:
    folder = tmp_path_factory.mktemp("export")
    settings = {"RECORDING__DEFAULT_MODE": "always", "RECORDING__SEGMENT_SECONDS": "4"}
    async with platform(folder, **settings) as server:
        with cameras(server.sip_port, folder, *OPTIONS):
            channels = await server.online(2)

            async def long_enough() -> int | None:
                starts, ends = [], []
                for channel in channels:
                    segments = (await server.recordings(channel))["segments"]
                    if len(segments) < 3:
                        return None
                    starts.append(segments[0]["start"])
                    ends.append(segments[-1]["end"])
                start = max(map(moment, starts)) + 2
                return int(start) if int(start) + 6 < min(map(moment, ends)) else None

            start = await poll(long_enough, seconds=90, what="three segments of each camera", log=server.log, pause=0.5)
            yield Recorded(server, channels, start)


def moment(text: str) -> float:
    return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone


async def test_movie_of_each_codec_shows_its_range_with_sound(recorded: Recorded, tmp_path: Path) -> None:
    codecs = set()
    for channel in recorded.channels:
        file = tmp_path / f"{channel['device_id']}.mp4"
        file.write_bytes(await recorded.curl(recorded.export(channel, "mp4")))
        probe = subprocess.run(["ffprobe", "-v", "warning", str(file)], capture_output=True, text=True, check=True)
        assert probe.stderr == ""
        with av.open(str(file)) as container:
            codecs.add(container.streams.video[0].codec_context.name)
            frames = [barcode.read(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
        with av.open(str(file)) as container:
            level = max(float(np.abs(frame.to_ndarray()).max()) for frame in container.decode(audio=0))
        wanted = {second % 60 for second in range(recorded.start, recorded.end)}
        # The arrival, by which the range is cut, is later than the picture by what the network takes.
        assert wanted <= set(frames)
        assert set(frames) <= wanted | {(recorded.start - 1) % 60}
        assert level > 0.1
    assert codecs == {"h264", "hevc"}


async def test_original_holds_the_segments_of_its_range_byte_for_byte(recorded: Recorded) -> None:
    channel = recorded.channels[0]
    found = (await recorded.server.recordings(channel))["segments"]
    first, last = found[0], found[1]
    query = f"start={first['start']}&end={last['end']}&format=ps"
    data = await recorded.curl(f"{recorded.server.url}/api/v1{path_of(channel)}/recordings/export?{query}")
    segments = [await recorded.curl(recorded.server.url + segment["url"]) for segment in (first, last)]
    assert data.startswith(b"".join(segments))
    assert (
        await recorded.curl(recorded.export(channel, "ps"), "-r", "1000-1999")
        == (await recorded.curl(recorded.export(channel, "ps")))[1000:2000]
    )


async def test_job_shows_progress_and_gives_the_file(recorded: Recorded) -> None:
    server, channel = recorded.server, recorded.channels[0]
    asked = {"start": rfc3339(recorded.start), "end": rfc3339(recorded.end)}
    plan = await server.call("POST", f"{path_of(channel)}/recordings/export", asked)
    assert plan["bytes_estimate"] > 10_000
    client = server.client
    assert client is not None
    async with client.post(server.url + plan["job_url"]) as answer:
        assert answer.status == 202
        job = await answer.json()

    async def done() -> dict[str, Any] | None:
        async with client.get(server.url + job["progress_url"]) as answer:
            shown = await answer.json()
        return shown if shown["state"] in ("done", "failed") else None

    job = await poll(done, seconds=60, what="the export", log=server.log)
    assert job["state"] == "done"
    assert await recorded.curl(server.url + job["url"]) == await recorded.curl(recorded.export(channel, "mp4"))


async def test_snapshots_show_now_and_then(recorded: Recorded) -> None:
    for channel in recorded.channels:
        url = f"{recorded.server.url}/api/v1{path_of(channel)}/snapshot"
        at = recorded.start + 2
        for query, seconds in (("", None), (f"?at={rfc3339(at)[:-1]}.700Z", {at % 60})):
            image = await recorded.curl(url + query)
            with av.open(io.BytesIO(image), "r", format="jpeg_pipe") as container:
                shown = barcode.read(next(container.decode(video=0)).to_ndarray(format="gray"))
            now = int(time.time())
            assert shown in (seconds or {second % 60 for second in range(now - 4, now + 1)})


async def test_live_viewers_hear_the_camera(recorded: Recorded) -> None:
    server, channel = recorded.server, recorded.channels[0]
    live = await server.call("POST", f"{path_of(channel)}/live", {})
    assert server.client is not None
    for name, kind in (("flv", "flv"), ("ts", "mpegts")):
        data = b""
        async with server.client.get(server.url + live["urls"][name]) as answer, asyncio.timeout(30):
            while len(data) < 120_000:
                data += await answer.content.read(1 << 16)
        with av.open(io.BytesIO(data), "r", format=kind) as container:
            assert {stream.codec_context.name for stream in container.streams} >= {"aac"}
            frame = next(container.decode(audio=0))
            assert frame.sample_rate == 8000


async def test_export_needs_a_login(recorded: Recorded) -> None:
    assert recorded.server.client is not None
    async with recorded.server.client.get(recorded.export(recorded.channels[0], "mp4")) as answer:
        assert answer.status == 401
