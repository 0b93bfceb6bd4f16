from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.clock import to_us
from gb28181.errors import Invalid
from gb28181.storage.segment import SegmentName

DEVICE = "34020000001320000001"
CHANNEL = "34020000001310000001"
identifiers = st.text("0123456789abcXYZ_.-", min_size=1, max_size=64)


def test_name_is_the_utc_start_to_the_millisecond():
    name = SegmentName.of(DEVICE, CHANNEL, 1_772_323_200_123_999)
    assert name.path == f"{DEVICE}/{CHANNEL}/20260301/000000.123"


@given(device=identifiers, channel=identifiers, start_us=st.integers(0, 4_000_000_000_000_000))
def test_a_path_and_a_marker_read_back_as_the_same_name(device, channel, start_us):
    name = SegmentName.of(device, channel, start_us)
    assert SegmentName.parse(name.path) == name
    assert SegmentName.parse_marker(name.marker) == name
    assert "/" not in name.marker


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        f"../{CHANNEL}/20260301/000000.000",
        f"{DEVICE}/../20260301/000000.000",
        f"/{DEVICE}/{CHANNEL}/20260301/000000.000",
        f"{DEVICE}/{CHANNEL}/20260301/000000.000/..",
        f"{DEVICE}/{CHANNEL}/20260301/000000.000\n",
        f"{DEVICE}/{CHANNEL}/20260301/000000.000.ps",
        f"{DEVICE}/{CHANNEL}/20261301/000000.000",
        f"{DEVICE}/{CHANNEL}/20260301/250000.000",
        f"{DEVICE}/{CHANNEL}/２０２６０３０１/000000.000",
        f"{DEVICE}/{CHANNEL}\0/20260301/000000.000",
        "",
    ],
)
def test_a_path_that_is_no_segments_is_refused(path):
    with pytest.raises(Invalid):
        SegmentName.parse(path)


@given(st.text())
def test_any_text_is_a_path_inside_the_volume_or_refused(text):
    try:
        name = SegmentName.parse(text)
    except Invalid:
        return
    assert name.path == text
    assert ".." not in text.split("/")


def test_an_identifier_that_is_not_safe_in_a_path_becomes_its_hash():
    assert SegmentName.of("a.b/../c", CHANNEL, 0).device.startswith("h-")


def test_following_names_are_the_next_milliseconds_over_midnight_too():
    name = SegmentName.of(DEVICE, CHANNEL, to_us_of("2026-03-01T23:59:59.999+00:00"))
    assert [later.path[-19:] for later, _ in zip(name.following(), range(2), strict=False)] == [
        "20260301/235959.999",
        "20260302/000000.000",
    ]


def to_us_of(text):
    return to_us(datetime.fromisoformat(text))
