"""Alarms, a track and subscriptions of the made-up platform, in the shape of the API."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any


def alarms(channels: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Newest first: an intrusion, one that latches, a fault of a recorder, and one that was seen to."""
    intrusion = _alarm(
        4, channels[0], now - timedelta(minutes=2), 1, (5, "视频报警", "video"), (6, "入侵检测报警", "intrusion")
    )
    intrusion |= {
        "event_type": 1,
        "event_words": {"zh": "进入区域", "en": "entering the area"},
        "description": "周界北侧有人翻越",
    }
    latched = _alarm(3, channels[1], now - timedelta(minutes=31), 2, (2, "设备报警", "device"), (2, "设备防拆报警", "tamper"))
    latched |= {"latching": True, "told_time": _text(datetime(1970, 1, 1, 0, 12, tzinfo=now.tzinfo))}
    disk = _alarm(
        2, channels[2], now - timedelta(hours=3), 4, (6, "设备故障报警", "fault"), (1, "存储设备磁盘故障报警", "disk fault")
    )
    disk |= {"channel_id": "", "channel_name": "", "source_id": channels[2]["device_id"], "description": "硬盘 3 读取失败"}
    seen = _alarm(1, channels[0], now - timedelta(hours=5), 3, (5, "视频报警", "video"), (1, "人工视频报警", "manual"))
    seen |= {"acknowledged_by": "王伟", "acknowledged_at": _text(now - timedelta(hours=4)), "note": "误报，树枝晃动"}
    return [intrusion, latched, disk, seen]


def track(channel: dict[str, Any], now: datetime) -> list[dict[str, Any]]:
    """An hour of a patrol car: a loop with a straight way back."""
    points = []
    for number in range(240):
        turn = number / 240 * math.tau
        at = now - timedelta(seconds=15 * (240 - number))
        points.append(
            {
                "device_id": channel["device_id"],
                "channel_id": channel["channel_id"],
                "name": channel["name"],
                "at": _text(at),
                "received_at": _text(at),
                "longitude": 118.376 + 0.021 * math.sin(turn) + 0.004 * math.sin(5 * turn),
                "latitude": 31.326 + 0.009 * (1 - math.cos(turn)) * (1 if number < 150 else 0.8),
                "told_longitude": 118.38,
                "told_latitude": 31.33,
                "system": "gcj02",
                "speed_kmh": round(28 + 12 * math.sin(3 * turn), 1),
                "direction_deg": round(math.degrees(turn) % 360, 1),
                "altitude_m": 12.0,
                "height_m": None,
                "via": "notify",
            }
        )
    return points


def subscriptions(now: datetime) -> list[dict[str, Any]]:
    """Two that stand, one that is off, one that the device refused."""
    active = {"state": "active", "expires_at": _text(now + timedelta(minutes=41)), "notified": 17, "notified_at": _text(now)}
    return [
        _subscription("catalog") | active,
        _subscription("alarm") | active | {"notified": 4},
        _subscription("mobile_position") | {"enabled": False, "state": "off"},
        _subscription("ptz_position") | {"state": "refused", "status": 489, "reason": "SUBSCRIBE was answered 489 Bad Event"},
    ]


def _alarm(
    number: int, channel: dict[str, Any], at: datetime, priority: int, method: tuple[int, str, str], kind: tuple[int, str, str]
) -> dict[str, Any]:
    return {
        "alarm_id": number, "device_id": channel["device_id"], "device_name": "区政府监控室 NVR",
        "channel_id": channel["channel_id"], "channel_name": channel["name"], "source_id": channel["channel_id"],
        "at": _text(at), "received_at": _text(at), "told_time": _text(at), "priority": priority,
        "method": method[0], "method_words": {"zh": method[1], "en": method[2]},
        "type": kind[0], "type_words": {"zh": kind[1], "en": kind[2]},
        "event_type": 0, "event_words": None, "description": "", "longitude": None, "latitude": None, "via": "notify",
        "extra": {}, "latching": False, "acknowledged_by": "", "acknowledged_at": None, "note": "",
    }  # fmt: skip


def _subscription(topic: str) -> dict[str, Any]:
    return {
        "topic": topic, "channel_id": "", "enabled": True, "expires_s": 3600, "interval_s": None,
        "own": {"enabled": None, "expires_s": None, "interval_s": None}, "state": "waiting", "status": 0, "reason": "",
        "expires_at": None, "next_at": None, "changed_at": None, "notified": 0, "notified_at": None,
    }  # fmt: skip


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
