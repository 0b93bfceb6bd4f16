"""Q150: answers to RecordInfo of real recorders, from the bytes to the list (tests/vectors/footage)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gb28181.clock import BEIJING
from gb28181.command import footage
from gb28181.command.footage import FootageWish
from gb28181.command.model import FootageList
from gb28181.manscdp.codec import parse
from tests.command.world import KEY, World

FOLDER = Path(__file__).parents[1] / "vectors" / "footage"
DAY = FootageWish(datetime(2026, 2, 27, tzinfo=BEIJING), datetime(2026, 2, 28, tzinfo=BEIJING))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage, "_QUIET_S", 0.02)
    monkeypatch.setattr(footage, "_SETTLE_S", 0.02)
    monkeypatch.setattr(footage, "_ANSWER_S", 0.1)


def saying(*names: str) -> Callable[[Any], Iterable[object]]:
    """The device answers with these files."""

    def script(query: Any) -> Iterable[object]:
        for name in names:
            body = (FOLDER / f"{name}.xml").read_bytes().replace(b"<SN>1<", b"<SN>%d<" % query.sn)
            yield parse(body).command

    return script


async def found(world: World, *names: str) -> FootageList:
    world.script = saying(*names)
    return await world.commands.footage.search(KEY, DAY)


def paths(listed: FootageList) -> list[str]:
    return [item.file_path for item in listed.items]


async def test_q150_parts_that_repeat_and_are_unsorted_make_one_list(world: World) -> None:
    listed = await found(world, "q150-part-1", "q150-part-2-repeats")
    assert (paths(listed), listed.is_complete) == (["a", "b", "c"], True)


async def test_q150_without_its_last_part_an_answer_is_returned_and_says_that_it_is_not_whole(world: World) -> None:
    listed = await found(world, "q150-part-1")
    assert (paths(listed), listed.is_complete) == (["a", "b"], False)
    assert (listed.days[0].received, listed.days[0].announced) == (2, 3)


async def test_q150_a_recording_that_comes_twice_is_not_the_last_one(world: World) -> None:
    listed = await found(world, "q150-part-1", "q150-repeats-the-first")
    assert (paths(listed), listed.is_complete) == (["a", "b"], False)


async def test_q150_a_sum_that_is_too_large_ends_by_silence(world: World) -> None:
    listed = await found(world, "q150-sum-too-large")
    assert (paths(listed), listed.is_complete) == (["a", "b"], False)


async def test_q150_a_sum_that_is_too_small_loses_nothing(world: World) -> None:
    listed = await found(world, "q150-sum-of-the-part-alone", "q150-part-1", "q150-part-2-repeats")
    assert paths(listed) == ["a", "b", "c"]


async def test_q150_a_sum_without_items_is_not_whole_and_no_gap_is_claimed(world: World) -> None:
    listed = await found(world, "q150-sum-without-items")
    assert (paths(listed), listed.is_complete, listed.gaps) == ([], False, ())
