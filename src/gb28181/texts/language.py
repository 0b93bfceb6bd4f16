"""Which language somebody reads: a caller by `Accept-Language`, a terminal by its locale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["en", "zh"]

#: A longer header is cut: nobody reads that many languages.
_LONGEST: Final = 512


def accepted(header: str) -> Language:
    """The language for an `Accept-Language` header (RFC 9110 §12.5.4); English unless Chinese is wanted more."""
    best: dict[Language, float] = {"en": 0.0, "zh": 0.0}
    order: list[Language] = []
    for part in header[:_LONGEST].split(","):
        tag, _, parameter = part.partition(";")
        language = of_tag(tag)
        if language is None:
            continue
        order.append(language)
        best[language] = max(best[language], _quality(parameter))
    if best["zh"] == best["en"]:
        return order[0] if order and best["zh"] else "en"
    return "zh" if best["zh"] > best["en"] else "en"


def of_terminal(environment: Mapping[str, str]) -> Language:
    """The language of messages in a terminal: the first locale variable that is set decides (POSIX §8.2)."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(name, ""):
            return of_tag(value.replace("_", "-").partition(".")[0]) or "en"
    return "en"


def of_tag(tag: str) -> Language | None:
    """`zh-CN` is Chinese, `en-GB` English; None for what we do not speak."""
    primary = tag.strip().lower().partition("-")[0]
    if primary == "zh":
        return "zh"
    return "en" if primary == "en" else None


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0
