"""Media links and what the edge sends and takes."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "media.link_malformed": (
        "the link's token is missing or malformed: open the picture again from the console or the API",
        "链接的令牌缺失或有误：请从控制台或 API 重新打开画面",
    ),
    "media.link_foreign": (
        "the link's token was made for something else: open the picture again from the console or the API",
        "链接的令牌属于其他内容：请从控制台或 API 重新打开画面",
    ),
    "media.link_expired": (
        "the link has expired: open the picture again from the console or the API",
        "链接已过期：请从控制台或 API 重新打开画面",
    ),
    "media.nothing_at": ("nothing is served at {path}", "{path} 没有内容"),
    "media.no_console_file": ("the console has no file {path}", "控制台没有文件 {path}"),
    "media.hls_path": (
        "expected /media/hls/<device>/<channel>/<start ms>-<end ms>/<token>/index.m3u8",
        "应为 /media/hls/<device>/<channel>/<start ms>-<end ms>/<token>/index.m3u8",
    ),
    "media.range_empty": ("the range of this link is empty", "此链接的时间范围为空"),
    "media.playlist_foreign": ("the link of this playlist is for another range", "此播放列表的链接属于其他时间范围"),
    "media.nothing_recorded": (
        "nothing that can be shown is recorded from {start} to {end}",
        "{start} 至 {end} 没有可显示的录像",
    ),
    "media.no_playlist_file": ("no such file in this playlist", "播放列表中没有此文件"),
    "media.part_gone": (
        "this part of the recording is gone: its retention has ended, or its volume is not mounted",
        "这段录像已不存在：保存期已满，或存储未挂载",
    ),
    "media.part_blank": ("nothing in this part of the recording can be shown", "这段录像没有可显示的内容"),
    "media.live_path": (
        "no such picture: expected /media/live/<device>/<channel>.flv or .ts",
        "没有此画面：应为 /media/live/<device>/<channel>.flv 或 .ts",
    ),
    "media.no_upload": ("no such upload link", "没有此上传链接"),
    "media.uploads_full": ("other pictures are being received: try again in a moment", "正在接收其他图片：请稍后再试"),
    "media.no_jpeg": (
        "the body holds no picture, expected a JPEG, raw or as a part of multipart/form-data",
        "消息体中没有图片：应为 JPEG，直接发送或作为 multipart/form-data 的一部分",
    ),
    "media.picture_slow": (
        "nothing of the picture came for {silence:.0f} s, or it took more than {whole:.0f} s",
        "{silence:.0f} 秒内没有收到图片数据，或总时间超过 {whole:.0f} 秒",
    ),
    "media.body_unreadable": ("the body cannot be read: {why}", "消息体无法读取：{why}"),
    "media.picture_path": (
        "no such picture: expected /media/picture/<order>/<name>.jpg",
        "没有此图片：应为 /media/picture/<order>/<name>.jpg",
    ),
    "media.file_slow": (
        "nothing of the file came for {silence:.0f} s: send it again",
        "{silence:.0f} 秒内没有收到文件数据：请重新发送",
    ),
    "media.firmware_long": (
        "a firmware of more than {most} bytes (command.firmware_mib)",
        "固件超过 {most} 字节（command.firmware_mib）",
    ),
    "media.firmware_removed": ("this firmware was removed meanwhile", "此固件已被删除"),
    "media.file_size": ("the file has {size} bytes", "文件共 {size} 字节"),
    "media.firmware_parallel": (
        "this upgrade fetches its file {under_way} times at once: wait for the end of one",
        "此次升级正同时取用文件 {under_way} 次：请等待其中一次结束",
    ),
    "media.firmware_served": (
        "this link has served its upgrade: order the upgrade again",
        "此链接已完成其升级：请重新下发升级",
    ),
    "media.nothing_at_moment": ("nothing that can be shown is recorded at {at}", "{at} 没有可显示的录像"),
    "media.snapshots_full": (
        "{waiting} snapshots are being made: try again in a moment",
        "正在生成 {waiting} 张截图：请稍后再试",
    ),
    "media.snapshot_path": (
        "no such picture: expected /media/snapshot/<device>/<channel>.jpg",
        "没有此图片：应为 /media/snapshot/<device>/<channel>.jpg",
    ),
    "media.snapshot_at_path": (
        "no such picture: expected /media/snapshot/<device>/<channel>/<ms>.jpg",
        "没有此图片：应为 /media/snapshot/<device>/<channel>/<ms>.jpg",
    ),
    "media.undecodable": (
        "the key frame has come, but it cannot be decoded: the stream is damaged or encrypted",
        "已收到关键帧，但无法解码：码流损坏或已加密",
    ),
    "media.segment_path": (
        "no such segment: expected /media/segment/<volume>/<device>/<channel>/<day>/<time>.ps",
        "没有此录像段：应为 /media/segment/<volume>/<device>/<channel>/<day>/<time>.ps",
    ),
    "media.no_volume": ("volume {number} is not configured (any more)", "存储 {number} 未配置（或已不再配置）"),
    "media.segment_gone": (
        "the segment is gone: its retention has ended, or its volume is not mounted",
        "此录像段已不存在：保存期已满，或存储未挂载",
    ),
    "media.picture_gone": (
        "there is no such picture, or it has made room for newer ones",
        "没有此图片，或已被更新的图片替换",
    ),
    "media.viewers_full": (
        "{viewers} viewers are connected, the most that http.max_viewers allows",
        "已有 {viewers} 个观看连接，达到 http.max_viewers 上限",
    ),
    "media.connection_closed": ("the connection was closed", "连接已关闭"),
    "media.viewer_stalled": ("the viewer has read nothing for 30 s", "客户端 30 秒内没有读取数据"),
    "media.running": ("gb28181 is running", "gb28181 正在运行"),
    "media.console_not_built": (
        "The web console has not been built: run ./scripts/setup in the checkout and load this page again. "
        "The API is described at:",
        "网页控制台尚未构建：请在代码目录运行 ./scripts/setup，然后刷新本页。API 说明见：",
    ),
}
