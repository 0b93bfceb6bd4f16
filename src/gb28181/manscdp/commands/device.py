"""What a device is and how it fares (A.2.4.2, A.2.4.4; A.2.6.5, A.2.6.6)."""

from __future__ import annotations

from datetime import datetime

from gb28181.ids import DeviceId
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, Result, block, child, children, command, extension


@command(Category.QUERY, "DeviceInfo", clause="A.2.4.4")
class DeviceInfoQuery:
    """Asks for maker, model and firmware."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.RESPONSE, "DeviceInfo", clause="A.2.6.5")
class DeviceInfoResponse:
    """Maker, model, firmware and number of video inputs."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    device_name: str | None = child("DeviceName", default=None, also_in="Info")
    result: Result = child("Result", default=Result.OK)
    manufacturer: str | None = child("Manufacturer", default=None, also_in="Info")
    model: str | None = child("Model", default=None, also_in="Info")
    firmware: str | None = child("Firmware", default=None, also_in="Info")
    channel: int | None = child("Channel", default=None, also_in="Info")
    max_camera: int | None = child("MaxCamera", default=None, until=Edition.E2011)  # unconfirmed
    max_alarm: int | None = child("MaxAlarm", default=None, until=Edition.E2011)  # unconfirmed
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.QUERY, "DeviceStatus", clause="A.2.4.2")
class DeviceStatusQuery:
    """Asks how a device fares."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    extra_info: tuple[str, ...] = extension(default=())


@block
class DutyItem:
    """Guard state of one alarm input: ONDUTY, OFFDUTY or ALARM."""

    device_id: DeviceId = child("DeviceID", required=True)
    duty_status: str = child("DutyStatus", default="")


@command(Category.RESPONSE, "DeviceStatus", clause="A.2.6.6")
class DeviceStatusResponse:
    """How a device fares."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    result: Result = child("Result", default=Result.OK)
    online: str = child("Online", default="ONLINE")
    status: Result = child("Status", default=Result.OK)
    reason: str | None = child("Reason", default=None)
    encode: str | None = child("Encode", default=None)
    record: str | None = child("Record", default=None)
    device_time: datetime | None = child("DeviceTime", default=None)
    alarm_status: tuple[DutyItem, ...] = children("Alarmstatus", "Item", default=(), counted=True)  # lower-case s: A.2.6.6
    extra_info: tuple[str, ...] = extension(default=())
