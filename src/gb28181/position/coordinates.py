"""Coordinate systems: what maps of China are drawn in (GCJ-02, BD-09) and what positions are kept in (WGS-84; quirk Q50).

The transformation of GCJ-02 is the published approximation; its inverse is found by iteration and good to a centimetre.
"""

from __future__ import annotations

import math
from typing import Final, Literal

System = Literal["wgs84", "gcj02", "bd09"]

_A: Final = 6378245.0  # semi-major axis of Krasovsky 1940, metres
_EE: Final = 0.00669342162296594323  # its eccentricity, squared
_BD_PI: Final = math.pi * 3000.0 / 180.0
_ROUNDS: Final = 8


def is_place(longitude: float, latitude: float) -> bool:
    """Whether this can be a position: on the globe, and not the 0, 0 of a receiver without a fix."""
    if not (-180.0 <= longitude <= 180.0 and -90.0 <= latitude <= 90.0):
        return False
    return abs(longitude) > 1e-6 or abs(latitude) > 1e-6


def to_wgs84(longitude: float, latitude: float, system: System) -> tuple[float, float]:
    """The same place in WGS-84, to seven decimals (a centimetre)."""
    if system == "bd09":
        longitude, latitude = _bd09_to_gcj02(longitude, latitude)
    if system == "wgs84":
        return longitude, latitude
    found_lon, found_lat = longitude, latitude
    for _ in range(_ROUNDS):
        shifted_lon, shifted_lat = wgs84_to_gcj02(found_lon, found_lat)
        found_lon += longitude - shifted_lon
        found_lat += latitude - shifted_lat
    return round(found_lon, 7), round(found_lat, 7)


def wgs84_to_gcj02(longitude: float, latitude: float) -> tuple[float, float]:
    """Outside of China both systems are the same."""
    if not (72.004 <= longitude <= 137.8347 and 0.8293 <= latitude <= 55.8271):
        return longitude, latitude
    x, y = longitude - 105.0, latitude - 35.0
    root = math.sqrt(abs(x))
    waves = (20.0 * math.sin(6.0 * x * math.pi) + 20.0 * math.sin(2.0 * x * math.pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + waves
    north += (20.0 * math.sin(y * math.pi) + 40.0 * math.sin(y / 3.0 * math.pi)) * 2.0 / 3.0
    north += (160.0 * math.sin(y / 12.0 * math.pi) + 320.0 * math.sin(y * math.pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + waves
    east += (20.0 * math.sin(x * math.pi) + 40.0 * math.sin(x / 3.0 * math.pi)) * 2.0 / 3.0
    east += (150.0 * math.sin(x / 12.0 * math.pi) + 300.0 * math.sin(x / 30.0 * math.pi)) * 2.0 / 3.0
    radians = latitude / 180.0 * math.pi
    magic = 1.0 - _EE * math.sin(radians) ** 2
    north = north * 180.0 / ((_A * (1.0 - _EE)) / (magic * math.sqrt(magic)) * math.pi)
    east = east * 180.0 / (_A / math.sqrt(magic) * math.cos(radians) * math.pi)
    return longitude + east, latitude + north


def _bd09_to_gcj02(longitude: float, latitude: float) -> tuple[float, float]:
    x, y = longitude - 0.0065, latitude - 0.006
    radius = math.sqrt(x * x + y * y) - 0.00002 * math.sin(y * _BD_PI)
    angle = math.atan2(y, x) - 0.000003 * math.cos(x * _BD_PI)
    return radius * math.cos(angle), radius * math.sin(angle)
