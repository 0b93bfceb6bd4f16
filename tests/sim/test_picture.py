"""The encoded loop: bar code, exchange of slices, cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

from gb28181.errors import Invalid
from gb28181.sim import barcode, font
from gb28181.sim.encoder import Bands, Picture
from gb28181.sim.studio import Loop, Studio, open_loop
from tests.sim.conftest import SMALL

Luma = npt.NDArray[np.uint8]
#: 2026-11-22 12:34:00 UTC, the beginning of a minute.
MINUTE = 1_795_350_840
H265 = Picture("h265", 176, 144, 5, 200, 1.0)
LONG_GOP = Picture("h264", 176, 144, 5, 200, 7.0)


def decode(codec: str, pictures: list[bytes], height: int) -> list[Luma]:
    decoder: Any = av.CodecContext.create("h264" if codec == "h264" else "hevc", "r")
    frames = [frame for picture in pictures for frame in decoder.decode(av.Packet(picture))]
    return [frame.to_ndarray()[:height] for frame in [*frames, *decoder.decode(None)]]


@pytest.mark.parametrize("second", range(60))
def test_every_second_is_read_from_a_drawn_strip(second: int) -> None:
    luma = np.full((288, 352), 90, dtype=np.uint8)
    barcode.draw(luma, second)
    assert barcode.read(luma) == second


def test_a_strip_is_read_from_a_scaled_and_faded_copy() -> None:
    luma = np.full((576, 704), 90, dtype=np.uint8)
    barcode.draw(luma, 37)
    smaller = luma[::7, ::5] // 2 + 60
    assert barcode.read(smaller) == 37


def test_a_wrong_parity_is_not_read() -> None:
    luma = np.full((288, 352), 90, dtype=np.uint8)
    barcode.draw(luma, 37)
    rows = slice(round(288 * barcode.TOP), round(288 * barcode.BOTTOM))
    block = slice(round(35.2 * 4), round(35.2 * 5))
    luma[rows, block] = 251 - luma[rows, block]
    assert barcode.read(luma) is None


@pytest.mark.parametrize(
    "picture",
    [
        pytest.param(np.full((288, 352), 128, dtype=np.uint8), id="grey"),
        pytest.param(np.random.default_rng(1).integers(0, 256, (288, 352), dtype=np.uint8), id="noise"),
        pytest.param(np.zeros((8, 8), dtype=np.uint8), id="too-small"),
        pytest.param(np.zeros((64, 64, 3), dtype=np.uint8), id="not-grey"),
    ],
)
def test_a_picture_without_strip_is_not_read(picture: npt.NDArray[Any]) -> None:
    assert barcode.read(picture) is None


def test_text_that_does_not_fit_is_cut() -> None:
    assert font.fit("A VERY LONG NAME", 30, 20).shape == (7, 30)


def test_text_takes_the_greatest_whole_scale() -> None:
    assert font.fit("AB", 100, 30).shape == (28, 44)


@pytest.mark.parametrize("picture", [SMALL, H265, LONG_GOP], ids=["h264", "h265", "h264-gop-7s"])
async def test_every_second_of_the_minute_survives_encoding(picture: Picture, studio: Studio) -> None:
    film = await studio.film(picture, "CAM 01")
    first = film.number_at(MINUTE)
    decoded = decode(picture.codec, [film.frame(first + n, "CAM 01")[0] for n in range(picture.loop_frames)], picture.height)
    assert [barcode.read(luma) for luma in decoded] == [n // picture.fps for n in range(picture.loop_frames)]


@pytest.mark.parametrize("picture", [SMALL, H265, LONG_GOP], ids=["h264", "h265", "h264-gop-7s"])
async def test_a_name_changes_its_band_and_not_one_pixel_of_the_scene(picture: Picture, studio: Studio, cache: Path) -> None:
    film = await studio.film(picture, "NVR 07-3")
    first = film.number_at(MINUTE)
    loop = open_loop(picture, cache)
    plain = [b"".join((p.lead, p.top, p.body, p.bottom)) for p in map(loop.parts, range(picture.loop_frames))]
    shown = [film.frame(first + n, "NVR 07-3")[0] for n in range(picture.loop_frames)]
    bands = Bands.of(picture)
    scene = slice(bands.top, picture.height - bands.bottom)
    for before, after in zip(
        decode(picture.codec, plain, picture.height), decode(picture.codec, shown, picture.height), strict=True
    ):
        assert np.array_equal(before[scene], after[scene])
        assert before[: bands.top].max() < 30
        assert after[: bands.top].max() > 200


async def test_the_clock_shows_each_second_also_between_key_pictures(studio: Studio) -> None:
    film = await studio.film(LONG_GOP, "CAM 01")
    first = film.number_at(MINUTE)
    decoded = decode("h264", [film.frame(first + n, "CAM 01")[0] for n in range(35)], 144)
    clocks = [luma[144 - Bands.of(LONG_GOP).bottom :] > 128 for luma in decoded]
    changes = [n for n in range(1, 35) if not np.array_equal(clocks[n], clocks[n - 1])]
    assert changes == [5, 10, 15, 20, 25, 30]


async def test_key_pictures_stand_at_every_gop_and_at_the_minute(studio: Studio) -> None:
    film = await studio.film(LONG_GOP, "CAM 01")
    first = film.number_at(MINUTE)
    keys = [n for n in range(LONG_GOP.loop_frames + 1) if film.frame(first + n, "CAM 01")[1]]
    assert keys == [0, 35, 70, 105, 140, 175, 210, 245, 280, 300]


def test_a_damaged_loop_is_encoded_again(tmp_path: Path) -> None:
    open_loop(SMALL, tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(Invalid):
        Loop(file, SMALL)
    assert open_loop(SMALL, tmp_path).parts(0).is_key
    assert len(file.read_bytes()) == len(whole)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_loop_in_the_cache_is_not_encoded_again(tmp_path: Path) -> None:
    open_loop(SMALL, tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    open_loop(SMALL, tmp_path)
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize(
    "values",
    [{"width": 175}, {"height": 64}, {"fps": 0}, {"bitrate_kbps": 1}, {"gop_s": 0}, {"codec": "mpeg4"}],
    ids=str,
)
def test_a_picture_that_cannot_be_encoded_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Picture(**values)


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("size", [(128, 96), (352, 288), (704, 576), (1280, 720), (1920, 1080)], ids=str)
def test_both_bands_have_room_for_text(codec: Any, size: tuple[int, int]) -> None:
    bands = Bands.of(Picture(codec, *size))
    assert bands.top >= 16
    assert bands.bottom >= 16
    assert bands.top + bands.bottom < size[1] * 0.7
