"""Bytes to commands and back: MANSCDP bodies (Annex A, §6.10 character sets).

This is the only place that knows a character set. What is sent is exactly the standard; what is read may be mislabelled,
unbalanced, cut off or full of control characters (quirks Q40-Q58): every tolerated fault is counted by name. Any bytes
give a command, an `Unknown`, or a `WireError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from xml.etree.ElementTree import Element, ParseError, fromstring
from xml.sax.saxutils import escape

from gb28181.errors import WireError
from gb28181.ids import DeviceId, device_id
from gb28181.manscdp import commands as _commands  # noqa: F401  # fills the registry
from gb28181.manscdp.commands.notify import Keepalive
from gb28181.manscdp.edition import Edition
from gb28181.manscdp.element import Category, Entry, Faults, commands, entry_of, local_name, lookup
from gb28181.manscdp.reading import decode
from gb28181.manscdp.repair import repair
from gb28181.manscdp.values import Result, value_of
from gb28181.manscdp.writing import encode

MAX_BYTES: Final = 8 << 20
#: Tags of one message: 10,000 items (Annex M) of 60 elements, begin and end.
MAX_TAGS: Final = 1_200_000

Charset = Literal["gb2312", "gb18030", "utf-8"]

_DECLARATION: Final = re.compile(r"<\?xml\b[^<>]*>", re.IGNORECASE)
_LABEL_UTF8: Final = re.compile(rb"<\?xml\b[^<>]{0,200}encoding\s*=\s*[\"']?utf-?8", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
#: What XML 1.0 has no place for; tab, line feed and carriage return stay.
_CONTROL_BYTES: Final = bytes(code for code in (*range(0x20), 0x7F) if code not in b"\t\n\r")
_NONCHARACTERS: Final = ("\ufffe", "\uffff")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
#: A Chinese character in UTF-8; GB 18030 text hardly ever looks like several of these.
_THREE_BYTES: Final = re.compile(rb"[\xe3-\xe9][\x80-\xbf]{2}")
_BEYOND_TWO_BYTES: Final = re.compile("[\u0800-\U0010ffff]")
_CMD_TYPE: Final = re.compile(r"CmdType\s*(?:=\s*[\"']?|>)\s*([A-Za-z]{1,64})", re.IGNORECASE | re.ASCII)
#: A keepalive exactly as the standard prints it, in ASCII, with nothing that could be a fault.
_KEEPALIVE: Final = re.compile(
    rb"(?:<\?xml version=\"1\.0\"(?: encoding=\"[A-Za-z0-9-]{1,20}\")?(?: standalone=\"(?:yes|no)\")? ?\?>)?[ \t\r\n]*"
    rb"<Notify>[ \t\r\n]*<CmdType>Keepalive</CmdType>[ \t\r\n]*<SN>([0-9]{1,10})</SN>[ \t\r\n]*"
    rb"<DeviceID>([0-9]{1,20})</DeviceID>[ \t\r\n]*<Status>(OK|ERROR)</Status>[ \t\r\n]*"
    rb"(?:(?:<Info>[ \t\r\n]*</Info>|<Info ?/>)[ \t\r\n]*)?</Notify>[ \t\r\n]*"
)
_RESULTS: Final = {b"OK": Result.OK, b"ERROR": Result.ERROR}
_CATEGORIES: Final = {category.value.lower(): category for category in Category}
_HEAD: Final = frozenset({"cmdtype", "sn", "deviceid"})
_ROOTS: Final = frozenset(_CATEGORIES)
_LABELS: Final[dict[Charset, str]] = {"gb2312": "GB2312", "gb18030": "GB18030", "utf-8": "UTF-8"}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A well-formed message whose CmdType is none of ours."""

    root: str
    cmd_type: str
    sn: int
    device_id: DeviceId


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a body says.

    Args:
        command: An instance of a declared command, or `Unknown`.
        faults: How often each tolerated fault occurred, by name.
    """

    command: Any
    faults: Mapping[str, int]


def parse(body: bytes) -> Parsed:
    """Reads one body.

    Raises:
        WireError: It is empty, too large, no MANSCDP, or declares entities.
    """
    if (keepalive := _keepalive(body)) is not None:
        return Parsed(keepalive, {})
    if len(body) > MAX_BYTES:
        raise WireError(f"body of {len(body)} bytes, at most {MAX_BYTES} are accepted", status=413)
    return _parse(body)


def _keepalive(body: bytes) -> Keepalive | None:
    """What 99 of 100 messages are, read in one step: 50,000 devices say it every minute. None is for `_parse`."""
    match = _KEEPALIVE.fullmatch(body)
    if match is None:
        return None
    return Keepalive(sn=int(match[1]), device_id=DeviceId(match[2].decode()), status=_RESULTS[match[3]])


def _parse(body: bytes) -> Parsed:
    faults = Faults()
    root = _tree(_text(body, faults), faults)
    category = _CATEGORIES.get(local_name(root.tag))
    head = _head(root, faults)
    if category is None:
        raise WireError(f"root element {root.tag[:40]!r}, expected Control, Query, Notify or Response", clause="A.1")
    cmd_type = head.get("cmdtype", "")
    if not cmd_type:
        raise WireError("the message has no CmdType", clause="A.2.2")
    entry = _entry(category, cmd_type, root, faults)
    if entry is None:
        return Parsed(
            Unknown(category.value, cmd_type, _number(head.get("sn", "")), _identifier(head.get("deviceid", ""))), faults
        )
    command = decode(entry.spec, root, faults)
    return Parsed(command, faults)


def build(command: object, *, charset: Charset | None = None, edition: Edition | None = None) -> bytes:
    """Writes one body, every value escaped.

    Args:
        charset: The label; None is that of the edition. The bytes of both GB labels are GB 18030, of which GB 2312 is
            a part.
        edition: That of the peer: what it has no place for is left out (`element.lacking` tells before), and its
            spelling is used. None writes everything, spelled as in 2022, under the label GB2312.

    Raises:
        MisuseError: It is no command.
    """
    entry = entry_of(type(command))
    charset = charset or ("gb18030" if edition is not None and edition >= Edition.E2022 else "gb2312")
    root = entry.category.value
    lines = [f'<?xml version="1.0" encoding="{_LABELS[charset]}"?>', f"<{root}>", f"<CmdType>{entry.cmd_type}</CmdType>"]
    lines.extend(encode(entry.spec, command, _escape, edition))
    lines.extend((f"</{root}>", ""))
    return "\r\n".join(lines).encode("utf-8" if charset == "utf-8" else "gb18030")


def _escape(text: str) -> str:
    # A carriage return as itself would be read as a line feed (XML 1.0 §2.11).
    return escape(_CONTROL.sub("", text), {"\r": "&#13;"})


# --- characters ----------------------------------------------------------------------------------------------------


def _text(body: bytes, faults: Faults) -> str:
    # Control characters are bytes of their own in both character sets (quirk Q43).
    clean = body.translate(None, _CONTROL_BYTES)
    text = _decoded(clean, faults).lstrip("\ufeff")
    if len(clean) != len(body):
        faults["control-characters"] += 1
    for noncharacter in _NONCHARACTERS:
        if noncharacter in text:
            faults["control-characters"] += 1
            text = text.replace(noncharacter, "")
    text = text.strip()
    if (declaration := _DECLARATION.match(text)) is not None:
        text = text[declaration.end() :].lstrip()
    if not text:
        raise WireError("the body is empty", clause="A.1")
    if "<!" in text and _FORBIDDEN.search(text):
        raise WireError("the body declares a document type or an entity", clause="A.1")
    return text


def _decoded(body: bytes, faults: Faults) -> str:
    """Quirk Q40: the declaration is not believed; strict UTF-8 where it is valid, else GB 18030."""
    says_utf8 = _LABEL_UTF8.search(body[:400]) is not None
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        if _is_damaged_utf8(body, error):
            faults["invalid-characters"] += 1
            return body.decode(errors="replace")
        if says_utf8:
            faults["wrong-charset"] += 1
        text = body.decode("gb18030", errors="replace")
        if "\ufffd" in text:
            faults["invalid-characters"] += 1
        return text
    if text.isascii() or says_utf8:
        return text
    if _BEYOND_TWO_BYTES.search(text) is None:
        # All characters of two bytes: in UTF-8 no Chinese one has so few, in GB 18030 each has (一楼 is valid UTF-8), and
        # every such pair is one of its characters.
        return body.decode("gb18030")
    if b"encoding" in body[:100]:
        faults["wrong-charset"] += 1
    return text


def _is_damaged_utf8(body: bytes, error: UnicodeDecodeError) -> bool:
    """Whether this is UTF-8 that was cut inside a character or holds a few bytes of uninitialised memory."""
    if error.reason == "unexpected end of data" and error.start >= len(body) - 3 and not body[: error.start].isascii():
        return True
    chinese = len(_THREE_BYTES.findall(body))
    return chinese >= 4 and chinese >= 4 * body.decode(errors="replace").count("\ufffd")


# --- structure -----------------------------------------------------------------------------------------------------


def _tree(text: str, faults: Faults) -> Element:
    if text.count("<") > MAX_TAGS:
        raise WireError(f"the body has more than {MAX_TAGS} tags", status=413, clause="Annex M")
    root = _parsed(text)
    if root is not None:
        return root
    # A parser's own recovery closes the wrong element at a surplus end tag and loses what follows: names decide.
    faults["malformed-xml"] += 1
    root = _parsed(repair(text, faults, *_names(text)))
    if root is None:
        raise WireError(f"the body is no XML: {text[:40]!r}", clause="A.1")
    return root


def _parsed(text: str) -> Element | None:
    """The tree, None where the text is not well-formed. Expat: it keeps no names of one body for the next."""
    try:
        return fromstring(text)  # noqa: S314  # no document type and no entity gets here: `_text` refuses them
    except (ParseError, ValueError):
        return None


def _names(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Leaves and containers that a broken message may have: those of its CmdType, under whatever root."""
    match = _CMD_TYPE.search(text)
    cmd_type = match[1].lower() if match is not None else ""
    found = [entry.spec for _kind, entry in commands() if entry.cmd_type.lower() == cmd_type]
    leaves = _HEAD.union(*(spec.leaves for spec in found))
    return leaves, _ROOTS.union(*(spec.containers for spec in found))


def _head(root: Element, faults: Faults) -> dict[str, str]:
    head: dict[str, str] = {}
    for attribute, text in root.items():
        if local_name(attribute) == "cmdtype" and (value := value_of(text)):
            faults["value-in-attribute"] += 1
            head["cmdtype"] = value
    for element in root:
        if (name := local_name(element.tag)) in _HEAD:
            head.setdefault(name, value_of(element.text) or "")
    head["cmdtype"] = head.get("cmdtype", "")[:64]
    return head


def _entry(category: Category, cmd_type: str, root: Element, faults: Faults) -> Entry | None:
    """The command's entry; under another root too, which firmware confuses: its elements tell (quirk Q53)."""
    own = lookup(category, cmd_type)
    if category is Category.CONTROL:
        return own
    names = {local_name(element.tag) for element in root} - _HEAD
    if own is not None and (not names or any(name in own.spec.slots for name in names)):
        return own
    for other in (Category.RESPONSE, Category.NOTIFY):
        entry = lookup(other, cmd_type)
        if entry is not None and (own is None or sum(name in entry.spec.slots for name in names) > 1):
            faults["wrong-root"] += 1
            return entry
    return own


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0


def _identifier(text: str) -> DeviceId:
    try:
        return device_id(text)
    except WireError:
        return DeviceId("")
