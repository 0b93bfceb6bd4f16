"""Requests that the API, or the edge before it, cannot serve."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "http.other": ("{reason}: {method} {path}", "{reason}：{method} {path}"),
    "http.internal": (
        "the server failed on this request; its log names the cause under {error_id}",
        "服务器处理此请求时出错；原因见服务器日志，编号 {error_id}",
    ),
}
