"""What cameras remember: answers in parts, numbers that lie, and queries that an edition lacks (quirk Q57)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gb28181.device.model import Profile
from gb28181.errors import CommandFailed, NotFound, NotInEdition
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import parse
from gb28181.manscdp.commands import ptz as wire
from gb28181.ptz.model import CruisePoint, CruiseTrack, Home, Position, Preset
from tests.fakes import CAMERA, DEVICE
from tests.ptz.world import KEY, World


@pytest.fixture(autouse=True)
def brief_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gb28181.ptz.memory.QUIET_S", 0.01)


def body(command: Any, cmd_type: str, inner: str) -> Any:
    """A Response as a device writes it."""
    text = f"<Response><CmdType>{cmd_type}</CmdType><SN>{command.sn}</SN><DeviceID>{CAMERA}</DeviceID>{inner}</Response>"
    return parse(text.encode("gb18030")).command


def presets(*parts: str) -> Callable[[World], Callable[[Any], object]]:
    """A device that lists presets in so many messages."""

    def of(world: World) -> Callable[[Any], object]:
        def answer(command: Any) -> object:
            assert isinstance(command, wire.PresetQuery)
            for part in parts:
                world.arrives(body(command, "PresetQuery", part))
            return None

        return answer

    return of


def listed(*numbers: str, num: int | None = None, sum_num: int | None = None) -> str:
    items = "".join(f"<Item><PresetID>{n}</PresetID><PresetName>P{n}</PresetName></Item>" for n in numbers)
    total = "" if sum_num is None else f"<SumNum>{sum_num}</SumNum>"
    return f'{total}<PresetList Num="{len(numbers) if num is None else num}">{items}</PresetList>'


async def asked(answer: Callable[[World], Callable[[Any], object]], call: str, *values: Any) -> Any:
    world = World()
    world._answer = answer(world)
    async with world:
        return await getattr(world.memory, call)(KEY, *values)


async def test_presets_come_by_number() -> None:
    found = await asked(presets(listed("2", "10", "1", sum_num=3)), "presets")
    assert found.items == (Preset(1, "P1"), Preset(2, "P2"), Preset(10, "P10"))
    assert found.announced == 3


async def test_no_preset_is_an_answer() -> None:
    assert (await asked(presets('<SumNum>0</SumNum><PresetList Num="0"/>'), "presets")).items == ()


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([listed("1", "2", sum_num=4), listed("3", "4", sum_num=4)], id="in-two-messages"),
        pytest.param([listed("1", "2", sum_num=255), listed("3", "4", sum_num=255)], id="sumnum-always-255"),
        pytest.param([listed("1", "2", sum_num=300, num=300), listed("3", "4", sum_num=300)], id="sumnum-beyond-255"),
        pytest.param([listed("1", "2"), listed("3", "4")], id="num-only-and-in-parts"),
        pytest.param([listed("1", "2", "3", "4", num=255)], id="num-always-255"),
        pytest.param([listed("1", "2", "3", sum_num=4), listed("3", "4", sum_num=4)], id="one-preset-twice"),
    ],
)
async def test_q57_presets_are_collected_until_they_are_all_or_it_is_quiet(parts: list[str]) -> None:
    found = await asked(presets(*parts), "presets")
    assert [preset.number for preset in found.items] == [1, 2, 3, 4]


async def test_presets_that_no_command_can_call_are_left_out() -> None:
    found = await asked(presets(listed("0", "1", "256", "999999999999999999999", "x", "٣", "255", sum_num=7)), "presets")
    assert [preset.number for preset in found.items] == [1, 255]


async def test_a_preset_without_a_name_is_listed() -> None:
    text = '<SumNum>1</SumNum><PresetList Num="1"><Item><PresetID>7</PresetID></Item></PresetList>'
    assert (await asked(presets(text), "presets")).items == (Preset(7, ""),)


def responds(cmd_type: str, *inner: str) -> Callable[[World], Callable[[Any], object]]:
    def of(world: World) -> Callable[[Any], object]:
        def answer(command: Any) -> object:
            for part in inner:
                world.arrives(body(command, cmd_type, part))
            return None

        return answer

    return of


async def test_the_home_position_is_read() -> None:
    text = "<HomePosition><Enabled>1</Enabled><ResetTime>30</ResetTime><PresetIndex>1</PresetIndex></HomePosition>"
    assert await asked(responds("HomePositionQuery", text), "home") == Home(True, 30, 1)


async def test_a_camera_without_a_home_position_has_none() -> None:
    assert await asked(responds("HomePositionQuery", ""), "home") is None


async def test_cruise_tracks_come_by_number() -> None:
    text = (
        '<SumNum>2</SumNum><CruiseTrackList Num="2"><CruiseTrack><Number>1</Number></CruiseTrack>'
        "<CruiseTrack><Number>0</Number><Name>夜间</Name></CruiseTrack></CruiseTrackList>"
    )
    assert await asked(responds("CruiseTrackListQuery", text), "cruises") == (CruiseTrack(0, "夜间"), CruiseTrack(1, ""))


async def test_the_points_of_a_track_keep_their_order() -> None:
    def part(index: int) -> str:
        point = f"<CruisePoint><PresetIndex>{index}</PresetIndex><StayTime>15</StayTime><Speed>8</Speed></CruisePoint>"
        return f'<Number>1</Number><Name>T</Name><SumNum>2</SumNum><CruisePointList Num="1">{point}</CruisePointList>'

    found = await asked(responds("CruiseTrackQuery", part(9), part(2)), "cruise", 1)
    assert found == CruiseTrack(1, "T", (CruisePoint(9, 15, 8), CruisePoint(2, 15, 8)))


async def test_the_position_is_read() -> None:
    text = "<Pan>90.5</Pan><Tilt>-10</Tilt><Zoom>2</Zoom><HorizontalFieldAngle>60</HorizontalFieldAngle>"
    assert await asked(responds("PTZPosition", text), "position") == Position(90.5, -10.0, 2.0, 60.0, None, None)


def queries(world: World) -> Iterator[Any]:
    yield world.memory.home(KEY)
    yield world.memory.cruises(KEY)
    yield world.memory.cruise(KEY, 0)
    yield world.memory.position(KEY)


async def test_what_2016_has_no_query_for_is_not_asked() -> None:
    async with World() as world:
        world.devices.treated = Profile(edition="2016")
        for query in queries(world):
            with pytest.raises(NotInEdition):
                await query
        assert world.signalling.sent == []


async def test_2011_is_asked_for_presets() -> None:
    world = World()
    world.devices.treated = Profile(edition="2011")
    world._answer = presets(listed("1", sum_num=1))(world)
    async with world:
        assert len((await world.memory.presets(KEY)).items) == 1


async def test_a_silent_camera_is_named() -> None:
    async with World() as world:
        world.exchanges._timeout_s = 0.01
        with pytest.raises(CommandFailed, match=f"PresetQuery to device {DEVICE}"):
            await world.memory.presets(KEY)
        with pytest.raises(NotFound):
            await world.memory.presets(type(KEY)(DEVICE, DeviceId("1")))
