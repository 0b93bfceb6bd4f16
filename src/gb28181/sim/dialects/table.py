"""Every dialect by its name, and bundles that combine them as vendors do.

To add one: a row in a table, and in `tests/e2e/test_dialects.py` what the server owes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gb28181.errors import Invalid
from gb28181.sim.dialects.content_table import CATALOG, FUNCTIONS, MEDIA
from gb28181.sim.dialects.dialect import Dialect
from gb28181.sim.dialects.wire_table import SIP, XML

_BUNDLES: Final = (
    Dialect(
        name="recorder-a",
        rows="Q1 Q5 Q8 Q32 Q42 Q49 Q67 Q74",
        zh="常见录像机甲: 长度错误、脏地址、通知抖动",
        en="a common recorder: wrong lengths, garbage in Address, flapping NOTIFY",
        parts=(
            "content-length-zero",
            "unknown-headers",
            "garbage-address",
            "parental-65535",
            "bad-parent",
            "flapping-notify",
            "one-stream-only",
        ),
    ),
    Dialect(
        name="recorder-b",
        rows="Q17 Q19 Q60 Q64 Q87 Q94",
        zh="常见录像机乙: 先注销、出厂编码、负载类型 100",
        en="another common recorder: unregisters first, factory codes, payload type 100",
        parts=(
            "unregisters-first",
            "digest-capitals",
            "wrong-sumnum",
            "same-channel-ids",
            "payload-type-100",
            "one-stream-only",
        ),
    ),
    Dialect(
        name="platform-a",
        rows="Q40 Q61 Q63 Q68 Q75",
        zh="常见下级平台: 编码混乱、每条一项、重复编码",
        en="a common lower platform: mixed charsets, one Item a message, duplicates",
        parts=("gbk-declared-utf8", "one-item-per-message", "duplicate-ids", "bad-civil-code", "notify-without-event"),
    ),
    Dialect(
        name="camera-4g",
        rows="Q7 Q8 Q9 Q11 Q38",
        zh="4G 摄像机: 私网地址、端口变化、慢应答",
        en="a camera behind a mobile network: private addresses, changing ports, slow answers",
        parts=("private-via", "keepalive-other-port", "rings-first"),
    ),
    Dialect(
        name="camera-cheap",
        rows="Q3 Q5 Q16 Q29 Q43 Q45 Q48 Q80",
        zh="廉价摄像机: 头域不规范、控制字符、无 y=",
        en="a cheap camera: careless headers, control characters, no y=",
        parts=(
            "content-length-missing",
            "lower-case-headers",
            "contact-expires",
            "control-characters",
            "blanks-in-values",
            "ssrc-missing",
        ),
    ),
)

DIALECTS: Final = {dialect.name: dialect for group in (SIP, XML, CATALOG, MEDIA, FUNCTIONS, _BUNDLES) for dialect in group}


def resolve(names: Iterable[str]) -> tuple[Dialect, ...]:
    """The dialects of these names, bundles taken apart, each once.

    Raises:
        Invalid: A name stands for none.
    """
    found: dict[str, Dialect] = {}
    for name in names:
        if name not in DIALECTS:
            raise Invalid(f"--dialect {name}: no such dialect; --dialect list shows them")
        dialect = DIALECTS[name]
        for part in dialect.parts or (name,):
            found[part] = DIALECTS[part]
    return tuple(found.values())


def listed() -> str:
    """All of them as a table for people."""
    return "\n".join(f"{dialect.name:26} {dialect.rows:12} {dialect.zh} | {dialect.en}" for dialect in DIALECTS.values())
