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
        "device {device_id} has another order under way ({kind}, {order_id}): wait for its end",
        "设备 {device_id} 正在执行另一任务（{kind}，{order_id}）：请等待其结束",
    ),
    "command.kind.reboot": ("restart", "重启"),
    "command.kind.format": ("format", "格式化"),
    "command.kind.upgrade": ("upgrade", "升级"),
    "command.kind.snapshot": ("snapshot", "抓拍"),
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
    "command.others_under_way": (
        "other commands were under way for {timeout_s:g} s",
        "其他命令在 {timeout_s:g} 秒内一直占用",
    ),
    "command.result_error": (
        "{target} answered Result ERROR: it cannot or will not",
        "{target} 应答 Result ERROR：设备不能或不愿执行",
    ),
    "command.message_unanswered": (
        "did not answer the MESSAGE to {remote} within {timeout_s:g} s",
        "发往 {remote} 的 MESSAGE 在 {timeout_s:g} 秒内没有应答",
    ),
    "command.not_restarted": (
        "the command was sent, but the device was not seen to restart: it may not support it, or it kept its "
        "registration; its last registration says more",
        "命令已发送，但没有看到设备重启：设备可能不支持，或保留了注册；请查看其最近注册时间",
    ),
    "command.format_silent": (
        "the device did not say in time that the card is formatted; ask for the state of its cards",
        "设备没有按时报告格式化完成；请查询存储卡状态",
    ),
    "command.not_formatted": (
        "the device began to format, and says now that the card is not formatted",
        "设备开始格式化后，又报告存储卡未格式化",
    ),
    "command.upgrade.01": (
        "the download timed out: the device may not reach the address of its FileURL (http.device_url)",
        "下载超时：设备可能无法访问 FileURL 中的地址（http.device_url）",
    ),
    "command.upgrade.02": ("the package is damaged, or is none for this model", "升级包损坏，或不适用于此型号"),
    "command.upgrade.03": ("the device reports a system error", "设备报告系统错误"),
    "command.upgrade.99": ("the device gives no reason of its own", "设备没有给出具体原因"),
    "command.upgrade_silent": (
        "the device did not report in time how the upgrade went; compare its firmware, and order it again if need be",
        "设备没有按时报告升级结果；请核对固件版本，必要时重新升级",
    ),
    "command.upgrade_seen": (
        "the device did not report; after its restart it names this firmware",
        "设备没有报告结果；重启后上报的已是此固件版本",
    ),
    "command.upgrade_failed": ("reason {code}: {meaning}", "原因 {code}：{meaning}"),
    "command.upgrade.unknown": ("the standard does not know this reason", "国标没有定义此原因"),
    "command.no_picture": (
        "no picture came: the device could not reach the upload address (http.device_url), or its upload failed; see its "
        "own log",
        "没有收到图片：设备无法访问上传地址（http.device_url），或上传失败；请查看设备日志",
    ),
    "command.some_pictures": ("{kept} of {count} pictures came", "收到 {kept} / {count} 张图片"),
    "command.no_such_order": ("no such order", "没有此任务"),
    "command.no_firmware": ("there is no firmware {firmware_id}", "没有固件 {firmware_id}"),
    "command.firmware_stored": (
        "the file of this firmware is stored already: make a new firmware for another file",
        "此固件的文件已保存：其他文件请新建固件",
    ),
    "command.firmware_empty": ("the body is empty, expected the firmware file", "消息体为空，应为固件文件"),
    "command.pictures_all": ("all {most} pictures of this order have come already", "此任务的 {most} 张图片已全部收到"),
    "command.firmware_storing": (
        "the file of this firmware is being stored now, or was not to its end: make a new one",
        "此固件的文件正在保存，或未保存完整：请新建一个",
    ),
    "command.no_response": (
        "accepted the command and sent no Response within {timeout_s:g} s",
        "设备受理了命令，但 {timeout_s:g} 秒内没有发来应答（Response）",
    ),
    "command.no_answer": ("did not answer the MESSAGE within {timeout_s:g} s", "设备在 {timeout_s:g} 秒内没有应答 MESSAGE"),
    "command.message_refused": ("refused the MESSAGE: {status} {reason}", "设备拒绝了 MESSAGE：{status} {reason}"),
    "command.card_error": ("the device says that the card has an error: card {cards}", "设备报告存储卡错误：卡 {cards}"),
}
