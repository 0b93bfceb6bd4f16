"""Commands to devices and the orders whose end is reported later."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "command.failed": ("{command} to device {device_id}: {said}", "向设备 {device_id} 发送 {command}：{said}"),
}
