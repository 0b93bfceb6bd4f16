"""Makes well-formed XML of what firmware sends instead (quirks Q42, Q44).

A message is a tree of known containers with text in known leaves, so a broken one can be read by names alone:

- `<` that begins no tag, and an unknown tag inside a leaf, is text; `&` that begins no entity is text;
- a known tag inside a leaf ends the leaf, a container inside itself ends the outer one: an end tag was lost;
- an end tag that closes nothing is ignored;
- a list item that is still open where the bytes end is dropped: it is cut off and may lie.

One pass, linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Final
from xml.sax.saxutils import escape, quoteattr, unescape

from gb28181.errors import WireError
from gb28181.manscdp.element import Faults, local_name

MAX_DEPTH: Final = 32

_MARKUP: Final = re.compile(
    r"(?P<special><!--|<!\[CDATA\[)|<\?[^<>]*\?>|<(?P<end>/?)(?P<name>[A-Za-z_][\w.:-]{0,63})(?P<rest>[^<>]*)>", re.ASCII
)
_SPECIAL_ENDS: Final = {"<!--": "-->", "<![CDATA[": "]]>"}
_ATTRIBUTE: Final = re.compile(r"([A-Za-z_][\w.-]{0,63})\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'/>]+))", re.ASCII)
_ENTITIES: Final = {"&quot;": '"', "&apos;": "'"}
_CHARACTER: Final = re.compile(r"&#(?:x([0-9A-Fa-f]{1,6})|([0-9]{1,7}));")
_ITEM: Final = "item"


class _Open:
    """An element whose end tag has not come, and where its output begins."""

    __slots__ = ("key", "name", "start")

    def __init__(self, name: str, start: int) -> None:
        self.name = name
        self.key = local_name(name)
        self.start = start


class _Writer:
    """Balanced output."""

    def __init__(self, faults: Faults, leaves: Set[str], containers: Set[str]) -> None:
        self.leaves = leaves - containers
        self.containers = containers
        self.out: list[str] = []
        self.stack: list[_Open] = []
        self.faults = faults
        self.root_seen = False

    def text(self, text: str) -> None:
        if self.stack and text:
            self.out.append(escape(_plain(text)))

    def in_leaf(self) -> bool:
        return bool(self.stack) and self.stack[-1].key in self.leaves

    def open(self, name: str, attributes: str, *, empty: bool) -> None:
        key = local_name(name)
        if not self.stack and self.root_seen:
            return  # junk after the root
        if self.in_leaf():
            self.faults["missing-end-tag"] += 1
            self._pop()
        if key in self.containers and any(element.key == key for element in self.stack[1:]):
            self.faults["missing-end-tag"] += 1
            self._close_to(key)
        if len(self.stack) >= MAX_DEPTH:
            raise WireError(f"XML nested deeper than {MAX_DEPTH} elements", clause="A.2")
        self.root_seen = True
        self.stack.append(_Open(name, len(self.out)))
        self.out.append(f"<{name}{attributes}>")
        if empty:
            self._pop()

    def close(self, name: str) -> None:
        key = local_name(name)
        if any(element.key == key for element in self.stack):
            if self.stack[-1].key != key:
                self.faults["missing-end-tag"] += 1
            self._close_to(key)
        else:
            self.faults["extra-end-tag"] += 1

    def finish(self) -> str:
        if self.stack:
            self.faults["truncated"] += 1
            for element in self.stack:
                if element.key == _ITEM:
                    del self.out[element.start :]
                    del self.stack[self.stack.index(element) :]
                    break
            while self.stack:
                self._pop()
        return "".join(self.out)

    def _close_to(self, key: str) -> None:
        while self._pop() != key:
            pass  # ends: the caller saw the key in the stack

    def _pop(self) -> str:
        element = self.stack.pop()
        self.out.append(f"</{element.name}>")
        return element.key


def repair(text: str, faults: Faults, leaves: Set[str], containers: Set[str]) -> str:
    """Well-formed XML with the same elements as far as they can be told.

    Args:
        leaves, containers: Lower-case names of the elements that the message may have, those with text and those with
            elements.

    Raises:
        WireError: It is nested too deep.
    """
    writer = _Writer(faults, leaves, containers)
    position = 0
    unended: set[str] = set()
    while match := _MARKUP.search(text, position):
        writer.text(text[position : match.start()])
        position = match.end()
        special = match["special"]
        if special is not None:
            # What has no end further on has none anywhere: looked for once, or a flood of starts would cost its square.
            end = -1 if special in unended else text.find(_SPECIAL_ENDS[special], position)
            if end < 0:
                unended.add(special)
                continue
            if special != "<!--" and writer.stack:
                writer.out.append(escape(text[position:end]))
            position = end + 3
        elif match["name"] is not None:
            _tag(writer, match)
    writer.text(text[position:])
    return writer.finish()


def _tag(writer: _Writer, match: re.Match[str]) -> None:
    name, rest, key = match["name"], match["rest"], local_name(match["name"])
    if match["end"]:
        writer.close(name)
    elif writer.in_leaf() and key not in writer.leaves and key not in writer.containers:
        writer.text(match[0])
    else:
        writer.open(name.rpartition(":")[2] or "_", _attributes(rest), empty=rest.rstrip().endswith("/"))


def _attributes(rest: str) -> str:
    seen: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(rest):
        seen.setdefault(name, _plain(double or single or bare))
    return "".join(f" {name}={quoteattr(value)}" for name, value in seen.items())


def _plain(text: str) -> str:
    """Text with the entities of XML resolved once; any other ampersand stands for itself."""
    return unescape(_CHARACTER.sub(_character, text), _ENTITIES) if "&" in text else text


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else int(match[2])
    return chr(code) if 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code < 0x110000 else ""
