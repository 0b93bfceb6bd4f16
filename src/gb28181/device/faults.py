"""What a device does wrong and we tolerate: counted by name, with words for operators.

A fault is named where it is tolerated ("wrong-content-length" in the parser); here are its words. One that has none yet is
shown by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from gb28181.device.model import Fault

#: Kinds that are remembered of one device; further ones are not: no peer makes the table grow.
MOST_KINDS: Final = 64
_LONGEST_DETAIL: Final = 80

#: Chinese and English, by name.
WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        # SIP
        "wrong-content-length": ("Content-Length 有误", "wrong Content-Length"),
        "missing-content-length": ("缺少 Content-Length", "no Content-Length"),
        "trailing-bytes": ("消息后有多余字节", "bytes behind a message"),
        "bare-line-feed": ("换行缺少回车符", "lines without carriage return"),
        "missing-blank-line": ("头域与消息体之间缺少空行", "no blank line behind the headers"),
        "unreadable-header": ("头域无法解析", "header that cannot be read"),
        "header-not-utf-8": ("头域不是 UTF-8", "header that is not UTF-8"),
        "lower-case-start-line": ("起始行使用小写", "start line in small letters"),
        "wrong-server-id": ("服务器编号设置有误", "set to another server ID"),
        "username-not-device-id": ("认证用户名与设备编号不一致", "digest user name is not the device ID"),
        "alarm-flood": ("报警过多, 部分未保存", "more alarms than are kept"),
        "register-storm": ("注册过于频繁", "registers several times a minute"),
        "address-contest": ("同一编号出现在多个地址", "the same ID from several addresses"),
        # MANSCDP
        "refused-xml": ("消息体无法解析", "body that cannot be read"),
        "malformed-xml": ("XML 格式错误", "malformed XML"),
        "missing-end-tag": ("XML 缺少结束标签", "missing end tag"),
        "extra-end-tag": ("XML 多余结束标签", "extra end tag"),
        "truncated": ("消息体被截断", "body cut off"),
        "wrong-charset": ("字符集与声明不符", "character set is not the declared one"),
        "invalid-characters": ("含无法解码的字符", "characters that cannot be decoded"),
        "control-characters": ("含控制字符", "control characters"),
        "wrong-root": ("XML 根元素有误", "wrong root element"),
        "value-in-attribute": ("元素值写在属性中", "value in an attribute"),
        "value-too-long": ("元素值过长", "value too long"),
        "bad-value": ("元素值有误", "value that cannot be read"),
        "bad-item": ("列表项有误", "list item that cannot be read"),
        "stray-item": ("列表项位置有误", "list item outside its list"),
        "too-many-items": ("列表项过多", "too many list items"),
        "missing-SN": ("缺少 SN", "no SN"),
        "missing-DeviceID": ("缺少 DeviceID", "no DeviceID"),
    }
)


def words(name: str) -> tuple[str, str]:
    """What a fault is called in Chinese and in English."""
    if (known := WORDS.get(name)) is not None:
        return known
    kind, _, element = name.partition("-")
    if kind == "missing" and element:
        return f"缺少 {element}", f"no {element}"
    return name, name.replace("-", " ")


def counted(faults: Mapping[str, Fault], name: str, at: datetime, *, count: int = 1, detail: str = "") -> Mapping[str, Fault]:
    """The faults of a device after one more kind; what is beyond the bound is left out."""
    known = faults.get(name)
    if known is None and len(faults) >= MOST_KINDS:
        return faults
    fault = Fault((known.count if known else 0) + count, at, detail[:_LONGEST_DETAIL] or (known.detail if known else ""))
    return {**faults, name: fault}
