"""Playlists of recordings, read by FFmpeg and PyAV through a real edge."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from gb28181 import tokens
from gb28181.sim import barcode
from tests.edge.footage import CHANNEL, DEVICE, H264_LARGE, H265, T0, Footage, S
from tests.edge.world import KEY, World

MakeWorld = Callable[..., Awaitable[World]]


def link(start: int, end: int, *, channel: str = CHANNEL, key: bytes = KEY, ttl: float = 60) -> str:
    """The URL of a playlist, times in microseconds."""
    place = f"{DEVICE}/{channel}/{start // 1000}-{end // 1000}"
    return f"/media/hls/{place}/{tokens.sign(key, 'hls', place, int(time.time() + ttl))}/index.m3u8"


async def get(world: World, path: str, status: int = 200) -> bytes:
    async with world.client.get(f"{world.url}{path}") as answer:
        assert answer.status == status, await answer.text()
        return await answer.read()


def entries_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.endswith(".m4s")]


def maps_of(text: str) -> list[str]:
    return re.findall(r'EXT-X-MAP:URI="([^"]+)"', text)


def pictures(data: bytes) -> list[tuple[float, int | None]]:
    """Presentation time and bar code of every picture."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        return [
            (float(frame.pts * stream.time_base), barcode.read(frame.to_ndarray(format="gray")))
            for frame in container.decode(stream)
        ]


async def play(world: World, path: str) -> list[list[tuple[float, int | None]]]:
    """What a player shows, by discontinuity."""
    text = (await get(world, path)).decode()
    folder = path.rpartition("/")[0]
    out: list[list[tuple[float, int | None]]] = []
    begin, body = b"", b""
    for line in [*text.splitlines(), "#EXT-X-DISCONTINUITY"]:
        if line.startswith("#EXT-X-MAP"):
            begin = await get(world, f"{folder}/{maps_of(line)[0]}")
        elif line.endswith(".m4s"):
            body += await get(world, f"{folder}/{line}")
        elif line == "#EXT-X-DISCONTINUITY":
            out.append(pictures(begin + body))
            body = b""
    return out


async def probe(world: World, path: str, *options: str) -> tuple[dict[str, Any], str]:
    command = ("ffprobe", "-v", "warning", "-of", "json", *options, f"{world.url}{path}")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, error = await process.communicate()
    return json.loads(out), error.decode()


@pytest.fixture
async def footage(make_world: MakeWorld, tmp_path: Path) -> Any:
    made = Footage(tmp_path / "volume")
    yield made
    made.close()


@pytest.mark.parametrize("picture", [pytest.param(None, id="h264"), pytest.param(H265, id="h265")])
async def test_every_picture_is_shown_at_its_time_over_a_segment_border(
    make_world: MakeWorld, footage: Footage, picture: Any
) -> None:
    kind = {"picture": picture} if picture else {}
    footage.segment(T0, 10, **kind)
    footage.segment(T0 + 10 * S, 10, **kind)
    world = await make_world()
    shown = await play(world, link(T0, T0 + 60 * S))
    assert len(shown) == 1
    assert [round(at * 10) for at, _ in shown[0]] == list(range(200))
    assert [code for _, code in shown[0]] == [number // 10 for number in range(200)]


async def test_a_gap_is_a_discontinuity_with_its_own_clock(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 10)
    footage.segment(T0 + 30 * S, 10)
    world = await make_world()
    path = link(T0, T0 + 60 * S)
    text = (await get(world, path)).decode()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert re.findall("PROGRAM-DATE-TIME:(.*)", text) == ["2026-03-01T00:00:00.000Z", "2026-03-01T00:00:30.000Z"]
    assert text.endswith("#EXT-X-ENDLIST\n")
    shown = await play(world, path)
    assert [[code for _, code in run] for run in shown] == [
        [number // 10 for number in range(100)], [30 + number // 10 for number in range(100)],
    ]  # fmt: skip
    assert all(run[0][0] == 0 for run in shown)


async def test_a_player_is_told_to_begin_at_the_very_moment(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 20)
    world = await make_world()
    text = (await get(world, link(T0 + 7_500_000, T0 + 15 * S))).decode()
    assert "#EXT-X-START:TIME-OFFSET=1.500000,PRECISE=YES" in text
    assert "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T00:00:06.000Z" in text
    shown = await play(world, link(T0 + 7_500_000, T0 + 15 * S))
    codes = [code for _, code in shown[0]]
    assert (codes[15], codes[-1]) == (7, 15)  # up to the end of the last group of pictures


async def test_a_playlist_that_begins_inside_its_only_group_shows_it(make_world: MakeWorld, footage: Footage) -> None:
    """Smart codecs send a key frame every 10 to 25 s (quirk Q146): many ranges begin and end inside one group."""
    footage.segment(T0, 10)
    world = await make_world()
    shown = await play(world, link(T0 + 9 * S, T0 + 10 * S))
    assert [code for _, code in shown[0]] == [8] * 10 + [9] * 10


async def test_parameter_sets_that_come_once_serve_every_group_and_segment_after_them(
    make_world: MakeWorld, footage: Footage
) -> None:
    """Q143: nothing but the first key frame of the stream has its sets and its stream map."""
    footage.segment(T0, 10, sets_until=1)
    footage.segment(T0 + 10 * S, 10, sets_until=0)
    footage.segment(T0 + 20 * S, 10, sets_until=0)
    world = await make_world()
    for begin, end in ((0, 30), (4, 8), (25, 30)):
        shown = await play(world, link(T0 + begin * S, T0 + end * S))
        assert len(shown) == 1
        assert [code for _, code in shown[0]] == [number // 10 for number in range(begin // 2 * 20, end * 10)]


async def test_a_link_opens_nothing_that_lies_before_its_range(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 20)
    world = await make_world()
    path = link(T0 + 14 * S, T0 + 20 * S)
    folder = path.rpartition("/")[0]
    tag = entries_of((await get(world, path)).decode())[0].split("-")[4]
    for end, duration in ((T0 + 6 * S, 540_000), (T0 + 15 * S, 540_000), (T0 + 6 * S, 1_800_000)):
        await get(world, f"{folder}/{T0}-{end}-0-{duration}-{tag}.m4s", 404)


async def test_entries_are_six_seconds_and_longer_and_add_up(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 30)
    world = await make_world()
    text = (await get(world, link(T0, T0 + 60 * S))).decode()
    lengths = [float(line[8:-1]) for line in text.splitlines() if line.startswith("#EXTINF")]
    assert lengths[:4] == [6.0] * 4
    assert 5.9 < lengths[4] <= 6.0  # how long the very last picture lasts is not recorded
    assert "#EXT-X-TARGETDURATION:6\n" in text


async def test_entries_are_the_same_on_every_request_and_may_be_kept(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 14, audio=True)
    footage.segment(T0 + 14 * S, 9, audio=True, stays_open=True)
    world = await make_world()
    path = link(T0, T0 + 60 * S)
    folder = path.rpartition("/")[0]
    text = (await get(world, path)).decode()
    names = [*maps_of(text), *entries_of(text)]
    first = [await get(world, f"{folder}/{name}") for name in names]
    again = [await get(world, f"{folder}/{name}") for name in reversed(names)]
    assert first == again[::-1]
    async with world.client.get(f"{world.url}{folder}/{names[-1]}") as answer:
        assert answer.headers["Cache-Control"].startswith("private, max-age=")
        mark = answer.headers["ETag"]
    async with world.client.get(f"{world.url}{folder}/{names[-1]}", headers={"If-None-Match": mark}) as answer:
        assert answer.status == 304


async def test_another_picture_size_begins_a_discontinuity_with_its_own_section(
    make_world: MakeWorld, footage: Footage
) -> None:
    footage.segment(T0, 10)
    footage.segment(T0 + 10 * S, 10, picture=H264_LARGE)
    footage.segment(T0 + 20 * S, 10, picture=H265)
    world = await make_world()
    path = link(T0, T0 + 60 * S)
    text = (await get(world, path)).decode()
    assert len(set(maps_of(text))) == 3
    assert text.count("#EXT-X-DISCONTINUITY\n") == 2
    shown = await play(world, path)
    assert [[code for _, code in run] for run in shown] == [
        [start + number // 10 for number in range(100)] for start in (0, 10, 20)
    ]  # fmt: skip


async def test_ffprobe_reads_the_playlist_without_a_word(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 14, audio=True)
    footage.segment(T0 + 14 * S, 14, audio=True)
    world = await make_world()
    found, said = await probe(world, link(T0, T0 + 60 * S), "-show_streams", "-count_packets")
    assert said == ""
    video, sound = found["streams"]
    assert (video["codec_name"], video["width"], video["height"], video["nb_read_packets"]) == ("h264", 176, 144, "280")
    assert (sound["codec_name"], sound["sample_rate"]) == ("aac", "8000")


async def test_sound_runs_on_over_the_borders_of_entries(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 14, audio=True)
    footage.segment(T0 + 14 * S, 10, audio=True)
    world = await make_world()
    path = link(T0, T0 + 60 * S)
    found, said = await probe(world, path, "-show_packets", "-select_streams", "a")
    stamps = [int(packet["pts"]) for packet in found["packets"]]
    assert said == ""
    assert {b - a for a, b in pairwise(stamps)} == {1024}
    assert 22 <= len(stamps) * 1024 / 8000 <= 25


async def test_more_than_two_hours_are_cut_and_the_next_beginning_is_named(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 10)
    footage.segment(T0 + 7190 * S, 10)
    footage.segment(T0 + 7200 * S, 10)
    world = await make_world()
    async with world.client.get(f"{world.url}{link(T0, T0 + 10_000 * S)}") as answer:
        text = await answer.text()
        assert answer.headers["X-Next-Start"] == "2026-03-01T02:00:00.000Z"
    assert text.startswith("#EXTM3U\n# the next playlist begins at 2026-03-01T02:00:00.000Z\n")
    assert max(int(name.split("-")[0]) for name in entries_of(text)) < T0 + 7200 * S


async def test_nothing_recorded_is_not_found(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 4)
    world = await make_world()
    answer = json.loads(await get(world, link(T0 + 60 * S, T0 + 90 * S), 404))
    assert "2026-03-01T00:01:00.000Z" in answer["error"]["message"]


async def test_a_foreign_token_is_refused(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 4)
    world = await make_world()
    good = link(T0, T0 + 10 * S)
    for path in (
        link(T0, T0 + 10 * S, key=b"x" * 32),
        link(T0, T0 + 10 * S, ttl=-10),
        good.replace(f"{T0 // 1000}-", f"{T0 // 1000 - 1}-"),
        good.replace(CHANNEL, CHANNEL[:-1] + "9"),
        re.sub("/[^/]+/index", "/x/index", good),
    ):
        await get(world, path, 403)


async def test_hostile_names_are_not_found(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 20)
    world = await make_world()
    path = link(T0, T0 + 10 * S)
    folder = path.rpartition("/")[0]
    entry = entries_of((await get(world, path)).decode())[0]
    start, end, media, length, tag = entry.removesuffix(".m4s").split("-")
    for name in (
        "index.m3u", "..%2f..%2fetc%2fpasswd", "0-1-0-1-zz.m4s", f"init-{'0' * 16}-{T0}.mp4", f"init-{tag}-{'9' * 17}.mp4",
        f"{start}-{int(start) + 20 * S}-{media}-{length}-{tag}.m4s",  # longer than any entry
        f"{int(start) + 1}-{end}-{media}-{length}-{tag}.m4s",  # no key frame there
        f"{T0 + 12 * S}-{T0 + 18 * S}-{media}-{length}-{tag}.m4s",  # outside the range of the link
        f"{start}-{end}-999999999999-{length}-{tag}.m4s",
        f"{end}-{start}-{media}-{length}-{tag}.m4s", f"{'9' * 17}-{'9' * 17}-0-1-{tag}.m4s",
    ):  # fmt: skip
        await get(world, f"{folder}/{name}", 404)
    for bad in ("5-5", "9-5", "a-b", "1", f"{'9' * 14}-{'9' * 14}"):
        place = f"{DEVICE}/{CHANNEL}/{bad}"
        token = tokens.sign(KEY, "hls", place, int(time.time() + 60))
        await get(world, f"/media/hls/{place}/{token}/index.m3u8", 404)


# quirks Q119, Q148c
async def test_pictures_without_a_clock_share_the_time_that_they_took(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 12, pts=lambda utc: 0)
    world = await make_world()
    shown = await play(world, link(T0, T0 + 60 * S))
    assert [code for _, code in shown[0]] == [number // 10 for number in range(120)]
    assert all(abs(at - number / 10) < 0.07 for number, (at, _) in enumerate(shown[0]))


async def test_a_loss_leaves_out_pictures_and_keeps_the_time_of_the_others(make_world: MakeWorld, footage: Footage) -> None:
    footage.segment(T0, 12, lost={5: 3, 47: 1})
    world = await make_world()
    found, _ = await probe(world, link(T0, T0 + 60 * S), "-show_packets")
    stamps = [round(float(packet["pts_time"]) * 10) for packet in found["packets"]]
    assert stamps == [number for number in range(120) if number not in (5, 47)]
