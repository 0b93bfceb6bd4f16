"""Positions of mobile devices: subscription and notification (A.2.4.9, A.2.5.6). Coordinates are WGS-84 degrees."""

from __future__ import annotations

from datetime import datetime

from gb28181.ids import DeviceId
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, block, child, children, command, extension


@command(Category.QUERY, "MobilePosition", clause="A.2.4.9", since=Edition.E2016)
class MobilePositionQuery:
    """Body of the subscription to positions.

    Args:
        interval: Seconds between two reports; a device takes 5 where it is absent.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    interval: int | None = child("Interval", default=None)
    extra_info: tuple[str, ...] = extension(default=())


@block
class PositionItem:
    """Where one device was.

    Args:
        speed: km/h.
        direction: Degrees clockwise from north.
        altitude, height: Metres above the sea, above the ground.
    """

    device_id: DeviceId = child("DeviceID", required=True)
    capture_time: datetime | None = child("CaptureTime", default=None)
    longitude: float | None = child("Longitude", default=None)
    latitude: float | None = child("Latitude", default=None)
    speed: float | None = child("Speed", default=None)
    direction: float | None = child("Direction", default=None)
    altitude: float | None = child("Altitude", default=None)
    height: float | None = child("Height", default=None)


@command(Category.NOTIFY, "MobilePosition", clause="A.2.5.6", since=Edition.E2016)
class MobilePosition:
    """A report: of one device in 2016, of a list in 2022; either may come from anyone. Fields as in `PositionItem`.

    Args:
        device_id: "" where it is absent, as the schema of 2016 has it: the sender's.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID", default=DeviceId(""))
    time: datetime | None = child("Time", default=None)
    longitude: float | None = child("Longitude", default=None, until=Edition.E2016)
    latitude: float | None = child("Latitude", default=None, until=Edition.E2016)
    speed: float | None = child("Speed", default=None, until=Edition.E2016)
    direction: float | None = child("Direction", default=None, until=Edition.E2016)
    altitude: float | None = child("Altitude", default=None, until=Edition.E2016)
    sum_num: int | None = child("SumNum", default=None, since=Edition.E2022)
    device_list: tuple[PositionItem, ...] = children("DeviceList", "Item", default=(), counted=True, since=Edition.E2022)
    extra_info: tuple[str, ...] = extension(default=())
