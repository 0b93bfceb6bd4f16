"""Commands and their Responses: who gets which, and what is said when one does not come (quirks Q52, Q57)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gb28181.device.model import Device, Profile, Route
from gb28181.errors import CommandFailed, MisuseError, NotFound, NotInEdition, PeerTimeout, Unavailable, Unreachable
from gb28181.exchange import Exchanges, routes
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.control import DeviceControl, DeviceControlResponse, IFrameCmd
from gb28181.manscdp.commands.device import (
    DeviceInfoQuery,
    DeviceInfoResponse,
    DeviceStatusQuery,
    DeviceStatusResponse,
)
from gb28181.manscdp.commands.ptz import HomePosition, HomePositionQuery, HomePositionQueryResponse, PTZPreciseCtrl
from gb28181.manscdp.element import Result
from gb28181.ports import SipResponse
from gb28181.router import Inbound
from tests.fakes import CAMERA, DEVICE, FakeSignalling, Sent, request, settle, tcp, udp

OTHER = DeviceId("34020000001320000002")
Answer = Callable[["World", Any], object]


@dataclass(slots=True)
class FakeDevices:
    way: Route | None = None
    sn: int = 100
    treated: Profile = field(default_factory=Profile)

    def profile(self, device_id: DeviceId) -> Profile:
        return self.treated

    def get(self, device_id: DeviceId) -> Device:
        if device_id != DEVICE:
            raise NotFound(f"no device {device_id}")
        return Device(device_id)

    def route(self, device_id: DeviceId) -> Route:
        self.get(device_id)
        if self.way is None:
            raise Unreachable("it is offline")
        return self.way

    def next_sn(self) -> int:
        self.sn += 1
        return self.sn


class MuteSignalling(FakeSignalling):
    """Every 200 to a MESSAGE is lost."""

    async def message(self, route: Route, *, to: str, body: bytes, timeout_s: float | None = None) -> SipResponse:
        self.answer(Sent(route, to, body))
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits so long")


class World:
    """A device that answers each command as told; an answer of None is silence after the 200."""

    def __init__(
        self,
        answer: Answer = lambda world, command: None,
        *,
        timeout_s: float = 0.05,
        signalling: type[FakeSignalling] = FakeSignalling,
    ) -> None:
        self.signalling = signalling(answer=self._accept)
        self.devices = FakeDevices(udp())
        self.exchanges = Exchanges(self.signalling, self.devices, timeout_s=timeout_s)
        self._answer = answer
        self.statuses: list[int | Exception] = []

    def _accept(self, sent: Sent) -> SipResponse:
        status = self.statuses.pop(0) if self.statuses else 200
        if isinstance(status, Exception):
            raise status
        if (response := self._answer(self, sent.command)) is not None:
            self.arrives(response)
        return SipResponse(status, "", {}, b"")

    def arrives(self, response: object) -> None:
        self.exchanges.answered(Inbound(response, DEVICE, request("MESSAGE")))

    async def ask(self, target: DeviceId = CAMERA, **more: Any) -> list[DeviceInfoResponse]:
        return await self.exchanges.query(DEVICE, DeviceInfoQuery(device_id=target), expects=DeviceInfoResponse, **more)


def info(world: World, command: DeviceInfoQuery, name: str = "") -> DeviceInfoResponse:
    return DeviceInfoResponse(sn=command.sn, device_id=command.device_id, device_name=name or None)


async def test_a_response_reaches_who_asked_with_its_sn() -> None:
    world = World(info)
    parts = await world.ask()
    assert [(part.sn, part.device_id) for part in parts] == [(101, CAMERA)]
    assert world.signalling.sent[0].to == DEVICE


async def test_the_to_user_may_be_the_channel() -> None:
    world = World(info)
    await world.ask(to=CAMERA)
    assert world.signalling.sent[0].to == CAMERA


async def test_an_answer_of_enormous_parts_ends_and_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gb28181.exchange._MOST_OCTETS", 2000)

    def endless(world: World, command: DeviceInfoQuery) -> None:
        for _ in range(9):
            part = DeviceInfoResponse(sn=command.sn, device_id=CAMERA)
            world.exchanges.answered(Inbound(part, DEVICE, request("MESSAGE", body=bytes(500))))

    world = World(endless)
    assert len(await world.ask(complete=lambda parts: False, timeout_s=5, quiet_s=5)) == 4
    assert world.exchanges.counters()["unsolicited"] == 5


async def test_another_device_answers_nothing_whatever_sn_it_tells() -> None:
    world = World()
    asked = asyncio.create_task(world.ask())
    await settle()
    [sn] = [sent.command.sn for sent in world.signalling.sent]
    for said in (sn, 0, sn + 1):
        part = DeviceInfoResponse(sn=said, device_id=CAMERA)
        world.exchanges.answered(Inbound(part, OTHER, request("MESSAGE", OTHER)))
    assert world.exchanges.counters()["unsolicited"] == 3
    with pytest.raises(CommandFailed):
        await asked


@pytest.mark.parametrize("sn", [0, 1, 7_000_000])
async def test_q52_an_sn_that_is_not_echoed_belongs_to_the_only_command(sn: int) -> None:
    world = World(lambda world, command: DeviceInfoResponse(sn=sn, device_id=CAMERA))
    assert (await world.ask())[0].sn == sn
    assert world.exchanges.counters()["foreign_sn"] == 1


async def test_q52_of_several_commands_the_device_id_tells_which_one_is_answered() -> None:
    world = World()
    asked = [asyncio.create_task(world.ask(target)) for target in (CAMERA, OTHER)]
    await settle()
    world.arrives(DeviceInfoResponse(sn=0, device_id=OTHER, device_name="other"))
    world.arrives(DeviceInfoResponse(sn=0, device_id=CAMERA, device_name="camera"))
    first, second = await asyncio.gather(*asked)
    assert (first[0].device_name, second[0].device_name) == ("camera", "other")


async def test_a_late_answer_to_an_earlier_command_is_not_taken_for_that_of_the_next() -> None:
    world = World()
    with pytest.raises(CommandFailed):
        await world.ask(timeout_s=0.01)
    late = world.signalling.sent[0].command
    again = asyncio.create_task(world.ask())
    await settle()
    world.arrives(info(world, late, "late"))  # type: ignore[arg-type]
    world.arrives(info(world, world.signalling.sent[-1].command, "mine"))  # type: ignore[arg-type]
    assert (await again)[0].device_name == "mine"


async def test_equal_commands_to_one_target_wait_for_each_other() -> None:
    world = World()
    asked = [asyncio.create_task(world.ask()) for _ in range(3)]
    await settle()
    assert len(world.signalling.sent) == 1
    for _ in asked:
        world.arrives(DeviceInfoResponse(sn=0, device_id=CAMERA))
        await settle()
    assert len(await asyncio.gather(*asked)) == 3


async def test_an_answer_in_parts_ends_when_it_is_complete() -> None:
    def three(world: World, command: DeviceInfoQuery) -> object:
        for name in ("a", "b"):
            world.arrives(info(world, command, name))
        return info(world, command, "c")

    parts = await World(three).ask(complete=lambda parts: len(parts) == 3, quiet_s=60)
    assert [part.device_name for part in parts] == ["a", "b", "c"]


async def test_q57_an_answer_that_never_is_complete_ends_after_a_quiet_time() -> None:
    parts = await World(info, timeout_s=10).ask(complete=lambda parts: False, quiet_s=0.01)
    assert len(parts) == 1


async def test_silence_after_the_200_is_no_response() -> None:
    world = World()
    with pytest.raises(CommandFailed, match=f"DeviceInfo to device {DEVICE}: accepted the command") as failed:
        await world.ask()
    assert (failed.value.stage, failed.value.command, failed.value.device_id) == ("no_response", "DeviceInfo", DEVICE)
    assert world.exchanges.gauges() == {"waiting": 0}


async def test_a_response_counts_though_its_200_is_lost() -> None:
    world = World(info, timeout_s=1, signalling=MuteSignalling)
    assert len(await world.ask()) == 1


async def test_a_query_is_sent_again_over_udp_with_the_same_sn() -> None:
    world = World(info)
    world.statuses = [PeerTimeout("nothing")]
    assert (await world.ask())[0].sn == 101
    assert len(world.signalling.sent) == 2


async def test_a_query_over_tcp_is_not_sent_again() -> None:
    world = World(info)
    world.devices.way = tcp()
    world.statuses = [PeerTimeout("nothing")]
    with pytest.raises(CommandFailed) as failed:
        await world.ask()
    assert (failed.value.stage, len(world.signalling.sent)) == ("no_sip_answer", 1)


async def test_a_query_that_nobody_answers_twice_fails() -> None:
    world = World(info)
    world.statuses = [PeerTimeout("nothing"), PeerTimeout("nothing")]
    with pytest.raises(CommandFailed) as failed:
        await world.ask()
    assert (failed.value.stage, len(world.signalling.sent)) == ("no_sip_answer", 2)


@pytest.mark.parametrize("answered", [True, False])
async def test_a_control_is_never_sent_twice(answered: bool) -> None:
    world = World(lambda world, command: DeviceStatusResponse(sn=command.sn, device_id=CAMERA))
    world.statuses = [PeerTimeout("nothing")]
    with pytest.raises(CommandFailed) as failed:
        await world.exchanges.control(DEVICE, DeviceStatusQuery(device_id=CAMERA), answered=answered)
    assert (failed.value.stage, len(world.signalling.sent)) == ("no_sip_answer", 1)


async def test_a_control_without_a_response_waits_for_its_200_only() -> None:
    world = World()
    assert await world.exchanges.control(DEVICE, DeviceStatusQuery(device_id=CAMERA), answered=False) is None


async def test_a_control_without_a_response_waits_for_no_other_command() -> None:
    world = World(timeout_s=5)
    slow = [asyncio.create_task(world.ask(DeviceId(f"{number:020}"))) for number in range(20)]
    await settle()
    await world.exchanges.control(DEVICE, DeviceStatusQuery(device_id=CAMERA), answered=False)
    assert world.signalling.sent[-1].command == DeviceStatusQuery(sn=world.devices.sn, device_id=CAMERA)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert world.exchanges.gauges() == {"waiting": 0}


async def test_a_response_to_a_control_that_waits_for_none_answers_nothing_else() -> None:
    world = World()
    asked = asyncio.create_task(
        world.exchanges.query(DEVICE, DeviceStatusQuery(device_id=CAMERA), expects=DeviceStatusResponse)
    )
    await settle()
    await world.exchanges.control(DEVICE, DeviceStatusQuery(device_id=CAMERA), answered=False)
    control = world.signalling.sent[-1].command
    world.arrives(DeviceStatusResponse(sn=control.sn, device_id=CAMERA, online="OFFLINE"))  # type: ignore[attr-defined]
    world.arrives(DeviceStatusResponse(sn=1, device_id=CAMERA))
    assert (await asked)[0].online == "ONLINE"


async def test_a_refusal_names_the_status() -> None:
    world = World()
    world.statuses = [488]
    with pytest.raises(CommandFailed, match="488") as failed:
        await world.ask()
    assert (failed.value.stage, failed.value.detail["sip_status"]) == ("sip_status", 488)


async def test_result_error_names_the_device_and_the_command() -> None:
    def error(world: World, command: DeviceInfoQuery) -> object:
        return DeviceInfoResponse(sn=command.sn, device_id=CAMERA, result=Result.ERROR)

    with pytest.raises(CommandFailed, match="Result ERROR") as failed:
        await World(error).ask()
    assert failed.value.stage == "result_error"


async def test_an_offline_device_is_not_asked() -> None:
    world = World()
    world.devices.way = None
    with pytest.raises(CommandFailed, match="offline") as failed:
        await world.ask()
    assert (failed.value.stage, failed.value.detail["device"], world.signalling.sent) == ("not_sent", "offline", [])


async def test_an_unknown_device_is_not_found() -> None:
    world = World()
    with pytest.raises(NotFound):
        await world.exchanges.query(DeviceId("1"), DeviceInfoQuery(device_id=CAMERA), expects=DeviceInfoResponse)
    with pytest.raises(NotFound):
        await world.exchanges.control(DeviceId("1"), DeviceInfoQuery(device_id=CAMERA), answered=False)


async def test_eight_answered_commands_of_a_device_are_under_way_and_only_so_many_wait() -> None:
    world = World(timeout_s=5)
    asked = [asyncio.create_task(world.ask(DeviceId(f"{number:020}"))) for number in range(64)]
    await settle()
    assert len(world.signalling.sent) == 8
    with pytest.raises(Unavailable):
        await world.ask()
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert world.exchanges.gauges() == {"waiting": 0}


async def test_a_command_whose_turn_never_comes_was_not_sent() -> None:
    world = World(timeout_s=5)
    first = asyncio.create_task(world.ask())
    await settle()
    with pytest.raises(CommandFailed) as failed:
        await world.ask(timeout_s=0.01)
    assert (failed.value.stage, len(world.signalling.sent)) == ("not_sent", 1)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_a_response_that_nobody_waits_for_is_counted() -> None:
    world = World()
    table = routes(world.exchanges, DeviceInfoResponse)
    table[DeviceInfoResponse](Inbound(DeviceInfoResponse(sn=5, device_id=CAMERA), DEVICE, request("MESSAGE")))  # type: ignore[arg-type]
    assert world.exchanges.counters() == {"unsolicited": 1}


async def test_a_query_is_answered_by_responses_only() -> None:
    world = World()
    with pytest.raises(MisuseError):
        await world.exchanges.query(DEVICE, DeviceInfoQuery(device_id=CAMERA), expects=DeviceInfoQuery)


HOME = DeviceControl(device_id=CAMERA, home_position=HomePosition(enabled=1))


async def test_a_control_with_a_response_returns_it() -> None:
    world = World(lambda world, command: DeviceControlResponse(sn=command.sn, device_id=CAMERA, result=Result.OK))
    response = await world.exchanges.control(DEVICE, HOME, answered=True)
    assert (response.sn, response.result) == (101, Result.OK)


async def test_a_failure_of_a_control_names_its_sub_command() -> None:
    with pytest.raises(CommandFailed, match="DeviceControl HomePosition to device") as failed:
        await World().exchanges.control(DEVICE, HOME, answered=True)
    assert failed.value.command == "DeviceControl HomePosition"


async def test_what_the_edition_of_the_device_lacks_is_not_sent() -> None:
    world = World()
    with pytest.raises(NotInEdition, match=f"device {DEVICE} speaks edition 2016: HomePositionQuery is not available"):
        await world.exchanges.query(DEVICE, HomePositionQuery(device_id=CAMERA), expects=HomePositionQueryResponse)
    precise = DeviceControl(device_id=CAMERA, ptz_precise_ctrl=PTZPreciseCtrl(pan=1.0))
    with pytest.raises(NotInEdition, match="PTZPreciseCtrl"):
        await world.exchanges.control(DEVICE, precise, answered=False)
    assert world.signalling.sent == []


@pytest.mark.parametrize(("profile", "spelling", "label"), [
    (Profile(edition="2016"), b"<IFameCmd>", b"GB2312"),
    (Profile(edition="2022", charset="gb18030"), b"<IFrameCmd>", b"GB18030"),
])  # fmt: skip
async def test_a_command_is_written_as_the_edition_of_the_device_spells_it(
    profile: Profile, spelling: bytes, label: bytes
) -> None:
    world = World()
    world.devices.treated = profile
    await world.exchanges.control(DEVICE, DeviceControl(device_id=CAMERA, i_frame_cmd=IFrameCmd.SEND), answered=False)
    assert spelling in world.signalling.sent[0].body
    assert label in world.signalling.sent[0].body
