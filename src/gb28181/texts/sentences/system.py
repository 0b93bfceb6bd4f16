"""Why a call of the operating system failed; the English words are its own."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "system.ENOSPC": ("No space left on device", "磁盘已满"),
    "system.EDQUOT": ("Disk quota exceeded", "超出磁盘配额"),
    "system.EACCES": ("Permission denied", "没有权限"),
    "system.EPERM": ("Operation not permitted", "不允许的操作"),
    "system.EROFS": ("Read-only file system", "文件系统只读"),
    "system.EIO": ("Input/output error", "磁盘读写错误"),
    "system.ENOENT": ("No such file or directory", "文件或目录不存在"),
    "system.ENOTDIR": ("Not a directory", "不是目录"),
    "system.EISDIR": ("Is a directory", "是目录"),
    "system.ESTALE": ("Stale file handle", "网络文件句柄已失效"),
    "system.ENODEV": ("No such device", "没有此设备"),
    "system.ENXIO": ("No such device or address", "没有此设备或地址"),
    "system.EMFILE": ("Too many open files", "打开的文件过多"),
    "system.ENFILE": ("Too many open files in system", "系统打开的文件过多"),
    "system.ENOMEM": ("Cannot allocate memory", "内存不足"),
    "system.EADDRINUSE": ("Address already in use", "地址已被占用"),
    "system.EADDRNOTAVAIL": ("Cannot assign requested address", "不是本机地址"),
    "system.ECONNREFUSED": ("Connection refused", "连接被拒绝"),
    "system.ECONNRESET": ("Connection reset by peer", "连接被对方重置"),
    "system.ETIMEDOUT": ("Connection timed out", "连接超时"),
    "system.EHOSTUNREACH": ("No route to host", "主机不可达"),
    "system.ENETUNREACH": ("Network is unreachable", "网络不可达"),
    "system.EFBIG": ("File too large", "文件过大"),
    "system.ENAMETOOLONG": ("File name too long", "文件名过长"),
    "system.ENOTCONN": ("Transport endpoint is not connected", "未连接"),
    "system.EPIPE": ("Broken pipe", "管道已断开"),
}
