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
}
