"""What keeps a server from starting, said in the terminal."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "start.advertise_address": (
        "{text!r} tells no address: expected ADDRESS[:PORT], or NETWORK = ADDRESS[:PORT]",
        "{text!r} 没有写明地址：应为 地址[:端口]，或 网段 = 地址[:端口]",
    ),
    "start.advertise_network": (
        "{text!r}: {left!r} is no network; expected one like 10.0.0.0/8 or 2001:db8::/32",
        "{text!r}：{left!r} 不是网段；应如 10.0.0.0/8 或 2001:db8::/32",
    ),
    "start.profile_match": (
        'configuration: profiles.{name}: match is {match!r}, expected texts such as ["example cam"]',
        '配置：profiles.{name}：match 为 {match!r}，应为文本列表，如 ["example cam"]',
    ),
    "start.profile": ("configuration: profiles.{name}: {error}", "配置：profiles.{name}：{error}"),
    "start.edge_listen": (
        "the edge cannot listen on {host} port {port} (http.host, http.port): {why}",
        "接入门户进程（edge）无法监听 {host} 端口 {port}（http.host、http.port）：{why}",
    ),
    "start.edge_certificate": (
        "http.certificate or http.private_key cannot be used: {error}",
        "http.certificate 或 http.private_key 无法使用：{error}",
    ),
    "start.config_unreadable": ("configuration {path} cannot be read: {strerror}", "配置文件 {path} 无法读取：{strerror}"),
    "start.config_toml": ("configuration {path} is not TOML: {error}", "配置文件 {path} 不是有效的 TOML：{error}"),
    "start.environment": (
        "environment variable {name}: expected {prefix}SECTION__KEY",
        "环境变量 {name}：应为 {prefix}SECTION__KEY",
    ),
    "start.config_section": ("configuration: [{section}] is not a section", "配置：[{section}] 不是一个配置节"),
    "start.run_foreign": (
        "{run} belongs to another user: remove it or choose a shorter --data path",
        "{run} 属于其他用户：请删除它，或选择更短的 --data 路径",
    ),
    "start.data_unusable": (
        "the data folder {root} cannot be used: {strerror} ({filename}); make it writable or name another one with --data",
        "数据目录 {root} 无法使用：{strerror}（{filename}）；请使其可写，或用 --data 指定其他目录",
    ),
    "start.media_ports_used": (
        "every port of media.ports {ports} is in use by other programs: set another range (ss -ulnp shows who has them)",
        "media.ports {ports} 的全部端口都被其他程序占用：请改用其他范围（ss -ulnp 可查看占用者）",
    ),
    "start.media_ports_few": (
        "media.ports {ports} are too few for {processes} receiving processes: two each at least",
        "media.ports {ports} 不够 {processes} 个收流进程使用：每个至少两个端口",
    ),
    "start.disk_full": (
        "the disk of the data folder {root} is full ({free} KiB are free, {least} MiB are needed to start): free some "
        "space, or name another folder with --data",
        "数据目录 {root} 所在磁盘已满（剩余 {free} KiB，启动需要 {least} MiB）：请释放空间，或用 --data 指定其他目录",
    ),
    "start.volume_silent": (
        "recording volume {root} does not answer: check its disk or network, or take it out of recording.volumes",
        "录像存储 {root} 没有响应：请检查其磁盘或网络，或从 recording.volumes 中去掉",
    ),
    "start.http_key_alone": (
        "http.private_key is set but http.certificate is not: set both for HTTPS, or none",
        "设置了 http.private_key 而没有 http.certificate：启用 HTTPS 须两者都设置，否则都不设置",
    ),
    "start.file_unusable": (
        "{key} {name} {reason}: correct the path or its permissions",
        "{key} {name} {reason}：请改正路径或权限",
    ),
    "start.file_unreadable": ("cannot be read by this user", "当前用户无法读取"),
    "start.file_missing": ("does not exist", "不存在"),
    "start.http_certificate": (
        "http.certificate {certificate} and http.private_key {private_key} cannot be used ({reason}): both must be PEM, "
        "unencrypted, and belong together",
        "http.certificate {certificate} 和 http.private_key {private_key} 无法使用（{reason}）：两者都须为 PEM、未加密且"
        "互相匹配",
    ),
    "start.sip_key_alone": (
        "sip.tls_private_key is set but sip.tls_certificate is not: set both for SIP over TLS, or none",
        "设置了 sip.tls_private_key 而没有 sip.tls_certificate：启用 SIP over TLS 须两者都设置，否则都不设置",
    ),
    "start.port_in_media": (
        "{key} {port} lies in media.ports {ports}: move one of them",
        "{key} {port} 落在 media.ports {ports} 之内：请改动其中之一",
    ),
    "start.data_unwritable": (
        "the data folder {root} cannot be written: {strerror}; free space, make it writable, or name another one with --data",
        "数据目录 {root} 无法写入：{strerror}；请释放空间、使其可写，或用 --data 指定其他目录",
    ),
    "start.port_used": (
        "{name} port {port} ({section}.{key}) is in use by another program: stop it (ss -{flag}lnp 'sport = :{port}' "
        "shows which), or set {section}.{key} to another one",
        "{name} 端口 {port}（{section}.{key}）已被其他程序占用：请停止该程序（ss -{flag}lnp 'sport = :{port}' 可查看），"
        "或为 {section}.{key} 改用其他端口",
    ),
    "start.port_forbidden": (
        "{name} port {port} ({section}.{key}) may not be used by this user: take one above 1023, or give the service "
        "CAP_NET_BIND_SERVICE",
        "当前用户不能使用 {name} 端口 {port}（{section}.{key}）：请改用 1024 及以上的端口，或授予服务 CAP_NET_BIND_SERVICE",
    ),
    "start.no_own_address": (
        "{section}.host {host} is no address of this machine: set one of its own, or 0.0.0.0 for all",
        "{section}.host {host} 不是本机地址：请设为本机地址，或 0.0.0.0（全部）",
    ),
    "start.port_unusable": (
        "{section}.host {host} port {port} cannot be used: {why}",
        "{section}.host {host} 端口 {port} 无法使用：{why}",
    ),
    "start.unwritable": ("{path} cannot be written: {strerror}", "{path} 无法写入：{strerror}"),
    "start.data_locked": (
        "another server (pid {pid}) uses the data folder {root}: stop it, or name another folder with --data",
        "另一个服务（进程 {pid}）正在使用数据目录 {root}：请先停止它，或用 --data 指定其他目录",
    ),
    "start.part_ended": (
        "{name} ended with status {status} before it was ready; its log says why",
        "{name} 未就绪即退出，状态 {status}；原因见其日志",
    ),
    "start.part_unstartable": (
        "{name} cannot be started as a process: {fault}. Check memory, the limits of this user, and that it may run Python.",
        "{name} 无法作为进程启动：{fault}。请检查内存、服务用户的各项限制，以及该用户能否运行 Python。",
    ),
    "start.part_alone": (
        "{name} was given no settings and ends: it is a part that serve starts, and serve may have ended; run `gb28181 serve`",
        "{name} 未收到配置，现退出：它由 serve 启动，而 serve 可能已结束；请运行 `gb28181 serve`",
    ),
    "start.database_scheme": (
        "database.url names {drivername!r}, expected postgresql:// or sqlite:///",
        "database.url 为 {drivername!r}，应为 postgresql:// 或 sqlite:///",
    ),
    "start.database_no_file": (
        "database.url names no file: the registry must survive a restart, expected sqlite:///file",
        "database.url 没有写明文件：注册信息须在重启后保留，应为 sqlite:///文件",
    ),
    "start.database_url": (
        "database.url is not a URL, expected postgresql://user:password@host/name or sqlite:///file",
        "database.url 不是 URL，应为 postgresql://用户:密码@主机/库名 或 sqlite:///文件",
    ),
    "start.database_driver": (
        "database.url names PostgreSQL, but its driver is not installed: pip install 'gb28181[postgres]'",
        "database.url 为 PostgreSQL，但其驱动未安装：pip install 'gb28181[postgres]'",
    ),
    "start.database_version": (
        "database {where} is of version {present}, which this version of gb28181 does not know: start the newer version "
        "that made it, or restore the backup from before the upgrade",
        "数据库 {where} 的版本为 {present}，本版 gb28181 不认识：请启动创建它的较新版本，或恢复升级前的备份",
    ),
    "start.secret_size": (
        "{path} has {bytes} bytes, expected {expected}: restore it from a backup; without it the SIP passwords in the "
        "database cannot be read",
        "{path} 有 {bytes} 字节，应为 {expected}：请从备份恢复；没有它就无法读取数据库中的 SIP 密码",
    ),
    "start.instance": (
        "{path} holds no id of 32 hex digits: restore it from a backup, or copy it from .gb28181-volume of a recording "
        "volume of this server",
        "{path} 不是 32 位十六进制编号：请从备份恢复，或从本服务器录像存储的 .gb28181-volume 复制",
    ),
    "start.key_unusable": (
        "{path} cannot be used: {strerror}; check the owner and mode of the data folder",
        "{path} 无法使用：{strerror}；请检查数据目录的属主和权限",
    ),
    "start.password_sealed": (
        "a stored password cannot be decrypted: secret.key is not the one it was encrypted with; restore that file from "
        "the backup of this data folder, or set the password again",
        "已保存的密码无法解密：secret.key 不是加密时所用的那个；请从此数据目录的备份恢复该文件，或重新设置密码",
    ),
    "start.ingest": ("{name} cannot start: {error}", "{name} 无法启动：{error}"),
    "start.socket": ("socket {path} cannot be made: {why}", "套接字 {path} 无法创建：{why}"),
    "start.sip_listen": ("{what} cannot listen on {address}: {why}", "{what} 无法监听 {address}：{why}"),
    "start.sip_certificate": (
        "sip.tls_certificate {tls_certificate}, sip.tls_private_key {tls_private_key} and sip.tls_ca {tls_ca} cannot be "
        "used ({reason}): all must be PEM, the key unencrypted and that of the certificate",
        "sip.tls_certificate {tls_certificate}、sip.tls_private_key {tls_private_key} 和 sip.tls_ca {tls_ca} 无法使用（"
        "{reason}）：都须为 PEM，私钥未加密且与证书匹配",
    ),
    "start.config": ("configuration: {faults}", "配置：{faults}"),
    "start.config_value": ("{key}: {fault}", "{key}：{fault}"),
    "start.config_origin": ("{key} (from {variable})", "{key}（来自 {variable}）"),
    "start.config_near": ("unknown key {key}, did you mean {near}?", "未知的配置项 {key}，是否应为 {near}？"),
    "start.config_unknown": ("unknown key {key}, known are: {known}", "未知的配置项 {key}，已知的有：{known}"),
    "start.help": ("Platform server for GB/T 28181 video networks.", "GB/T 28181 视频监控联网平台服务器。"),
    "start.help.serve": ("start the platform", "启动平台"),
    "start.help.config": (
        "configuration file (default: conf/gb28181.toml where it exists)",
        "配置文件（默认：conf/gb28181.toml，若存在）",
    ),
    "start.help.data": (
        "folder for everything that must be kept (default: ./data)",
        "数据目录，保存所有需要保留的内容（默认：./data）",
    ),
    "start.help.demo": (
        "also start simulated cameras; in a data folder of its own",
        "同时启动模拟摄像机；使用单独的数据目录",
    ),
    "start.help.sim": ("simulate cameras and NVRs", "模拟摄像机和录像机"),
}
