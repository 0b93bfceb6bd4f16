"""Catalogue items of a device or a lower platform (A.2.6.4, 2016 Annex O, 2022 Annex J)."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from gb28181.sim import manscdp
from gb28181.sim.edition import Edition

_MANUFACTURER: Final = "GB28181"
#: Cameras of a lower platform in one county, and in one virtual organisation.
_COUNTY: Final = 400
_ORGANISATION: Final = 50
_PLACES: Final = ("东门", "西门", "南门", "北门", "大厅", "停车场", "周界", "走廊")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One row; None leaves an element out.

    Args:
        is_bare: A civil division: DeviceID and Name only.
        more: Elements that the standard does not have at this place.
    """

    device_id: str
    name: str | None
    model: str | None = "SIM-IPC"
    manufacturer: str | None = _MANUFACTURER
    owner: str | None = "Owner"
    civil_code: str | None = None
    address: str | None = "Address"
    parental: str | None = "0"
    parent_id: str | None = None
    register_way: str | None = "1"
    secrecy: str | None = "0"
    status: str | None = "ON"
    longitude: str | None = None
    latitude: str | None = None
    business_group_id: str | None = None
    is_camera: bool = True
    is_bare: bool = False
    more: str = ""


def row(item: Item, edition: Edition) -> str:
    """The elements of an Item in the order of the schema."""
    if item.is_bare:
        return manscdp.elements(DeviceID=item.device_id, Name=item.name)
    is_2022 = edition.is_2022
    info = ""
    if item.is_camera and edition.name != "2011":
        info = manscdp.elements(PTZType=1, RoomType=1, SupplyLightType=2, DirectionType=3, Resolution="5/2")
        if is_2022:
            info += manscdp.elements(StreamNumberList="0/1", DownloadSpeed="1/2/4", GrassrootsCode="000000", PointType=9)
        elif item.business_group_id is not None:
            info += manscdp.elements(BusinessGroupID=item.business_group_id)
    inner = manscdp.elements(
        DeviceID=item.device_id,
        Name=item.name,
        Manufacturer=item.manufacturer,
        Model=item.model,
        Owner=None if is_2022 else item.owner,
        CivilCode=item.civil_code,
        Address=item.address,
        Parental=item.parental,
        ParentID=item.parent_id,
        SafetyWay=None if is_2022 else 0,
        RegisterWay=item.register_way,
        Secrecy=item.secrecy,
        Status=item.status,
        Longitude=item.longitude,
        Latitude=item.latitude,
        BusinessGroupID=item.business_group_id if is_2022 or not item.is_camera else None,
    )
    return inner + item.more + (manscdp.block("Info", info) if info else "")


def _structural(code: str, name: str, **changes: str | None) -> Item:
    values: dict[str, str | None] = {
        "model": None, "manufacturer": None, "owner": None, "address": None, "parental": None, "register_way": None,
        "secrecy": None, "status": None, **changes,
    }  # fmt: skip
    return Item(device_id=code, name=name, is_camera=False, **values)  # type: ignore[arg-type]  # text values only


def town(platform_id: str, channels: int) -> Iterator[Item]:
    """A lower platform's whole tree: itself, civil divisions, a business group with organisations, cameras.

    Every camera hangs on the platform and on one organisation, and names the county that it stands in.
    """
    region, network = platform_id[:10], platform_id[13]
    province, city = platform_id[:2], platform_id[:4]
    yield Item(
        device_id=platform_id,
        name="模拟下级平台",
        model="SIM-PLATFORM",
        civil_code=platform_id[:6],
        parental="1",
        is_camera=False,
    )
    yield Item(device_id=province, name="模拟省", is_camera=False, is_bare=True)
    yield Item(device_id=city, name="模拟市", is_camera=False, is_bare=True)
    counties = [f"{city}{number % 100:02d}" for number in range(1, -(-channels // _COUNTY) + 1)]
    for number, county in enumerate(dict.fromkeys(counties), 1):
        yield Item(device_id=county, name=f"第{number}区", is_camera=False, is_bare=True)
    group = f"{region}215{network}000001"
    yield _structural(group, "业务分组", civil_code=platform_id[:6], parent_id=platform_id)
    organisations = -(-channels // _ORGANISATION)
    for number in range(organisations):
        code, district = f"{region}216{network}{number:06d}", number // 10 * 10
        # Every tenth is a district directly under the group, the nine after it are its streets.
        parent = None if number == district else f"{region}216{network}{district:06d}"
        kind = "片区" if parent is None else "街道"
        yield _structural(code, f"{kind}{number + 1}", parent_id=parent, business_group_id=group)
    for number in range(channels):
        organisation = f"{region}216{network}{number // _ORGANISATION:06d}"
        place = _PLACES[number % len(_PLACES)]
        yield Item(
            device_id=f"{region}131{network}{number + 1:06d}",
            name=f"{place}摄像机{number + 1}",
            civil_code=counties[number // _COUNTY],
            parent_id=f"{platform_id}/{organisation}",
            business_group_id=group,
            status="OFF" if number % 97 == 96 else "ON",
            longitude=f"{118.3 + number % 1000 / 10_000:.4f}",
            latitude=f"{31.3 + number // 1000 / 1000:.4f}",
        )


def under(items: list[Item], asked: str) -> list[Item]:
    """The item itself and what hangs below it: by ParentID, BusinessGroupID, or civil code (A.2.4.3)."""
    if len(asked) in (2, 4, 6, 8) and asked.isdecimal():
        return [item for item in items if (item.device_id if item.is_bare else item.civil_code or "").startswith(asked)]
    found = {asked}
    while True:
        more = {
            item.device_id
            for item in items
            if item.device_id not in found
            and (found.intersection((item.parent_id or "").split("/")) or item.business_group_id in found)
        }
        if not more:
            return [item for item in items if item.device_id in found]
        found |= more


class Contents:
    """What a device has, and how it changes."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = {item.device_id: item for item in items}
        self._removed: list[Item] = []
        self._turn = 0

    def all(self) -> list[Item]:
        """Every item in order."""
        return list(self._items.values())

    def under(self, asked: str) -> list[Item]:
        """The item itself and what hangs below it."""
        return under(self.all(), asked)

    def change(self, chance: random.Random) -> tuple[str, Item] | None:
        """Lets something happen; returns the Event and the item (A.2.5.6), None where there is no camera."""
        cameras = [item for item in self._items.values() if item.is_camera]
        if self._removed and chance.random() < 0.5:
            item = self._removed.pop()
            self._items[item.device_id] = item
            return "ADD", item
        if not cameras:
            return None
        item = chance.choice(cameras)
        self._turn += 1
        if item.status == "OFF":
            item, event = replace(item, status="ON"), "ON"
        elif self._turn % 4 == 0:
            item, event = replace(item, name=f"{(item.name or '').partition(' v')[0]} v{self._turn}"), "UPDATE"
        elif self._turn % 7 == 0 and len(cameras) > 1:
            self._removed.append(self._items.pop(item.device_id))
            return "DEL", item
        else:
            item, event = replace(item, status="OFF"), ("OFF", "VLOST", "DEFECT")[self._turn % 3]
        self._items[item.device_id] = item
        return event, item


def batches(items: list[Item], size: int) -> Iterator[list[Item]]:
    """Items in groups; one empty group where there are none."""
    if not items:
        yield []
    rest = iter(items)
    while group := list(itertools.islice(rest, size)):
        yield group
