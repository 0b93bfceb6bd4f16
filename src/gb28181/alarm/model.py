"""An alarm that a device reported (§9.4, A.2.5.3), and what its numbers mean (A.2.5.3, tables of AlarmMethod and AlarmType)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from gb28181.ids import DeviceId

#: AlarmMethod of an alarm device: it latches, and says nothing more before it is reset.
DEVICE_METHOD: Final = 2
#: AlarmMethod under which vehicles and body-worn cameras report where they are (quirk Q176).
GPS_METHOD: Final = 4


@dataclass(frozen=True, slots=True)
class Words:
    """One text in the two languages of the console."""

    zh: str
    en: str


METHODS: Final[Mapping[int, Words]] = {
    1: Words("电话报警", "telephone"),
    2: Words("设备报警", "device"),
    3: Words("短信报警", "SMS"),
    4: Words("GPS报警", "GPS"),
    5: Words("视频报警", "video"),
    6: Words("设备故障报警", "device fault"),
    7: Words("其他报警", "other"),
}

TYPES: Final[Mapping[tuple[int, int], Words]] = {
    (2, 1): Words("视频丢失报警", "video loss"),
    (2, 2): Words("设备防拆报警", "tamper"),
    (2, 3): Words("存储设备磁盘满报警", "storage disk full"),
    (2, 4): Words("设备高温报警", "high temperature"),
    (2, 5): Words("设备低温报警", "low temperature"),
    (5, 1): Words("人工视频报警", "manual video alarm"),
    (5, 2): Words("运动目标检测报警", "moving target"),
    (5, 3): Words("遗留物检测报警", "left object"),
    (5, 4): Words("物体移除检测报警", "removed object"),
    (5, 5): Words("绊线检测报警", "line crossing"),
    (5, 6): Words("入侵检测报警", "intrusion"),
    (5, 7): Words("逆行检测报警", "wrong direction"),
    (5, 8): Words("徘徊检测报警", "loitering"),
    (5, 9): Words("流量统计报警", "flow statistics"),
    (5, 10): Words("密度检测报警", "density"),
    (5, 11): Words("视频异常检测报警", "video abnormal"),
    (5, 12): Words("快速移动报警", "fast movement"),
    (5, 13): Words("图像遮挡报警", "image covered"),  # 2022
    (6, 1): Words("存储设备磁盘故障报警", "storage disk fault"),
    (6, 2): Words("存储设备风扇故障报警", "storage fan fault"),
}

#: EventType of an intrusion (method 5, type 6).
EVENTS: Final[Mapping[int, Words]] = {1: Words("进入区域", "entering the area"), 2: Words("离开区域", "leaving the area")}

_PLAIN_DEVICE_ALARM: Final = Words("设备报警", "device alarm")


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm, as stored.

    Args:
        alarm_id: Rises with the time of arrival; microseconds since 1970 at which it arrived, made unique.
        device_id: Who is registered and sent it.
        channel_id: The channel that it concerns, "" where the device has no such channel (quirk Q173).
        source_id: DeviceID of the message: a channel, an alarm input, the device, or a centre.
        at: When it happened: the device's time where it can be true, else the time of arrival.
        received_at: When it arrived.
        told_time: AlarmTime as the device told it, None when it told none that can be read.
        priority: 1 (the gravest) to 4; 0 unknown.
        method, alarm_type, event_type: 0 where the device told none.
        longitude, latitude: As told.
        via: `message` or `notify`: how it came first.
        extra: What else the message said, by element; bounded.
        acknowledged_by: User name, "" until somebody has acknowledged it.
    """

    alarm_id: int
    device_id: DeviceId
    channel_id: str
    source_id: str
    at: datetime
    received_at: datetime
    told_time: datetime | None = None
    priority: int = 0
    method: int = 0
    alarm_type: int = 0
    event_type: int = 0
    description: str = ""
    longitude: float | None = None
    latitude: float | None = None
    via: str = "message"
    extra: Mapping[str, str] = field(default_factory=dict)
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    note: str = ""

    @property
    def is_latching(self) -> bool:
        """Whether the device stays silent until it is reset (A.2.5.3)."""
        return self.method == DEVICE_METHOD


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """Which alarms are wanted; None or "" is any.

    Args:
        start, end: UTC microseconds of `Alarm.at`, the end not included.
        priority: This one or graver.
    """

    device_id: str = ""
    channel_id: str = ""
    method: int | None = None
    alarm_type: int | None = None
    priority: int | None = None
    acknowledged: bool | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class AlarmRaised:
    """A new alarm; copies of it, by MESSAGE and NOTIFY, are told once."""

    alarm_id: int
    device_id: DeviceId
    channel_id: str
    source_id: str
    alarm_at: datetime
    priority: int
    method: int
    alarm_type: int
    event_type: int
    description: str


@dataclass(frozen=True, slots=True)
class AlarmLocated:
    """An alarm said where it is: vehicles and body-worn cameras report positions so (method 4, quirk Q176)."""

    device_id: DeviceId
    source_id: str
    located_at: datetime | None
    longitude: float
    latitude: float


@dataclass(frozen=True, slots=True)
class AlarmAcknowledged:
    """Somebody has seen to an alarm."""

    alarm_id: int
    device_id: DeviceId
    channel_id: str
    user: str
    note: str


@dataclass(frozen=True, slots=True)
class AlarmReset:
    """A device was told to report again after a device alarm, which latches; by a user, or by itself (user "")."""

    device_id: DeviceId
    source_id: str
    user: str
    succeeded: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class AlarmFlood:
    """A device reports more alarms than are kept; how many were dropped since the start."""

    device_id: DeviceId
    dropped: int


def words_of_method(method: int) -> Words:
    """What an AlarmMethod is called; an unknown one by its number."""
    return METHODS.get(method) or Words(f"报警方式{method}", f"method {method}")


def words_of_type(method: int, alarm_type: int) -> Words:
    """What an AlarmType of a method is called; a device alarm without one is a plain device alarm."""
    if found := TYPES.get((method, alarm_type)):
        return found
    if alarm_type == 0:
        return _PLAIN_DEVICE_ALARM if method == DEVICE_METHOD else words_of_method(method)
    return Words(f"报警类型{alarm_type}", f"type {alarm_type}")
