"""Keepalives and addresses: who may speak for a device, and where it is reached (Q8, Q11, Q12, W16, S7)."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from gb28181.device.model import (
    Address,
    DeviceChange,
    DeviceChanged,
    DeviceMoved,
    DeviceOffline,
    DeviceOnline,
    DeviceRegistered,
    Route,
)
from gb28181.device.nat import KeepAlives
from gb28181.errors import Conflict, Invalid, NotFound, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.device import DeviceInfoQuery, DeviceInfoResponse, DeviceStatusQuery
from gb28181.manscdp.element import Result
from gb28181.ports import SipResponse
from tests.device.world import World
from tests.fakes import CAMERA, DEVICE, FakeDeviceStore, message, request, settle, tcp, udp

OTHER_PORT = udp(Address("192.0.2.20", 40123))
OTHER_HOST = udp(Address("198.51.100.7", 5060))
PROTECTED = dataclasses.replace(tcp(), transport="tls")


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


async def restarted(before: World) -> World:
    """A new process with what the one before has stored."""
    after = World(store=before.store)
    await after.devices.load()
    return after


async def test_registrations_survive_a_restart() -> None:
    after = await restarted(await registered())
    assert after.devices.is_online(DEVICE)
    assert await after.keepalive() == 200
    assert after.devices.route(DEVICE) == udp()
    after.pass_time(179)
    assert after.devices.is_online(DEVICE)


async def test_a_restored_address_is_not_used_before_its_device_was_heard() -> None:
    after = await restarted(await registered())
    with pytest.raises(Unreachable, match=r"before the restart from 192\.0\.2\.20:5060 and was not heard since"):
        after.devices.route(DEVICE)
    assert after.devices.gauges()["unconfirmed"] == 1
    await after.keepalive()
    assert after.devices.route(DEVICE) == udp()
    assert after.events == [DeviceOnline(DEVICE)], "who waits for it tries at once"
    assert after.devices.gauges()["unconfirmed"] == 0
    await after.keepalive()
    assert after.events == [DeviceOnline(DEVICE)]


@pytest.mark.parametrize("status", [200, 404, 405, 501])
async def test_any_answer_to_the_question_at_the_start_is_a_sign_of_life(status: int) -> None:
    after = await restarted(await registered())
    after.signalling.answer = lambda _sent: SipResponse(status, "", {}, b"")
    async with after.devices:
        await settle()
        assert after.devices.route(DEVICE) == udp()
    assert [type(sent.command) for sent in after.signalling.sent] == [DeviceStatusQuery]
    assert after.events == [DeviceOnline(DEVICE)]


async def test_a_restored_device_that_does_not_answer_is_asked_once_and_waited_for() -> None:
    after = await restarted(await registered())
    after.signalling.dead.add(udp().remote)
    async with after.devices:
        await settle()
        assert after.devices.counters()["confirmations_failed"] == 1
        with pytest.raises(Unreachable):
            after.devices.route(DEVICE)
    assert len(after.signalling.sent) == 1
    after.pass_time(181)
    assert after.events == [DeviceOffline(DEVICE, "keepalive_timeout")]


async def test_every_request_from_its_address_is_a_sign_of_life() -> None:
    after = await restarted(await registered())
    await after.router.handle(message(ACME))
    assert after.devices.route(DEVICE) == udp()
    assert after.events == [DeviceOnline(DEVICE)]


async def test_a_renewal_after_a_restart_is_a_sign_of_life() -> None:
    after = await restarted(await registered())
    await after.register()
    assert after.devices.route(DEVICE) == udp()
    assert after.events == [DeviceOnline(DEVICE), DeviceRegistered(DEVICE, is_new=False)]


async def test_a_keepalive_from_another_port_says_nothing_for_the_old_one() -> None:
    after = await restarted(await registered())
    after.signalling.dead.add(udp().remote)
    await after.keepalive(route=OTHER_PORT)
    with pytest.raises(Unreachable):
        after.devices.route(DEVICE)
    async with after.devices:
        after.pass_time(61)
        await after.keepalive(route=OTHER_PORT)
        await settle()
        assert after.devices.route(DEVICE) == OTHER_PORT


async def test_a_stranger_confirms_no_address() -> None:
    after = await restarted(await registered())
    assert await after.keepalive(route=OTHER_HOST) == 403
    with pytest.raises(Unreachable):
        after.devices.route(DEVICE)


async def test_every_restored_device_is_asked() -> None:
    before = World()
    users = [f"340200000011100{number:05d}" for number in range(20)]
    for user in users:
        await before.register(user)
    after = await restarted(before)
    async with after.devices:
        async with asyncio.timeout(10):
            while len(after.signalling.sent) < 20:
                await asyncio.sleep(0.001)
    assert {sent.to for sent in after.signalling.sent} == set(users)


# --- TCP -----------------------------------------------------------------------------------------------------------


CONNECTED = tcp(Address("192.0.2.20", 40000), 5)


async def test_a_restored_tcp_device_is_asked_at_its_contact() -> None:
    before = World()
    await before.register(route=CONNECTED, contact=f"<sip:{DEVICE}@192.0.2.20:5066;transport=tcp>")
    after = await restarted(before)
    async with after.devices:
        await settle()
        assert after.devices.route(DEVICE) == tcp(Address("192.0.2.20", 5066), 0)
    assert {sent.route.remote for sent in after.signalling.sent} == {Address("192.0.2.20", 5066)}


async def test_a_contact_on_another_host_is_never_dialled() -> None:
    """It is the device's address behind its NAT; in our network it is somebody else's."""
    before = World()
    await before.register(route=CONNECTED, contact=f"<sip:{DEVICE}@10.0.0.5:5060>")
    after = await restarted(before)
    async with after.devices:
        await settle()
        assert after.signalling.sent == []
        await after.keepalive(route=tcp(Address("192.0.2.20", 40007), 1))
        await settle()
        assert after.devices.route(DEVICE) == tcp(Address("192.0.2.20", 40007), 1)
    assert after.events == [DeviceOnline(DEVICE)]


async def test_a_device_that_closed_its_connection_is_called_at_its_contact() -> None:
    world = World()
    await world.register(route=CONNECTED, contact=f"<sip:{DEVICE}@192.0.2.20:5066>")
    assert world.devices.route(DEVICE) == CONNECTED
    world.signalling.dead.add(CONNECTED.remote)
    assert world.devices.route(DEVICE) == tcp(Address("192.0.2.20", 5066), 0)
    await world.register(route=CONNECTED, contact=f"<sip:{DEVICE}@10.0.0.5:5060>")
    with pytest.raises(Unreachable, match="has closed its TCP connection"):
        world.devices.route(DEVICE)


# --- NAT -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contact", "via", "is_kept"),
    [
        pytest.param("<sip:x@10.0.0.5:5060>", "SIP/2.0/UDP 10.0.0.5:5060;rport;branch=z9hG4bK1", True, id="private"),
        pytest.param("<sip:x@192.0.2.20:5060>", "SIP/2.0/UDP 10.0.0.5:5060;rport", True, id="contact learned, via private"),
        pytest.param("<sip:x@192.0.2.20:5061>", "SIP/2.0/UDP 192.0.2.20", True, id="another port"),
        pytest.param("<sip:x@192.0.2.20>", "SIP/2.0/UDP 192.0.2.20;branch=z9hG4bK1", False, id="no NAT"),
        pytest.param("<sip:x@3402000000>", "SIP/2.0/UDP camera.example:5060", False, id="names say nothing"),
    ],
)
async def test_a_device_behind_a_nat_gets_keep_alives(contact: str, via: str, is_kept: bool) -> None:
    world = World()
    await world.register(contact=contact, via=via)
    world.pass_time(24)
    world.devices.send_keep_alives()
    assert world.signalling.kept_open == []
    world.pass_time(2)
    world.devices.send_keep_alives()
    world.devices.send_keep_alives()
    assert world.signalling.kept_open == [udp().remote] * is_kept
    assert world.devices.gauges()["kept_open"] == is_kept


async def test_keep_alives_go_on_until_the_device_is_offline_and_after_a_restart_when_it_was_heard() -> None:
    world = World()
    await world.register(contact="<sip:x@10.0.0.5:5060>")
    for _ in range(9):
        world.pass_time(25)
        world.devices.send_keep_alives()
    assert len(world.signalling.kept_open) == 7, "180 s of patience"
    await world.keepalive()
    after = await restarted(world)
    after.pass_time(25)
    after.devices.send_keep_alives()
    assert after.signalling.kept_open == []
    await after.keepalive()
    after.pass_time(25)
    after.devices.send_keep_alives()
    assert after.signalling.kept_open == [udp().remote]


async def test_no_keep_alives_over_tcp_nor_when_switched_off() -> None:
    world = World()
    await world.register(route=CONNECTED, contact="<sip:x@10.0.0.5:5060>")
    off = World(nat_keepalive_s=0)
    await off.register(contact="<sip:x@10.0.0.5:5060>")
    for one in (world, off):
        one.pass_time(60)
        one.devices.send_keep_alives()
        assert one.signalling.kept_open == []


def test_keep_alives_of_a_town_are_spread_and_everybody_has_a_turn() -> None:
    town = KeepAlives(burst=100)
    devices = [DeviceId(f"{number:020d}") for number in range(1000)]
    for device_id in devices:
        town.add(device_id, 0.0, 25.0)
    turns = [town.due(25.0 + 0.2 * step) for step in range(20)]
    assert [len(turn) for turn in turns] == [100] * 10 + [0] * 10
    assert [device_id for turn in turns for device_id in turn] == devices
    town.remove(devices[0])
    assert len(town) == 999


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
    registration = (await restarted(before)).device().registration
    assert registration is not None
    assert registration.route.connection == 0


async def test_a_device_store_without_devices_is_fine() -> None:
    world = World(store=FakeDeviceStore())
    await world.devices.load()
    assert world.devices.devices() == []
    with pytest.raises(NotFound):
        world.devices.route(DEVICE)


# --- queries -------------------------------------------------------------------------------------------------------


def answering(world: World, response: DeviceInfoResponse) -> None:
    def answer(sent: object) -> SipResponse:
        command = sent.command  # type: ignore[attr-defined]
        if isinstance(command, DeviceInfoQuery):
            reply = dataclasses.replace(response, sn=command.sn)
            asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(world.router.handle(message(reply))))
        return SipResponse(200, "OK", {}, b"")

    world.signalling.answer = answer


ACME = DeviceInfoResponse(device_id=DEVICE, manufacturer="ACME", model="X1", result=Result.OK)


async def test_nothing_is_sent_to_a_device_that_is_offline() -> None:
    world = await registered()
    world.pass_time(500)
    with pytest.raises(Unreachable):
        await world.devices.send(DEVICE, DeviceInfoQuery(sn=1, device_id=DEVICE))
    assert world.signalling.sent == []


async def test_an_unasked_response_is_counted() -> None:
    world = await registered()
    await world.router.handle(message(ACME))
    assert world.signalling.status == 200
    assert world.devices.exchanges.counters()["unsolicited"] == 1


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
        await world.devices.update(DEVICE, DeviceChange(name="a\nb"))
    assert (await world.devices.update(DEVICE, DeviceChange(name="东门"))).name == "东门"
    assert world.store.devices[DEVICE].name == "东门"


async def test_what_worked_for_media_is_remembered() -> None:
    world = await registered()
    world.devices.remember_media_transport(DEVICE, "tcp")
    world.devices.remember_media_transport("nobody", "tcp")
    assert world.store.devices[DEVICE].media_transport == "tcp"


@pytest.mark.parametrize("came", [udp(), OTHER_PORT, tcp(), tcp(connection=9)])
async def test_s7_nobody_speaks_without_tls_for_a_device_that_registered_over_it(came: Route) -> None:
    world = World()
    assert await world.register(expires="3600", route=PROTECTED) == 200
    async with world.devices:
        assert await world.keepalive(route=came) == 403
        assert await world.keepalive("34020000009999999999", route=came) == 403
        await settle()
        assert {sent.route.transport for sent in world.signalling.sent} == {"tls"}  # and its port is not asked either
        assert await world.keepalive(route=dataclasses.replace(PROTECTED, connection=5)) == 200
    assert world.devices.counters()["unprotected_source"] == 1
