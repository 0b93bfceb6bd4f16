"""Recording, recordings and playback."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "recording.no_session": (
        "no such playback session: it was closed or has expired; a live picture cannot be paused",
        "没有此回放会话：已关闭或已过期；实况画面不能暂停",
    ),
    "recording.mode": (
        "recording mode {recording_mode!r}: expected always, off or nothing",
        "录像模式 {recording_mode!r}：应为 always、off 或空",
    ),
    "recording.retention": (
        "retention of {retention_hours} hours: expected 0 (the default) or more",
        "保存 {retention_hours} 小时：应为 0（默认）或更大",
    ),
    "recording.end_before_start": ("the end of the range does not lie behind its start", "范围的结束时间不晚于开始时间"),
    "recording.too_many_days": (
        "the range touches {days} days, at most {most} are asked for at once",
        "范围涉及 {days} 天，一次最多查询 {most} 天",
    ),
    "recording.month": ("not a month: {month!r}, expected one such as 2026-11", "不是月份：{month!r}，应如 2026-11"),
    "recording.zone": (
        "not a zone: {text!r}, expected an offset such as +08:00",
        "不是时区：{text!r}，应为偏移量，如 +08:00",
    ),
    "recording.range_empty": ("the range is empty: end must lie after start", "范围为空：结束时间应晚于开始时间"),
    "recording.range_long": ("the range is longer than 62 days: ask for it in parts", "范围超过 62 天：请分段查询"),
    "recording.mode_unknown": (
        "recording mode {mode!r} is unknown, expected always or off",
        "录像模式 {mode!r} 未知，应为 always 或 off",
    ),
    "recording.end_not_after": ("the end {end} is not after the start {start}", "结束时间 {end} 不晚于开始时间 {start}"),
    "recording.no_playback": (
        "no playback session {session_id!r}: it was closed or has expired",
        "没有回放会话 {session_id!r}：已关闭或已过期",
    ),
    "recording.position": ("expected a position from {start} to before {end}", "位置应从 {start} 至 {end} 之前"),
    "recording.speed": ("expected a speed from {slowest:g} to {fastest:g}", "速度应为 {slowest:g} 至 {fastest:g}"),
    "recording.device_offline": ("the device is offline", "设备离线"),
    "recording.no_media": ("no media since {at}", "自 {at} 起没有媒体数据"),
    "recording.action": ("expected the action pause, resume, seek or speed", "操作应为 pause、resume、seek 或 speed"),
    "recording.speed_number": ("the speed is not a number", "速度不是数字"),
    "recording.films_full": (
        "{films} recordings are being played, the most at once: close some",
        "正在播放 {films} 路录像，已达上限：请关闭一些",
    ),
    "recording.action_json": ("expected JSON with an action", "应为带有操作的 JSON"),
    "recording.position_moment": ("the position is no moment", "播放位置不是时间"),
    "recording.playback_link": ("no such playback: use the link that the API gave", "没有此回放：请使用 API 给出的链接"),
    "recording.playback_closed": (
        "this playback session was closed: open it again from the console or the API",
        "此回放会话已关闭：请从控制台或 API 重新打开",
    ),
    "recording.the_end": ("the end of the recording", "录像结束"),
    "recording.seek": (
        "the position to seek is missing or outside of the session's start and end",
        "没有给出跳转位置，或位置不在会话的起止时间之内",
    ),
    "recording.range_us": (
        "range {start_us}..{end_us} µs: expected a start before its end",
        "范围 {start_us}..{end_us} µs：开始应早于结束",
    ),
    "recording.deleted": (
        "{path} has been deleted: its retention has ended, or its volume is not mounted",
        "{path} 已删除：保存期已满，或存储未挂载",
    ),
    "recording.stream_ended": ("the stream ended: {cause}", "码流已结束：{cause}"),
    "recording.nearest": (
        "nothing is recorded of {key} from {start} to {end}; the nearest recording is from {nearest} to {until}",
        "{key} 在 {start} 至 {end} 没有录像；最近的录像为 {nearest} 至 {until}",
    ),
    "recording.no_channel": (
        "there is no channel {key}, and there is no recording of one: compare both identifiers with the device's channels",
        "没有通道 {key}，也没有它的录像：请与设备的通道列表核对两个编号",
    ),
    "recording.nothing": (
        "nothing is recorded of {key} from {start} to {end}, nor anything else: check that the channel's recording is "
        "switched on",
        "{key} 在 {start} 至 {end} 没有录像，其他时间也没有：请检查此通道是否已开启录像",
    ),
    "recording.no_device_playback": (
        "recordings on the device itself cannot be played yet: a later version will; use source platform",
        "暂不能直接播放设备端录像，后续版本将支持；请使用 source=platform",
    ),
    "recording.day": ("not a day: {day!r}, expected YYYYMMDD", "不是日期：{day!r}，应为 YYYYMMDD"),
}
