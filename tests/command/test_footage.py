"""RecordInfo: days, parts, lies about how many, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gb28181.clock import BEIJING
from gb28181.command import footage
from gb28181.command.footage import FootageWish, days_of
from gb28181.errors import CommandFailed, Invalid, NotInEdition
from gb28181.manscdp.codec import parse
from gb28181.manscdp.commands.record import RecordInfoQuery, RecordInfoResponse, RecordItem
from tests.command.world import KEY, World
from tests.fakes import CAMERA, DEVICE


def at(text: str) -> datetime:
    """`2026-02-27 08:00` of Beijing."""
    return datetime.fromisoformat(text).replace(tzinfo=BEIJING)


def item(start: str, end: str, path: str = "a", **more: Any) -> RecordItem:
    return RecordItem(device_id=CAMERA, name="camera", file_path=path, start_time=at(start), end_time=at(end), **more)


def part(query: RecordInfoQuery, *items: RecordItem, sum_num: int | None) -> RecordInfoResponse:
    return RecordInfoResponse(sn=query.sn, device_id=query.device_id, sum_num=sum_num, record_list=items)


DAY = FootageWish(at("2026-02-27 00:00"), at("2026-02-28 00:00"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage, "_QUIET_S", 0.02)
    monkeypatch.setattr(footage, "_SETTLE_S", 0.02)
    monkeypatch.setattr(footage, "_ANSWER_S", 0.1)


def answers(*items: RecordItem, sum_num: int | None = None) -> Callable[[Any], Iterable[object]]:
    return lambda query: [part(query, *items, sum_num=len(items) if sum_num is None else sum_num)]


def test_a_range_is_cut_at_the_midnights_of_beijing():
    parts = list(days_of(datetime(2026, 2, 27, 15, 30, tzinfo=UTC), datetime(2026, 3, 1, 1, 0, 0, 500_000, tzinfo=UTC)))
    assert parts == [
        (at("2026-02-27 23:30"), at("2026-02-27 23:59:59")),
        (at("2026-02-28 00:00"), at("2026-02-28 23:59:59")),
        (at("2026-03-01 00:00"), at("2026-03-01 09:00:01")),
    ]


async def test_each_day_is_asked_for_by_itself_under_the_channel_in_body_and_to_q152_q154(world: World):
    world.script = answers()
    found = await world.commands.footage.search(KEY, FootageWish(at("2026-02-26 22:00"), at("2026-02-28 02:00")))
    asked = [(query.device_id, query.start_time, query.end_time, query.type) for query in world.asked]
    assert asked == [
        (CAMERA, at("2026-02-26 22:00"), at("2026-02-26 23:59:59"), "all"),
        (CAMERA, at("2026-02-27 00:00"), at("2026-02-27 23:59:59"), "all"),
        (CAMERA, at("2026-02-28 00:00"), at("2026-02-28 02:00"), "all"),
    ]
    assert {sent.to for sent in world.signalling.sent} == {CAMERA}
    assert [day.state for day in found.days] == ["complete"] * 3
    assert found.is_complete


async def test_parts_come_late_repeated_and_unsorted_and_make_one_sorted_list_q150(world: World):
    first = item("2026-02-27 08:00", "2026-02-27 09:00", "b")
    second = item("2026-02-27 06:00", "2026-02-27 07:00", "a", file_size=5)
    third = item("2026-02-27 10:00", "2026-02-27 11:00", "c")

    def script(query: RecordInfoQuery) -> Iterable[object]:
        return [
            part(query, first, sum_num=3), part(query, first, second, sum_num=3), part(query, third, sum_num=3),
        ]  # fmt: skip

    world.script = script
    found = await world.commands.footage.search(KEY, DAY)
    assert [entry.file_path for entry in found.items] == ["a", "b", "c"]
    assert found.items[0].bytes == 5
    assert found.days[0].received == found.days[0].announced == 3
    assert found.is_complete


@pytest.mark.parametrize(
    ("sum_num", "state"),
    [
        pytest.param(5, "incomplete", id="too-big"),
        pytest.param(0, "incomplete", id="nothing-announced-and-items"),
        pytest.param(1, "complete", id="as-many"),
    ],
)
async def test_a_sum_num_that_lies_ends_by_silence_and_is_told_q60_q150(world: World, sum_num: int, state: str):
    world.script = answers(item("2026-02-27 08:00", "2026-02-27 09:00"), sum_num=sum_num)
    found = await world.commands.footage.search(KEY, DAY)
    assert [len(found.items), found.days[0].state, found.is_complete] == [1, state, state == "complete"]


async def test_a_sum_num_of_the_part_alone_loses_no_part_q60(world: World):
    parts = [item(f"2026-02-27 0{hour}:00", f"2026-02-27 0{hour}:30", str(hour)) for hour in range(4)]
    world.script = lambda query: [part(query, one, sum_num=1) for one in parts]
    found = await world.commands.footage.search(KEY, DAY)
    assert [len(found.items), found.days[0].state] == [4, "complete"]


async def test_an_answer_of_bytes_without_items_but_with_a_sum_num_is_incomplete_q150(world: World):
    def script(query: RecordInfoQuery) -> Iterable[object]:
        body = (
            f'<?xml version="1.0" encoding="GB2312"?><Response><CmdType>RecordInfo</CmdType><SN>{query.sn}</SN>'
            f"<DeviceID>{CAMERA}</DeviceID><Name>x</Name><SumNum>7</SumNum><RecordList Num=0></RecordList></Response>"
        )
        return [parse(body.encode()).command]

    world.script = script
    found = await world.commands.footage.search(KEY, DAY)
    assert (found.days[0].state, found.days[0].announced, found.gaps) == ("incomplete", 7, ())


async def test_a_device_that_does_not_know_type_is_asked_without_it_and_never_with_it_again_q151(world: World):
    def script(query: RecordInfoQuery) -> Iterable[object]:
        return [] if query.type else [part(query, item("2026-02-27 08:00", "2026-02-27 09:00"), sum_num=1)]

    world.script = script
    for _ in range(2):
        assert len((await world.commands.footage.search(KEY, DAY)).items) == 1
    assert [query.type for query in world.asked] == ["all", None, None]


async def test_items_are_cut_to_the_range_and_joined_over_short_holes_q153(world: World):
    world.script = answers(
        item("2026-02-27 00:00:01", "2026-02-27 06:00", "b"),
        item("2026-02-26 23:00", "2026-02-27 00:00", "a"),
        item("2026-02-27 06:00:01", "2026-02-27 07:00", "c"),
        item("2026-02-27 06:30", "2026-02-27 08:00", "d"),
        item("2026-02-27 09:00", "2026-02-28 03:00", "e"),
    )
    found = await world.commands.footage.search(KEY, DAY)
    assert [entry.file_path for entry in found.items] == ["b", "c", "d", "e"]
    assert found.items[-1].end == at("2026-02-28 00:00")
    assert found.recorded == (
        (at("2026-02-27 00:00:01"), at("2026-02-27 08:00")),
        (at("2026-02-27 09:00"), at("2026-02-28 00:00")),
    )
    assert found.gaps == ((at("2026-02-27 08:00"), at("2026-02-27 09:00")),)


async def test_the_future_is_no_gap(world: World):
    now = world.clock.utc()
    world.script = answers()
    wish = FootageWish(now - timedelta(hours=1), now + timedelta(hours=3))
    assert (await world.commands.footage.search(KEY, wish)).gaps == ((now - timedelta(hours=1), now),)


async def test_silent_days_are_told_and_end_the_search(world: World):
    days = iter(range(10))

    def script(query: RecordInfoQuery) -> Iterable[object]:
        return [part(query, item("2026-02-20 08:00", "2026-02-20 09:00"), sum_num=1)] if next(days) == 0 else []

    world.script = script
    found = await world.commands.footage.search(KEY, FootageWish(at("2026-02-20 00:00"), at("2026-02-25 00:00"), "time"))
    assert [day.state for day in found.days] == ["complete", "no_answer", "no_answer", "not_asked", "not_asked"]
    assert not found.is_complete
    assert found.gaps[-1][1] <= at("2026-02-21 00:00")


async def test_a_device_that_answers_nothing_at_all_is_an_error(world: World):
    with pytest.raises(CommandFailed) as caught:
        await world.commands.footage.search(KEY, FootageWish(DAY.start, DAY.end, "time"))
    assert (caught.value.stage, caught.value.device_id) == ("no_response", DEVICE)


async def test_a_device_that_is_offline_is_an_error_at_once(world: World):
    world.devices.online = False
    with pytest.raises(CommandFailed) as caught:
        await world.commands.footage.search(KEY, DAY)
    assert caught.value.stage == "not_sent"


async def test_too_long_or_empty_ranges_are_refused(world: World):
    for start, end in (("2026-01-01 00:00", "2026-02-28 00:00"), ("2026-01-02 00:00", "2026-01-01 00:00")):
        with pytest.raises(Invalid):
            await world.commands.footage.search(KEY, FootageWish(at(start), at(end)))
    assert world.asked == []


async def test_a_stream_number_needs_the_edition_of_2022(world: World):
    world.devices.speaks("2016")
    with pytest.raises(NotInEdition, match=r"2016.*StreamNumber"):
        await world.commands.footage.search(KEY, FootageWish(DAY.start, DAY.end, stream_number=1))
    assert world.asked == []


async def test_a_search_ends_at_its_most_items(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(footage, "_MOST_ITEMS", 2)
    items = [item(f"2026-02-27 0{hour}:00", f"2026-02-27 0{hour}:30", str(hour)) for hour in range(4)]
    world.script = answers(*items)
    found = await world.commands.footage.search(KEY, FootageWish(at("2026-02-27 00:00"), at("2026-03-01 00:00")))
    assert [len(found.items), found.is_complete] == [2, False]
    assert [day.state for day in found.days] == ["complete", "not_asked"]
