"""Steering cameras."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "ptz.speed_or_stay": ("speed or stay_s is expected", "应给出 speed 或 stay_s"),
    "ptz.speed_alone": ("action speed, and no other, needs a speed", "只有操作 speed 需要且必须给出速度"),
    "ptz.number_expected": ("a number from {least} to {most} is expected", "应为 {least} 至 {most} 的数字"),
    "ptz.axis_expected": ("one of pan, tilt and zoom is expected", "应至少给出 pan、tilt、zoom 之一"),
    "ptz.move_speeds": (
        "action move expects a speed for each axis, such as {{pan: -0.5, zoom: 1}}",
        "操作 move 须给出各轴速度，例如 {{pan: -0.5, zoom: 1}}",
    ),
    "ptz.helm_full": (
        "{most} cameras are steered or locked already: try again later",
        "已有 {most} 台摄像机被控制或锁定：请稍后再试",
    ),
    "ptz.server_failed": (
        "the server failed on this command; its log names the cause",
        "服务器处理此命令时出错；原因见服务器日志",
    ),
    "ptz.stopping": ("the server is stopping: cameras are stopped, not moved", "服务器正在停止：摄像机只停止，不再转动"),
    "ptz.overtaken": (
        "{key}: a newer command, or the end of its lease, came before the camera answered this one",
        "{key}：摄像机应答之前，已有更新的命令或控制时间已到",
    ),
    "ptz.not_started": ("cameras are not steered before the server has started", "服务器启动完成前不能控制摄像机"),
    "ptz.no_action": (
        "there is no action {action!r}, expected one of: {known}",
        "没有操作 {action!r}，应为以下之一：{known}",
    ),
    "ptz.no_axis": ("there is no axis {axis!r}, expected: {known}", "没有轴 {axis!r}，应为：{known}"),
    "ptz.speed_positive": (
        "speed of {axis} is {speed!r}, expected more than 0 and at most 1",
        "{axis} 的速度为 {speed!r}，应大于 0 且不超过 1",
    ),
    "ptz.speed_signed": ("speed of {axis} is {value!r}, expected -1 to 1", "{axis} 的速度为 {value!r}，应为 -1 至 1"),
    "ptz.preset_name": (
        "the name {text!r} has more than {most} bytes of GB 18030 (16 Chinese characters), or no letters",
        "名称 {text!r} 超过 {most} 字节 GB 18030（16 个汉字），或不含可显示字符",
    ),
    "ptz.locked": (
        "{key} is locked by {user} (priority {priority}) until {until}: wait, or have somebody with a higher priority take it",
        "{key} 已被 {user}（优先级 {priority}）锁定至 {until}：请等待，或由优先级更高的用户接管",
    ),
    "ptz.steered": (
        "{key} is steered by {user} (priority {priority}) until {until}: wait, or have somebody with a higher priority take it",
        "{key} 正由 {user}（优先级 {priority}）控制至 {until}：请等待，或由优先级更高的用户接管",
    ),
}
