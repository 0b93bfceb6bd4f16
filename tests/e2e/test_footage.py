"""Real footage through the whole platform: recorded byte for byte, reordered or not; losses counted exactly."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest
import pytest_asyncio

from gb28181.storage.index import LOSS, parse_index
from tests.e2e.cameras import SHARED, Cameras, cameras
from tests.e2e.platform import Platform, platform, poll

FOOTAGE = SHARED / "ps" / "ipc-d1-h264.ps"
ELEMENTARY = SHARED / "ps" / "ipc-d1-h264.264"
#: Pictures in the program stream; the elementary stream beside it goes on for 28 more.
PICTURES = 1347

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not FOOTAGE.exists(), reason="the footage of a real camera is not beside this checkout"),
]


@dataclass(frozen=True)
class Scene:
    """A camera that sends the footage once, in one way."""

    device: str
    options: tuple[str, ...]


SCENES = {
    "udp": Scene("34020000001320000011", ("--media", "udp")),
    "tcp": Scene("34020000001320000021", ("--media", "tcp")),
    "swapped": Scene("34020000001320000031", ("--media", "udp", "--reorder", "0.02", "--seed", "7")),
    "dropped": Scene("34020000001320000041", ("--media", "udp", "--loss", "0.01", "--seed", "11")),
}


class Shown:
    """The platform, and one simulated camera for each scene; all send at the same time."""

    def __init__(self, server: Platform, sims: dict[str, Cameras]) -> None:
        self.server = server
        self.sims = sims

    async def recorded(self, name: str) -> tuple[bytes, list[dict[str, Any]], dict[str, Any]]:
        """What was recorded of the camera's first showing, its segments, and the camera's own figures of it."""
        scene, sim = SCENES[name], self.sims[name]

        async def ended() -> dict[str, Any] | None:
            assert sim.process.poll() is None, sim.log.read_text()
            return next(iter(sim.events("stream_end")), None)

        figures = await poll(ended, seconds=120, what="the end of the footage", log=self.server.log, pause=0.5)
        channel = next(c for c in await self.server.channels() if c["device_id"] == scene.device and c["playable"])
        await self.server.record(channel, "off")  # the camera would show it again

        async def closed() -> list[dict[str, Any]] | None:
            found: list[dict[str, Any]] = (await self.server.recordings(channel))["segments"]
            return found if sum(segment["bytes"] for segment in found) >= figures["payload_bytes"] else None

        segments = await poll(closed, seconds=30, what="closed segments", log=self.server.log, pause=0.5)
        assert self.server.client is not None
        data, first = b"", []
        for segment in segments:
            if len(data) >= figures["payload_bytes"]:
                break  # the second showing
            async with self.server.client.get(self.server.url + segment["url"]) as response:
                assert response.status == 200, await response.text()
                data += await response.read()
            assert hashlib.sha256(data[-segment["bytes"] :]).hexdigest() == segment["sha256"]
            first.append(segment)
        return data, first, figures


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shown]:
    folder = tmp_path_factory.mktemp("footage")
    async with platform(folder, RECORDING__DEFAULT_MODE="always", RECORDING__SEGMENT_SECONDS="20") as server:
        with contextlib.ExitStack() as stack:
            sims = {
                name: stack.enter_context(
                    cameras(
                        server.sip_port,
                        folder,
                        "--first-id",
                        scene.device,
                        "--ps",
                        str(FOOTAGE),
                        "--once",
                        *scene.options,
                        name=name,
                    )
                )
                for name, scene in SCENES.items()
            }
            yield Shown(server, sims)


@pytest.mark.parametrize("name", ["udp", "tcp", "swapped"])
async def test_the_footage_is_recorded_byte_for_byte(shown: Shown, tmp_path: Path, name: str) -> None:
    data, segments, figures = await shown.recorded(name)
    assert data == FOOTAGE.read_bytes()
    assert len(segments) >= 2
    assert sum(segment["lost"] for segment in segments) == 0
    assert (figures["swapped"] > 0) == (name == "swapped")
    if name == "udp":
        file = tmp_path / "recording.ps"
        file.write_bytes(data)
        shown_frames = frames(file)
        assert len(shown_frames) == PICTURES
        assert shown_frames == frames(ELEMENTARY)[:PICTURES]
        assert errors_of(file) == ""


async def test_one_percent_dropped_is_counted_exactly_marked_and_still_plays(shown: Shown, tmp_path: Path) -> None:
    data, segments, figures = await shown.recorded("dropped")
    assert figures["lost"] > 10
    assert sum(segment["lost"] for segment in segments) == figures["lost"]
    marked = 0
    for segment in segments:
        path = segment["url"].split("?")[0].removeprefix("/media/segment/0/").removesuffix(".ps")
        index = parse_index((shown.server.data / "recordings" / f"{path}.idx").read_bytes())
        marked += sum(row.lost for row in index.rows if row.flags & LOSS)
    assert marked == figures["lost"]
    file = tmp_path / "recording.ps"
    file.write_bytes(data)
    assert len(frames(file)) > 0.5 * len(frames(ELEMENTARY))


def frames(file: Path) -> list[bytes]:
    """Decoded pictures as hashes of their luma."""
    out = []
    with av.open(str(file)) as container:
        for frame in container.decode(video=0):
            out.append(hashlib.sha256(bytes(frame.planes[0])).digest())
    return out


def errors_of(file: Path) -> str:
    """What ffprobe has to complain about."""
    said = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,nb_read_packets", "-count_packets", "-of", "json", file],
        capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(said.stdout)["streams"][0]["codec_name"] == "h264"
    return said.stderr.decode()
