"""Items as channels, and the tree over them (quirks Q49, Q50, Q67-Q70, Q73)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.catalog.items import channel_of, civil_code, coordinates
from gb28181.catalog.model import Channel, ChannelKey
from gb28181.catalog.schedule import QuerySchedule
from gb28181.catalog.tree import ROOT, kind_of, tree_of
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.catalog import CatalogItem, ItemInfo
from tests.fakes import CAMERA, DEVICE, PLATFORM

NOW = datetime(2026, 3, 1, tzinfo=UTC)
GROUP, ORG, SUB_ORG = "34020000002150000001", "34020000002160000001", "34020000002160000002"
NVR, CAM = "34020000001180000001", "34020000001320000001"


def test_an_item_becomes_a_channel() -> None:
    item = CatalogItem(
        device_id=CAMERA,
        name="东门",
        parental=65535,
        civil_code="340200",
        owner="X",
        longitude=118.376,
        latitude=31.326,
        info=ItemInfo(ptz_type="1/2", room_type=2),
    )
    channel = channel_of(DEVICE, item, None, NOW)
    assert (channel.name, channel.parental, channel.civil_code, channel.ptz_type) == ("东门", True, "3402", 1)
    assert (channel.longitude, channel.latitude) == (118.376, 31.326)
    assert channel.item == {"Owner": "X", "RoomType": 2}
    assert channel_of(DEVICE, item, channel, NOW) is channel


def test_an_item_without_a_name_is_called_by_its_identifier() -> None:
    assert channel_of(DEVICE, CatalogItem(device_id=CAMERA), None, NOW).name == CAMERA


@pytest.mark.parametrize(
    ("given_code", "code"),
    [
        ("340202", "340202"),
        ("340200", "3402"),
        ("34000000", "34"),
        ("", ""),
        ("瑶海区", ""),
        ("340202001", ""),
        ("34020", ""),
        ("00", ""),
    ],
)
def test_a_civil_code_has_two_to_eight_digits(given_code: str, code: str) -> None:
    assert civil_code(given_code) == code


@pytest.mark.parametrize(
    ("degrees", "place"),
    [
        ((118.3, 31.3), (118.3, 31.3)),
        ((31.3, 118.3), (118.3, 31.3)),
        ((118300000.0, 31300000.0), (118.3, 31.3)),
        ((0.0, 0.0), (None, None)),
        ((None, 31.3), (None, None)),
        ((500.0, 31.3), (None, None)),
    ],
)
def test_coordinates_are_a_place_or_nothing(
    degrees: tuple[float | None, float | None], place: tuple[float | None, float | None]
) -> None:
    assert coordinates(*degrees) == place


def tree(*channels: tuple[str, str] | Channel) -> dict[str, list[str]]:
    known: dict[DeviceId, Channel] = {}
    for one in channels:
        channel = one if isinstance(one, Channel) else Channel(ChannelKey(DEVICE, DeviceId(one[0])), parent_id=one[1])
        known[channel.key.channel_id] = channel
    return {parent: list(below) for parent, below in tree_of("device", DEVICE, known).below.items()}


@pytest.mark.parametrize("parent", ["", DEVICE, CAM, PLATFORM, "3402000000", "null", "a/b", "/"])
def test_a_parent_that_leads_nowhere_is_the_device(parent: str) -> None:
    assert tree((CAM, parent)) == {ROOT: [CAM]}


def test_the_last_known_part_of_a_list_is_the_parent() -> None:
    assert tree((NVR, ""), (CAM, f"{PLATFORM}/{NVR}")) == {ROOT: [NVR], NVR: [CAM]}
    assert tree((NVR, ""), (CAM, f"{NVR}/{PLATFORM}")) == {ROOT: [NVR], NVR: [CAM]}


def test_groups_organisations_and_their_cameras() -> None:
    organisation = Channel(ChannelKey(DEVICE, DeviceId(ORG)), elements=f'{{"BusinessGroupID":"{GROUP}"}}')
    assert tree((CAM, SUB_ORG), (SUB_ORG, ORG), organisation, (GROUP, PLATFORM)) == {
        ROOT: [GROUP],
        GROUP: [ORG],
        ORG: [SUB_ORG],
        SUB_ORG: [CAM],
    }


def test_civil_divisions_nest_and_hold_what_has_no_other_parent() -> None:
    camera = Channel(ChannelKey(DEVICE, DeviceId(CAM)), civil_code="340202")
    recorder = Channel(ChannelKey(DEVICE, DeviceId(NVR)), civil_code="340202", parent_id=DEVICE)
    assert tree(("34", ""), ("340202", ""), camera, recorder) == {ROOT: ["34", NVR], "34": ["340202"], "340202": [CAM]}
    assert kind_of("340202") == "civil"


def test_cycles_are_broken_and_nothing_is_lost() -> None:
    found = tree((ORG, SUB_ORG), (SUB_ORG, ORG), (CAM, ORG))
    assert sorted(one for below in found.values() for one in below) == sorted([ORG, SUB_ORG, CAM])
    assert len(found[ROOT]) == 1


@given(st.lists(st.integers(0, 9), min_size=10, max_size=10))
def test_every_item_is_reached_from_the_device_however_parents_point(parents: list[int]) -> None:
    names = [f"3402000000132000{number:04d}" for number in range(10)]
    found = tree(*((name, names[parent]) for name, parent in zip(names, parents, strict=True)))
    reached: list[str] = []
    level = found.get(ROOT, [])
    while level:
        reached += level
        level = [below for name in level for below in found.get(name, [])]
    assert sorted(reached) == names


def test_a_hidden_channel_is_in_no_tree() -> None:
    assert tree(Channel(ChannelKey(DEVICE, DeviceId(CAM)), is_gone=True)) == {}


def test_a_device_that_never_ends_its_answer_keeps_nobody_from_being_asked() -> None:
    schedule = QuerySchedule(parallel=1)
    schedule.want(DEVICE, 0.0)
    schedule.want(DeviceId(CAM), 0.0)
    [first] = schedule.take(0.0)
    for now in range(1, 60):
        schedule.answering(first, float(now))
        schedule.expire(float(now))
        assert schedule.take(float(now)) == []
    schedule.answering(first, 60.0)
    schedule.expire(60.0)
    assert schedule.take(60.0) == [DeviceId(CAM) if first == DEVICE else DEVICE]


def test_the_earlier_of_two_plans_counts() -> None:
    schedule = QuerySchedule(parallel=1)
    schedule.want(DEVICE, 50.0)
    schedule.want(DEVICE, 10.0)
    schedule.want(DEVICE, 90.0)
    assert schedule.take(9.0) == []
    assert schedule.take(10.0) == [DEVICE]
    schedule.release(DEVICE)
    assert schedule.take(100.0) == []
    schedule.want(DEVICE, 100.0)
    schedule.cancel(DEVICE)
    assert schedule.take(100.0) == []
