"""A camera that is moved is stopped: by its caller, or by us when the caller is gone (quirk Q170)."""

from __future__ import annotations

import asyncio

import pytest

from gb28181.device.model import DeviceOnline
from gb28181.errors import CommandFailed, Conflict, NotFound, PeerTimeout, Unavailable
from gb28181.ids import DeviceId
from gb28181.manscdp.ptz_code import LENS_STOP, STOP, Lens, Move, Preset, parse
from gb28181.ptz.lines import REFUSALS
from gb28181.ptz.model import STILL, Held, Motion, PtzState
from tests.fakes import CAMERA, DEVICE, settle
from tests.ptz.world import ANN, BOB, CHIEF, KEY, OTHER, World

RIGHT = Motion(pan=1)
MOVES_RIGHT = Move(pan=1, pan_speed=255)
FOCUS = Motion(focus=1)
FOCUSES = Lens(focus=1, focus_speed=255)


async def test_a_movement_is_sent_to_the_device_and_names_the_channel() -> None:
    async with World() as world:
        assert await world.ptz.move(KEY, RIGHT, ANN) == "started"
        assert [(sent.to, sent.command.device_id) for sent in world.signalling.sent] == [(DEVICE, CAMERA)]  # type: ignore[attr-defined]
        assert world.codes == [MOVES_RIGHT]


async def test_a_vendor_may_want_the_channel_in_to() -> None:
    async with World() as world:
        world.devices.treated = type(world.devices.treated)(ptz_target="channel")
        await world.ptz.move(KEY, RIGHT, ANN)
        assert world.signalling.sent[0].to == CAMERA


async def test_q172_every_code_for_an_old_dome_holds_its_address() -> None:
    async with World() as world:
        world.devices.treated = type(world.devices.treated)(ptz_address=0x321)
        await world.ptz.move(KEY, RIGHT, ANN, lease_s=2)
        await world.ptz.preset(KEY, "call", 1, ANN)
        await world.pass_time(2)
        codes = [parse(control.ptz_cmd or "") for control in world.controls]
        assert [code.action for code in codes] == [MOVES_RIGHT, STOP, Preset("call", 1)]
        assert {code.address for code in codes} == {0x321}


async def test_q170_a_movement_that_nobody_renews_is_stopped() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN, lease_s=2)
        await world.pass_time(1.9)
        assert world.codes == [MOVES_RIGHT]
        await world.pass_time(0.1)
        assert world.codes == [MOVES_RIGHT, STOP]
        await world.pass_time(60)
        assert world.codes == [MOVES_RIGHT, STOP]
        assert world.ptz.counters()["stopped_lease_ended"] == 1


async def test_a_renewal_sends_nothing_and_keeps_the_camera_moving() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN, lease_s=2)
        for _ in range(5):
            await world.pass_time(1.5)
            assert await world.ptz.move(KEY, RIGHT, ANN, lease_s=2) == "renewed"
        assert world.codes == [MOVES_RIGHT]


async def test_a_lease_is_cut_to_the_longest() -> None:
    async with World(max_lease_s=4) as world:
        await world.ptz.move(KEY, RIGHT, ANN, lease_s=3600)
        await world.pass_time(4)
        assert world.codes == [MOVES_RIGHT, STOP]


async def test_q170_a_stop_is_repeated_until_it_is_answered() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        world.outcomes = [PeerTimeout("lost"), 503, PeerTimeout("lost")]
        world.ptz._lines._pause = lambda seconds: asyncio.sleep(0)
        await world.pass_time(3)
        assert world.codes == [MOVES_RIGHT, STOP, STOP, STOP, STOP]
        assert world.ptz.gauges()["moving"] == 0


async def test_a_stop_that_is_refused_again_and_again_is_given_up() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        world.outcomes = [403] * 20
        world.ptz._lines._pause = lambda seconds: asyncio.sleep(0)
        await world.pass_time(3)
        assert world.codes == [MOVES_RIGHT, *[STOP] * REFUSALS]
        assert world.ptz.counters()["stop_given_up"] == 1


async def test_a_stop_of_a_silent_camera_is_given_up_after_a_time() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        world.outcomes = [PeerTimeout("lost")] * 1000

        async def pause(seconds: float) -> None:
            world.clock.advance(seconds)
            await asyncio.sleep(0)

        world.ptz._lines._pause = pause
        await world.pass_time(3)
        assert 15 < len(world.codes) < 30
        assert world.ptz.gauges()["moving"] == 0


async def test_a_stop_of_the_user_ends_the_movement() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        await world.ptz.stop(KEY, ANN)
        await world.pass_time(60)
        assert world.codes == [MOVES_RIGHT, STOP]


async def test_to_stand_still_is_a_stop() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        await world.ptz.move(KEY, STILL, ANN)
        assert world.codes == [MOVES_RIGHT, STOP]


async def test_a_stop_is_sent_though_nothing_of_ours_moves() -> None:
    async with World() as world:
        await world.ptz.stop(KEY, ANN)  # a cruise may run
        assert world.codes == [STOP]


async def test_a_stop_that_fails_goes_on_by_itself() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        world.outcomes = [PeerTimeout("lost")]
        with pytest.raises(CommandFailed) as failed:
            await world.ptz.stop(KEY, ANN)
        await settle()
        assert failed.value.stage == "no_sip_answer"
        assert world.codes == [MOVES_RIGHT, STOP, STOP]


async def test_focus_and_iris_have_a_stop_of_their_own() -> None:
    async with World() as world:
        await world.ptz.move(KEY, FOCUS, ANN)
        await world.ptz.stop(KEY, ANN)
        assert world.codes == [FOCUSES, STOP, LENS_STOP]


async def test_from_focus_to_turning_the_focus_is_stopped() -> None:
    async with World() as world:
        await world.ptz.move(KEY, FOCUS, ANN)
        await world.ptz.move(KEY, RIGHT, ANN)
        await world.pass_time(60)
        assert world.codes == [FOCUSES, MOVES_RIGHT, LENS_STOP, STOP]


async def test_a_change_of_direction_is_one_command() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        assert await world.ptz.move(KEY, Motion(tilt=1), ANN) == "changed"
        assert world.codes == [MOVES_RIGHT, Move(tilt=1, tilt_speed=255)]


async def test_a_caller_who_is_cut_off_has_its_camera_stopped() -> None:
    async with World() as world:
        world.signalling.gate.clear()
        caller = asyncio.create_task(world.ptz.move(KEY, RIGHT, ANN))
        await settle()
        caller.cancel()
        await settle()
        assert world.codes == [MOVES_RIGHT, STOP]
        assert world.ptz.counters()["stopped_caller_gone"] == 1


async def test_a_caller_who_is_cut_off_before_anything_is_sent_moves_nothing() -> None:
    async with World() as world:
        caller = asyncio.create_task(world.ptz.move(KEY, RIGHT, ANN))
        await asyncio.sleep(0)
        caller.cancel()
        await settle()
        assert MOVES_RIGHT not in world.codes or STOP in world.codes
        assert world.ptz.gauges()["moving"] == 0


async def test_a_login_that_is_gone_has_its_cameras_stopped() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        await world.ptz.move(OTHER, RIGHT, BOB)
        world.ptz.caller_gone(ANN.session)
        await settle()
        assert world.codes == [MOVES_RIGHT, MOVES_RIGHT, STOP]
        assert world.controls[-1].device_id == CAMERA


async def test_the_end_of_the_server_stops_every_camera() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        await world.ptz.move(OTHER, FOCUS, BOB)
    assert sorted(map(str, world.codes[2:])) == sorted(map(str, [STOP, LENS_STOP]))
    with pytest.raises(Unavailable):
        await world.ptz.move(KEY, RIGHT, ANN)


async def test_a_stop_overtakes_a_movement_that_is_still_repeated() -> None:
    async with World() as world:
        world.signalling.gate.clear()
        caller = asyncio.create_task(world.ptz.move(KEY, RIGHT, ANN))
        await settle()
        stopping = asyncio.create_task(world.ptz.stop(KEY, ANN))
        await settle()
        assert world.codes == [MOVES_RIGHT, STOP]
        world.signalling.gate.set()
        await stopping
        with pytest.raises(Conflict):
            await caller
        await world.pass_time(60)
        assert world.codes == [MOVES_RIGHT, STOP]


async def test_a_movement_that_may_have_been_heard_is_stopped() -> None:
    async with World() as world:
        world.outcomes = [PeerTimeout("lost")]
        with pytest.raises(CommandFailed):
            await world.ptz.move(KEY, RIGHT, ANN)
        await settle()
        assert world.codes == [MOVES_RIGHT, STOP]


@pytest.mark.parametrize("why", ["refused", "offline"])
async def test_a_movement_that_certainly_is_none_needs_no_stop_and_is_no_renewal_next_time(why: str) -> None:
    async with World() as world:
        world.outcomes = [403]
        world.devices.online = why != "offline"
        with pytest.raises(CommandFailed):
            await world.ptz.move(KEY, RIGHT, ANN)
        await settle()
        sent = len(world.codes)
        world.devices.online = True
        world.outcomes = []
        assert await world.ptz.move(KEY, RIGHT, ANN) == "started"
        assert world.codes[sent:] == [MOVES_RIGHT]


async def test_an_unknown_channel_is_not_found() -> None:
    async with World() as world:
        with pytest.raises(NotFound):
            await world.ptz.move(type(KEY)(DEVICE, DeviceId("1")), RIGHT, ANN)


async def test_an_equal_is_told_who_steers_and_until_when() -> None:
    async with World(hold_s=5) as world:
        await world.ptz.move(KEY, RIGHT, ANN, lease_s=3)
        with pytest.raises(Held, match=r"steered by ann .priority 5. until 2026-03-01T00:00:08"):
            await world.ptz.move(KEY, RIGHT, BOB)
        with pytest.raises(Held):
            await world.ptz.stop(KEY, BOB)
        assert world.codes == [MOVES_RIGHT]


async def test_a_higher_priority_takes_the_camera_over() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        assert await world.ptz.move(KEY, Motion(pan=-1), CHIEF) == "started"
        with pytest.raises(Held, match="chief"):
            await world.ptz.move(KEY, RIGHT, ANN)
        assert world.codes == [MOVES_RIGHT, Move(pan=-1, pan_speed=255)]


async def test_a_lock_stops_what_a_lower_priority_moves() -> None:
    async with World() as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        state = world.ptz.lock(KEY, CHIEF, lock_s=60)
        await settle()
        assert (state.held_by, state.locked) == ("chief", True)
        assert world.codes == [MOVES_RIGHT, STOP]


async def test_a_lock_is_cut_to_the_longest_and_expires() -> None:
    async with World(max_lock_s=10) as world:
        world.ptz.lock(KEY, ANN, lock_s=1e6)
        with pytest.raises(Held, match="locked by ann"):
            await world.ptz.move(KEY, RIGHT, BOB)
        await world.pass_time(10)
        assert world.ptz.state(KEY) == PtzState()
        await world.ptz.move(KEY, RIGHT, BOB)


async def test_who_locked_unlocks() -> None:
    async with World() as world:
        world.ptz.lock(KEY, ANN, lock_s=60)
        with pytest.raises(Held):
            world.ptz.unlock(KEY, BOB)
        assert world.ptz.unlock(KEY, ANN) == PtzState()


async def test_begin_end_and_freedom_of_a_camera_are_published_renewals_are_not() -> None:
    async with World(hold_s=5) as world:
        await world.ptz.move(KEY, RIGHT, ANN)
        await world.ptz.move(KEY, RIGHT, ANN)
        await world.ptz.stop(KEY, ANN)
        await world.pass_time(5)
        assert [(event.held_by, event.is_moving) for event in world.events] == [
            ("ann", False), ("ann", True), ("ann", False), ("", False),
        ]  # fmt: skip
        assert world.events[-1].until is None


async def test_what_moves_is_noted_before_it_is_sent_until_its_stop_is_answered() -> None:
    async with World() as world:
        world.signalling.gate.clear()
        caller = asyncio.create_task(world.ptz.move(KEY, RIGHT, ANN))
        await settle()
        assert world.notes.moving == [KEY]
        world.signalling.gate.set()
        await caller
        await world.ptz.move(OTHER, FOCUS, ANN)
        assert world.notes.moving == [KEY, OTHER]
        await world.ptz.stop(KEY, ANN)
        await settle()
        assert world.notes.moving == [OTHER]
        await world.pass_time(60)
        assert world.notes.moving == []


async def test_what_a_killed_process_left_moving_is_stopped_when_the_device_is_back() -> None:
    world = World()
    world.notes.moving = [KEY]
    world.devices.online = False
    async with world:
        await settle()
        assert world.codes == []
        world.devices.online = True
        world.bus.publish(DeviceOnline(DEVICE))
        await settle()
        assert world.codes == [STOP, LENS_STOP]
        assert world.notes.moving == []
        world.bus.publish(DeviceOnline(DEVICE))
        await settle()
        assert world.codes == [STOP, LENS_STOP]
