"""Exports over HTTP: what the file holds is decoded and compared with what was recorded."""

from __future__ import annotations

import asyncio
import io
import subprocess
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import pytest

from gb28181 import tokens
from gb28181.edge import export_jobs
from gb28181.edge.export import ExportRoutes
from gb28181.edge.export_codecs import codec_change
from gb28181.edge.export_original import Original
from gb28181.edge.recorded import Recordings
from gb28181.edge.recorded_groups import Extent
from gb28181.sim import barcode
from gb28181.storage.segment import SegmentName
from tests.edge.footage import CHANNEL, DEVICE, H264, H264_LARGE, H265, T0, Footage, S
from tests.edge.world import KEY


@pytest.fixture
async def world(make_world):
    return await make_world()


@pytest.fixture
def footage(world):
    footage = Footage(world.volume)
    yield footage
    footage.close()


def link(start: float, end: float, kind: str = "mp4", *, token: str | None = None, action: str = "export") -> str:
    """Path of an export; seconds after `T0`."""
    name = f"{T0 // 1000 + round(start * 1000)}-{T0 // 1000 + round(end * 1000)}.{kind}"
    # Made when tests are collected, opened much later.
    signed = tokens.sign(KEY, action, f"{DEVICE}/{CHANNEL}/{name}", int(time.time()) + 3600)
    return f"/media/export/{DEVICE}/{CHANNEL}/{name}?token={signed if token is None else token}"


async def fetch(world, path: str, status: int = 200, **more) -> bytes:
    async with world.client.get(world.url + path, **more) as answer:
        assert answer.status == status, await answer.text()
        return await answer.read()


def seconds_shown(data: bytes) -> list[int | None]:
    """The bar code of each picture."""
    with av.open(io.BytesIO(data), format="mp4") as container:
        return [barcode.read(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]


def sound_times(data: bytes) -> list[float]:
    with av.open(io.BytesIO(data), format="mp4") as container:
        return [frame.time for frame in container.decode(audio=0)]


def ffmpeg(data: bytes, tmp_path: Path, *command: str) -> str:
    """What FFmpeg says about a file; its complaints are an error."""
    file = tmp_path / "export.mp4"
    file.write_bytes(data)
    command = tuple(str(file) if part == "FILE" else part for part in command)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


PROBE = (
    "ffprobe",
    "-v",
    "warning",
    "-show_entries",
    "stream=codec_name,codec_tag_string:chapter_tags=title",
    "-of",
    "csv",
    "FILE",
)
DECODE = ("ffmpeg", "-v", "warning", "-i", "FILE", "-fps_mode", "passthrough", "-f", "null", "-")


# --- MP4 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("picture", "codec", "tag"), [(H264, "h264", "avc1"), (H265, "hevc", "hvc1")])
async def test_movie_shows_the_range_and_nothing_else(world, footage, tmp_path, picture, codec, tag):
    for number in range(3):
        footage.segment(T0 + number * 10 * S, 10, picture=picture, audio=True)
    data = await fetch(world, link(7, 23))
    shown = seconds_shown(data)
    assert shown == [second for second in range(7, 23) for _ in range(10)]
    said = ffmpeg(data, tmp_path, *PROBE)
    assert f"stream,{codec},{tag}" in said
    assert "stream,aac,mp4a" in said
    ffmpeg(data, tmp_path, *DECODE)


async def test_sound_of_a_movie_is_as_long_as_its_pictures_and_has_no_hole(world, footage):
    footage.segment(T0, 20, audio=True)
    footage.segment(T0 + 20 * S, 20, audio=True)
    times = sound_times(await fetch(world, link(0, 40)))
    assert times[0] < 0.15
    assert times[-1] == pytest.approx(40, abs=0.4)
    assert {round(later - before, 3) for before, later in pairwise(times)} == {0.128}


async def test_sound_stays_with_pictures_that_have_no_time_stamps(world, footage):
    """Q148c: the pictures' stamps stand still, those of the sound do not."""
    footage.segment(T0, 20, audio=True, pts=lambda utc: 0)
    times = sound_times(await fetch(world, link(0, 20)))
    assert times[0] < 0.15
    assert times[-1] == pytest.approx(20, abs=0.4)
    assert {round(later - before, 3) for before, later in pairwise(times)} == {0.128}


async def test_gap_takes_no_time_and_a_chapter_tells_of_it(world, footage, tmp_path):
    footage.segment(T0, 10, audio=True)
    footage.segment(T0 + 40 * S, 10, audio=True)
    data = await fetch(world, link(0, 60))
    assert seconds_shown(data) == [second for second in [*range(10), *range(40, 50)] for _ in range(10)]
    with av.open(io.BytesIO(data)) as container:
        assert container.duration / 1e6 == pytest.approx(20, abs=0.3)
    said = ffmpeg(data, tmp_path, *PROBE)
    assert "chapter,2026-03-01T00:00:00.000Z" in said
    assert "chapter,2026-03-01T00:00:40.000Z" in said


async def test_other_parameter_sets_go_on_in_the_same_file(world, footage, tmp_path):
    footage.segment(T0, 4, picture=H264, audio=True)
    footage.segment(T0 + 4 * S, 4, picture=H264_LARGE, audio=True)
    data = await fetch(world, link(0, 8))
    assert seconds_shown(data) == [second for second in range(8) for _ in range(10)]
    ffmpeg(data, tmp_path, *PROBE)


async def test_other_codec_is_a_clear_error(world, footage):
    footage.segment(T0, 4, picture=H264)
    footage.segment(T0 + 4 * S, 4, picture=H265)
    async with world.client.post(world.url + link(0, 8)) as answer:
        job = await answer.json()
    job = await finished(world, job)
    assert job["state"] == "failed"
    assert "h264 to h265 at 2026-03-01T00:00:04.000Z" in job["error"]["message"]
    assert not list((world.volume / ".exports").iterdir())


@pytest.mark.parametrize("segments", [((4, H264), (4, H265)), ((4, H264), (4, H264), (4, H265), (4, H265))])
async def test_other_codec_refuses_a_download_before_it_begins(world, footage, segments):
    at = changed = 0
    for seconds, picture in segments:
        footage.segment(T0 + at * S, seconds, picture=picture)
        changed = changed or (at if picture is H265 else 0)
        at += seconds
    said = (await fetch(world, link(0, at), status=400)).decode()
    assert f"h264 to h265 at 2026-03-01T00:00:{changed:02d}.000Z" in said
    assert len(seconds_shown(await fetch(world, link(0, changed)))) == changed * 10
    assert len(seconds_shown(await fetch(world, link(changed, at)))) == (at - changed) * 10


async def test_change_of_the_codec_inside_a_segment_is_found(world, footage):
    for number, picture in enumerate((H264, H264, H264, H265, H265)):
        footage.segment(T0 + number * 4 * S, 4, picture=picture)
    groups = list(Recordings([world.volume]).groups(DEVICE, CHANNEL, T0, T0 + 20 * S))
    one = Extent(groups[0].span, 0, 0)  # as if all lay in the first segment
    change = codec_change(replace(group, extents=(one, *group.extents)) for group in groups)
    assert change is not None
    assert (change.before, change.after, change.at_us) == ("h264", "h265", T0 + 12 * S)


async def test_movie_without_sound_has_one_track(world, footage):
    footage.segment(T0, 4)
    with av.open(io.BytesIO(await fetch(world, link(0, 4)))) as container:
        assert [stream.type for stream in container.streams] == ["video"]


async def test_lost_packets_and_a_clock_that_jumps_leave_a_sound_file(world, footage, tmp_path):
    footage.segment(T0, 8, audio=True, lost={33: 4}, pts=lambda utc: (utc * 9 // 100) % 900_000)
    data = await fetch(world, link(0, 8))
    ffmpeg(data, tmp_path, *DECODE)
    assert len(seconds_shown(data)) > 60


async def test_segment_that_is_being_written_is_in_the_file(world, footage):
    footage.segment(T0, 10, stays_open=True)
    assert seconds_shown(await fetch(world, link(0, 60))) == [second for second in range(8) for _ in range(10)]


# --- jobs -------------------------------------------------------------------------------------------------------------


async def finished(world, job: dict) -> dict:
    async with asyncio.timeout(60):
        while job["state"] in ("waiting", "running"):
            await asyncio.sleep(0.05)
            async with world.client.get(world.url + job["progress_url"]) as answer:
                assert answer.status == 200
                job = await answer.json()
    return job


async def test_job_makes_the_same_file_and_answers_ranges(world, footage):
    footage.segment(T0, 20, audio=True)
    async with world.client.post(world.url + link(3, 15)) as answer:
        assert answer.status == 202
        job = await answer.json()
    job = await finished(world, job)
    assert (job["state"], job["percent"], job["error"]) == ("done", 100, None)
    data = await fetch(world, job["url"])
    assert len(data) == job["bytes"]
    assert data == await fetch(world, link(3, 15))
    assert await fetch(world, job["url"], 206, headers={"Range": "bytes=100-299"}) == data[100:300]


async def test_job_that_is_cancelled_leaves_nothing(world, footage):
    footage.segment(T0, 20, audio=True)
    async with world.client.post(world.url + link(0, 20)) as answer:
        job = await answer.json()
    async with world.client.delete(world.url + job["progress_url"]) as answer:
        assert answer.status == 204
    await fetch(world, job["progress_url"], 404)
    assert not list((world.volume / ".exports").iterdir())


async def test_files_of_a_former_life_are_removed(make_world, tmp_path):
    left = tmp_path / "volume" / ".exports" / "old.mp4"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"old")
    await make_world()
    assert not left.exists()


async def test_export_without_room_is_refused(world, footage, monkeypatch):
    footage.segment(T0, 4)
    monkeypatch.setattr(export_jobs, "_MOST_BYTES", 1000)
    async with world.client.post(world.url + link(0, 4)) as answer:
        assert answer.status == 503
        assert "direct link" in await answer.text()


# --- as recorded ------------------------------------------------------------------------------------------------------


async def test_original_is_the_bytes_recorded(world, footage):
    parts = [footage.segment(T0 + number * 10 * S, 10, audio=True) for number in range(3)]
    assert await fetch(world, link(0, 30, "ps")) == b"".join(parts)


async def test_original_begins_with_the_key_frame_before_the_start(world, footage):
    whole = footage.segment(T0, 20, audio=True) + footage.segment(T0 + 20 * S, 20, audio=True)
    part = await fetch(world, link(7, 30, "ps"))
    at = whole.index(part)
    assert at > 0
    recordings = Recordings([world.volume])
    first = next(recordings.groups(DEVICE, CHANNEL, T0 + 7 * S, T0 + 30 * S))
    assert first.utc_us == T0 + 6 * S
    assert part.startswith(first.read())


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [("bytes=0-0", 0, 1), ("bytes=1000-", 1000, None), ("bytes=-500", -500, None), ("bytes=5-99999999", 5, None)],
)
async def test_original_answers_ranges(world, footage, asked, begin, end):
    whole = footage.segment(T0, 10) + footage.segment(T0 + 10 * S, 10)
    async with world.client.get(world.url + link(0, 20, "ps"), headers={"Range": asked}) as answer:
        assert answer.status == 206
        data = await answer.read()
        assert answer.headers["Content-Range"].endswith(f"/{len(whole)}")
    assert data == whole[begin:end]


async def test_download_that_was_broken_off_goes_on(world, footage):
    whole = footage.segment(T0, 10) + footage.segment(T0 + 10 * S, 10)
    async with world.client.head(world.url + link(0, 20, "ps")) as answer:
        etag, size = answer.headers["ETag"], int(answer.headers["Content-Length"])
    assert size == len(whole)
    half = size // 2
    rest = await fetch(world, link(0, 20, "ps"), 206, headers={"Range": f"bytes={half}-", "If-Range": etag})
    assert rest == whole[half:]
    assert await fetch(world, link(0, 20, "ps"), headers={"Range": f"bytes={half}-", "If-Range": '"other"'}) == whole


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=5-2", "pages=1-2", "bytes=a-b"])
async def test_range_that_cannot_be_answered_is_416(world, footage, asked):
    footage.segment(T0, 4)
    await fetch(world, link(0, 4, "ps"), 416, headers={"Range": asked})


def test_segment_that_was_cut_without_a_key_frame_stays_whole(tmp_path):
    footage = Footage(tmp_path)
    first = footage.segment(T0, 9)
    second = footage.segment(T0 + 9 * S, 5)
    footage.close()
    original = Original(Recordings([tmp_path]).groups(DEVICE, CHANNEL, T0, T0 + 14 * S))
    assert b"".join(original.pieces(0, original.size)) == first + second
    assert original.segments == 2


async def test_recording_that_is_deleted_on_the_way_cuts_the_connection(world, footage, monkeypatch):
    footage.segment(T0, 10)
    footage.segment(T0 + 10 * S, 10)
    name = SegmentName.of(DEVICE, CHANNEL, T0 + 10 * S)
    plan = ExportRoutes._plan

    def planned(self, task):
        original = plan(self, task)
        (world.volume / f"{name.path}.ps").unlink()
        return original

    monkeypatch.setattr(ExportRoutes, "_plan", planned)
    async with world.client.get(world.url + link(0, 20, "ps")) as answer:
        with pytest.raises(Exception, match="payload"):
            await answer.read()


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_nothing_recorded_is_404(world):
    for kind in ("ps", "mp4"):
        assert b"nothing is recorded" in await fetch(world, link(0, 10, kind), 404)
    async with world.client.post(world.url + link(0, 10)) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("path", [link(0, 10, token=""), link(0, 10, token="x"), link(0, 10, action="live")])
async def test_link_without_its_own_token_is_refused(world, path):
    await fetch(world, path, 403)
    async with world.client.post(world.url + path) as answer:
        assert answer.status == 403


@pytest.mark.parametrize("path", [link(10, 10), link(10, 5), link(0, 90_000)])
async def test_range_that_is_none_or_too_long_is_404(world, path):
    await fetch(world, path, 404)


@pytest.mark.parametrize(
    "path",
    [
        f"/media/export/{DEVICE}/..%2f..%2f{CHANNEL}/1-2.mp4",
        f"/media/export/{DEVICE}/{CHANNEL}/1-2.avi",
        f"/media/export/{DEVICE}/{CHANNEL}/-1-2.mp4",
        f"/media/export/{DEVICE}/{CHANNEL}/1-999999999999999999999.mp4",
        f"/media/export/{DEVICE}/{CHANNEL}/١-٢.mp4",
        "/media/exports/x",
        "/media/exports/..%2f..%2fetc",
        "/media/exports/AAAAAAAAAAAAAAAAAAAAAA/file",
    ],
)
async def test_hostile_path_is_404(world, path):
    await fetch(world, path, 404)
