"""What holds other sentences together."""

from __future__ import annotations

from typing import Final

SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "text.two": ("{first}; {rest}", "{first}；{rest}"),
}
