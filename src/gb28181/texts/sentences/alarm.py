"""Alarms, positions and subscriptions."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "alarm.unknown": (
        "there is no alarm {alarm_id}; alarms are kept for alarm.keep_days",
        "没有报警 {alarm_id}；报警保存 alarm.keep_days 天",
    ),
    "alarm.note_length": ("a note has at most {longest} characters", "备注最多 {longest} 个字符"),
    "alarm.acknowledged": (
        "alarm {alarm_id} was acknowledged by {acknowledged_by} already",
        "报警 {alarm_id} 已由 {acknowledged_by} 处理",
    ),
    "alarm.number_expected": ("expected the number of an alarm", "应为报警编号"),
    "alarm.track_range": (
        "a track from {start} to {end}: expected a range of more than 0 and at most 31 days",
        "轨迹范围 {start} 至 {end}：应大于 0 且不超过 31 天",
    ),
    "alarm.interval_only_position": ("only mobile_position has an interval", "只有 mobile_position 有上报间隔"),
    "alarm.subscription_value": (
        "{name} is {value}, expected {least} to {most} seconds",
        "{name} 为 {value}，应为 {least} 至 {most} 秒",
    ),
    "alarm.targets_full": (
        "{most} subscriptions of device {device_id}: subscribe to the device itself",
        "设备 {device_id} 已有 {most} 个订阅：请直接订阅设备本身",
    ),
    "alarm.no_position": (
        "channel {key} has not told where it is: subscribe to mobile_position, and check its receiver",
        "通道 {key} 没有上报位置：请订阅 mobile_position，并检查其定位接收机",
    ),
}
