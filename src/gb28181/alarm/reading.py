"""What an alarm message says, as far as it can be believed (A.2.5.3; quirks Q51, Q173)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from gb28181.alarm.model import Alarm
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.alarm import AlarmNotify

#: A time further off is a wrong clock, not a late report: the time of arrival counts, and what was told is kept beside it.
_LATEST: Final = timedelta(minutes=10)
_OLDEST: Final = timedelta(days=7)
_EXTRAS: Final = 16
_MAX_NUMBER: Final = 10_000


def read(
    command: AlarmNotify,
    device_id: DeviceId,
    *,
    alarm_id: int,
    channel_id: str,
    received_at: datetime,
    via: Literal["message", "notify"],
) -> Alarm:
    """The alarm of a message; what it leaves out is 0 or ""."""
    info = command.info
    param = info.alarm_type_param if info is not None else None
    told = command.alarm_time
    return Alarm(
        alarm_id=alarm_id,
        device_id=device_id,
        channel_id=channel_id,
        source_id=command.device_id or device_id,
        at=believed(told, received_at),
        received_at=received_at,
        told_time=told,
        priority=_number(command.alarm_priority),
        method=_number(command.alarm_method),
        alarm_type=_number(info.alarm_type if info is not None else None),
        event_type=_number(param.event_type if param is not None else None),
        description=command.alarm_description or "",
        longitude=command.longitude,
        latitude=command.latitude,
        via=via,
        extra={f"ExtraInfo {number}": text for number, text in enumerate(command.extra_info[:_EXTRAS], 1)},
    )


def believed(told: datetime | None, received_at: datetime) -> datetime:
    """When it happened: the device's time where it can be true, else the time of arrival."""
    if told is None or not received_at - _OLDEST <= told <= received_at + _LATEST:
        return received_at
    return told


def _number(value: int | None) -> int:
    return value if value is not None and 0 <= value <= _MAX_NUMBER else 0
