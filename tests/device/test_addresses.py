"""Keepalives and addresses: who may speak for a device, and where it is reached (Q8, Q11, Q12, W16, S7)."""

from __future__ import annotations

import asyncio

import pytest

from gb28181.device.model import Address, DeviceChanged, DeviceMoved, DeviceOffline, DeviceOnline
from gb28181.errors import Conflict, Invalid, NotFound, PeerTimeout, Unreachable
from gb28181.manscdp.commands.device import DeviceInfoQuery, DeviceInfoResponse, DeviceStatusQuery
from gb28181.manscdp.element import Result
from gb28181.ports import SipResponse
from tests.device.world import World
from tests.fakes import CAMERA, DEVICE, FakeDeviceStore, message, request, settle, tcp, udp

OTHER_PORT = udp(Address("192.0.2.20", 40123))
OTHER_HOST = udp(Address("198.51.100.7", 5060))


async def registered(**settings: object) -> World:
    world = World(**settings)  # type: ignore[arg-type]
    assert await world.register(expires="3600") == 200
    world.events.clear()
    return world


# --- life ----------------------------------------------------------------------------------------------------------


async def test_a_keepalive_is_answered_and_keeps_the_device_online() -> None:
    world = await registered()
    for _ in range(5):
        world.pass_time(100)
        assert await world.keepalive() == 200
    assert world.devices.is_online(DEVICE)
    assert world.device().last_seen_at == world.clock.utc()


async def test_silence_takes_the_device_offline_and_its_route_away() -> None:
    world = await registered()
    world.pass_time(181)
    assert world.events == [DeviceOffline(DEVICE, "keepalive_timeout")]
    with pytest.raises(Unreachable):
        world.devices.route(DEVICE)


async def test_a_keepalive_after_silence_revives_the_device() -> None:
    world = await registered()
    world.pass_time(181)
    assert await world.keepalive() == 200
    assert world.events[-1] == DeviceOnline(DEVICE)
    assert world.devices.route(DEVICE) == udp()


async def test_keepalives_revive_an_expired_registration() -> None:
    world = await registered()
    for _ in range(40):
        world.pass_time(100)
        await world.keepalive()
    registration = world.device().registration
    assert registration is not None
    assert registration.expires_at > world.clock.utc()
    assert world.devices.counters()["registrations_revived"] == 1
    stored = world.store.devices[DEVICE].registration
    assert stored is not None
    assert stored.expires_at == registration.expires_at


async def test_a_stranger_is_told_to_register_and_never_met_with_silence() -> None:
    world = World()
    assert await world.keepalive() == 403
    await world.devices.provision(DEVICE)
    assert await world.keepalive() == 403, "known, but not registered"


async def test_keepalives_hardly_write() -> None:
    world = await registered()
    before = world.store.writes
    for _ in range(10):
        world.pass_time(20)
        await world.keepalive()
    assert world.store.writes - before <= 1


# --- addresses -----------------------------------------------------------------------------------------------------


async def test_another_host_may_not_speak_for_a_device() -> None:
    world = await registered()
    world.pass_time(100)
    assert await world.keepalive(route=OTHER_HOST) == 403
    assert world.devices.route(DEVICE) == udp()
    world.pass_time(81)
    assert not world.devices.is_online(DEVICE), "a foreign keepalive is no life sign"


async def test_a_new_port_is_taken_over_when_it_answers_and_the_old_one_does_not() -> None:
    world = await registered()
    world.signalling.dead.add(udp().remote)
    async with world.devices:
        await settle()
        world.signalling.sent.clear()
        assert await world.keepalive(route=OTHER_PORT) == 200
        assert world.devices.route(DEVICE) == udp(), "not before it has answered"
        await settle()
        assert {sent.route.remote for sent in world.signalling.sent} == {udp().remote, OTHER_PORT.remote}
        assert all(isinstance(sent.command, DeviceStatusQuery) for sent in world.signalling.sent)
        assert world.devices.route(DEVICE) == OTHER_PORT
    stored = world.store.devices[DEVICE].registration
    assert stored is not None
    assert stored.route == OTHER_PORT
    assert world.seen(DeviceMoved) == []


async def test_the_old_port_stays_when_both_answer() -> None:
    world = await registered()
    async with world.devices:
        await world.keepalive(route=OTHER_PORT)
        await settle()
        assert world.devices.counters()["probes"] == 1
        assert world.devices.route(DEVICE) == udp()


async def test_a_port_that_does_not_answer_is_not_taken_over() -> None:
    world = await registered()
    world.signalling.dead.update({udp().remote, OTHER_PORT.remote})
    async with world.devices:
        await world.keepalive(route=OTHER_PORT)
        await settle()
        assert world.devices.route(DEVICE) == udp()


async def test_a_device_that_was_offline_is_online_only_when_its_new_port_has_answered() -> None:
    world = await registered()
    world.pass_time(181)
    async with world.devices:
        assert await world.keepalive(route=OTHER_PORT) == 200
        assert not world.devices.is_online(DEVICE), "its old port may be another camera's by now"
        await settle()
        assert world.devices.route(DEVICE) == OTHER_PORT
        assert udp().remote not in {sent.route.remote for sent in world.signalling.sent}


async def test_probing_is_bounded() -> None:
    world = await registered()
    async with world.devices:
        for port in range(40000, 40050):
            await world.keepalive(route=udp(Address("192.0.2.20", port)))
        await settle()
        assert world.devices.counters()["probes"] == 1


async def test_a_new_connection_of_a_device_whose_connection_closed_is_taken_over() -> None:
    world = World()
    old, new = tcp(Address("192.0.2.20", 40000), 1), tcp(Address("192.0.2.20", 40001), 2)
    await world.register(route=old)
    world.signalling.dead.add(old.remote)
    assert world.devices.is_online(DEVICE), "a closed connection is not offline before a keepalive is due"
    async with world.devices:
        await world.keepalive(route=new)
        await settle()
        assert world.devices.route(DEVICE) == new


async def test_a_message_without_a_device_in_from_is_known_by_its_address() -> None:
    world = await registered()
    assert world.devices.at_address(request("MESSAGE", "whoever")) == DEVICE
    assert world.devices.at_address(request("MESSAGE", "whoever", route=OTHER_PORT)) is None
    await world.register(CAMERA)
    assert world.devices.at_address(request("MESSAGE", "whoever")) is None, "two devices live there"


# --- restart -------------------------------------------------------------------------------------------------------


async def test_registrations_survive_a_restart() -> None:
    before = await registered()
    after = World(store=before.store)
    await after.devices.load()
    assert after.devices.route(DEVICE) == udp()
    assert await after.keepalive() == 200
    after.pass_time(179)
    assert after.devices.is_online(DEVICE)


async def test_an_expired_registration_is_offline_after_a_restart_until_it_is_heard() -> None:
    before = await registered()
    after = World(store=before.store)
    after.clock.advance(3601)
    await after.devices.load()
    assert not after.devices.is_online(DEVICE)
    assert await after.keepalive() == 200
    assert after.devices.is_online(DEVICE)


async def test_connection_numbers_of_an_earlier_process_mean_nothing() -> None:
    before = World()
    await before.register(route=tcp(connection=5))
    after = World(store=before.store)
    await after.devices.load()
    assert after.devices.route(DEVICE).connection == 0


async def test_a_device_store_without_devices_is_fine() -> None:
    world = World(store=FakeDeviceStore())
    await world.devices.load()
    assert world.devices.devices() == []
    with pytest.raises(NotFound):
        world.devices.route(DEVICE)


# --- queries -------------------------------------------------------------------------------------------------------


def answering(world: World, response: DeviceInfoResponse | None, status: int = 200, *, sn: int | None = None) -> None:
    def answer(sent: object) -> SipResponse:
        command = sent.command  # type: ignore[attr-defined]
        if response is not None and isinstance(command, DeviceInfoQuery):
            reply = DeviceInfoResponse(
                sn=command.sn if sn is None else sn, device_id=DEVICE, manufacturer=response.manufacturer, model=response.model
            )
            asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(world.router.handle(message(reply))))
        return SipResponse(status, "Nope" if status >= 300 else "OK", {}, b"")

    world.signalling.answer = answer


ACME = DeviceInfoResponse(device_id=DEVICE, manufacturer="ACME", model="X1", result=Result.OK)


async def test_a_query_returns_the_response_of_its_sn() -> None:
    world = await registered()
    answering(world, ACME)
    found = await world.devices.query(DEVICE, DeviceInfoQuery(device_id=DEVICE))
    assert (found.manufacturer, found.model) == ("ACME", "X1")
    assert world.signalling.sent[-1].to == DEVICE


async def test_a_response_without_our_sn_belongs_to_the_only_query() -> None:
    world = await registered()
    answering(world, ACME, sn=99)
    assert (await world.devices.query(DEVICE, DeviceInfoQuery(device_id=DEVICE))).model == "X1"


async def test_a_query_that_is_never_answered_times_out() -> None:
    world = await registered()
    with pytest.raises(PeerTimeout, match="DeviceInfo"):
        await world.devices.query(DEVICE, DeviceInfoQuery(device_id=DEVICE), timeout_s=0.01)
    assert world.devices._queries._waiting == {}


async def test_a_query_that_is_refused_says_so() -> None:
    world = await registered()
    answering(world, None, status=404)
    with pytest.raises(Unreachable, match="404"):
        await world.devices.query(DEVICE, DeviceInfoQuery(device_id=DEVICE))


async def test_nothing_is_sent_to_a_device_that_is_offline() -> None:
    world = await registered()
    world.pass_time(500)
    with pytest.raises(Unreachable):
        await world.devices.query(DEVICE, DeviceInfoQuery(device_id=DEVICE))
    assert world.signalling.sent == []


async def test_an_unasked_response_is_counted() -> None:
    world = await registered()
    await world.router.handle(message(ACME))
    assert world.signalling.status == 200
    assert world.devices.counters()["unsolicited_responses"] == 1


async def test_device_info_is_asked_once_after_a_registration_and_kept() -> None:
    world = World()
    answering(world, ACME)
    async with world.devices:
        await world.register()
        while not world.seen(DeviceChanged):
            await asyncio.sleep(0)
        await world.register()
        await settle()
    asked = [sent for sent in world.signalling.sent if isinstance(sent.command, DeviceInfoQuery)]
    assert len(asked) == 1
    assert world.store.devices[DEVICE].model == "X1"


async def test_a_device_of_2022_is_asked_in_gb18030() -> None:
    world = World()
    await world.register(x_gb_ver="3.0")
    await world.devices.send(DEVICE, DeviceInfoQuery(sn=1, device_id=DEVICE))
    assert b'encoding="GB18030"' in world.signalling.sent[-1].body


# --- operators -----------------------------------------------------------------------------------------------------


async def test_operators_add_and_name_devices() -> None:
    world = World()
    await world.devices.provision(DEVICE, name="Gate")
    assert world.device().registration is None
    with pytest.raises(Conflict):
        await world.devices.provision(DEVICE)
    with pytest.raises(Invalid):
        await world.devices.provision("../etc")
    with pytest.raises(Invalid):
        await world.devices.update(DEVICE, name="a\nb")
    assert (await world.devices.update(DEVICE, name="东门")).name == "东门"
    assert world.store.devices[DEVICE].name == "东门"


async def test_what_worked_for_media_is_remembered() -> None:
    world = await registered()
    world.devices.remember_media_transport(DEVICE, "tcp")
    world.devices.remember_media_transport("nobody", "tcp")
    assert world.store.devices[DEVICE].media_transport == "tcp"
