"""The made-up platform's trees and searches: the real ones, over the made-up channels."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from gb28181.catalog.levels import Levels
from gb28181.catalog.model import Channel, ChannelKey
from gb28181.catalog.registry import Registry
from gb28181.device.model import Device
from gb28181.errors import NotFound
from gb28181.ids import DeviceId

_PLACES = ("城北出入口", "东门停车场", "长江大桥", "人民路口", "实验小学", "汽车站", "医院急诊", "加油站")
_STREETS = ("中山路", "解放路", "滨江道", "学府街", "工业园", "老城区")


class Devices:
    """The made-up devices as the trees ask for them."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self._rows = {row["device_id"]: row for row in rows}

    def devices(self) -> list[Device]:
        return [self.get(device_id) for device_id in self._rows]

    def get(self, device_id: str) -> Device:
        if device_id not in self._rows:
            raise NotFound(f"no device {device_id}")
        return Device(DeviceId(device_id), name=self._rows[device_id]["name"])

    def is_online(self, device_id: str) -> bool:
        return bool(self._rows[device_id]["online"])


def levels(devices: Iterable[dict[str, Any]], channels: Iterable[dict[str, Any]]) -> Levels:
    registry = Registry(max_items=10_000)
    registry.restore(map(_channel, channels))
    found = Levels(registry, Devices(devices), monotonic=time.monotonic)
    for device_id, _ in registry.holdings():
        found.changed(device_id)
    return found


def _channel(row: dict[str, Any]) -> Channel:
    return Channel(
        ChannelKey(DeviceId(row["device_id"]), DeviceId(row["channel_id"])),
        name=row["name"],
        parent_id=row["parent_id"],
        civil_code=row.get("civil_code", ""),
        status_on=row["online"],
        seen_on=True,
    )


async def answer(found: Levels, request: web.Request) -> web.Response:
    """`GET /tree`, a whole level at a time."""
    asked = request.query
    by: Any = asked.get("by", "device")
    try:
        level = await found.level(asked.get("parent", ""), by=by, device_id=asked.get("device", ""), limit=1000)
    except NotFound as error:
        return web.json_response({"error": {"code": "not_found", "message": str(error)}}, status=404)
    items = [
        {
            "id": node.node_id, "name": node.name, "kind": node.kind, "parent": asked.get("parent", ""),
            "has_children": node.has_children, "device_id": node.device_id, "channel_id": node.channel_id or None,
            "online": node.online, "playable": node.is_playable, "channels": asdict(node.counts),
        }
        for node in level.nodes
    ]  # fmt: skip
    return web.json_response({"items": items, "next": None})


def city(device: str, template: dict[str, Any]) -> list[dict[str, Any]]:
    """What a lower platform lists: divisions, a business group with its organisations, and some hundred cameras."""
    named = {"34": "安徽省", "3402": "芜湖市", "340202": "镜湖区", "340203": "弋江区", "34020000002150000001": "公安局"}
    named |= {f"3402000000216{number:07d}": street for number, street in enumerate(_STREETS, 1)}
    parents = {identifier: "34020000002150000001" for identifier in named if identifier[10:13] == "216"}
    rows = [
        template | {"device_id": device, "channel_id": identifier, "name": name, "parent_id": parents.get(identifier, device),
                    "playable": False}
        for identifier, name in named.items()
    ]  # fmt: skip
    for number in range(360):
        name = f"{_STREETS[number % 6]}{_PLACES[number % 8]}{number:03d}"
        parent = f"3402000000216{number % 6 + 1:07d}"
        rows.append(
            template
            | {"device_id": device, "channel_id": f"3402000000132{number:07d}", "name": name, "parent_id": parent,
               "civil_code": "340202" if number % 3 else "340203", "online": number % 9 != 4}
        )  # fmt: skip
    return rows
