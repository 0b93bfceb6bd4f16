"""Real footage through the whole platform: recorded byte for byte, reordered or not; losses counted exactly."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
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

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not FOOTAGE.exists(), reason="the footage of a real camera is not beside this checkout"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with platform(tmp_path_factory.mktemp("footage"), RECORDING__DEFAULT_MODE="always") as started:
        yield started


async def recorded(server: Platform, camera: Cameras, device: str) -> tuple[bytes, list[dict[str, Any]], dict[str, Any]]:
    """Everything recorded of a camera that sends its file once, its segments, and the camera's own figures."""

    async def finished() -> dict[str, Any] | None:
        assert camera.process.poll() is None, camera.log.read_text()
        mine = [c for c in await server.channels() if c["device_id"] == device and c["playable"]]
        rows = [row for row in camera.statistics() if row["device_id"] == device]
        if not mine or not rows or not rows[0].get("finished"):
            return None
        page = await server.recordings(mine[0])
        return page if page["segments"] else None

    page = await poll(finished, seconds=120, what="the footage recorded", log=server.log, pause=0.5)
    assert server.client is not None
    parts = []
    for segment in page["segments"]:
        async with server.client.get(server.url + segment["url"]) as response:
            assert response.status == 200, await response.text()
            parts.append(await response.read())
            assert len(parts[-1]) == segment["bytes"]
    return b"".join(parts), page["segments"], next(row for row in camera.statistics() if row["device_id"] == device)


@pytest.mark.parametrize(
    ("number", "options"),
    [
        pytest.param(1, ("--media", "udp"), id="udp"),
        pytest.param(2, ("--media", "tcp"), id="tcp"),
        pytest.param(3, ("--media", "udp", "--reorder", "0.02", "--seed", "7"), id="udp-2-percent-swapped"),
    ],
)
async def test_the_footage_is_recorded_byte_for_byte(
    server: Platform, tmp_path: Path, number: int, options: tuple[str, ...]
) -> None:
    device = f"340200000013200000{number}1"
    with cameras(server.sip_port, tmp_path, "--first-id", device, "--ps", str(FOOTAGE), "--once", *options) as camera:
        data, segments, figures = await recorded(server, camera, device)
    assert data == FOOTAGE.read_bytes()
    assert sum(segment["lost"] for segment in segments) == 0
    if "--reorder" in options:
        assert figures["swapped"] > 0
    if number == 1:
        file = tmp_path / "recording.ps"
        file.write_bytes(data)
        assert frames(file) == frames(ELEMENTARY)
        assert errors_of(file) == ""


async def test_one_percent_dropped_is_counted_exactly_marked_and_still_plays(server: Platform, tmp_path: Path) -> None:
    device = "34020000001320000041"
    options = ("--first-id", device, "--ps", str(FOOTAGE), "--once", "--media", "udp", "--loss", "0.01", "--seed", "11")
    with cameras(server.sip_port, tmp_path, *options) as camera:
        data, segments, figures = await recorded(server, camera, device)
    assert figures["dropped"] > 10
    assert sum(segment["lost"] for segment in segments) == figures["dropped"]
    marked = 0
    for index in sorted((server.data / "recordings" / device).rglob("*.idx")):
        rows = parse_index(index.read_bytes())
        marked += int(rows["lost"][(rows["flags"] & LOSS) != 0].sum())
    assert marked == figures["dropped"]
    file = tmp_path / "recording.ps"
    file.write_bytes(data)
    decoded = frames(file)
    assert len(decoded) > 0.5 * len(frames(ELEMENTARY))


def frames(file: Path) -> list[bytes]:
    """Decoded pictures as hashes of their luma."""
    import hashlib

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
