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
    "catalog.announced_none": (
        "the device announced no channel at all, although it had some: nothing was changed, it is asked again",
        "设备此前有通道，这次却上报没有通道：未作更改，将再次查询",
    ),
    "catalog.unanswered": (
        "the device did not answer the catalogue query: it is asked again",
        "设备没有应答目录查询：将再次查询",
    ),
    "catalog.too_many": ("more than {received} items came: the rest is ignored", "收到超过 {received} 项：其余已忽略"),
    "catalog.quiet": (
        "{received} of {announced} items came, then nothing: nothing was removed, it is asked again",
        "收到 {received} 项（共 {announced} 项）后中断：未删除任何通道，将再次查询",
    ),
    "catalog.none": ("the device lists no channel", "设备没有通道"),
    "catalog.unknown_number": ("an unknown number", "数目不明"),
    "catalog.went_offline": (
        "the device went offline: the query is repeated when it is back",
        "设备离线：上线后将重新查询",
    ),
}
