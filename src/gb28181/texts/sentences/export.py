"""Exports."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "export.path": (
        "no such export: expected /media/export/<device>/<channel>/<start ms>-<end ms>.mp4 or .ps",
        "没有此导出：应为 /media/export/<device>/<channel>/<start ms>-<end ms>.mp4 或 .ps",
    ),
    "export.range": (
        "the range of this link is empty, or longer than the 24 hours of one export",
        "此链接的时间范围为空，或超过单次导出的 24 小时",
    ),
    "export.only_mp4": (
        "only MP4 needs to be made: the original can be fetched at once, from any place in it",
        "只有 MP4 需要生成：原始码流可直接下载，支持断点续传",
    ),
    "export.unfinished": ("the export is not finished", "导出尚未完成"),
    "export.process_ended": (
        "the export's process ended before it began: the server's log says more",
        "导出进程启动失败：详见服务器日志",
    ),
    "export.size": ("this export has {size} bytes", "此导出共 {size} 字节"),
    "export.gone": (
        "no such export: it was fetched long ago, cancelled, or the server was started anew",
        "没有此导出：已下载、已取消，或服务器已重启",
    ),
    "export.nothing": ("nothing is recorded of this channel from {start} to {end}", "此通道 {start} 至 {end} 没有录像"),
    "export.no_room": (
        "the file would have about {mib} MiB and no volume has room for it beside the recordings: fetch it by the direct "
        "link, which needs none",
        "文件约 {mib} MiB，没有存储能在录像之外容纳它：请使用不占空间的直接下载链接",
    ),
    "export.waiting": (
        "{waiting} exports are waiting: try again when some are finished",
        "有 {waiting} 个导出正在排队：请等部分完成后再试",
    ),
    "export.too_large": (
        "the file would have about {gib} GiB: fetch it in parts, or by the direct link",
        "文件约 {gib} GiB：请分段导出，或使用直接下载链接",
    ),
    "export.room_taken": (
        "the exports that are being made need all the room there is: try again when they are finished",
        "正在生成的导出已占用全部空间：请等它们完成后再试",
    ),
    "export.blank": (
        "nothing in this range can be shown: the recording holds no whole key frame of H.264 or H.265",
        "此范围没有可显示的内容：录像中没有完整的 H.264 或 H.265 关键帧",
    ),
    "export.codec_changed": (
        "the camera changed from {before} to {after} at {at}: export the time before and the time after it as two files, "
        "or choose format=ps",
        "摄像机于 {at} 由 {before} 改为 {after}：请把此时刻前后分为两个文件导出，或选择 format=ps",
    ),
    "export.shorter": ("{path} has become shorter than it was", "{path} 比原来短了"),
    "export.unwritable": ("the file cannot be written: {strerror}", "文件无法写入：{strerror}"),
    "export.end_expected": ("expected a time after start, at most 24 hours later", "应晚于开始时间，且不超过 24 小时"),
    "export.process_died": (
        "the export's process ended before it was done: try it in shorter parts",
        "导出进程中途退出：请分成较短的时间段再试",
    ),
    "export.unmakeable": ("the file cannot be made: {strerror}", "文件无法创建：{strerror}"),
}
