"""Single pictures, live and recorded: the bar code in the JPEG is the second that was asked for."""

from __future__ import annotations

import io
import time

import av
import pytest

from gb28181 import tokens
from gb28181.edge import channel as live_channel
from gb28181.edge.snapshot import jpeg
from gb28181.sim import barcode
from tests.edge.footage import CHANNEL, DEVICE, H264, H265, T0, Footage
from tests.edge.world import KEY, Pump, encoded


def link(at: float | None = None, *, token: str | None = None) -> str:
    resource = f"{DEVICE}/{CHANNEL}" + ("" if at is None else f"/{T0 // 1000 + round(at * 1000)}")
    signed = tokens.sign(KEY, "snapshot", resource, int(time.time()) + 60)
    return f"/media/snapshot/{resource}.jpg?token={signed if token is None else token}"


def picture_of(data: bytes) -> av.VideoFrame:
    with av.open(io.BytesIO(data), format="jpeg_pipe") as container:
        return next(container.decode(video=0))


@pytest.mark.parametrize("picture", [H264, H265])
@pytest.mark.parametrize(("at", "second"), [(0, 0), (7.55, 7), (9.95, 9)])
async def test_recorded_moment_is_shown(make_world, picture, at, second):
    world = await make_world()
    footage = Footage(world.volume)
    footage.segment(T0, 10, picture=picture, audio=True)
    footage.close()
    async with world.client.get(world.url + link(at)) as answer:
        assert (answer.status, answer.content_type, answer.headers["Cache-Control"]) == (200, "image/jpeg", "no-store")
        assert answer.headers["X-Taken-At"].startswith(f"2026-03-01T00:00:0{second}.")
        frame = picture_of(await answer.read())
    assert (frame.width, frame.height) == (176, 144)
    assert barcode.read(frame.to_ndarray(format="gray")) == second


@pytest.mark.parametrize("at", [-5, 20, 100_000_000])
async def test_moment_that_was_not_recorded_is_404(make_world, at):
    world = await make_world()
    footage = Footage(world.volume)
    footage.segment(T0, 10)
    footage.close()
    async with world.client.get(world.url + link(at)) as answer:
        assert answer.status == 404
        assert "recorded at" in await answer.text()


@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_live_picture_comes_without_a_viewer(make_world, codec):
    world = await make_world()
    async with Pump(world.ingest, codec), world.client.get(world.url + link()) as answer:
        assert (answer.status, answer.content_type) == (200, "image/jpeg")
        frame = picture_of(await answer.read())
    assert (frame.width, frame.height) == (320, 240)
    assert world.edge.hub.viewers == 0


async def test_stream_that_cannot_be_had_is_504_with_the_cause(make_world, monkeypatch):
    monkeypatch.setattr(live_channel, "FIRST_S", 0.2)
    monkeypatch.setattr(live_channel, "_ASK_S", 0.1)
    world = await make_world()
    world.ingest.has_stream = False
    async with world.client.get(world.url + link()) as answer:
        assert answer.status == 504
        assert "could not be opened" in await answer.text()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (link(token=""), 403),
        (link(5, token="x"), 403),
        (f"/media/snapshot/{DEVICE}/{CHANNEL}.png", 404),
        (f"/media/snapshot/{DEVICE}/..%2f{CHANNEL}.jpg", 404),
        (f"/media/snapshot/{DEVICE}/{CHANNEL}/x.jpg", 404),
        (f"/media/snapshot/{DEVICE}/{CHANNEL}/99999999999999999.jpg", 404),
    ],
)
async def test_hostile_link_is_refused(make_world, path, status):
    world = await make_world()
    async with world.client.get(world.url + path) as answer:
        assert answer.status == status


def test_pictures_that_cannot_be_decoded_give_none():
    assert jpeg("h264", [b"\x00\x00\x00\x01\x65" + bytes(range(200))]) is None
    assert jpeg("h265", [b"", b"\x00\x00\x01"]) is None


def test_damaged_picture_after_a_good_one_gives_the_good_one():
    pictures = encoded("h264", frames=3)
    assert jpeg("h264", [pictures[0], b"\x00\x00\x01\x41" + b"\xff" * 50])
