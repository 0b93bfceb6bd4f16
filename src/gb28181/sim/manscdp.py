"""MANSCDP bodies of a device (Annex A): queries read, answers and notifications written as GB 18030 under a GB2312 label."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final
from xml.sax.saxutils import escape

from gb28181.errors import WireError
from gb28181.ids import domain_of

CONTENT_TYPE: Final = "Application/MANSCDP+xml"
_BEIJING: Final = timezone(timedelta(hours=8))
_DECLARATION: Final = re.compile(r"\A\s*<\?xml[^>]*\?>")
_MANUFACTURER: Final = "GB28181"


@dataclass(frozen=True, slots=True)
class Request:
    """A query, control or notification of the platform; `fields` are the elements below the root, names in lower case."""

    root: str
    command: str
    sn: str
    device_id: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Item:
    """A channel as the catalogue tells it."""

    channel_id: str
    name: str
    parent_id: str
    model: str


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
    return Request(root.tag, fields["cmdtype"], fields.get("sn", ""), fields.get("deviceid", ""), fields)


def _document(root: str, command: str, sn: str | int, device_id: str, inner: str) -> bytes:
    text = (
        f'<?xml version="1.0" encoding="GB2312"?>\r\n<{root}>\r\n<CmdType>{escape(command)}</CmdType>\r\n'
        f"<SN>{escape(str(sn))}</SN>\r\n<DeviceID>{escape(device_id)}</DeviceID>\r\n{inner}</{root}>\r\n"
    )
    return text.encode("gb18030")


def _elements(**values: str | int) -> str:
    return "".join(f"<{name}>{escape(str(value))}</{name}>\r\n" for name, value in values.items())


def keepalive(sn: int, device_id: str) -> bytes:
    """Status report (A.2.5.2)."""
    return _document("Notify", "Keepalive", sn, device_id, _elements(Status="OK"))


def catalog(query: Request, items: Sequence[Item], total: int) -> bytes:
    """One message of a catalogue answer (A.2.6.4); without items there is no list element."""
    inner = _elements(SumNum=total)
    if items:
        inner += f'<DeviceList Num="{len(items)}">\r\n{"".join(_item(item) for item in items)}</DeviceList>\r\n'
    return _document("Response", query.command, query.sn, query.device_id, inner)


def _item(item: Item) -> str:
    inner = _elements(
        DeviceID=item.channel_id,
        Name=item.name,
        Manufacturer=_MANUFACTURER,
        Model=item.model,
        Owner="Owner",
        CivilCode=domain_of(item.channel_id)[:6],
        Address="Address",
        Parental=0,
        ParentID=item.parent_id,
        SafetyWay=0,
        RegisterWay=1,
        Secrecy=0,
        Status="ON",
    )
    return f"<Item>\r\n{inner}</Item>\r\n"


def device_info(query: Request, *, name: str, model: str, channels: int) -> bytes:
    """Answer to DeviceInfo (A.2.6.6)."""
    inner = _elements(DeviceName=name, Result="OK", Manufacturer=_MANUFACTURER, Model=model, Firmware="V1.0", Channel=channels)
    return _document("Response", query.command, query.sn, query.device_id, inner)


def device_status(query: Request, *, is_encoding: bool, utc: float) -> bytes:
    """Answer to DeviceStatus (A.2.6.5); DeviceTime is Beijing time."""
    local = datetime.fromtimestamp(utc, _BEIJING).strftime("%Y-%m-%dT%H:%M:%S")
    inner = _elements(
        Result="OK", Online="ONLINE", Status="OK", Encode="ON" if is_encoding else "OFF", Record="OFF", DeviceTime=local
    )
    return _document("Response", query.command, query.sn, query.device_id, inner)


def basic_parameters(query: Request, *, name: str, expires_s: int, keepalive_s: int, misses: int) -> bytes:
    """Answer to ConfigDownload of BasicParam (A.2.6.9)."""
    inner = _elements(Name=name, Expiration=expires_s, HeartBeatInterval=keepalive_s, HeartBeatCount=misses)
    inner = f"{_elements(Result='OK')}<BasicParam>\r\n{inner}</BasicParam>\r\n"
    return _document("Response", query.command, query.sn, query.device_id, inner)


def no_records(query: Request, name: str) -> bytes:
    """Answer to RecordInfo: nothing is stored in the device (A.2.6.7)."""
    return _document("Response", query.command, query.sn, query.device_id, _elements(Name=name, SumNum=0))


def no_presets(query: Request) -> bytes:
    """Answer to PresetQuery: there are none (A.2.6.10)."""
    return _document("Response", query.command, query.sn, query.device_id, '<PresetList Num="0">\r\n</PresetList>\r\n')


def refused(query: Request) -> bytes:
    """Answer with Result ERROR to a query or control that the device cannot do."""
    return _document("Response", query.command, query.sn, query.device_id, _elements(Result="ERROR"))
