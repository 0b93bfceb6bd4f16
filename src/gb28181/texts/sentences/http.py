"""Requests that the API, or the edge before it, cannot serve."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "http.other": ("{reason}: {method} {path}", "{reason}：{method} {path}"),
    "http.method": (
        "{method} is not served at {path}; served are: {allowed}",
        "{path} 不支持 {method}；支持的方法：{allowed}",
    ),
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
    "http.line_too_long": (
        "not a request that HTTP knows: a line of it is longer than {limit} bytes",
        "不是有效的 HTTP 请求：其中一行超过 {limit} 字节",
    ),
    "http.bad_header": (
        "not a request that HTTP knows: one of its headers cannot be read",
        "不是有效的 HTTP 请求：其中一个头域无法解析",
    ),
    "http.first_message": (
        'the first message must be {{"token": "…"}} with the token of a login',
        '第一条消息应为 {{"token": "…"}}，内含登录所得的令牌',
    ),
    "http.strangers_full": (
        "too many connections wait for their token: try again later",
        "等待令牌的连接过多：请稍后再试",
    ),
    "http.reader_slow": ("too slow: connect again", "接收过慢：请重新连接"),
    "http.reader_talks": ("a reader of events has nothing to say", "事件订阅者不应发送消息"),
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
    "http.unknown_name": ("unknown name {name!r}, {hint}", "未知的名称 {name!r}：{hint}"),
    "http.constant_rate": (
        "a constant rate (bit_rate_type 1) needs video_bit_rate",
        "固定码率（bit_rate_type 1）须给出 video_bit_rate",
    ),
    "http.day_segment": (
        "a segment ends after it begins, on the same day; its last second is 23:59:59",
        "时间段须在同一天内，结束晚于开始；最晚到 23:59:59",
    ),
    "http.week_day": ("a day of the week stands in the plan once", "计划中每个星期几只能出现一次"),
    "http.nothing_to_write": (
        "nothing to write, expected one or more of: {known}",
        "没有要写入的内容，应为以下一项或多项：{known}",
    ),
    "http.unknown_block": ("unknown configuration {name!r}, {hint}", "未知的配置 {name!r}：{hint}"),
    "http.manual_target": ("mode manual needs target_area", "手动模式须给出 target_area"),
    "http.did_you_mean": ("did you mean {near}?", "是否应为 {near}？"),
    "http.known_are": ("known are: {known}", "已知的有：{known}"),
    "http.problem": ("{location}: {message}", "{location}：{message}"),
    "http.identifier": (
        "not an identifier: {text!r}, expected 1 to 64 letters or digits",
        "“{text}”不是编号：应为 1 至 64 个字母或数字",
    ),
}
