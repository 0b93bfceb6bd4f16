"""Program stream bytes of the specification, one by one: pack headers, stream maps, time stamps, a key frame (Annex C)."""

from __future__ import annotations

import pytest

from gb28181.media.ps import PsParser
from gb28181.media.ps_pictures import AccessUnit

SYSTEM = "000001bb000c809c4105e17fe0e800c0c200"
MAP = "000001bc0012e0ff000000081be0000090c00000fedfb1d7"
PAYLOAD = "000000016742c01e0000000168ce3c80000000016588843a"
VIDEO = "000001e00020848005210005bf21" + PAYLOAD
AUDIO = "000001c0001080800521 0005bf21".replace(" ", "") + "d5" * 8


def read(*parts: str) -> tuple[PsParser, list[AccessUnit]]:
    parser = PsParser()
    units = parser.feed(bytes.fromhex("".join(parts)), 1)
    return parser, units + parser.flush()


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("000001ba440004000401013883f8", id="scr-0"),
        pytest.param("000001ba440004708401013883f8", id="scr-3600"),
        pytest.param("000001ba440016fc8401013883f8", id="scr-90000"),
        pytest.param("000001ba4534fec80401013883f8", id="scr-324000000"),
        pytest.param("000001ba440016fc852d005f6bf8", id="extension-150"),
        pytest.param("000001ba6634573c4d2d008003f8", id="scr-0x123456789"),
        pytest.param("000001ba7ffffffffe57fffffff8", id="all-maxima"),
        pytest.param("000001ba440016fc8401013883fbffffff", id="three-stuffing-bytes"),
    ],
)
def test_every_pack_header_is_passed_over_to_the_picture_behind_it(header: str) -> None:
    parser, units = read(header, SYSTEM, MAP, VIDEO)
    assert parser.packs == 1
    assert [(unit.pts_90k, unit.is_key, unit.data) for unit in units] == [(90_000, True, bytes.fromhex(PAYLOAD))]
    assert not parser.faults


@pytest.mark.parametrize(
    ("section", "declared"),
    [
        pytest.param(MAP, {0xE0: "h264", 0xC0: "g711a"}, id="h264-g711a"),
        pytest.param("000001bc0012e0ff0000000824e000000fc00000eac5e41d", {0xE0: "h265", 0xC0: "aac"}, id="h265-aac"),
        pytest.param("000001bc000ee0ff000000041be00000f4dcbd45", {0xE0: "h264"}, id="h264"),
        pytest.param("000001bc0012e0ff0000000880e000009bc000008bf4d12b", {0xE0: "svac", 0xC0: "svac-audio"}, id="svac"),
        pytest.param("000001bc0012e0ff0000000810e0000091c000001adc9300", {0xE0: "mpeg4", 0xC0: "g711u"}, id="mpeg4-g711u"),
    ],
)
def test_every_stream_map_names_its_codecs(section: str, declared: dict[int, str]) -> None:
    parser, _units = read("000001ba440016fc8401013883f8", SYSTEM, section, "000001ba440016fc8401013883f8")
    assert parser.declared == declared


@pytest.mark.parametrize(
    ("stamp", "pts"),
    [
        ("2100010001", 0),
        ("2100011c21", 3600),
        ("210005bf21", 90_000),
        ("214d3fb201", 324_000_000),
        ("2fffffffff", 8_589_934_591),
    ],
)
def test_every_time_stamp_is_read(stamp: str, pts: int) -> None:
    _parser, units = read("000001ba440016fc8401013883f8", MAP, VIDEO.replace("210005bf21", stamp))
    assert [unit.pts_90k for unit in units] == [pts]


def test_a_key_frame_and_its_sound() -> None:
    _parser, units = read("000001ba440016fc8401013883f8", SYSTEM, MAP, VIDEO, AUDIO)
    assert sorted((unit.codec, unit.pts_90k, unit.data) for unit in units) == [
        ("g711a", 90_000, b"\xd5" * 8),
        ("h264", 90_000, bytes.fromhex(PAYLOAD)),
    ]
