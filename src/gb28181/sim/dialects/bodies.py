"""Dialects of MANSCDP: text of a whole body in, text out. Names that need escaping come from `rows.named`."""

from __future__ import annotations

import re
from typing import Final

_VALUES: Final = re.compile(r">([^<>\r\n]+)</")
_SN: Final = re.compile(r"(<SN>)(\d+)(</SN>)")


def unescaped_ampersand(text: str) -> str:
    """`&` as it is typed."""
    return text.replace("&amp;", "&")


def unescaped_angles(text: str) -> str:
    """`<` and `>` as they are typed."""
    return text.replace("&lt;", "<").replace("&gt;", ">")


def control_characters(text: str) -> str:
    """Characters that XML does not have, inside of values."""
    return re.sub(r"(</(?:Name|Address|DeviceName)>)", "\x01\x08\x0b\\1", text)


def nul_bytes(text: str) -> str:
    """NUL inside of values and after the end: a buffer longer than its text."""
    return re.sub(r"(</(?:Address|Model)>)", "\x00\x00\\1", text) + "\x00\x00\x00"


def garbage_address(text: str) -> str:
    """Memory that was never written, in Address."""
    return re.sub(r"<Address>[^<]*</Address>", "<Address>\x7f\x03<\x1a&#>\x02p;\x05</Address>", text)


def unbalanced_items(text: str) -> str:
    """One `</Item>` too many."""
    return text.replace("</Item>\r\n</DeviceList>", "</Item>\r\n</Item>\r\n</DeviceList>")


def truncated(text: str) -> str:
    """The end is cut off in the middle of the last Item."""
    at = text.rfind("</Item>")
    return text[: text.rfind("<RegisterWay>", 0, at)] if at > 0 and text.count("<Item>") > 1 else text


def blanks(text: str) -> str:
    """Blanks and line ends around every value."""
    return _VALUES.sub(r"> \1\r\n </", text)


def null_words(text: str) -> str:
    """The word `null` where there is nothing to say."""
    return re.sub(r"<(Owner|Address|Block|Model)>[^<]*</", r"<\1>null</", text)


def status_words(text: str) -> str:
    """Other words for ON and ONLINE."""
    words = iter(("ONLINE", "OK", "1", "On", "") * 1000)
    return re.sub(r"<Status>ON</Status>", lambda _: f"<Status>{next(words)}</Status>", text)


def loose_times(text: str) -> str:
    """Times without leading zeros, with a blank in the place of T."""
    return re.sub(
        r">(\d{4})-0?(\d+)-0?(\d+)T0?(\d+):0?(\d+):0?(\d+)<", r">\1-\2-\3 \4:\5:\6<", text
    )  # fmt: skip


def other_sn(text: str) -> str:
    """The answer has a number of its own."""
    return (
        _SN.sub(lambda found: f"{found[1]}{int(found[2]) % 90_000 + 7}{found[3]}", text)
        if text.startswith("<Response>")
        else text
    )


def notify_root(text: str) -> str:
    """Answers under the root of notifications, in small letters."""
    return text.replace("<Response>", "<notify>").replace("</Response>", "</notify>")


def info_case(text: str) -> str:
    """`info` for `Info`, and element names in other cases."""
    return text.replace("Info>", "info>").replace("<Status>", "<STATUS>").replace("</Status>", "</STATUS>")


def empty_list(text: str) -> str:
    """A RecordList without items though SumNum says otherwise."""
    return re.sub(r'(<RecordList Num=)"\d+">.*</RecordList>', r'\1"0"></RecordList>', text, flags=re.DOTALL)
