"""Commands to devices and the orders whose end is reported later."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "command.failed": ("{command} to device {device_id}: {said}", "向设备 {device_id} 发送 {command}：{said}"),
    "command.read_only_block": (
        "{block} cannot be written; pictures are ordered as snapshots",
        "{block} 不能写入；抓拍请使用图像抓拍命令",
    ),
    "command.edition": (
        "device {device_id} speaks edition {edition}: {what} is not available; if it is newer than it says, set the "
        "edition of its profile",
        "设备 {device_id} 使用 {edition} 版国标：不支持{what}；若设备实际版本更新，请在其设置中指定版本",
    ),
    "command.no_order": ("there is no order {order_id}, or it ended long ago", "没有任务 {order_id}，或早已结束"),
    "command.order_under_way": (
        "device {device_id} has a {kind} under way (order {order_id}): wait for its end",
        "设备 {device_id} 正在执行 {kind}（任务 {order_id}）：请等待其结束",
    ),
    "command.device_orders_full": (
        "device {device_id} has {mine} orders under way: wait for their end",
        "设备 {device_id} 有 {mine} 个任务正在执行：请等待其结束",
    ),
    "command.orders_full": (
        "{most} orders are under way: wait for the end of some",
        "有 {most} 个任务正在执行：请等待部分任务结束",
    ),
    "command.too_many": (
        "too many commands to devices are under way: try again later",
        "正在执行的设备命令过多：请稍后再试",
    ),
    "command.no_picture_order": ("order {order_id} is no order for pictures", "任务 {order_id} 不是抓拍任务"),
    "command.firmwares_full": (
        "{most} firmware files are kept: remove one that is not needed any more",
        "已保存 {most} 个固件文件：请删除不再需要的",
    ),
    "command.firmware_missing": (
        "the file of this firmware has not been stored yet: send it to its `upload_url`",
        "此固件的文件尚未上传：请发送到其 `upload_url`",
    ),
    "command.firmware_taken": (
        "device {device_id} is taking it (order {order_id}): wait for its end",
        "设备 {device_id} 正在取用此固件（任务 {order_id}）：请等待其结束",
    ),
    "command.device_busy": (
        "{most} commands to this device are under way or wait already: try again later",
        "此设备已有 {most} 条命令正在执行或等待：请稍后再试",
    ),
    "command.edition_missing": (
        "device {device_id} speaks edition {edition}: {missing} is not available; if it is newer than it says, set the "
        "edition of its profile",
        "设备 {device_id} 使用 {edition} 版国标：不支持 {missing}；若设备实际版本更新，请在其设置中指定版本",
    ),
    "command.topic_edition": (
        "this device speaks edition {edition}: {topic} is not available, it came with {since}",
        "此设备使用 {edition} 版国标：不支持 {topic}，它自 {since} 起才有",
    ),
}
