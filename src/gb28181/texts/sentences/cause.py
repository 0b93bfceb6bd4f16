"""What ended a stream or a segment."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "cause.unknown": ("cause unknown", "原因不明"),
    "cause.no_media": ("device sent no media", "设备停止发送媒体"),
    "cause.no_picture": ("no picture could be had", "取不到画面"),
    "cause.stream_closed": ("stream was closed", "码流被关闭"),
    "cause.disk_too_slow": ("disk too slow", "磁盘写入太慢"),
    "cause.volume_failed": ("storage failed", "存储故障"),
    "cause.clock_set": ("clock of the server was set", "服务器时间被调整"),
    "cause.server_stopped": ("server was stopped", "服务器停止"),
    "cause.ingest_restarted": ("receiving process restarted", "收流进程重启"),
    "cause.device_offline": ("device offline", "设备离线"),
    "cause.device_moved": ("device changed its address", "设备地址改变"),
    "cause.bye": ("device ended the stream", "设备结束了码流"),
}
