"""Live pictures as players take them: FLV, WS-FLV and TS, H.264 and H.265, joined from the last key frame on disk."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import av
import pytest
import pytest_asyncio

from gb28181.sim.barcode import read
from tests.e2e.cameras import Cameras, cameras
from tests.e2e.platform import Platform, path_of, platform, poll

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
H264 = "34020000001320000001"
H265 = "34020000001320000501"
LONG_GOP = "34020000001320000901"


class Town:
    def __init__(self, server: Platform, sims: dict[str, Cameras]) -> None:
        self.server = server
        self.sims = sims

    async def channel(self, device: str) -> dict[str, Any]:
        async def there() -> dict[str, Any] | None:
            found = [c for c in await self.server.channels(online="true") if c["device_id"] == device and c["playable"]]
            return found[0] if found else None

        return dict(await poll(there, seconds=90, what=f"{device} online", log=self.server.log))

    async def live(self, device: str, **body: Any) -> dict[str, Any]:
        return dict(await self.server.call("POST", f"{path_of(await self.channel(device))}/live", body))

    async def take(self, url: str, seconds: float) -> bytes:
        """What a viewer over HTTP receives in so many seconds."""
        assert self.server.client is not None
        out = bytearray()
        async with self.server.client.get(self.server.url + url) as response:
            assert response.status == 200, await response.text()
            try:
                async with asyncio.timeout(seconds):
                    async for data in response.content.iter_any():
                        out += data
            except TimeoutError:
                pass
        return bytes(out)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    folder = tmp_path_factory.mktemp("live")
    size = ("--size", "352x288", "--bitrate", "300", "--retry", "5")
    async with platform(folder, MEDIA__IDLE_S="1") as server:
        with (
            cameras(server.sip_port, folder, "--first-id", H264, *size, name="h264") as h264,
            cameras(server.sip_port, folder, "--first-id", H265, "--codec", "h265", *size, name="h265") as h265,
            cameras(server.sip_port, folder, "--first-id", LONG_GOP, "--gop", "10", *size, name="long") as long_gop,
        ):
            yield Town(server, {H264: h264, H265: h265, LONG_GOP: long_gop})


def pictures(data: bytes, form: str) -> tuple[str, list[av.VideoFrame]]:
    """Codec and decoded pictures of what a viewer received; the last, cut one is left out."""
    frames: list[av.VideoFrame] = []
    with av.open(io.BytesIO(data), "r", format=form) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        try:
            frames.extend(container.decode(stream))
        except av.FFmpegError:
            pass  # the viewer hung up in the middle of a picture
    return codec, frames


@pytest.mark.parametrize(
    ("device", "kind", "form", "codec"),
    [
        (H264, "flv", "flv", "h264"),
        (H264, "ts", "mpegts", "h264"),
        (H265, "flv", "flv", "hevc"),
        (H265, "ts", "mpegts", "hevc"),
    ],
)
async def test_http_viewers_get_pictures_of_now(town: Town, device: str, kind: str, form: str, codec: str) -> None:
    live = await town.live(device)
    assert [stage["stage"] for stage in live["stages"]][-1] == "first_key_frame"
    data = await town.take(live["urls"][kind], 4)
    found, frames = pictures(data, form)
    assert found == codec
    assert len(frames) > 25
    seconds = [read(frame.to_ndarray(format="gray")) for frame in frames]
    now = time.time() % 60
    assert None not in seconds[:-1]
    assert min((now - seconds[-2]) % 60, (seconds[-2] - now) % 60) < 4  # type: ignore[operator]
    times = [frame.pts or 0 for frame in frames]
    assert times == sorted(times)


async def test_a_websocket_viewer_gets_the_same_stream(town: Town) -> None:
    live = await town.live(H264)
    assert town.server.client is not None
    out = bytearray()
    async with town.server.client.ws_connect(town.server.url + live["urls"]["ws_flv"]) as socket:
        while len(out) < 150_000:
            message = await socket.receive(timeout=20)
            assert message.type is aiohttp.WSMsgType.BINARY, message
            out += message.data
    codec, frames = pictures(bytes(out), "flv")
    assert codec == "h264"
    assert len(frames) > 10


async def test_many_viewers_cost_one_invite_and_the_camera_stops_after_the_last(town: Town) -> None:
    sim = town.sims[H264]

    async def idle() -> bool:
        return len(sim.events("stream_end")) == len(sim.events("invite"))

    await poll(idle, seconds=30, what="the camera to be left alone", log=town.server.log)
    before = len(sim.events("invite"))
    lives = await asyncio.gather(*(town.live(H264) for _ in range(5)))
    taken = await asyncio.gather(*(town.take(live["urls"]["flv"], 2) for live in lives))
    assert all(len(data) > 10_000 for data in taken)
    assert len(sim.events("invite")) == before + 1
    await poll(idle, seconds=30, what="BYE after the last viewer", log=town.server.log)


async def test_a_recorded_unwatched_camera_is_joined_from_its_last_key_frame_on_disk(town: Town) -> None:
    """GOP 10 s, aligned to the minute: who comes 4 s after a key frame sees that key frame at once, then now."""
    channel = await town.channel(LONG_GOP)
    await town.server.record(channel, "always")

    async def recording() -> bool:
        found = await town.server.call("GET", path_of(channel))
        return found["recording"]["state"] == "recording"

    await poll(recording, seconds=60, what="recording", log=town.server.log)

    async def four_after() -> bool:
        return 4 <= time.time() % 10 < 5

    await poll(four_after, seconds=12, what="the fourth second of a group", pause=0.05)
    asked = time.time()
    live = await town.live(LONG_GOP)
    data = await town.take(live["urls"]["flv"], 3)
    _, frames = pictures(data, "flv")
    seconds = [read(frame.to_ndarray(format="gray")) for frame in frames]
    key = int(asked // 10 * 10) % 60
    assert seconds[0] == key, (seconds[0], key)
    assert seconds[-2] is not None
    assert (seconds[-2] - key) % 60 >= 4
    assert len(town.sims[LONG_GOP].events("invite")) == 1
    await town.server.record(channel, "off")


async def test_a_link_that_was_changed_or_made_for_another_channel_is_refused(town: Town) -> None:
    live = await town.live(H264)
    url = live["urls"]["flv"]
    assert town.server.client is not None
    for wrong in (url[:-3] + "xyz", url.split("?")[0], url.replace(H264, H265)):
        async with town.server.client.get(town.server.url + wrong) as response:
            assert response.status in (403, 404)
            assert (await response.json())["error"]["message"]
    await town.server.call("DELETE", f"/sessions/{live['session_id']}")


async def test_no_picture_names_the_step_and_the_remedy(town: Town, tmp_path: Path) -> None:
    device = "34020000001320000801"
    options = ("--first-id", device, "--media", "tcp", "--size", "352x288", "--retry", "5")
    with cameras(town.server.sip_port, tmp_path, *options, name="tcp-only"):
        channel = await town.channel(device)
        answer = await town.server.call("POST", f"{path_of(channel)}/live", {"transport": "udp"}, status=502)
        assert answer["error"]["stage"] in ("invited", "trying")
        assert "488" in answer["error"]["message"]
        headers = {"Authorization": f"Bearer {town.server.token}", "Accept-Language": "zh-CN,zh;q=0.9"}
        url = f"{town.server.url}/api/v1{path_of(channel)}/live"
        assert town.server.client is not None
        async with town.server.client.post(url, json={"transport": "udp"}, headers=headers) as chinese:
            assert "设备无法提供所要求的媒体" in (await chinese.json())["error"]["message"]
        assert (await town.server.call("POST", f"{path_of(channel)}/live", {}))["session_id"]

    async def offline() -> bool:
        return not [c for c in await town.server.channels(online="true") if c["device_id"] == device]

    await poll(offline, seconds=20, what="deregistration", log=town.server.log)
    answer = await town.server.call("POST", f"{path_of(channel)}/live", {}, status=503)
    assert answer["error"]["code"] == "device_offline"


async def test_the_trace_of_a_device_tells_its_registration_and_its_call_without_secrets(town: Town) -> None:
    await town.live(H264)
    trace = await town.server.call("GET", f"/devices/{H264}/trace?limit=1000")
    told = {message["summary"] for message in trace["messages"]}
    assert {"REGISTER", "401 Unauthorized (REGISTER)", "200 OK (REGISTER)", "INVITE", "200 OK (INVITE)", "ACK"} <= told
    shown = [message["text"] for message in trace["messages"] if "\r\nAuthorization:" in message["text"]]
    assert shown
    assert all("response=***" in text for text in shown)
