"""stream"""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "stream.volume_slow": (
        "volume {volume} is too slow: what waits to be written has filled its pool",
        "存储 {volume} 写入太慢：待写数据已占满缓冲",
    ),
}
