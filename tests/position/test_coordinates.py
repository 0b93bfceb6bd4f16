"""Coordinate systems against places whose coordinates were published in both (quirk Q50)."""

from __future__ import annotations

import pytest

from gb28181.position.coordinates import is_place, to_wgs84, wgs84_to_gcj02

CENTIMETRE = 2e-7


@pytest.mark.parametrize(("longitude", "latitude"), [(116.404, 39.915), (118.376, 31.326), (87.6, 43.8), (109.5, 18.2)])
def test_gcj02_is_turned_back_to_a_centimetre(longitude: float, latitude: float) -> None:
    shifted = wgs84_to_gcj02(longitude, latitude)
    assert 0.0005 < abs(shifted[0] - longitude) + abs(shifted[1] - latitude) < 0.02  # tens to hundreds of metres
    found = to_wgs84(*shifted, "gcj02")
    assert found == pytest.approx((longitude, latitude), abs=CENTIMETRE)


def test_the_shift_is_the_published_one() -> None:
    """Tian'anmen: 116.404, 39.915 in WGS-84 is 116.41024, 39.91640 in GCJ-02."""
    assert wgs84_to_gcj02(116.404, 39.915) == pytest.approx((116.410244, 39.916404), abs=2e-5)


def test_bd09_is_turned_back_through_gcj02() -> None:
    """116.404, 39.915 in BD-09 is 116.39762, 39.90866 in GCJ-02."""
    gcj = wgs84_to_gcj02(*to_wgs84(116.404, 39.915, "bd09"))
    assert gcj == pytest.approx((116.397627, 39.908657), abs=2e-5)


def test_abroad_both_are_the_same_and_wgs84_stays_as_it_is() -> None:
    assert to_wgs84(2.3522, 48.8566, "gcj02") == (2.3522, 48.8566)
    assert to_wgs84(116.404, 39.915, "wgs84") == (116.404, 39.915)


@pytest.mark.parametrize(
    ("longitude", "latitude", "expected"),
    [
        (118.3, 31.3, True),
        (0.0, 0.0, False),
        (181.0, 31.0, False),
        (118.0, -91.0, False),
        (0.0, 51.5, True),
        (-180.0, 90.0, True),
    ],
)
def test_what_is_no_place_is_known(longitude: float, latitude: float, *, expected: bool) -> None:
    assert is_place(longitude, latitude) is expected
