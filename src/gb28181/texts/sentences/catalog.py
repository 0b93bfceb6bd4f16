"""Catalogues and channels."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "catalog.no_job": ("there is no job {job_id}, or it ended long ago", "没有任务 {job_id}，或早已结束"),
    "catalog.no_division": (
        "there is no division {code}: nothing stands in it any more",
        "没有行政区划 {code}：其下已没有通道",
    ),
    "catalog.no_channel": ("there is no channel {key}", "没有通道 {key}"),
    "catalog.alias_length": ("a name has at most {longest} printable characters", "名称最多 {longest} 个可显示字符"),
}
