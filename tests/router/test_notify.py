"""NOTIFY: who sent it, what it is answered, and that its content counts whatever that is (RFC 6665 §4.4.1, spec 06 §18)."""

from __future__ import annotations

from gb28181.ids import DeviceId
from gb28181.manscdp.codec import build
from gb28181.manscdp.commands.alarm import AlarmNotify
from gb28181.ports import SipRequest
from gb28181.router import Inbound, Notice, Router
from tests.fakes import CAMERA, DEVICE, FakeSignalling, request
from tests.router.test_router import FakePeers

ALARM = AlarmNotify(sn=1, device_id=CAMERA, alarm_method=5)


class World:
    def __init__(self, notice: Notice) -> None:
        self.signalling = FakeSignalling()
        self.heard: list[Inbound[object]] = []
        self.asked: list[tuple[DeviceId, object | None]] = []
        self.notice = notice
        self.router = Router(
            self.signalling,
            FakePeers(),
            [{AlarmNotify: self.heard.append}],
            finders=[lambda request: [DEVICE] if request.call_id == "sub@1" else []],
            notices=self._notices,
        )

    def _notices(self, request: SipRequest, device_id: DeviceId, command: object | None) -> Notice:
        self.asked.append((device_id, command))
        return self.notice

    async def send(self, body: bytes, user: str = DEVICE) -> int:
        await self.router.handle(request("NOTIFY", user, body=body, call_id="sub@1"))
        return self.signalling.status


async def test_the_content_of_a_stale_notify_is_taken_and_its_dialog_ended() -> None:
    world = World(Notice(481))
    assert await world.send(build(ALARM)) == 481
    assert [inbound.command for inbound in world.heard] == [ALARM]


async def test_what_a_subscription_is_about_comes_with_the_command() -> None:
    world = World(Notice(200, CAMERA))
    assert await world.send(build(ALARM)) == 200
    assert world.heard[0].target == CAMERA


async def test_a_notify_without_a_body_is_answered_and_handed_to_nobody() -> None:
    world = World(Notice(200))
    assert await world.send(b"") == 200
    assert await world.send(b" \r\n") == 200
    assert world.asked == [(DEVICE, None)] * 2
    assert world.heard == []


async def test_the_dialog_names_the_device_where_from_does_not() -> None:
    """Q32: From is a channel, or nobody."""
    world = World(Notice(200))
    assert await world.send(build(ALARM), user="someone") == 200
    assert world.heard[0].device_id == DEVICE


async def test_what_is_no_xml_is_400() -> None:
    world = World(Notice(200))
    assert await world.send(b"hello") == 400
