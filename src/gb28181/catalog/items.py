"""An item of a peer's catalogue as a channel of ours (A.2.1.2; quirks Q45-Q50, Q67-Q73)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import datetime
from sys import intern
from typing import Any, Final

from gb28181.catalog.model import Channel, ChannelKey
from gb28181.ids import CAMERA_TYPES, DeviceId, type_code
from gb28181.manscdp.commands.catalog import CatalogItem
from gb28181.manscdp.element import Status, elements_of
from gb28181.manscdp.values import degrees

#: Fields of `Channel` that say nothing about the item.
_OURS: Final = frozenset({"updated_at", "missed", "is_gone", "alias", "recording_mode", "retention_hours"})
_ITEM_FIELDS: Final = tuple(field.name for field in fields(Channel) if field.name not in _OURS)
#: Elements that have a field of their own.
_NAMED: Final = frozenset(
    {
        "DeviceID",
        "Event",
        "Name",
        "Manufacturer",
        "Model",
        "CivilCode",
        "ParentID",
        "Parental",
        "Status",
        "Longitude",
        "Latitude",
    }
    | {"PTZType"}
)
#: Fields of `Channel` by the element that alone decides about them.
_BY_ELEMENT: Final = {
    "Name": "name",
    "Manufacturer": "manufacturer",
    "Model": "model",
    "CivilCode": "civil_code",
    "ParentID": "parent_id",
    "Parental": "parental",
    "PTZType": "ptz_type",
}
#: Where `Channel.item` keeps all parents of an item that was listed several times.
PARENTS: Final = "ParentIDs"
_BUSINESS_GROUP: Final = "BusinessGroupID"
_CIVIL_CODE: Final = re.compile(r"(?:\d{2}){1,4}", re.ASCII)
_STATES: Final = {"ON": True, "OFF": False, "VLOST": False, "DEFECT": False}


def event_of(item: CatalogItem) -> str:
    """Event of a notified item; one without is an update (quirk Q75)."""
    return (item.event or "UPDATE").upper()


def with_event(channel: Channel, event: str, now: datetime) -> Channel:
    """The channel after an event that brings no item: ON, OFF, VLOST, DEFECT or DEL (§9.11.4)."""
    if event == "DEL":
        return channel if channel.is_gone else replace(channel, is_gone=True, updated_at=now)
    state = _STATES.get(event, channel.status_on)
    return channel if channel.status_on == state else with_state(channel, state, now)


def with_state(channel: Channel, status_on: bool, now: datetime) -> Channel:
    """The channel in another state."""
    return replace(channel, status_on=status_on, seen_on=channel.seen_on or status_on, updated_at=now)


def brings_item(event: str) -> bool:
    """Whether an event's item describes the channel anew; the others have nothing but its identifier."""
    return event not in _STATES and event != "DEL"


def channel_of(
    device_id: DeviceId,
    item: CatalogItem,
    old: Channel | None,
    now: datetime,
    *,
    parents: tuple[str, ...] = (),
    is_partial: bool = False,
) -> Channel:
    """The channel as the item describes it; what operators added stays. The same object when nothing changed.

    Args:
        parents: All under which it is listed; kept as `ParentIDs` where there are several (quirk Q63).
        is_partial: Elements that the item leaves out are as they were.
    """
    base = old or Channel(ChannelKey(device_id, item.device_id))
    values = elements_of(item)
    longitude, latitude = coordinates(item.longitude, item.latitude)
    status_on = item.status is not Status.OFF  # quirk Q48, W13b
    fresh = replace(
        base,
        name=item.name or item.device_id,  # quirk Q73
        # Thousands of items say the same: each text is kept once.
        manufacturer=intern(item.manufacturer or ""),
        model=intern(item.model or ""),
        civil_code=intern(civil_code(item.civil_code)),
        parent_id=intern(item.parent_id or ""),
        parental=bool(item.parental),  # quirk Q49: 65535 is yes
        status_on=status_on,
        seen_on=base.seen_on or status_on,
        longitude=longitude,
        latitude=latitude,
        ptz_type=_leading_number(values.get("PTZType")),
        elements=_elements(values, parents),
        synthetic=False,
        is_gone=False,
        missed=0,
    )
    if is_partial and old is not None:
        fresh = _completed(fresh, old, values)
    if old is not None and not old.is_gone and old.missed == 0 and _same_item(old, fresh):
        return old
    return replace(fresh, updated_at=now)


def synthetic_channel(device_id: DeviceId, name: str, now: datetime) -> Channel:
    """The one channel of a camera that lists none (quirk Q66)."""
    return Channel(ChannelKey(device_id, device_id), name=name or device_id, synthetic=True, seen_on=True, updated_at=now)


def is_camera_like(device_id: DeviceId) -> bool:
    """Whether a device that lists no channel may be one itself (quirk Q66)."""
    return type_code(device_id) in CAMERA_TYPES


def civil_code(text: str | None) -> str:
    """2, 4, 6 or 8 digits without trailing pairs of zeros, else "" (quirk Q68)."""
    if not text or not _CIVIL_CODE.fullmatch(text):
        return ""
    while len(text) > 2 and text.endswith("00"):
        text = text[:-2]
    return "" if text == "00" else text


def coordinates(longitude: float | None, latitude: float | None) -> tuple[float | None, float | None]:
    """Degrees; None where they cannot be a place."""
    if not longitude or not latitude:
        return None, None
    longitude, latitude = degrees(longitude, latitude)
    if abs(longitude) > 180 or abs(latitude) > 90:
        return None, None
    return longitude, latitude


def _elements(values: dict[str, Any], parents: tuple[str, ...]) -> str:
    rest = {name: value for name, value in values.items() if name not in _NAMED}
    if len(parents) > 1:
        rest[PARENTS] = list(parents)
    return intern(json.dumps(rest, ensure_ascii=False, separators=(",", ":"))) if rest else ""


def _completed(fresh: Channel, old: Channel, values: dict[str, Any]) -> Channel:
    """The channel with what the item's elements say, and for the rest as it was."""
    kept: dict[str, Any] = {field: getattr(old, field) for element, field in _BY_ELEMENT.items() if element not in values}
    if "Longitude" not in values or "Latitude" not in values:
        kept |= {"longitude": old.longitude, "latitude": old.latitude}
    before = {name: value for name, value in old.item.items() if name != PARENTS or "ParentID" not in values}
    parents = fresh.item.get(PARENTS) or before.pop(PARENTS, ())
    return replace(fresh, **kept, elements=_elements(before | fresh.item, tuple(parents)))


def parents_of(channel: Channel | None) -> tuple[str, ...]:
    """All parents under which a channel was listed last, where there were several."""
    if channel is None or PARENTS not in channel.elements:
        return ()
    return tuple(channel.item.get(PARENTS, ()))


def named_parents(channel: Channel) -> list[DeviceId]:
    """Every identifier that the item names as a parent, the nearest first: the last part of a list (quirk Q67)."""
    listed = (channel.parent_id, *reversed(parents_of(channel)))
    return list(dict.fromkeys(_parts(listed)))


def _parts(listed: Iterable[str]) -> Iterable[DeviceId]:
    for text in listed:
        for part in reversed(text.split("/")):
            if part := part.strip():
                yield DeviceId(part)


def business_group(channel: Channel) -> DeviceId:
    """The group that an organisation says it belongs to, "" for none."""
    if _BUSINESS_GROUP not in channel.elements:
        return DeviceId("")
    return DeviceId(str(channel.item.get(_BUSINESS_GROUP, "")))


def _same_item(old: Channel, new: Channel) -> bool:
    return all(getattr(old, name) == getattr(new, name) for name in _ITEM_FIELDS)


def _leading_number(value: Any) -> int:
    digits = str(value or "").partition("/")[0].strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 4 else 0
