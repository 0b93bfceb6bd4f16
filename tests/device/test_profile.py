"""How a device is treated: vendor, edition, configuration, operator, in this order."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gb28181.device.model import Device, DeviceChange, Profile
from gb28181.device.profile import RANGES, VENDORS, Profiles, checked, declared_edition
from gb28181.errors import Invalid
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.alarm import AlarmNotify
from gb28181.manscdp.commands.card import SDCardStatusResponse
from gb28181.manscdp.commands.device import DeviceInfoResponse
from tests.device.world import World
from tests.fakes import DEVICE, message


def device(**fields: Any) -> Device:
    return Device(DeviceId(DEVICE), **fields)


def test_every_field_of_every_row_exists_and_has_a_possible_value() -> None:
    for row in VENDORS:
        for name, value in row.changes.items():
            assert checked(name, value) == value
    numbers = {field.name for field in dataclasses.fields(Profile) if field.type in ("int", "float")}
    assert numbers == set(RANGES)


def test_a_device_that_nobody_knows_is_treated_by_the_standard() -> None:
    assert Profiles().resolve(device()) == Profile()


@pytest.mark.parametrize(
    ("version", "edition", "charset"),
    [
        ("1.0", "2011", "gb2312"),
        ("1.1", "2014", "gb2312"),
        ("2.0", "2016", "gb2312"),
        ("3.0", "2022", "gb18030"),
        (" 3.1", "2022", "gb18030"),
        ("10.0", "2022", "gb18030"),
        ("", "2016", "gb2312"),
        ("V3.0", "2016", "gb2312"),
        ("0", "2016", "gb2312"),
    ],
)
def test_the_edition_follows_what_the_device_declares(version: str, edition: str, charset: str) -> None:
    profile = Profiles().resolve(device(gb_version=version))
    assert (profile.edition, profile.charset) == (edition, charset)


def test_no_version_is_none_and_not_the_oldest() -> None:
    assert declared_edition("") is None
    assert declared_edition("x") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"manufacturer": "DAHUA"},
        {"model": "Dahua IPC-HFW"},
        {"user_agent": "Dahua/1.0"},
        {"manufacturer": "浙江大华"},
        {"overrides": {"vendor": "dahua"}},
        {"manufacturer": "Hikvision", "overrides": {"vendor": "dahua"}},
    ],
)
def test_the_vendor_is_found_in_what_the_device_tells_or_an_operator_says(fields: dict[str, Any]) -> None:
    """Q55, Q58."""
    profile = Profiles().resolve(device(**fields))
    assert (profile.vendor, profile.config_target) == ("dahua", "device")


def test_an_operator_wins_over_the_configuration_and_that_over_the_table() -> None:
    profiles = Profiles(configured={"dahua": {"config_target": "channel", "catalog_gap_s": 60}})
    known = device(manufacturer="Dahua")
    assert profiles.resolve(known).config_target == "channel"
    ours = known.with_changes(overrides=profiles.merged(known.overrides, {"catalog_gap_s": 5, "edition": "2022"}))
    assert (profiles.resolve(ours).catalog_gap_s, profiles.resolve(ours).charset) == (5, "gb18030")
    assert profiles.resolve(ours.with_changes(overrides=profiles.merged(ours.overrides, {"edition": None}))).edition == "2016"


def test_the_configuration_may_know_a_vendor_of_its_own() -> None:
    profiles = Profiles(configured={"example": {"match": ["Example Cam"], "edition": "2011"}})
    assert profiles.resolve(device(user_agent="EXAMPLE CAM 1.2")).edition == "2011"
    assert profiles.resolve(device(user_agent="EXAMPLE CAM 1.2", gb_version="3.0")).edition == "2022", "its own word counts"
    assert profiles.manufacturer("dahua x") == "Dahua"


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ({"x": {"editoin": "2011"}}, "profiles.x.*editoin"),
        ({"x": {"edition": "2012"}}, "2011, 2014, 2016, 2022"),
        ({"x": {"catalog_gap_s": 0}}, "from 1 to 3600"),
        ({"x": {"catalog_gap_s": True}}, "number"),
        ({"x": {"date_header": "no"}}, "true or false"),
        ({"x": {"ptz_address": 4096}}, "from 0 to 4095"),
        ({"x": {"match": "no list"}}, "match"),
        ({"x": {"match": [""]}}, "match"),
    ],
)
def test_a_wrong_configuration_is_named(configured: dict[str, dict[str, Any]], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        Profiles(configured=configured)


def test_devices_that_are_treated_alike_share_one_profile() -> None:
    profiles = Profiles()
    assert profiles.resolve(device(user_agent="Cam 1")) is profiles.resolve(device(user_agent="Cam 2", model="x"))


async def test_what_an_operator_sets_lives_over_a_restart_and_can_be_taken_back() -> None:
    world = World()
    await world.register()
    await world.devices.update(DEVICE, DeviceChange(overrides={"charset": "utf-8", "date_header": False}))
    assert world.devices.profile(DEVICE).charset == "utf-8"
    await world.register()
    assert "Date" not in world.signalling.responses[-1].headers, "Q26"
    again = World(store=world.store)
    await again.devices.load()
    assert again.devices.profile(DEVICE).charset == "utf-8"
    await again.devices.update(DEVICE, DeviceChange(overrides={"charset": None}))
    assert again.devices.profile(DEVICE).charset == "gb2312"
    with pytest.raises(Invalid, match="no vendor 'acme'"):
        await again.devices.update(DEVICE, DeviceChange(overrides={"vendor": "acme"}))


async def test_a_device_that_declares_nothing_and_sends_what_only_2022_has_speaks_2022() -> None:
    world = World()
    await world.register()
    await world.router.handle(message(DeviceInfoResponse(sn=1, device_id=DeviceId(DEVICE)), DEVICE))
    assert world.devices.profile(DEVICE).edition == "2016"
    await world.router.handle(message(SDCardStatusResponse(sn=1, device_id=DeviceId(DEVICE)), DEVICE))
    assert world.devices.profile(DEVICE).edition == "2022"
    await world.register(x_gb_ver="2.0")
    assert world.devices.profile(DEVICE).edition == "2016", "what it declares counts more"


async def test_an_unknown_device_is_treated_as_any() -> None:
    assert World().devices.profile("nobody") == Profile()


async def test_an_alarm_tells_the_devices_time() -> None:
    world = World()
    await world.register()
    alarm = AlarmNotify(sn=1, device_id=DeviceId(DEVICE), alarm_time=world.clock.utc())
    world.clock.advance(30)
    await world.router.handle(message(alarm, DEVICE))
    assert world.device().clock_offset_s == -29.5, "half a second is cut off on average"
