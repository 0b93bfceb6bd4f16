"""What the alarm feature receives."""

from __future__ import annotations

from gb28181.alarm.service import AlarmService
from gb28181.manscdp.commands.alarm import AlarmNotify
from gb28181.router import Routes


def routes(alarms: AlarmService) -> Routes:
    return {AlarmNotify: alarms.arrived}
