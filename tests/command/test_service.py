"""Questions and controls that are answered at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from gb28181.command.model import Guard
from gb28181.errors import CommandFailed, NotFound, NotInEdition
from gb28181.ids import DeviceId
from gb28181.manscdp.codec import parse
from gb28181.manscdp.commands import config, config_blocks, device
from gb28181.manscdp.commands.control import DeviceControl, DeviceControlResponse, DragZoom, TargetTrack
from gb28181.manscdp.commands.device import DeviceInfoQuery, DeviceInfoResponse, DeviceStatusQuery
from gb28181.manscdp.element import Result
from tests.command.world import World
from tests.fakes import CAMERA, DEVICE

ALARM_IN = "34020000001340000001"


def obeys(command: Any) -> Iterable[object]:
    return [DeviceControlResponse(sn=command.sn, device_id=command.device_id, result=Result.OK)]


async def test_status_tells_guards_and_how_far_the_clock_is_off_q164(world: World):
    told = (world.clock.utc() + timedelta(hours=8, seconds=90)).strftime("%Y-%m-%dT%H:%M:%S")

    def script(query: DeviceStatusQuery) -> Iterable[object]:
        body = (
            f"<Response><CmdType>DeviceStatus</CmdType><SN>{query.sn}</SN><DeviceID>{DEVICE}</DeviceID><Result>OK</Result>"
            f"<Online>ONLINE</Online><Status>OK</Status><Record>OFF</Record><DeviceTime>{told}</DeviceTime>"
            f'<Alarmstatus Num="1"><Item><DeviceID>{ALARM_IN}</DeviceID><DutyStatus>ONDUTY</DutyStatus></Item></Alarmstatus>'
            "</Response>"
        )
        return [parse(body.encode()).command]

    world.script = script
    status = await world.commands.status(DEVICE)
    assert status.guards == (Guard(DeviceId(ALARM_IN), "ONDUTY"),)
    assert (status.is_online, status.is_well, status.record, status.encode) == (True, True, False, None)
    assert status.time_offset_s == 90.0
    assert status.asked_at == world.clock.utc()


async def test_info_that_many_want_at_once_is_asked_for_once(world: World):
    def script(query: DeviceInfoQuery) -> Iterable[object]:
        return [DeviceInfoResponse(sn=query.sn, device_id=query.device_id, manufacturer="Hik", channel=4)]

    world.script = script
    first, second = await asyncio.gather(world.commands.info(DEVICE), world.commands.info(DEVICE))
    assert first is second
    assert (first.manufacturer, first.model, first.channels) == ("Hik", None, 4)
    await world.commands.info(DEVICE)
    assert len(world.asked) == 1
    world.clock.advance(3)
    await world.commands.info(DEVICE)
    assert len(world.asked) == 2


async def test_who_leaves_early_takes_nothing_from_the_others(world: World):
    world.script = lambda query: [DeviceInfoResponse(sn=query.sn, device_id=query.device_id)]
    hasty = asyncio.create_task(world.commands.info(DEVICE))
    await asyncio.sleep(0)
    patient = asyncio.create_task(world.commands.info(DEVICE))
    await asyncio.sleep(0)
    hasty.cancel()
    assert (await patient).manufacturer is None


async def test_an_error_is_told_to_each_and_not_kept(world: World):
    world.status = 500
    for _ in range(2):
        with pytest.raises(CommandFailed) as caught:
            await world.commands.info(DEVICE)
        world.clock.advance(3)
    assert caught.value.stage == "sip_status"
    with pytest.raises(NotFound):
        await world.commands.info(DeviceId("34020000001110000009"))


async def test_controls_say_what_the_standard_says(world: World):
    world.script = obeys
    commands = world.commands
    await commands.guard(DEVICE, "", on=True)
    await commands.guard(DEVICE, CAMERA, on=False)
    await commands.reset_alarm(DEVICE, "", alarm_method="2", alarm_type="1")
    await commands.record(DEVICE, CAMERA, on=True, stream_number=1)
    await commands.key_frame(DEVICE, CAMERA)
    area = DragZoom(length=100, width=50, mid_point_x=10, mid_point_y=10, length_x=5, length_y=5)
    await commands.track(DEVICE, CAMERA, TargetTrack.MANUAL, panorama=DeviceId(ALARM_IN), area=area)
    bodies = [sent.body.decode("gb18030") for sent in world.signalling.sent]
    for body, said in zip(
        bodies,
        (
            "<GuardCmd>SetGuard</GuardCmd>", "<GuardCmd>ResetGuard</GuardCmd>", "<AlarmMethod>2</AlarmMethod>",
            "<RecordCmd>Record</RecordCmd>", "<IFrameCmd>Send</IFrameCmd>", "<TargetTrack>Manual</TargetTrack>",
        ),
        strict=True,
    ):  # fmt: skip
        assert said in body
    assert [command.device_id for command in world.asked] == [DEVICE, CAMERA, DEVICE, CAMERA, CAMERA, CAMERA]
    assert "<StreamNumber>1</StreamNumber>" in bodies[3]


async def test_a_device_of_2016_gets_its_own_spelling_and_no_later_commands(world: World):
    world.devices.speaks("2016")
    world.script = obeys
    await world.commands.key_frame(DEVICE, CAMERA)
    assert b"<IFameCmd>Send</IFameCmd>" in world.signalling.sent[-1].body
    await world.commands.record(DEVICE, CAMERA, on=False)
    for refused in (
        world.commands.record(DEVICE, CAMERA, on=True, stream_number=1),
        world.commands.track(DEVICE, CAMERA, TargetTrack.AUTO),
        world.commands.maintenance.cards(DEVICE, ""),
        world.commands.maintenance.format(DEVICE, "", card=1, user="ann"),
    ):
        with pytest.raises(NotInEdition, match="2016"):
            await refused
    assert len(world.signalling.sent) == 2


async def test_a_device_that_answers_error_is_an_error_of_the_peer(world: World):
    world.script = lambda command: [DeviceControlResponse(sn=command.sn, device_id=command.device_id, result=Result.ERROR)]
    with pytest.raises(CommandFailed) as caught:
        await world.commands.guard(DEVICE, "", on=True)
    assert caught.value.stage == "result_error"


def test_nothing_of_a_password_is_declared_in_what_is_read_or_written():
    for module in (config, config_blocks, device):
        assert "password" not in " ".join(dir(module)).lower()
        for kind in vars(module).values():
            assert "password" not in " ".join(getattr(kind, "__dataclass_fields__", ())).lower()
    assert "password" not in " ".join(DeviceControl.__dataclass_fields__)
