"""Channels that a keepalive lists as faulty (quirk Q15)."""

from __future__ import annotations

from gb28181.device.model import ChannelsFaulty
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.notify import Keepalive
from gb28181.manscdp.element import Result
from tests.device.world import World
from tests.fakes import CAMERA, DEVICE, message

OTHER = DeviceId("34020000001320000002")


async def test_q15_faulty_channels_are_told_when_they_change_and_their_device_is_alive() -> None:
    world = World()
    told: list[ChannelsFaulty] = []
    world.bus.subscribe(ChannelsFaulty, told.append)
    await world.register()
    for faulty in ((), (CAMERA, OTHER), (OTHER, CAMERA), (OTHER,), ()):
        await world.router.handle(message(Keepalive(sn=1, device_id=DEVICE, status=Result.ERROR, faulty=faulty)))
        assert world.devices.is_online(DEVICE)
        assert world.devices.is_faulty(DEVICE, OTHER) is (OTHER in faulty)
    assert [event.faulty for event in told] == [(CAMERA, OTHER), (OTHER,), ()]
