"""The trees over HTTP: levels, pages, counts (issue: catalogue)."""

from __future__ import annotations

import pytest

from gb28181.catalog.model import Channel, ChannelKey
from gb28181.ids import DeviceId
from tests.api.api_world import C1, C2, D1, D2, World

GROUP, ORG = DeviceId("34020000002150000001"), DeviceId("34020000002160000001")


async def test_tree_is_given_level_by_level_in_its_own_order(world: World):
    first = await world.call("GET", "/tree?limit=1")
    second = await world.call("GET", f"/tree?limit=1&cursor={first['next']}")
    assert [first["items"][0]["id"], second["items"][0]["id"]] == [D2, D1]
    assert second["next"] is None
    below = (await world.call("GET", f"/tree?parent={D1}"))["items"]
    assert below[0] == {
        "id": f"{D1}/{C1}", "name": "东大门", "kind": "channel", "parent": D1, "has_children": False, "device_id": D1,
        "channel_id": C1, "online": True, "playable": True, "channels": {"total": 0, "online": 0},
    }  # fmt: skip
    assert [node["channel_id"] for node in below] == [C1, C2]
    assert second["items"][0]["channels"] == {"total": 2, "online": 1}
    await world.call("GET", "/tree?parent=none", status=404)
    await world.call("GET", f"/tree?parent={D1}/none", status=404)
    await world.call("GET", "/tree?by=colour", status=400)


async def test_tree_by_division_and_by_group(world: World):
    world.catalog.rows += [
        Channel(ChannelKey(D1, DeviceId("34020000001320000077")), name="Gate", civil_code="3401", parent_id=ORG, seen_on=True),
        Channel(ChannelKey(D1, ORG), name="Market", parent_id=GROUP),
        Channel(ChannelKey(D1, GROUP), name="City"),
        Channel(ChannelKey(D1, DeviceId("34")), name="Anhui"),
    ]
    (province,) = (await world.call("GET", "/tree?by=civil"))["items"]
    assert (province["id"], province["name"], province["kind"], province["device_id"]) == ("~34", "Anhui", "civil", "")
    assert province["channels"]["total"] == 4
    below = (await world.call("GET", "/tree?by=civil&parent=~34"))["items"]
    assert "~3401" in [node["id"] for node in below]
    assert (await world.call("GET", "/tree?by=civil&parent=~99", status=404))["error"]["code"] == "not_found"
    (device,) = (await world.call("GET", "/tree?by=group"))["items"]
    assert device["id"] == D1
    (group, *_) = (await world.call("GET", f"/tree?by=group&device={D1}"))["items"]
    assert (group["name"], group["kind"], group["channels"]) == ("City", "group", {"total": 1, "online": 1})
    assert (await world.call("GET", f"/tree?by=group&device={D2}"))["items"][0]["name"] == "Hall"


@pytest.mark.parametrize("query", ["by=device", "by=civil", "by=group", f"device={D1}"])
async def test_a_cursor_belongs_to_its_level(world: World, query: str):
    cursor = (await world.call("GET", "/tree?limit=1"))["next"]
    status = 200 if query == "by=device" else 400
    await world.call("GET", f"/tree?{query}&cursor={cursor}", status=status)


async def test_unused_places_of_a_recorder_are_in_a_list_of_their_own(world: World):
    recorder = DeviceId("34020000001180000009")
    world.devices.known[recorder] = world.devices.known[D2].with_changes(device_id=recorder)
    world.catalog.rows.append(Channel(ChannelKey(recorder, C2), name="Camera 02", status_on=False))
    assert (await world.call("GET", f"/devices/{recorder}/channels"))["items"] == []
    (slot,) = (await world.call("GET", f"/devices/{recorder}/channels?unused=true"))["items"]
    assert (slot["channel_id"], slot["online"]) == (C2, False)
