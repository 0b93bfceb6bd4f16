"""The end of what a device sends: whose it was, once, and never of a live stream (quirks Q32, Q155, Q156; W36)."""

from __future__ import annotations

from pathlib import Path

from gb28181.bus import Bus
from gb28181.catalog.model import ChannelKey
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.notify import MediaStatus
from gb28181.ports import SipRequest
from gb28181.router import Router
from gb28181.session.media_status import MediaStatuses
from gb28181.session.model import MediaFinished
from gb28181.sip.parser import parse_datagram
from gb28181.sip.uri import user_of_address
from tests.alarm.world import Channels
from tests.fakes import CAMERA, DEVICE, FakeSignalling, ManualClock, request
from tests.router.test_router import FakePeers

VECTORS = Path(__file__).parents[1] / "vectors" / "session"
KEY = ChannelKey(DEVICE, CAMERA)


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.bus = Bus()
        self.told: list[MediaFinished] = []
        self.bus.subscribe(MediaFinished, self.told.append)
        self.calls: dict[str, ChannelKey] = {}
        self.statuses = MediaStatuses(
            owner_of_call=self.calls.get, channels=Channels(), bus=self.bus, monotonic=self.clock.monotonic
        )
        self.signalling = FakeSignalling()
        self.router = Router(
            self.signalling,
            FakePeers(),
            [{MediaStatus: self.statuses.arrived}],
            finders=[
                lambda request: [self.calls[request.call_id].device_id] if request.call_id in self.calls else [],
                lambda request: [DEVICE] if request.user == CAMERA else [],
            ],
        )

    async def hears(self, name: str, *, call_id: str = "") -> int:
        await self.router.handle(read(name, call_id=call_id))
        return self.signalling.status


def read(name: str, *, call_id: str = "") -> SipRequest:
    """A message of the vectors as the SIP part hands it over."""
    message = parse_datagram((VECTORS / name).read_bytes())
    user = user_of_address(message.header("from"))
    return request("MESSAGE", user, body=message.body, call_id=call_id or message.call_id)


async def test_q32_a_message_from_the_channel_with_a_call_id_of_its_own_is_the_channels() -> None:
    world = World()
    assert await world.hears("q32-hikvision-media-status-from-channel.sip") == 200
    assert world.told == [MediaFinished(DEVICE, CAMERA, "1043897556", is_live=False)]


async def test_w36_the_call_id_says_whose_it_is_before_any_name_does() -> None:
    world = World()
    other = DeviceId("34020000001320000009")
    world.calls["play@1"] = ChannelKey(DEVICE, other)
    assert await world.hears("q32-hikvision-media-status-from-channel.sip", call_id="play@1") == 200
    assert [event.channel_id for event in world.told] == [other]


async def test_q155_a_message_that_names_the_device_alone_names_no_channel_and_comes_once() -> None:
    world = World()
    for _ in range(2):
        assert await world.hears("q155-media-status-of-the-device.sip") == 200
    assert [event.channel_id for event in world.told] == [""]
    world.clock.advance(60)
    await world.hears("q155-media-status-of-the-device.sip")
    assert len(world.told) == 2


async def test_q156_the_end_of_a_live_stream_is_told_as_such() -> None:
    world = World()
    world.calls["live@1"] = KEY
    await world.hears("q32-hikvision-media-status-from-channel.sip", call_id="live@1")
    assert [event.is_live for event in world.told] == [True]
    assert world.statuses.counters()["ignored_live"] == 1
