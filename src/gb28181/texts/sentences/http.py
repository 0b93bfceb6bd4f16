"""Requests that the API, or the edge before it, cannot serve."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "http.other": ("{reason}: {method} {path}", "{reason}：{method} {path}"),
    "http.internal": (
        "the server failed on this request; its log names the cause under {error_id}",
        "服务器处理此请求时出错；原因见服务器日志，编号 {error_id}",
    ),
    "http.one_of": ("expected one of: {names}", "应为以下之一：{names}"),
    "http.cursor": (
        "this cursor is not one that this list gave: begin again without a cursor",
        "此 cursor 不是本列表给出的：请不带 cursor 从头开始",
    ),
    "http.no_zone": (
        "{text!r} has no zone, expected RFC 3339 such as 2026-03-01T00:00:00Z or +08:00",
        "{text!r} 没有时区：应为 RFC 3339 格式，如 2026-03-01T00:00:00Z 或 +08:00",
    ),
    "http.no_time": (
        "not a time: {text!r}, expected RFC 3339 such as 2026-03-01T00:00:00Z",
        "不是时间：{text!r}，应为 RFC 3339 格式，如 2026-03-01T00:00:00Z",
    ),
    "http.failed": ("the server failed on this request; its log says where", "服务器处理此请求时出错；位置见服务器日志"),
    "http.not_http": ("not a request that HTTP knows: {reason}", "不是有效的 HTTP 请求：{reason}"),
    "http.readers_full": ("too many readers of events: close some", "事件订阅连接过多：请关闭一些"),
    "http.too_long": (
        "the request is longer than {limit} bytes (http.max_body_bytes)",
        "请求超过 {limit} 字节（http.max_body_bytes）",
    ),
    "http.body_slow": (
        "the body of the request did not come in time (http.request_body_s)",
        "请求的消息体没有及时到达（http.request_body_s）",
    ),
    "http.websocket_refused": (
        "control refused the WebSocket: see whether the token is valid",
        "控制进程拒绝了 WebSocket：请检查令牌是否有效",
    ),
    "http.rfc3339": ("expected RFC 3339 such as 2026-03-01T00:00:00Z", "应为 RFC 3339 格式，如 2026-03-01T00:00:00Z"),
    "http.year": ("a time between {first} and {last} is expected", "时间应在 {first} 至 {last} 年之间"),
    "http.control_characters": ("control characters are not allowed", "不能含控制字符"),
}
