"""Dialects of the catalogue: items in, items out (A.2.6.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from gb28181.sim.catalog import Item

Rewrite = Callable[[list[Item], str], list[Item]]
#: Characters that the name of a real camera may hold: GBK has them, GB 2312 has not; GB 18030 alone has the last.
RARE: Final = "镕堃㛃"
_FACTORY: Final = "34020000001310{:06d}"


def _cameras(change: Callable[[Item, int, str], Item]) -> Rewrite:
    def rewrite(items: list[Item], device_id: str) -> list[Item]:
        return [change(item, number, device_id) if item.is_camera else item for number, item in enumerate(items, 1)]

    return rewrite


def named(text: str) -> Rewrite:
    """Every camera has this name, with a number, and this address."""
    return _cameras(lambda item, number, _: replace(item, name=f"{text}{number}", address=text))


def parents(*values: str | None) -> Rewrite:
    """ParentIDs by turns; `{own}` is the item's, `{device}` the device's, `{server}` a platform's code."""

    def change(item: Item, number: int, device_id: str) -> Item:
        value = values[number % len(values)]
        if value is not None:
            value = value.format(own=item.device_id, device=device_id, server="34020000002000000001")
        return replace(item, parent_id=value)

    return _cameras(change)


def civil_codes(*values: str | None) -> Rewrite:
    """CivilCodes by turns; `{parent}` is the ParentID."""

    def change(item: Item, number: int, device_id: str) -> Item:
        value = values[number % len(values)]
        return replace(item, civil_code=value.format(parent=device_id) if value is not None else None)

    return _cameras(change)


def field(**values: str | None) -> Rewrite:
    """The same values in every camera."""
    return _cameras(lambda item, _number, _device: replace(item, **values))  # type: ignore[arg-type]  # text values only


def factory_ids(items: list[Item], _: str) -> list[Item]:
    """Channels have the codes that they left the factory with, the same in every recorder."""
    cameras = iter(range(1, len(items) + 1))
    return [replace(item, device_id=_FACTORY.format(next(cameras))) if item.is_camera else item for item in items]


def own_id(items: list[Item], device_id: str) -> list[Item]:
    """The only channel has the code of the device."""
    return [replace(item, device_id=device_id) for item in items[:1]]


def twice(items: list[Item], _: str) -> list[Item]:
    """Every item two times, under two parents."""
    return [*items, *(replace(item, parent_id="34020000002160000001") for item in items)]


def short_codes(items: list[Item], _: str) -> list[Item]:
    """Codes of 18 digits, and one with letters."""
    return [
        replace(item, device_id=f"{item.device_id[:10]}{item.device_id[12:]}" if number else f"IPC-{item.device_id[-6:]}")
        for number, item in enumerate(items)
    ]


def reversed_tree(items: list[Item], device_id: str) -> list[Item]:
    """Children before their parents, and parents that never come."""
    folder = Item(device_id=f"{device_id[:10]}2160000009", name="子目录", parent_id="34020000002150009999", is_camera=False)
    return [*(replace(item, parent_id=folder.device_id) for item in reversed(items)), folder]


def empty_slots(items: list[Item], device_id: str) -> list[Item]:
    """Slots of a recorder in which no camera is."""
    slots = [
        Item(
            device_id=f"{device_id[:10]}1310{980_000 + int(device_id[-3:]) * 10 + number:06d}",
            name=f"Camera {number:02d}",
            status="OFF",
            parent_id=device_id,
        )
        for number in range(4)
    ]
    return [*items, *slots]


def none(_items: list[Item], _: str) -> list[Item]:
    """No channel at all."""
    return []
