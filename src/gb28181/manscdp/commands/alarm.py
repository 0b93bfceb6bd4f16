"""Alarms: subscription, notification and its answer (A.2.4.6, A.2.5.3, A.2.6.3)."""

from __future__ import annotations

from datetime import datetime

from gb28181.ids import DeviceId
from gb28181.manscdp.element import Category, Result, block, child, command, extension


@command(Category.QUERY, "Alarm", clause="A.2.4.6")
class AlarmQuery:
    """Body of the subscription to alarms.

    Args:
        start_alarm_priority, end_alarm_priority: 0 all, 1 to 4.
        alarm_method: "0" all, "1" to "7"; several as "12" in 2016, as "1/2" in 2022.
        start_alarm_time, end_alarm_time: 2016's example J.18 calls them StartTime and EndTime.
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    start_alarm_priority: str | None = child("StartAlarmPriority", default=None)
    end_alarm_priority: str | None = child("EndAlarmPriority", default=None)
    alarm_method: str | None = child("AlarmMethod", default=None)
    alarm_type: str | None = child("AlarmType", default=None)
    start_alarm_time: datetime | None = child("StartAlarmTime", default=None, also=("StartTime",))
    end_alarm_time: datetime | None = child("EndAlarmTime", default=None, also=("EndTime",))
    extra_info: tuple[str, ...] = extension(default=())


@block
class AlarmTypeParam:
    """What an intrusion was (method 5, type 6): 1 entering, 2 leaving."""

    event_type: int | None = child("EventType", default=None)


@block
class AlarmInfo:
    """Kind of an alarm within its method; tables in A.2.5.3."""

    alarm_type: int | None = child("AlarmType", default=None)
    alarm_type_param: AlarmTypeParam | None = child("AlarmTypeParam", default=None)


@command(Category.NOTIFY, "Alarm", clause="A.2.5.3")
class AlarmNotify:
    """An alarm, by MESSAGE or NOTIFY. A MESSAGE is answered with `AlarmResponse`.

    Args:
        device_id: Device, channel or 10-digit alarm centre.
        alarm_priority: 1 gravest to 4; None where it was not said.
        alarm_method: 1 telephone, 2 device, 3 SMS, 4 GPS, 5 video, 6 device fault, 7 other.
        alarm_time: None where it cannot be read: the time of arrival counts (quirk Q51).
    """

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    alarm_priority: int | None = child("AlarmPriority", default=None)
    alarm_method: int | None = child("AlarmMethod", default=None)
    alarm_time: datetime | None = child("AlarmTime", default=None)
    alarm_description: str | None = child("AlarmDescription", default=None)
    longitude: float | None = child("Longitude", default=None)
    latitude: float | None = child("Latitude", default=None)
    info: AlarmInfo | None = child("Info", default=None, inline=True)
    extra_info: tuple[str, ...] = extension(default=())


@command(Category.RESPONSE, "Alarm", clause="A.2.6.3")
class AlarmResponse:
    """The alarm has been received."""

    sn: int = child("SN", default=0)
    device_id: DeviceId = child("DeviceID")
    result: Result = child("Result", default=Result.OK)
