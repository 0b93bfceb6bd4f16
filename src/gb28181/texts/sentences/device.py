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
        "expires {expires_s} s is below the minimum of {least} s: set it to 3600 s or more in the device",
        "注册有效期 {expires_s} 秒小于最小值 {least} 秒：请在设备上改为 3600 秒或更长",
    ),
    "device.answered_already": ("the {method} of {remote} was answered already", "{remote} 的 {method} 已经应答"),
    "device.refused_message": (
        "device {device_id} refused {cmd_type}: {status} {reason}",
        "设备 {device_id} 拒绝了 {cmd_type}：{status} {reason}",
    ),
    "device.refused.network": (
        "{source} is in none of the networks from which it may register: {networks}; change the networks in the device's "
        "settings",
        "来源地址 {source} 不在允许注册的网段 {networks} 内：请在设备的设置中修改网段",
    ),
    "device.refused.too_often": (
        "too many wrong passwords from this address: correct the password and wait some minutes",
        "此地址多次输错密码，暂停受理：请改正密码后等几分钟",
    ),
    "device.refused.quarantine": (
        "it knows the domain's password, and waits in quarantine: accept it in the console",
        "密码正确，等待允许接入：请在控制台按“允许接入”",
    ),
    "device.refused.algorithm": (
        "algorithm mismatch: client used {algorithm!r}, offered was {offered}; choose MD5 in the device's settings",
        "摘要算法不一致：设备使用 {algorithm!r}，平台要求 {offered}：请在设备“接入与兼容设置”中改为 MD5",
    ),
    "device.refused.realm": (
        "realm mismatch: client used {realm!r}, ours is {ours!r}: set the device's SIP domain to ours",
        "SIP 域不一致：设备使用 {realm!r}，平台为 {ours!r}：请改正设备上的 SIP 服务器域",
    ),
    "device.refused.qop": ("qop {qop!r} was not offered", "设备使用的 qop {qop!r} 不是平台所给的：请升级设备固件"),
    "device.refused.nc": ("nc {nc!r} is not hexadecimal", "设备发来的 nc {nc!r} 不是十六进制数：请升级设备固件"),
    "device.refused.no_password_here": ("no password is set for this device", "此设备没有设置密码：请为它单独设置密码"),
    "device.refused.password": (
        "password mismatch: type the password into the device again",
        "密码不一致：请在设备上重新填写注册密码",
    ),
    "device.refused.username": (
        "username {username!r} is not the device id {device_id!r}",
        "认证用户名 {username!r} 与设备编号 {device_id!r} 不一致",
    ),
    "device.refused.uri": (
        "uri {uri!r} is not the Request-URI {request_uri!r}",
        "摘要中的 uri {uri!r} 与 Request-URI {request_uri!r} 不一致",
    ),
    "device.subscribe_answered": ("SUBSCRIBE was answered {status} {reason}", "订阅请求被设备应答 {status} {reason}"),
    "device.subscribe_bare": ("SUBSCRIBE was answered {status}", "订阅请求被设备应答 {status}"),
    "device.subscription_ended": ("the device has ended it", "设备终止了此订阅"),
    "device.subscription_ended_because": ("the device has ended it: {reason}", "设备终止了此订阅：{reason}"),
    "device.refused.server_id": (
        "the device was set to server ID {seen}, ours is {ours}",
        "设备上填写的服务器编号为 {seen}，本平台为 {ours}",
    ),
}
