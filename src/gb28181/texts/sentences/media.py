"""Media links and what the edge sends and takes."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "media.link_malformed": (
        "the link's token is missing or malformed: open the picture again from the console or the API",
        "链接的令牌缺失或有误：请从控制台或 API 重新打开画面",
    ),
    "media.link_foreign": (
        "the link's token was made for something else: open the picture again from the console or the API",
        "链接的令牌属于其他内容：请从控制台或 API 重新打开画面",
    ),
    "media.link_expired": (
        "the link has expired: open the picture again from the console or the API",
        "链接已过期：请从控制台或 API 重新打开画面",
    ),
}
