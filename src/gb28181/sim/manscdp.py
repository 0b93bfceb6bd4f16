"""MANSCDP bodies (Annex A): requests of the platform read; documents of a device written as text.

The text has no XML declaration: `speech.py` adds it and encodes, as the device's edition and dialects want it.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final
from xml.sax.saxutils import escape

from gb28181.errors import WireError

CONTENT_TYPE: Final = "Application/MANSCDP+xml"
_BEIJING: Final = timezone(timedelta(hours=8))
_DECLARATION: Final = re.compile(r"\A\s*<\?xml[^>]*\?>")


@dataclass(frozen=True, slots=True)
class Request:
    """A query, control or notification of the platform; `fields` are the elements below the root, names in lower case."""

    root: str
    command: str
    sn: str
    device_id: str
    fields: dict[str, str]
    element: ET.Element


def parse(body: bytes) -> Request:
    """Reads a request; strict UTF-8, else GB 18030, whatever the label says.

    Raises:
        WireError: No XML, a document type declaration, or no CmdType.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode("gb18030", "replace")
    text = _DECLARATION.sub("", text.lstrip("\ufeff").rstrip("\0"))
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise WireError("a document type declaration is not taken", clause="A.1")
    try:
        root = ET.fromstring(text)  # noqa: S314 - declarations are refused above
    except ET.ParseError as error:
        raise WireError(f"the body is no XML: {error}", clause="A.1") from error
    fields = {child.tag.lower(): (child.text or "").strip() for child in root}
    if not fields.get("cmdtype"):
        raise WireError("the body has no CmdType", clause="A.1")
    return Request(root.tag, fields["cmdtype"], fields.get("sn", ""), fields.get("deviceid", ""), fields, root)


def child(element: ET.Element, name: str) -> ET.Element | None:
    """First child of a name, whatever its case."""
    return next((found for found in element if found.tag.lower() == name.lower()), None)


def text(element: ET.Element | None, name: str, default: str = "") -> str:
    """Text of a child without blanks around it."""
    found = child(element, name) if element is not None else None
    return (found.text or "").strip() if found is not None else default


def number(value: str, default: float = 0.0) -> float:
    """A decimal number, the default where it is none."""
    return float(value) if re.fullmatch(r"[+-]?\d{1,9}(\.\d{0,9})?", value) else default


def local(utc: float) -> str:
    """`yyyy-MM-ddTHH:mm:ss` in Beijing time, as every dateTime of the standard."""
    return datetime.fromtimestamp(utc, _BEIJING).strftime("%Y-%m-%dT%H:%M:%S")


def utc_of(value: str, default: float) -> float:
    """Seconds of a dateTime in Beijing time, the default where it is none."""
    try:
        read = datetime.fromisoformat(value.strip())
    except ValueError:
        return default
    return (read if read.tzinfo else read.replace(tzinfo=_BEIJING)).timestamp()


def document(root: str, command: str, sn: str | int, device_id: str, inner: str) -> str:
    """A whole message."""
    return f"<{root}>\r\n{elements(CmdType=command, SN=sn, DeviceID=device_id)}{inner}</{root}>\r\n"


def response(request: Request, inner: str) -> str:
    """The answer to a query or control."""
    return document("Response", request.command, request.sn, request.device_id, inner)


def result(request: Request, *, is_ok: bool) -> str:
    """An answer that holds nothing but Result."""
    return response(request, elements(Result="OK" if is_ok else "ERROR"))


def elements(**values: str | float | None) -> str:
    """Elements in order; None leaves one out."""
    return "".join(f"<{name}>{escape(str(value))}</{name}>\r\n" for name, value in values.items() if value is not None)


def block(name: str, inner: str) -> str:
    """An element that holds elements."""
    return f"<{name}>\r\n{inner}</{name}>\r\n"


def listing(name: str, tag: str, rows: Iterable[str]) -> str:
    """A list with its Num."""
    items = [block(tag, row) for row in rows]
    return f'<{name} Num="{len(items)}">\r\n{"".join(items)}</{name}>\r\n'


def parts(rows: list[str], size: int) -> Iterator[list[str]]:
    """The rows in groups of `size`; one empty group where there are none."""
    for start in range(0, max(len(rows), 1), size):
        yield rows[start : start + size]


def keepalive(sn: int, device_id: str, faulty: Iterable[str] = ()) -> str:
    """Status report (A.2.5.2); `faulty` are sub-devices that do not work."""
    listed = "".join(elements(DeviceID=code) for code in faulty)
    return document("Notify", "Keepalive", sn, device_id, elements(Status="OK") + (block("Info", listed) if listed else ""))
