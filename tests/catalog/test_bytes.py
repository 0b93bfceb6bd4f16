"""Catalogue answers of real firmware, from the bytes to the channels (quirks Q60, Q61, Q63, Q67, Q68)."""

from __future__ import annotations

from pathlib import Path

from gb28181.catalog.handlers import routes
from gb28181.router import Router
from tests.catalog.world import World, key
from tests.fakes import DEVICE, FakeSignalling, request
from tests.router.test_router import FakePeers

VECTORS = Path(__file__).parents[1] / "vectors" / "manscdp"


class Wire(World):
    """The catalogue behind a router."""

    def __init__(self) -> None:
        super().__init__()
        self.signalling = FakeSignalling()
        self.peers = FakePeers()
        self.router = Router(self.signalling, self.peers, [routes(self.catalog)])

    async def receive(self, name: str, *, change: tuple[bytes, bytes] = (b"", b"")) -> None:
        body = (VECTORS / name).read_bytes().replace(*change)
        await self.router.handle(request("MESSAGE", body=body))
        assert self.signalling.status == 200


async def asked() -> Wire:
    world = Wire()
    async with world.catalog:
        world.come_online()
        await world.tick()
    return world


async def test_a_sum_that_is_too_large_ends_by_silence_as_partial() -> None:
    world = await asked()
    await world.receive("q60-sum-too-large.xml")
    assert len(world.shown()) == 2
    await world.pass_time(31)
    [ended] = world.finished
    assert (ended.announced, ended.received, ended.complete) == (9, 2, False)


async def test_a_sum_that_is_too_small_loses_nothing() -> None:
    world = await asked()
    await world.receive("q60-sum-too-small.xml")
    assert len(world.shown()) == 3
    assert world.finished[0].complete


async def test_one_item_a_message_is_put_together() -> None:
    world = await asked()
    for number in range(1, 301):
        await world.receive("q61-one-item.xml", change=(b"3402000000132000" + b"0001", b"3402000000132000%04d" % number))
    assert len(world.shown()) == 300
    assert [(ended.complete, ended.received) for ended in world.finished] == [(True, 300)]


async def test_the_same_identifier_twice_keeps_the_last_and_counts_both() -> None:
    world = await asked()
    await world.receive("q63-same-id-twice.xml")
    assert world.names() == ["东门二", "Camera"]
    assert (world.finished[0].received, world.finished[0].complete) == (3, True)


async def test_parents_that_lead_nowhere_leave_the_item_at_its_device() -> None:
    world = await asked()
    await world.receive("q67-parents.xml")
    assert [node.channel_id[-1] for node in await world.nodes(DEVICE)] == ["1", "2", "3", "4", "5", "6"]
    assert [node.channel_id[-1] for node in await world.nodes(str(key(1)))] == ["7"]


async def test_civil_codes_are_two_to_eight_digits_or_nothing() -> None:
    world = await asked()
    await world.receive("q68-civil-codes.xml")
    assert [channel.civil_code for channel in world.shown()] == ["340202", "3402", "", "", "", ""]
