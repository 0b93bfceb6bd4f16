"""Which alarms are copies: same device, source, method, type and time, by MESSAGE, NOTIFY or sent again (quirk Q175, W1)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from gb28181.alarm.model import Alarm
from gb28181.ids import DeviceId

_REMEMBERED: Final = 50_000
#: Copies of an alarm without a time arrive together: by both ways, or as a retransmission under another transaction.
_TIMELESS_S: Final = 5.0

AlarmKey = tuple[DeviceId, str, int, int, int, datetime | None]


def key_of(alarm: Alarm) -> AlarmKey:
    return (alarm.device_id, alarm.source_id, alarm.method, alarm.alarm_type, alarm.event_type, alarm.told_time)


class Copies:
    """Remembers the last alarms; the oldest are forgotten. Times are monotonic seconds."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._most = remembered
        self._seen: OrderedDict[AlarmKey, float] = OrderedDict()

    def restore(self, alarms: Iterable[Alarm], now: float) -> None:
        """Alarms of before our restart, oldest first: their copies may still come."""
        for alarm in alarms:
            self._remember(key_of(alarm), now)

    def is_copy(self, alarm: Alarm, now: float) -> bool:
        """Whether this alarm was seen."""
        seen_at = self._seen.get(key_of(alarm))
        return seen_at is not None and (alarm.told_time is not None or now - seen_at < _TIMELESS_S)

    def remember(self, alarm: Alarm, now: float) -> None:
        """Copies of this alarm may come. One that is not kept is not remembered: it would push out those of other devices."""
        self._remember(key_of(alarm), now)

    def _remember(self, key: AlarmKey, now: float) -> None:
        self._seen[key] = now
        self._seen.move_to_end(key)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
