"""Positions of a pan-tilt-zoom camera: presets, home position, cruise tracks, precise position (A.2.3.1, A.2.4, A.2.6)."""

from __future__ import annotations

from gb28181.ids import DeviceId
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, block, child, children, command, extension


@block
class PTZCmdParams:
    """Names that go with a PTZ code: of the preset that it sets, of its cruise track (A.2.3.1.2); 32 bytes at most."""

    preset_name: str | None = child("PresetName", default=None)
    cruise_track_name: str | None = child("CruiseTrackName", default=None)


@block
class HomePosition:
    """Where a camera returns by itself (A.2.3.1.10).

    Args:
        enabled: 1 or 0.
        reset_time: Seconds of rest before it returns.
        preset_index: Preset of the home position, 0 to 255.
    """

    enabled: int = child("Enabled")
    reset_time: int | None = child("ResetTime", default=None)
    preset_index: int | None = child("PresetIndex", default=None)


@block
class PTZPreciseCtrl:
    """Where to turn (A.2.3.1.11).

    Args:
        pan: 0 to 360 degrees, clockwise seen from above.
        tilt: Usually -30 to 90 degrees; down is positive.
        zoom: Factor, more than 1.
    """

    pan: float | None = child("Pan", default=None, decimals=2)
    tilt: float | None = child("Tilt", default=None, decimals=2)
    zoom: float | None = child("Zoom", default=None, decimals=2)


@command(Category.QUERY, "PresetQuery", clause="A.2.4.8", since=Edition.E2014)
class PresetQuery:
    """Asks for the presets that are set."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    extra_info: tuple[str, ...] = extension(default=())


@block
class Preset:
    """A preset that is set."""

    preset_id: str = child("PresetID", required=True)
    preset_name: str = child("PresetName", default="")


@command(Category.RESPONSE, "PresetQuery", clause="A.2.6.10", since=Edition.E2014)
class PresetQueryResponse:
    """One part of the presets.

    Args:
        sum_num: Number of presets of the whole answer as announced, None where the peer did not say; it may lie (Q57).
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    sum_num: int | None = child("SumNum", default=None)
    preset_list: tuple[Preset, ...] = children("PresetList", "Item", default=(), counted=True, always=True)
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.QUERY, "HomePositionQuery", clause="A.2.4.10", since=Edition.E2022)
class HomePositionQuery:
    """Asks for the home position."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.RESPONSE, "HomePositionQuery", clause="A.2.6.12", since=Edition.E2022)
class HomePositionQueryResponse:
    """The home position, None where the device has none."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    home_position: HomePosition | None = child("HomePosition", default=None, inline=True)
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.QUERY, "CruiseTrackListQuery", clause="A.2.4.11", since=Edition.E2022)
class CruiseTrackListQuery:
    """Asks which cruise tracks there are."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    extra_info: tuple[str, ...] = extension(default=())


@block
class CruiseTrack:
    """A cruise track: 0 is the first one."""

    number: int = child("Number", required=True)
    name: str | None = child("Name", default=None)


@command(Category.RESPONSE, "CruiseTrackListQuery", clause="A.2.6.13", since=Edition.E2022)
class CruiseTrackListQueryResponse:
    """One part of the cruise tracks; `sum_num` as in `PresetQueryResponse`."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    sum_num: int | None = child("SumNum", default=None)
    cruise_track_list: tuple[CruiseTrack, ...] = children("CruiseTrackList", "CruiseTrack", default=(), counted=True)
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.QUERY, "CruiseTrackQuery", clause="A.2.4.12", since=Edition.E2022)
class CruiseTrackQuery:
    """Asks for the points of one cruise track."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    number: int = child("Number", default=0)
    extra_info: tuple[str, ...] = extension(default=())


@block
class CruisePoint:
    """A stop of a cruise track.

    Args:
        stay_time: Seconds.
        speed: Towards it, 1 to 15.
    """

    preset_index: int = child("PresetIndex", required=True)
    stay_time: int | None = child("StayTime", default=None)
    speed: int | None = child("Speed", default=None)


@command(Category.RESPONSE, "CruiseTrackQuery", clause="A.2.6.14", since=Edition.E2022)
class CruiseTrackQueryResponse:
    """One part of the points of a cruise track."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    number: int | None = child("Number", default=None)
    name: str | None = child("Name", default=None)
    sum_num: int | None = child("SumNum", default=None)
    cruise_point_list: tuple[CruisePoint, ...] = children("CruisePointList", "CruisePoint", default=(), counted=True)
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.QUERY, "PTZPosition", clause="A.2.4.13", since=Edition.E2022)
class PTZPositionQuery:
    """Asks where the camera looks; the body of the subscription to it too (§9.11)."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.RESPONSE, "PTZPosition", clause="A.2.6.15", since=Edition.E2022)
class PTZPositionResponse:
    """Where the camera looks.

    Args:
        pan, tilt, horizontal_field_angle, vertical_field_angle: Degrees, as in `PTZPreciseCtrl`.
        max_view_distance: Metres.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    pan: float | None = child("Pan", default=None, decimals=2)
    tilt: float | None = child("Tilt", default=None, decimals=2)
    zoom: float | None = child("Zoom", default=None, decimals=2)
    horizontal_field_angle: float | None = child("HorizontalFieldAngle", default=None)
    vertical_field_angle: float | None = child("VerticalFieldAngle", default=None)
    max_view_distance: float | None = child("MaxViewDistance", default=None)
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.NOTIFY, "PTZPosition", clause="§9.11, A.2.6.15", since=Edition.E2022)
class PTZPositionNotify:
    """Where the camera looks, told to who subscribed; fields as in `PTZPositionResponse`."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    pan: float | None = child("Pan", default=None, decimals=2)
    tilt: float | None = child("Tilt", default=None, decimals=2)
    zoom: float | None = child("Zoom", default=None, decimals=2)
    horizontal_field_angle: float | None = child("HorizontalFieldAngle", default=None)
    vertical_field_angle: float | None = child("VerticalFieldAngle", default=None)
    max_view_distance: float | None = child("MaxViewDistance", default=None)
    extra_info: tuple[str, ...] = extension(default=())
