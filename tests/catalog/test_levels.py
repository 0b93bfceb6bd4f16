"""Levels, lists and searches over many devices: pages, counts, divisions, words (DESIGN §8)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.catalog.levels import Levels
from gb28181.catalog.model import Channel, ChannelKey
from gb28181.catalog.notices import Notices
from gb28181.catalog.pinyin import initials
from gb28181.catalog.registry import Registry
from gb28181.catalog.search import found, lines_of, words_of
from gb28181.device.model import Device
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.catalog import CatalogItem
from tests.catalog.world import FakeDevices

RECORDER, SECOND = DeviceId("34020000001180000001"), DeviceId("34010000001180000002")
LOWER, IPC = DeviceId("34020000002000000009"), DeviceId("34020300001320000077")
ORG, SISTER, GROUP = (DeviceId(f"3402000000{code}") for code in ("2160000001", "2160000002", "2150000001"))


def channel(device_id: str, number: int, name: str = "", **fields: object) -> Channel:
    key = ChannelKey(DeviceId(device_id), DeviceId(f"3402000000132{number:07d}"))
    return Channel(key, name=name or f"Camera {number}", **fields)  # type: ignore[arg-type]


class Place:
    def __init__(self, *channels: Channel) -> None:
        self.registry = Registry(max_items=100_000)
        self.devices = FakeDevices()
        self.now = 0.0
        self.levels = Levels(self.registry, self.devices, monotonic=lambda: self.now)
        for one in channels:
            self.put(one)

    def put(self, one: Channel) -> None:
        device_id = one.key.device_id
        self.devices.known.setdefault(device_id, Device(device_id))
        self.devices.online.add(device_id)
        self.registry.put(one)
        self.levels.changed(device_id)

    async def names(self, parent: str = "", **how: object) -> list[str]:
        level = await self.levels.level(parent, limit=1000, **how)  # type: ignore[arg-type]
        return [f"{node.name} {node.counts.online}/{node.counts.total}" for node in level.nodes]

    async def find(self, query: str, **how: object) -> list[str]:
        return [one.name for one in await self.levels.search(query, limit=1000, **how)]  # type: ignore[arg-type]


# --- search ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("城北出入口", {"cbcrk"}),
        ("重庆", {"zq", "cq"}),
        ("校长室3F", {"xzs3f", "xcs3f", "jzs3f", "jcs3f"}),
        ("Gate", set()),
        ("、。", set()),
    ],
)
def test_initials_of_every_reading(name: str, spellings: set[str]) -> None:
    assert set(initials(name)) == spellings


@given(st.text(max_size=40))
def test_initials_are_bounded_and_plain(name: str) -> None:
    assert len(initials(name)) <= 16
    assert all(spelling.isascii() and spelling == spelling.lower() for spelling in initials(name))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("城北", ["城北出入口", "东城北路"]),
        ("cbcrk", ["城北出入口"]),
        ("CBCRK", ["城北出入口"]),
        ("0000002", ["东城北路"]),
        ("城北 cr", ["城北出入口"]),
        ("cr 城北 0000002", []),
        ("HALL", ["Hall B"]),
        ("门卫", ["Hall B"]),
        ("北城", []),
        ("", ["城北出入口", "东城北路", "Hall B"]),
    ],
)
async def test_names_are_found_by_two_characters_initials_and_parts_of_identifiers(query: str, names: list[str]) -> None:
    place = Place(
        channel(RECORDER, 1, "城北出入口"), channel(RECORDER, 2, "东城北路"), channel(SECOND, 3, "Hall B", alias="门卫室")
    )
    assert sorted(await place.find(query)) == sorted(names)


@given(st.lists(st.text(max_size=12), max_size=12), st.text(max_size=4))
def test_a_search_finds_what_a_comparison_of_every_name_finds(names: list[str], query: str) -> None:
    channels = [channel(RECORDER, number, name) for number, name in enumerate(names)]
    words = words_of(query)
    hits = set(found(lines_of(channels), words))
    for one in channels:
        texts = [one.key.channel_id, " ".join(one.name.casefold().split()), *initials(" ".join(one.name.casefold().split()))]
        expected = all(any(word in text.encode("utf-8", "replace") for text in texts) for word in words)
        assert expected <= (one.key.channel_id in hits)


async def test_pages_of_a_search_hold_everything_once_though_channels_come_and_go() -> None:
    place = Place(*(channel(device, number) for device in (RECORDER, SECOND, LOWER) for number in range(7)))
    seen: list[ChannelKey] = []
    after: tuple[str, str] | None = None
    while page := await place.levels.search("camera", limit=4, after=after):
        seen += [one.key for one in page]
        after = (page[-1].key.device_id, page[-1].key.channel_id)
        place.registry.forget(page[-1].key.device_id) if page[-1].key.device_id == SECOND else None
    assert [str(key) for key in seen] == sorted(str(key) for key in seen)
    assert {key.device_id for key in seen} == {RECORDER, SECOND, LOWER}
    assert len(set(seen)) == len(seen)


async def test_the_state_that_is_searched_for_is_the_effective_one() -> None:
    place = Place(channel(RECORDER, 1), channel(RECORDER, 2, status_on=False, seen_on=True), channel(SECOND, 3))
    assert await place.find("", online=True) == ["Camera 3", "Camera 1"]
    place.devices.online.discard(SECOND)
    assert await place.find("", online=True) == ["Camera 1"]
    assert await place.find("", online=False) == ["Camera 3", "Camera 2"]
    assert await place.find("", online=False, device_id=RECORDER) == ["Camera 2"]


# --- trees ----------------------------------------------------------------------------------------------------------


async def test_divisions_over_all_devices_with_missing_levels_made() -> None:
    place = Place(
        channel(RECORDER, 1, civil_code="340202"),
        channel(RECORDER, 2, civil_code="340202", status_on=False, seen_on=True),
        channel(LOWER, 3, "Market", civil_code="340203"),
        channel(LOWER, 4, "Bridge"),
        Channel(ChannelKey(LOWER, DeviceId("3402")), name="Wuhu"),
        channel(IPC, 5, "Pole"),
    )
    assert await place.names(by="civil") == ["34 4/5"]
    assert await place.names("~34", by="civil") == ["Wuhu 4/5"]
    assert await place.names("~3402", by="civil") == ["340202 1/2", "340203 1/1", "Bridge 0/0", "Pole 0/0"]
    assert await place.names("~340202", by="civil") == [f"{RECORDER} 1/2"]
    assert await place.names("~340203", by="civil") == ["Market 0/0"]
    assert await place.names(by="civil", device_id=LOWER) == ["34 2/2"]
    place.devices.online.discard(RECORDER)
    place.levels.came_or_went(RECORDER)
    assert await place.names(by="civil") == ["34 3/5"]
    place.registry.forget(LOWER)
    place.levels.changed(LOWER)
    assert await place.names("~3402", by="civil") == ["340202 0/2", "Pole 0/0"]


async def test_a_camera_in_two_organisations_is_in_both_and_counts_once_above() -> None:
    place = Place(
        Channel(ChannelKey(LOWER, GROUP), name="Group"),
        Channel(ChannelKey(LOWER, ORG), name="North", parent_id=GROUP),
        Channel(ChannelKey(LOWER, SISTER), name="South", parent_id=GROUP),
        channel(LOWER, 1, "Gate", parent_id=f"{ORG}/{SISTER}"),
    )
    assert await place.names(by="group") == [f"{LOWER} 1/1"]
    assert await place.names(by="group", device_id=LOWER) == ["Group 1/1"]
    assert await place.names(f"{LOWER}/{GROUP}", by="group") == ["North 1/1", "South 1/1"]
    assert await place.names(f"{LOWER}/{ORG}", by="group") == ["Gate 0/0"]
    assert await place.names(f"{LOWER}/{SISTER}", by="group") == ["Gate 0/0"]


async def test_a_lower_platform_with_twenty_thousand_channels_is_one_tree_in_pages() -> None:
    place = Place(*(channel(LOWER, number, parent_id=LOWER, civil_code="340202") for number in range(20_000)))
    keys: list[str] = []
    after = None
    for _ in range(5):
        level = await place.levels.level(LOWER, limit=100, after=after)
        keys += [node.node_id for node in level.nodes]
        after = level.last
    assert len(set(keys)) == 500
    assert await place.names() == [f"{LOWER} 20000/20000"]
    assert await place.names(by="civil") == ["34 20000/20000"]


async def test_a_state_changes_counts_at_once_and_of_many_channels_too() -> None:
    place = Place(*(channel(LOWER, number, parent_id=ORG) for number in range(3000)), Channel(ChannelKey(LOWER, ORG)))
    assert await place.names(LOWER) == [f"{ORG} 3000/3000"]
    place.put(channel(LOWER, 7, parent_id=ORG, status_on=False, seen_on=True))
    assert await place.names(LOWER) == [f"{ORG} 2999/3000"]
    place.put(channel(LOWER, 3001, parent_id=ORG))
    assert await place.names(LOWER) == [f"{ORG} 2999/3000"], "of so many, some seconds later"
    place.now += 2
    assert await place.names(LOWER) == [f"{ORG} 3000/3001"]


async def test_what_has_settled_is_made_in_the_background() -> None:
    place = Place(channel(RECORDER, 1))
    assert not place.levels.work()
    place.now += 3
    assert not place.levels.work()
    assert place.levels._stale == {}


async def test_a_level_is_sorted_as_its_pages_are_cut() -> None:
    place = Place(*(channel(LOWER, number, "x" * 60 + str(number % 3)) for number in range(50)))
    pages, after = [], None
    while True:
        level = await place.levels.level(LOWER, limit=7, after=after)
        pages += [node.channel_id for node in level.nodes]
        if (after := level.last) is None:
            break
    assert len(pages) == 50
    assert all(one < other for one, other in pairwise(pages))


def test_too_many_notifications_during_an_answer_are_given_up_for_another_query() -> None:
    notices = Notices(max_items=3)
    item = CatalogItem(device_id=DeviceId("1"))
    notices.keep(LOWER, (item, item))
    assert notices.take(LOWER) == [item, item]
    notices.keep(LOWER, (item,) * 4)
    notices.keep(LOWER, (item,))
    assert notices.take(LOWER) is None
    assert notices.take(LOWER) == []
