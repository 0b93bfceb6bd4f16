"""Recordings of a device: played at any speed, steered by MANSRTSP, and ended in the ways that devices end them."""

from __future__ import annotations

import asyncio
import time

import pytest

from gb28181.errors import WireError
from gb28181.sim.device import SimulatedDevice
from gb28181.sim.playback import PlaybackSource, Steering, parse_steering
from gb28181.sim.studio import Film, Studio
from tests.sim.conftest import SMALL
from tests.sim.platform import PATIENCE_S, Platform, Received, RtpSink, take
from tests.sim.test_device import CHANNEL, camera

START = 1_772_323_200


@pytest.fixture
async def film(studio: Studio) -> Film:
    return await studio.film(SMALL, "CAM 01")


def packs(source: PlaybackSource, count: int) -> list[tuple[float, int, bool]]:
    made = [source.next() for _ in range(count)]
    return [(pack.due, pack.timestamp, pack.is_key) for pack in made if pack is not None]


async def test_a_recording_begins_at_a_key_picture_and_ends_with_its_range(film: Film) -> None:
    source = PlaybackSource(film, "CAM 01", START, START + 2)
    told = packs(source, 20)
    assert told[0] == (0.0, START * 90_000, True)
    assert len(told) == 2 * SMALL.fps + 1
    assert source.next() is None


async def test_speed_changes_when_pictures_are_due_and_not_their_timestamps(film: Film) -> None:
    source = PlaybackSource(film, "CAM 01", START, START + 60, scale=2.0)
    first, second = packs(source, 2)
    assert second[0] - first[0] == pytest.approx(1 / SMALL.fps / 2)
    assert second[1] - first[1] == 90_000 // SMALL.fps
    source.steer(Steering("PLAY", scale=0.5, npt=30), 10.0)
    third, fourth = packs(source, 2)
    assert third == (10.0, (START + 30) * 90_000, True)
    assert fourth[0] - third[0] == pytest.approx(1 / SMALL.fps / 0.5)


async def test_dialects_of_fast_play(film: Film) -> None:
    """Row Q158: only key pictures, or timestamps of the wall clock."""
    keys = packs(PlaybackSource(film, "CAM 01", START, START + 60, scale=4.0, is_keys_only=True), 5)
    assert all(is_key for _, _, is_key in keys)
    stamped = packs(PlaybackSource(film, "CAM 01", START, START + 60, scale=4.0, is_restamped=True), 2)
    assert stamped[1][1] - stamped[0][1] == 90_000 // SMALL.fps // 4


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"PLAY MANSRTSP/1.0\r\nCSeq: 3\r\nScale: 2.0\r\n\r\n", Steering("PLAY", 2.0)),
        (b"PLAY MANSRTSP/1.0\r\nCSeq: 3\r\nRange: npt=100-\r\n", Steering("PLAY", None, 100.0)),
        (b"PLAY RTSP/1.0\nScale: 64\nRange: npt=now-\n", Steering("PLAY", 8.0)),
        (b"PAUSE MANSRTSP/1.0\r\nPauseTime: now\r\n", Steering("PAUSE")),
    ],
)
def test_steering_is_read(body: bytes, expected: Steering) -> None:
    assert parse_steering(body) == expected


@pytest.mark.parametrize("body", [b"", b"\xff\xff", b"STOP x", b"PLAY MANSRTSP/1.0\r\nScale: -1.0\r\n"])
def test_other_steering_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        parse_steering(body)


async def played(platform: Platform, sink: RtpSink, seconds: int = 1) -> Received:
    end = int(time.time()) - 600
    offer = platform.invite(CHANNEL, "p1", sink.port, operation="Playback")
    offer = offer.replace(b"t=0 0", b"t=%d %d" % (end - seconds, end))
    head, _, body = offer.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    platform.send(b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body)
    answer = await platform.final("INVITE")
    assert answer.status == 200, answer
    platform.acknowledge(answer, CHANNEL)
    return answer


def steer(platform: Platform, answer: Received, cseq: int, body: bytes) -> None:
    tag = answer.headers["to"].partition(";tag=")[2]
    platform.send(platform.request("INFO", CHANNEL, "p1", cseq=cseq, to_tag=tag, body=body))


async def test_the_end_of_a_recording_is_told_in_the_call(
    platform: Platform, sink: RtpSink, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    await camera(platform, studio, devices, recorded_hours=2)
    answer = await played(platform, sink)
    status = await take(platform.messages)
    assert status.element("NotifyType") == "121"
    assert status.headers["call-id"] == answer.headers["call-id"]
    assert sink.packets


@pytest.mark.parametrize(
    ("dialect", "messages", "byes"), [("media-status-twice", 2, 0), ("media-status-outside", 1, 0), ("bye-at-end", 0, 1)]
)
async def test_dialects_of_the_end(
    platform: Platform, sink: RtpSink, studio: Studio, devices: list[SimulatedDevice], dialect: str, messages: int, byes: int
) -> None:
    """Row Q155."""
    await camera(platform, studio, devices, dialects=(dialect,))
    answer = await played(platform, sink)
    for _ in range(messages):
        status = await take(platform.messages)
        platform.accept(status)
        assert (status.headers["call-id"] == answer.headers["call-id"]) == (dialect != "media-status-outside")
    for _ in range(byes):
        await take(platform.byes)


async def test_pause_stops_the_stream_and_play_goes_on(
    platform: Platform, sink: RtpSink, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    device = await camera(platform, studio, devices, recorded_hours=2)
    answer = await played(platform, sink, seconds=60)
    await sink.until(lambda: len(sink.packets) > 3)
    steer(platform, answer, 2, b"PAUSE MANSRTSP/1.0\r\nCSeq: 1\r\nPauseTime: now\r\n")
    assert (await platform.final("INFO")).status == 200
    sent = device.statistics.streams[-1].counters.sent
    steer(platform, answer, 3, b"PLAY MANSRTSP/1.0\r\nCSeq: 2\r\nRange: npt=30-\r\n")
    assert (await platform.final("INFO")).status == 200
    await sink.until(lambda: len(sink.packets) > sent + 3)


async def test_a_bye_whose_number_does_not_rise_is_not_understood(
    platform: Platform, sink: RtpSink, studio: Studio, devices: list[SimulatedDevice]
) -> None:
    """Row Q149b."""
    device = await camera(platform, studio, devices, dialects=("strict-cseq",))
    answer = await played(platform, sink, seconds=60)
    await sink.until(lambda: bool(sink.packets))
    steer(platform, answer, 2, b"PLAY MANSRTSP/1.0\r\nScale: 2.0\r\n")
    assert (await platform.final("INFO")).status == 200
    platform.bye(answer, CHANNEL)  # with CSeq 2 again
    platform.send(platform.invite(CHANNEL, "live", sink.port, serial="0200000009"))
    live = await platform.final("INVITE")
    platform.acknowledge(live, CHANNEL)
    assert (await take(platform.byes)).headers["call-id"] == "live"
    assert device.statistics.streams[0].ended == ""
    tag = answer.headers["to"].partition(";tag=")[2]
    platform.send(platform.request("BYE", CHANNEL, "p1", cseq=3, to_tag=tag))
    async with asyncio.timeout(PATIENCE_S):
        while not device.statistics.streams[0].ended:
            await asyncio.sleep(0.01)
