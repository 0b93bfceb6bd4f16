"""PTZ codes, byte by byte (A.3): the 42 vectors, the invalid ones, and every code there can be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.errors import MisuseError, WireError
from gb28181.manscdp.ptz_code import (
    LENS_STOP,
    STOP,
    Auxiliary,
    Cruise,
    Lens,
    Move,
    Preset,
    PtzAction,
    PtzCode,
    Scan,
    build,
    parse,
)

SPEC = Path(__file__).parents[3] / "shared" / "spec" / "04-ptz.md"

VECTORS: list[tuple[str, PtzAction, int]] = [
    ("A50F0100000000B5", STOP, 1),
    ("A50F0101200000D6", Move(pan=1, pan_speed=0x20), 1),
    ("A50F0102200000D7", Move(pan=-1, pan_speed=0x20), 1),
    ("A50F0104002000D9", Move(tilt=-1, tilt_speed=0x20), 1),
    ("A50F0108002000DD", Move(tilt=1, tilt_speed=0x20), 1),
    ("A50F01092030000E", Move(pan=1, tilt=1, pan_speed=0x20, tilt_speed=0x30), 1),
    ("A50F010A2030000F", Move(pan=-1, tilt=1, pan_speed=0x20, tilt_speed=0x30), 1),
    ("A50F01052030000A", Move(pan=1, tilt=-1, pan_speed=0x20, tilt_speed=0x30), 1),
    ("A50F01062030000B", Move(pan=-1, tilt=-1, pan_speed=0x20, tilt_speed=0x30), 1),
    ("A50F0101FF0000B5", Move(pan=1, pan_speed=0xFF), 1),
    ("A50F011000005015", Move(zoom=1, zoom_speed=5), 1),
    ("A50F012000005025", Move(zoom=-1, zoom_speed=5), 1),
    ("A50F01294050A00E", Move(pan=1, tilt=1, zoom=-1, pan_speed=0x40, tilt_speed=0x50, zoom_speed=0xA), 1),
    ("A50F0140000000F5", LENS_STOP, 1),
    ("A50F014160000056", Lens(focus=1, focus_speed=0x60), 1),
    ("A50F014260000057", Lens(focus=-1, focus_speed=0x60), 1),
    ("A50F014400700069", Lens(iris=1, iris_speed=0x70), 1),
    ("A50F01480070006D", Lens(iris=-1, iris_speed=0x70), 1),
    ("A50F0149607000CE", Lens(focus=1, iris=-1, focus_speed=0x60, iris_speed=0x70), 1),
    ("A50F018100010037", Preset("set", 1), 1),
    ("A50F018200010038", Preset("call", 1), 1),
    ("A50F018300010039", Preset("delete", 1), 1),
    ("A50F018200FF0036", Preset("call", 255), 1),
    ("A50F01840103003D", Cruise("add", 1, 3), 1),
    ("A50F01850103003E", Cruise("delete", 1, 3), 1),
    ("A50F01850100003B", Cruise("delete_all", 1), 1),
    ("A50F0186010F004B", Cruise("speed", 1, 15), 1),
    ("A50F01860123106F", Cruise("speed", 1, 0x123), 1),
    ("A50F0187011E005B", Cruise("stay", 1, 30), 1),
    ("A50F0187012C1079", Cruise("stay", 1, 300), 1),
    ("A50F01880100003E", Cruise("start", 1), 1),
    ("A50F01890100003F", Scan("start", 1), 1),
    ("A50F018901010040", Scan("left", 1), 1),
    ("A50F018901020041", Scan("right", 1), 1),
    ("A50F018A016400A4", Scan("speed", 1, 100), 1),
    ("A50F018A01BC201C", Scan("speed", 1, 0x2BC), 1),
    ("A50F018C01000042", Auxiliary(True, 1), 1),
    ("A50F018D01000043", Auxiliary(False, 1), 1),
    ("A50F018C02000043", Auxiliary(True, 2), 1),
    ("A50F0000000000B4", STOP, 0),
    ("A50F4D1000001021", Move(zoom=1, zoom_speed=1), 0x4D),
    ("A50FFF0000000FC2", STOP, 0xFFF),
]


@pytest.mark.parametrize(("text", "action", "address"), VECTORS, ids=[f"{n}-{row[0]}" for n, row in enumerate(VECTORS, 1)])
def test_vector_is_read_and_written(text: str, action: PtzAction, address: int) -> None:
    assert parse(text) == PtzCode(action, address)
    assert build(action, address=address) == text


def test_no_vector_of_the_digest_is_missing() -> None:
    if not SPEC.exists():
        pytest.skip("the digest of the standard lies beside the checkout, not in it")
    rows = re.findall(r"^\| \d+ \| .*?`([0-9A-F]{16})`", SPEC.read_text(), re.MULTILINE)
    assert [text for text, *_ in VECTORS] == rows
    assert len(rows) == 42


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("A50F010120000000", id="wrong-sum"),
        pytest.param("A60F0101200000D7", id="not-a5"),
        pytest.param("A50F0101200000D", id="15-digits"),
        pytest.param("A50F010320000000D8", id="18-digits"),
        pytest.param("A50F0103200000D8", id="left-and-right"),
        pytest.param("A50F010C002000E1", id="up-and-down"),
        pytest.param("A50F0130000050" + "35", id="zoom-in-and-out"),
        pytest.param("A50F0143600000" + "58", id="focus-near-and-far"),
        pytest.param("A50F014C0070" + "0071", id="iris-open-and-close"),
        pytest.param("A50F01810000" + "0036", id="preset-0-is-reserved"),
        pytest.param("A50F01840100" + "003A", id="cruise-point-without-preset"),
        pytest.param("A50F01890103" + "0042", id="scan-without-such-a-border"),
        pytest.param("A50F015000000005", id="50-is-no-command"),
        pytest.param("A50F018000000035", id="80-is-no-command"),
        pytest.param("A50F018B00000040", id="8b-is-no-command"),
        pytest.param("A50F01FF000000B4", id="ff-is-no-command"),
        pytest.param("", id="nothing"),
        pytest.param("G50F0101200000D6", id="no-hexadecimal-digit"),
        pytest.param("Ａ50F0101200000D6", id="no-ascii-digit"),
        pytest.param(" " * 100_000, id="only-blanks"),
    ],
)
def test_what_is_no_command_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        parse(text)


@pytest.mark.parametrize("text", ["a50f0101200000d6", " A50F0101200000D6\n", "A5 0F 01 01 20 00 00 D6"])
def test_case_and_blanks_do_not_matter(text: str) -> None:
    assert parse(text).action == Move(pan=1, pan_speed=0x20)


def test_byte_2_is_not_believed() -> None:
    assert parse("A5000101200000C7").action == Move(pan=1, pan_speed=0x20)


def test_a_stop_with_speeds_is_a_move_that_stands_still() -> None:
    action = parse("A50F010064640" + "07D").action
    assert action == Move(pan_speed=0x64, tilt_speed=0x64)


@pytest.mark.parametrize(
    ("action", "address"),
    [
        (Move(pan_speed=256), 1),
        (Move(tilt_speed=-1), 1),
        (Move(zoom_speed=16), 1),
        (Lens(focus_speed=256), 1),
        (Lens(iris_speed=256), 1),
        (Preset("call", 0), 1),
        (Preset("call", 256), 1),
        (Cruise("add", 256, 1), 1),
        (Cruise("add", 1, 0), 1),
        (Cruise("delete", 1, 0), 1),
        (Cruise("stay", 1, 4096), 1),
        (Cruise("start", 1, 7), 1),
        (Scan("speed", 1, 4096), 1),
        (Scan("left", 1, 1), 1),
        (Scan("start", 256), 1),
        (Auxiliary(True, 256), 1),
        (STOP, 4096),
        (STOP, -1),
    ],
)
def test_a_number_out_of_its_range_is_our_mistake(action: PtzAction, address: int) -> None:
    with pytest.raises(MisuseError):
        build(action, address=address)


def test_a_direction_has_three_values() -> None:
    with pytest.raises(MisuseError):
        build(Move(pan=2))  # type: ignore[arg-type]


directions: Any = st.sampled_from((-1, 0, 1))
octets = st.integers(0, 255)
wide = st.integers(0, 4095)
actions = st.one_of(
    st.builds(Move, directions, directions, directions, octets, octets, st.integers(0, 15)),
    st.builds(Lens, directions, directions, octets, octets),
    st.builds(Preset, st.sampled_from(("set", "call", "delete")), st.integers(1, 255)),
    st.builds(Cruise, st.sampled_from(("add", "delete")), octets, st.integers(1, 255)),
    st.builds(Cruise, st.sampled_from(("speed", "stay")), octets, wide),
    st.builds(Cruise, st.sampled_from(("start", "delete_all")), octets),
    st.builds(Scan, st.sampled_from(("start", "left", "right")), octets),
    st.builds(Scan, st.just("speed"), octets, wide),
    st.builds(Auxiliary, st.booleans(), octets),
)


@given(actions, wide)
def test_what_is_written_is_read_again(action: PtzAction, address: int) -> None:
    text = build(action, address=address)
    assert parse(text) == PtzCode(action, address)
    assert sum(bytes.fromhex(text)[:7]) % 256 == bytes.fromhex(text)[7]


@given(st.text(max_size=40) | st.binary(min_size=8, max_size=8).map(bytes.hex))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        code = parse(text)
    except WireError:
        return
    assert parse(build(code.action, address=code.address)) == code


@given(st.binary(min_size=6, max_size=6))
def test_any_six_bytes_between_a5_and_the_sum_are_read_or_refused(middle: bytes) -> None:
    head = b"\xa5" + middle
    test_any_text_is_read_or_refused.hypothesis.inner_test((head + bytes([sum(head) & 0xFF])).hex())  # type: ignore[attr-defined]
