"""Where a channel is (§9.11.3, A.2.5.6), and where a camera looks (PTZPosition, 2022 A.2.6.15)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gb28181.catalog.model import ChannelKey
from gb28181.ids import DeviceId
from gb28181.position.coordinates import System


@dataclass(frozen=True, slots=True)
class Position:
    """One fix, as stored.

    Args:
        position_id: Rises with the time of arrival; microseconds since 1970 at which it arrived, made unique.
        key: The channel; the device itself where it is one.
        at: When it was measured: CaptureTime, else Time, else the time of arrival.
        longitude, latitude: Degrees in WGS-84.
        told_longitude, told_latitude: Degrees as the device told them, in `system`.
        speed_kmh, direction_deg: Over ground; clockwise from north.
        altitude_m, height_m: Above sea level; above ground (2022).
        via: `notify`, `message` or `alarm` (quirk Q176).
    """

    position_id: int
    key: ChannelKey
    at: datetime
    received_at: datetime
    longitude: float
    latitude: float
    told_longitude: float
    told_latitude: float
    system: System = "wgs84"
    speed_kmh: float | None = None
    direction_deg: float | None = None
    altitude_m: float | None = None
    height_m: float | None = None
    via: str = "notify"


@dataclass(frozen=True, slots=True)
class PositionReported:
    """A channel is somewhere."""

    key: ChannelKey
    measured_at: datetime
    longitude: float
    latitude: float
    speed_kmh: float | None
    direction_deg: float | None


@dataclass(frozen=True, slots=True)
class PtzPositionReported:
    """A camera looks somewhere: degrees, and zoom as a factor; None where it did not tell."""

    device_id: DeviceId
    channel_id: str
    pan: float | None
    tilt: float | None
    zoom: float | None
    horizontal_field_angle: float | None = None
    vertical_field_angle: float | None = None
    max_view_distance: float | None = None
