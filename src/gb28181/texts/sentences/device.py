"""Devices: registration, reachability, their settings."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "device.offline": (
        "device {device_id} is offline: check its power, its network and its SIP settings",
        "设备 {device_id} 离线：请检查设备供电、网络和 SIP 设置",
    ),
    "device.unheard": (
        "device {device_id} registered before the restart from {remote} and was not heard since: waiting for its keepalive",
        "设备 {device_id} 在平台重启前从 {remote} 注册，此后没有消息：正在等待其心跳",
    ),
    "device.tcp_closed": (
        "device {device_id} has closed its TCP connection, and its Contact {contact} is not where it came from ({host}): "
        "it is reached when it connects again",
        "设备 {device_id} 已断开 TCP 连接，且其 Contact {contact} 与来源地址（{host}）不符：待其重新连接后才能访问",
    ),
    "device.redirect_uri": (
        "redirect {text!r} is no SIP URI: expected sip:34020000002000000002@192.0.2.1:5060",
        "重定向 {text!r} 不是 SIP URI：应如 sip:34020000002000000002@192.0.2.1:5060",
    ),
    "device.redirect_self": (
        "redirect {text!r} names this server: a device that is sent on to itself never registers",
        "重定向 {text!r} 指向本服务器：设备被重定向到原处将永远无法注册",
    ),
    "device.name_length": ("a name has at most {most} printable characters", "名称最多 {most} 个可显示字符"),
    "device.networks_full": ("{texts} networks, a device has at most {most}", "{texts} 个网段，每台设备最多 {most} 个"),
    "device.exists": ("device {identifier} exists already", "设备 {identifier} 已存在"),
    "device.give_password": (
        "{device_id} {why}: give the SIP password that it is set to",
        "{device_id} {why}：请填写设备上设置的 SIP 密码",
    ),
    "device.unknown": ("there is no device {device_id}", "没有设备 {device_id}"),
    "device.network": (
        "{text!r} is no network: expected 192.0.2.0/24, an address, or fd00::/8",
        "{text!r} 不是网段：应如 192.0.2.0/24、单个地址，或 fd00::/8",
    ),
    "device.profile_field": ("a profile has no {name!r}, it has: {known}", "设备设置没有 {name!r}，可用的有：{known}"),
    "device.profile_choice": (
        "{name} is {value!r}, expected one of: {choices}",
        "{name} 为 {value!r}，应为以下之一：{choices}",
    ),
    "device.profile_flag": ("{name} is {value!r}, expected true or false", "{name} 为 {value!r}，应为 true 或 false"),
    "device.profile_text": ("{name} is {value!r}, expected a text", "{name} 为 {value!r}，应为文本"),
    "device.profile_number": (
        "{name} is {value!r}, expected a number from {low:g} to {high:g}",
        "{name} 为 {value!r}，应为 {low:g} 至 {high:g} 的数字",
    ),
    "device.no_vendor": ("there is no vendor {value!r}, known are: {known}", "没有厂商 {value!r}，已知的有：{known}"),
    "device.not_in_quarantine": (
        "{device_id} is not in quarantine: it was accepted, removed, or has not tried since our start",
        "{device_id} 不在待接入列表：已接入、已移除，或服务启动后没有尝试过注册",
    ),
    "device.connection_lost": ("the connection to {host}:{port} was lost", "与 {host}:{port} 的连接已断开"),
    "device.not_answered": ("{method} to {host}:{port} was not answered", "发往 {host}:{port} 的 {method} 没有应答"),
    "device.not_answered_within": (
        "{method} was not answered within {timeout_s:g} s",
        "{method} 在 {timeout_s:g} 秒内没有应答",
    ),
    "device.connection_closed": (
        "{name} connection to {remote} was closed at once",
        "到 {remote} 的 {name} 连接立即被关闭",
    ),
    "device.no_connection_within": (
        "no {name} connection to {remote} within {seconds:g} s",
        "{seconds:g} 秒内未能与 {remote} 建立 {name} 连接",
    ),
    "device.no_connection": ("no {name} connection to {remote}: {why}", "未能与 {remote} 建立 {name} 连接：{why}"),
    "device.no_address": ("{remote} is no address to send to", "{remote} 不是可发送的地址"),
    "device.too_long_for_udp": (
        "{size} bytes do not fit into a datagram, and {remote} has no TCP connection with us",
        "{size} 字节无法放入一个 UDP 包，且 {remote} 没有与本平台的 TCP 连接",
    ),
    "device.shown_wrong_password": ("has shown a wrong password", "使用了错误的密码"),
    "device.no_domain_password": (
        "cannot use the domain's password, which is switched off",
        "不能使用全域统一密码（已停用）",
    ),
    "device.refused.no_password": (
        "no password is set: give the device one of its own, or switch sip.domain_password on",
        "没有设置密码：请为此设备单独设置密码，或启用 sip.domain_password",
    ),
    "device.refused.expires": (
        "expires {expires_s} s is below the minimum of {least} s",
        "注册有效期 {expires_s} 秒小于最小值 {least} 秒",
    ),
    "device.answered_already": ("the {method} of {remote} was answered already", "{remote} 的 {method} 已经应答"),
    "device.refused_message": (
        "device {device_id} refused {cmd_type}: {status} {reason}",
        "设备 {device_id} 拒绝了 {cmd_type}：{status} {reason}",
    ),
}
