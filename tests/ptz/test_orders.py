"""Presets, cruises, scans, switches, home position, precise and drag zoom: what is sent, and what an edition lacks."""

from __future__ import annotations

from typing import Any

import pytest

from gb28181.device.model import Profile
from gb28181.errors import CommandFailed, Invalid, NotInEdition, PeerTimeout
from gb28181.manscdp.commands.control import DragZoom
from gb28181.manscdp.commands.ptz import HomePosition, PTZCmdParams, PTZPreciseCtrl
from gb28181.manscdp.ptz_code import STOP, Auxiliary, Cruise, Preset, Scan
from gb28181.ptz.model import Box, Held, Home, Motion
from tests.fakes import settle
from tests.ptz.world import ANN, BOB, CHIEF, KEY, World, accepted, refused

RIGHT = Motion(pan=1)
OLD = Profile(edition="2016")


async def test_a_preset_is_set_with_its_name() -> None:
    async with World() as world:
        assert await world.ptz.preset(KEY, "set", 3, ANN, name="大门") is True
        assert world.codes == [Preset("set", 3)]
        assert world.controls[0].ptz_cmd_params == PTZCmdParams(preset_name="大门")


async def test_the_name_stays_here_when_the_edition_has_no_place_for_it() -> None:
    async with World() as world:
        world.devices.treated = OLD
        assert await world.ptz.preset(KEY, "set", 3, ANN, name="大门") is False
        assert await world.ptz.cruise(KEY, Cruise("add", 1, 3), ANN, name="夜间") is False
        assert [control.ptz_cmd_params for control in world.controls] == [None, None]
        assert world.codes == [Preset("set", 3), Cruise("add", 1, 3)]


@pytest.mark.parametrize("name", ["门" * 17, "a" * 33, "a\x00b", "a\nb"])
async def test_a_name_that_the_wire_cannot_hold_is_refused(name: str) -> None:
    async with World() as world:
        with pytest.raises(Invalid):
            await world.ptz.preset(KEY, "set", 3, ANN, name=name)
        assert world.signalling.sent == []


async def test_orders_are_codes() -> None:
    async with World() as world:
        await world.ptz.preset(KEY, "call", 255, ANN)
        await world.ptz.preset(KEY, "delete", 1, ANN)
        await world.ptz.cruise(KEY, Cruise("start", 1), ANN)
        await world.ptz.scan(KEY, Scan("left", 0), ANN)
        await world.ptz.auxiliary(KEY, Auxiliary(True, 1), ANN)
        assert world.codes == [
            Preset("call", 255), Preset("delete", 1), Cruise("start", 1), Scan("left", 0), Auxiliary(True, 1),
        ]  # fmt: skip


async def test_what_moves_is_stopped_before_it_is_told_something_else() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        await world.ptz.preset(KEY, "call", 1, ANN)
        await world.pass_time(60)
        assert world.codes[1:] == [STOP, Preset("call", 1)]


async def test_an_order_that_takes_a_camera_over_ends_the_movement_of_the_other() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        await world.ptz.preset(KEY, "call", 1, CHIEF)
        with pytest.raises(Held):
            await world.ptz.move(KEY, RIGHT, ANN)
        assert world.codes[1:] == [STOP, Preset("call", 1)]


async def test_a_stop_that_fails_before_an_order_goes_on_by_itself() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        world.outcomes = [PeerTimeout("lost")]
        with pytest.raises(CommandFailed):
            await world.ptz.preset(KEY, "call", 1, ANN)
        await settle()
        assert world.codes[1:] == [STOP, STOP]


async def test_an_order_waits_for_the_holder() -> None:
    async with World() as world:
        await world.ptz.preset(KEY, "call", 1, ANN)
        with pytest.raises(Held):
            await world.ptz.preset(KEY, "call", 2, BOB)
        with pytest.raises(Held):
            await world.ptz.set_home(KEY, Home(True), BOB)
        await world.pass_time(5)
        await world.ptz.preset(KEY, "call", 2, BOB)
        assert world.codes == [Preset("call", 1), Preset("call", 2)]


async def test_precise_control_is_of_2022() -> None:
    async with World() as world:
        await world.ptz.turn_to(KEY, ANN, pan=90.5, tilt=-10.0, zoom=None)
        assert world.controls[0].ptz_precise_ctrl == PTZPreciseCtrl(pan=90.5, tilt=-10.0)


async def test_an_edition_without_a_command_leaves_the_camera_as_it_is() -> None:
    async with World() as world:
        world.devices.treated = OLD
        await world.ptz.move(KEY, RIGHT, ANN)
        with pytest.raises(NotInEdition, match="speaks edition 2016: PTZPreciseCtrl is not available"):
            await world.ptz.turn_to(KEY, CHIEF, pan=1.0, tilt=None, zoom=None)
        assert len(world.codes) == 1
        assert world.ptz.state(KEY).held_by == "ann"


async def test_drag_zoom_names_window_and_box() -> None:
    box = Box(window_width=704, window_height=576, center_x=352, center_y=288, width=100, height=80)
    block = DragZoom(length=704, width=576, mid_point_x=352, mid_point_y=288, length_x=100, length_y=80)
    async with World() as world:
        await world.ptz.drag_zoom(KEY, box, ANN, inward=True)
        await world.ptz.drag_zoom(KEY, box, ANN, inward=False)
        assert [(control.drag_zoom_in, control.drag_zoom_out) for control in world.controls] == [(block, None), (None, block)]


async def test_the_device_says_whether_it_set_its_home() -> None:
    async with World(accepted) as world:
        await world.ptz.set_home(KEY, Home(True, 30, 1), ANN)
        assert world.controls[0].home_position == HomePosition(enabled=1, reset_time=30, preset_index=1)


@pytest.mark.parametrize(("answer", "stage"), [(refused, "result_error"), (lambda command: None, "no_response")])
async def test_a_home_that_was_not_set_says_why(answer: Any, stage: str) -> None:
    async with World(answer) as world:
        world.exchanges._timeout_s = 0.01
        with pytest.raises(CommandFailed, match="DeviceControl HomePosition") as failed:
            await world.ptz.set_home(KEY, Home(False), ANN)
        assert failed.value.stage == stage
