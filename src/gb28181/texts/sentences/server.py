"""Parts of the server that cannot serve now."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "server.edge_restarting": (
        "the edge is being started again: try once more in a few seconds",
        "接入门户进程（edge）正在重启：请几秒后再试",
    ),
    "server.ingest_restarting": (
        "{name} is not running: it is being restarted, try again in a few seconds",
        "{name} 没有运行，正在重启：请几秒后再试",
    ),
    "server.ingest_answer": (
        "{name} answered {answered}, expected {expected}",
        "{name} 应答了 {answered}，应为 {expected}",
    ),
    "server.no_ingest_restarting": (
        "no media process is running: it is being restarted, try again in a few seconds",
        "没有收流进程在运行，正在重启：请几秒后再试",
    ),
    "server.ingest_silent": (
        "{name} did not answer within {seconds:.0f} s: it is overloaded or hangs",
        "{name} 在 {seconds:.0f} 秒内没有应答：进程过载或已挂起",
    ),
    "server.stops": ("the server stops", "服务器正在停止"),
    "server.no_ingest": ("no media process is running", "没有收流进程在运行"),
    "server.control_slow": ("control did not answer within {seconds:.0f} s", "控制进程在 {seconds:.0f} 秒内没有应答"),
    "server.control_away": (
        "the control process does not answer: it is starting or has failed; recording goes on; try again in a few seconds",
        "控制进程没有应答：正在启动或已故障；录像不受影响；请几秒后再试",
    ),
    "server.part_restarting": ("it is being started again", "正在重新启动"),
}
