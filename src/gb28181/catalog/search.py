"""Finding channels by a part of name, identifier or pinyin initials, without an index of words (decision 0019).

Each device has one block of bytes, UTF-8 and case folded, a line a channel in the order of identifiers: identifier, name, alias
and initials with tabs between them. A search is a scan of the blocks by the C library, so a part of any length is found, two
Chinese characters or one, and a channel costs about a hundred bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from gb28181.catalog.model import Channel
from gb28181.catalog.pinyin import initials
from gb28181.ids import DeviceId

_END: Final = b"\n"
_GAP: Final = "\t"
_MAX_WORDS: Final = 8

Words = tuple[bytes, ...]


def words_of(query: str) -> Words:
    """What has to stand in a line: the words of a query, the longest first, because it is the rarest."""
    words = sorted(set(query.casefold().split()), key=len, reverse=True)
    return tuple(word.encode("utf-8", "replace") for word in words[:_MAX_WORDS])


def lines_of(channels: Iterable[Channel]) -> bytes:
    """The block of one device: what is not shown is not found."""
    shown = sorted((channel for channel in channels if channel.is_shown), key=lambda channel: channel.key.channel_id)
    return _END + "".join(map(_line, shown)).encode("utf-8", "replace") if shown else b""


def found(block: bytes, words: Words, *, after: str = "") -> Iterator[DeviceId]:
    """Identifiers of a block whose lines hold all words, those after `after`."""
    start = block.find(f"\n{after}{_GAP}".encode()) if after else 0
    if start < 0:
        start = _following(block, after)
    elif after:
        start = block.find(_END, start + 1)
    first, others = (words[0], words[1:]) if words else (b"", ())
    while 0 <= start < len(block) - 1:
        if first:
            hit = block.find(first, start)
            if hit < 0:
                return
            start = block.rfind(_END, 0, hit)
        end = block.find(_END, start + 1)
        if all(block.find(word, start, end) >= 0 for word in others):
            yield _identifier(block, start)
        start = end


def _following(block: bytes, after: str) -> int:
    """Start of the first line behind an identifier that is gone, which a cursor may still name."""
    start = 0
    while 0 <= start < len(block) - 1 and _identifier(block, start) <= after:
        start = block.find(_END, start + 1)
    return start


def _identifier(block: bytes, start: int) -> DeviceId:
    return DeviceId(block[start + 1 : block.find(_GAP.encode(), start)].decode())


def _line(channel: Channel) -> str:
    name, alias = _flat(channel.name), _flat(channel.alias)
    own = channel.key.channel_id
    folded = () if own.isdigit() else (own.casefold(),)  # the identifier itself is read from the line, so it stays as it is
    spellings = dict.fromkeys((*initials(name), *initials(alias), *folded))
    return f"{own}{_GAP}{name}{_GAP}{alias}{_GAP}{' '.join(spellings)}\n"


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())
