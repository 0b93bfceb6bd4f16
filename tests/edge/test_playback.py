"""Playback sessions: the pace as a machine with its own clock, and films through a real edge."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import av
import pytest

from gb28181 import tokens
from gb28181.edge.playback_pace import LEAD_S, Pace, compositions
from gb28181.edge.playback_session import PlaybackSession
from gb28181.edge.recorded import Recordings
from gb28181.edge.recorded_pictures import RecordedPicture
from gb28181.errors import Invalid
from gb28181.frames import encode
from gb28181.messages import PlaybackControl
from gb28181.sim import barcode
from tests.edge.footage import CHANNEL, DEVICE, H265, T0, Footage, S
from tests.edge.world import KEY, World

MakeWorld = Callable[..., Awaitable[World]]
SESSION = "0123456789abcdef" * 2


def link(start: int, end: int, *, session: str = SESSION, key: bytes = KEY) -> str:
    span = f"{start // 1000}-{end // 1000}"
    token = tokens.sign(key, "playback", f"{session}/{DEVICE}/{CHANNEL}/{span}", int(time.time()) + 60)
    return f"/media/playback/{session}.flv?device={DEVICE}&channel={CHANNEL}&range={span}&token={token}"


def tags(flv: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, milliseconds and body of every whole tag."""
    at = 13
    while at + 11 <= len(flv):
        kind, size = flv[at], int.from_bytes(flv[at + 1 : at + 4], "big")
        if at + 15 + size > len(flv):
            return
        ms = int.from_bytes(flv[at + 4 : at + 7], "big") | flv[at + 7] << 24
        yield kind, ms, flv[at + 11 : at + 11 + size]
        at += 15 + size


def marks(flv: bytes) -> list[tuple[int, float]]:
    """Player's milliseconds, and seconds of the wall clock after `T0`."""
    return [
        (ms, (struct.unpack(">d", body[body.index(b"\x00\x03utc") + 6 :][:8])[0] - T0 / 1000) / 1000)
        for kind, ms, body in tags(flv)
        if kind == 18 and b"onWallClock" in body
    ]


def codes(flv: bytes) -> list[int | None]:
    with av.open(io.BytesIO(flv), format="flv") as container:
        return [barcode.read(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]


@pytest.fixture
async def footage(make_world: MakeWorld, tmp_path: Path) -> AsyncIterator[Footage]:
    made = Footage(tmp_path / "volume")
    yield made
    made.close()


class Film:
    """A WebSocket viewer that keeps what it got."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.data = b""

    async def until(self, done: Callable[[bytes], bool]) -> None:
        async with asyncio.timeout(20):
            while not done(self.data):
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.BINARY, message
                self.data += message.data

    async def rest(self) -> bytes:
        async with asyncio.timeout(20):
            async for message in self.socket:
                self.data += message.data
        return self.data

    async def wish(self, **wish: object) -> None:
        await self.socket.send_str(json.dumps(wish))


# --- pace ------------------------------------------------------------------------------------------------------------


def test_pictures_are_due_as_time_passes_and_a_little_ahead() -> None:
    pace = Pace()
    pace.begin(900_000, 100.0)
    assert pace.due(900_000 + 90_000) == 101.0 - LEAD_S


# quirk W35
def test_time_stamps_are_divided_by_the_speed() -> None:
    pace = Pace(4.0)
    pace.begin(0, 0.0)
    assert [pace.stamp(content) for content in (0, 36_000, 72_000)] == [0, 9_000, 18_000]
    assert pace.due(360_000) == 1.0 - LEAD_S


def test_a_slow_film_is_stretched() -> None:
    pace = Pace(0.25)
    pace.begin(0, 0.0)
    assert [pace.stamp(content) for content in (0, 9_000)] == [0, 36_000]


# quirk W35
def test_a_pause_of_any_length_loses_nothing() -> None:
    pace = Pace()
    pace.begin(0, 0.0)
    pace.stamp(0)
    pace.pause(1.0)
    pace.pause(5.0)
    assert pace.due(90_000) is None
    pace.resume(3601.0)
    assert pace.due(90_000) == 3601.0 - LEAD_S
    assert pace.stamp(90_000) == 90_000


def test_another_speed_holds_from_the_last_picture_on() -> None:
    pace = Pace()
    pace.begin(0, 0.0)
    assert [pace.stamp(0), pace.stamp(90_000)] == [0, 90_000]
    pace.set_speed(2.0, 1.0)
    assert pace.stamp(270_000) == 180_000
    assert pace.due(270_000) == 2.0 - LEAD_S


def test_a_seek_goes_on_where_the_player_is() -> None:
    pace = Pace()
    pace.begin(0, 0.0)
    first = [pace.stamp(0), pace.stamp(90_000)]
    hurried = [pace.hurry(), pace.hurry()]
    pace.begin(9_000_000, 50.0)
    after = pace.stamp(9_000_000)
    assert hurried == [90_090, 90_180]
    assert 0 < after - hurried[-1] <= 3600
    assert first == [0, 90_000]
    assert pace.due(9_090_000) == 51.0 - LEAD_S


@pytest.mark.parametrize("speed", [1.0, 2.0, 0.5])
@pytest.mark.parametrize("led", range(9))
def test_b_pictures_that_lead_to_a_moment_are_shown_in_their_order(led: int, speed: float) -> None:
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]  # as they are shown, by decoding
    pictures = [
        RecordedPicture(b"", number * 3600, (place + 2 - number) * 3600, is_key=not number)
        for number, place in enumerate(order)
    ]
    pace = Pace(speed)
    shown = [pace.hurry() + composition for composition in compositions(pictures, led, speed)]
    for picture in pictures[led:]:
        if picture is pictures[led]:
            pace.begin(picture.at_90k, 0.0)
        shown.append(pace.stamp(picture.at_90k) + round(picture.shown_90k / speed))
    assert [number for _, number in sorted(zip(shown, order, strict=True))] == list(range(10))
    assert len(set(shown)) == 10


def test_who_is_far_too_late_is_not_caught_up_with() -> None:
    pace = Pace()
    pace.begin(0, 0.0)
    pace.late(0, 10.0)
    assert pace.due(90_000) == pytest.approx(10.0 + 1.0)
    pace.late(90_000, 11.5)
    assert pace.due(90_000) == pytest.approx(10.0 + 1.0)


def test_wishes_that_make_no_sense_are_refused() -> None:
    session = PlaybackSession(Recordings([]), DEVICE, CHANNEL, T0, T0 + S)
    for action, position, speed in (
        ("seek", None, None), ("seek", T0 - 1, None), ("seek", T0 + S, None),
        ("speed", None, None), ("speed", None, 0.2), ("speed", None, 17.0), ("speed", None, float("nan")),
    ):  # fmt: skip
        with pytest.raises(Invalid):
            session.control(action, position_us=position, speed=speed)  # type: ignore[arg-type]


# --- films -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("picture", [pytest.param(None, id="h264"), pytest.param(H265, id="h265")])
async def test_a_film_shows_every_picture_from_the_moment_asked_for(
    make_world: MakeWorld, footage: Footage, picture: Any
) -> None:
    footage.segment(T0, 4, **({"picture": picture} if picture else {}))
    footage.segment(T0 + 4 * S, 4, **({"picture": picture} if picture else {}))
    world = await make_world()
    query = "&hevc=12" if picture else ""
    async with world.client.get(f"{world.url}{link(T0 + 3 * S, T0 + 5 * S)}{query}") as answer:
        assert answer.content_type == "video/x-flv"
        flv = await answer.read()
    video = [ms for kind, ms, body in tags(flv) if kind == 9 and body[1] == 1]
    # Ten pictures lead to the moment in as many milliseconds; then twenty of them as they were.
    assert [after - before for before, after in pairwise(video)] == [1] * 9 + [40] + [100] * 19
    if picture is None:
        assert codes(flv) == [2] * 10 + [3] * 10 + [4] * 10


async def test_the_wall_clock_is_told_each_second_and_after_a_gap(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 4)
    footage.segment(T0 + 30 * S, 4)
    world = await make_world()
    async with world.client.ws_connect(f"{world.url}{link(T0, T0 + 60 * S)}") as socket:
        film = Film(socket)
        await film.wish(action="speed", speed=4)
        flv = await film.rest()
        assert socket.close_code == 1000
    told = marks(flv)
    clock = [second for _, second in told]
    assert clock == sorted(clock)
    assert any(0 <= second < 4 for second in clock)
    assert 30 in clock
    assert codes(flv)[-1] == 33
    # 8 s of pictures at four times the speed, the first few of them perhaps before the wish arrived.
    assert 1900 <= max(ms for _, ms, _ in tags(flv)) <= 2900


async def test_from_eight_times_the_speed_on_key_frames_are_enough(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 40)
    world = await make_world()
    async with world.client.ws_connect(f"{world.url}{link(T0, T0 + 60 * S)}") as socket:
        film = Film(socket)
        await film.wish(action="pause")
        await film.wish(action="speed", speed=16)
        await film.wish(action="seek", position="2026-03-01T00:00:20Z")
        await film.wish(action="resume")
        flv = await film.rest()
    shown = [(ms, body[0] >> 4) for kind, ms, body in tags(flv) if kind == 9 and body[1] == 1]
    last = shown[-8:]
    assert all(kind == 1 for _, kind in last)
    assert {after[0] - before[0] for before, after in pairwise(last)} == {125}
    assert codes(flv)[-1] == 38


async def test_a_seek_while_paused_shows_the_picture_and_resume_goes_on_from_there(
    make_world: MakeWorld, footage: Footage
) -> None:
    footage.segment(T0, 20)
    world = await make_world()
    async with world.client.ws_connect(f"{world.url}{link(T0, T0 + 60 * S)}") as socket:
        film = Film(socket)
        await film.wish(action="pause")
        await film.until(lambda data: bool(marks(data)))
        await film.wish(action="seek", position="2026-03-01T00:00:17.500Z")
        await film.until(lambda data: 17.5 in [second for _, second in marks(data)])
        before = len(film.data)
        await film.wish(action="resume")
        await film.until(lambda data: len(data) > before)
        flv = await film.rest()
    assert codes(flv)[-1] == 19
    assert sorted(ms for kind, ms, _ in tags(flv) if kind == 9) == [ms for kind, ms, _ in tags(flv) if kind == 9]


async def test_the_api_controls_a_session_through_control(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 20)
    world = await make_world()
    async with world.client.ws_connect(f"{world.url}{link(T0, T0 + 60 * S)}") as socket:
        film = Film(socket)
        await film.until(lambda data: bool(marks(data)))
        await world.control.tell(PlaybackControl(SESSION, "seek", T0 + 16 * S))
        await film.until(lambda data: marks(data)[-1][1] == 16)
        await world.control.tell(PlaybackControl(SESSION, "close"))
        await film.rest()
    async with world.client.get(f"{world.url}{link(T0, T0 + 60 * S)}") as answer:
        assert answer.status == 404


# quirk W35
async def test_who_comes_again_goes_on_where_he_was(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 20)
    world = await make_world()
    url = f"{world.url}{link(T0, T0 + 60 * S)}"
    async with world.client.ws_connect(url) as socket:
        film = Film(socket)
        await film.wish(action="pause")
        await film.wish(action="seek", position="2026-03-01T00:00:15Z")
        await film.until(lambda data: 15 in [second for _, second in marks(data)])
    async with world.client.ws_connect(url) as socket:
        film = Film(socket)
        await film.until(lambda data: bool(marks(data)))
        assert marks(film.data)[0][1] == 15
        assert not (await _quiet(film))


async def _quiet(film: Film) -> bytes:
    """What comes within a quarter of a second of a pause."""
    try:
        async with asyncio.timeout(0.25):
            return bytes((await film.socket.receive()).data)
    except TimeoutError:
        return b""


async def test_the_newest_viewer_has_the_session(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 20)
    world = await make_world()
    url = f"{world.url}{link(T0, T0 + 60 * S)}"
    async with world.client.ws_connect(url) as first, world.client.ws_connect(url) as second:
        await Film(first).rest()
        assert first.closed
        await Film(second).until(lambda data: bool(marks(data)))


async def test_sound_is_heard_at_the_speed_of_life(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 4, audio=True)
    world = await make_world()
    async with world.client.get(f"{world.url}{link(T0, T0 + 2 * S)}") as answer:
        flv = await answer.read()
    heard = [ms for kind, ms, body in tags(flv) if kind == 8 and body[1] == 1]
    assert flv[4] == 5
    assert len(heard) >= 12
    assert {after - before for before, after in pairwise(heard)} == {128}


async def test_sound_that_begins_later_is_declared_and_silent_until_then(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 2)
    footage.segment(T0 + 2 * S, 2, audio=True)
    world = await make_world()
    async with world.client.get(f"{world.url}{link(T0, T0 + 4 * S)}") as answer:
        flv = await answer.read()
    heard = [(ms, body[2:]) for kind, ms, body in tags(flv) if kind == 8 and body[1] == 1]
    assert flv[4] == 5
    assert heard[0][0] <= 200
    assert {later[0] - before[0] for before, later in pairwise(heard)} == {128}
    loud = [ms for ms, data in heard if len(data) > 100]
    assert 1700 <= loud[0] <= 2300
    assert len(loud) >= 10


async def test_recording_without_any_sound_declares_none(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 2)
    footage.segment(T0 + 2 * S, 2)
    world = await make_world()
    async with world.client.get(f"{world.url}{link(T0, T0 + 2 * S)}") as answer:
        assert (await answer.read())[4] == 1


async def test_foreign_and_broken_links_are_refused(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 4)
    world = await make_world()
    good = link(T0, T0 + 2 * S)
    for path, status in (
        (link(T0, T0 + 2 * S, key=b"x" * 32), 403), (good.replace("&range=", "&range=1"), 403),
        (good.replace(SESSION, SESSION[::-1]), 403), (good.replace(SESSION, "../" + SESSION), 404),
        (good.replace("?device=", "?d="), 404), (good.replace(f"channel={CHANNEL}", "channel=a/b"), 404),
        (link(T0 + 2 * S, T0), 404),
    ):  # fmt: skip
        async with world.client.get(f"{world.url}{path}") as answer:
            assert answer.status == status, path


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{", '{"action": "fly"}', '{"action": "seek", "position": 5}', '{"action": "speed", "speed": true}',
     '{"action": "speed", "speed": 1e999}', '{"action": "seek", "position": "yesterday"}', "[" * 3000,
     '{"action": ["pause"]}'],
)  # fmt: skip
async def test_a_wish_that_is_none_ends_the_connection_and_not_the_session(
    make_world: MakeWorld, footage: Footage, text: str
) -> None:
    footage.segment(T0, 20)
    world = await make_world()
    url = f"{world.url}{link(T0, T0 + 60 * S)}"
    async with world.client.ws_connect(url) as socket:
        await socket.send_str(text)
        await Film(socket).rest()
        assert socket.close_code == 1003
    async with world.client.ws_connect(url) as socket:
        await Film(socket).until(lambda data: bool(marks(data)))


def test_the_message_between_control_and_edge_survives_the_socket() -> None:
    from gb28181.frames import FrameReader

    message = PlaybackControl(SESSION, "speed", None, 2.0)
    assert FrameReader().feed(encode(message)) == [message]
