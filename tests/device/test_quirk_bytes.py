"""What real firmware sends to register and to stay: bytes through the SIP core to the devices (tests/vectors/registration)."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from gb28181.device.model import Address, DeviceOffline
from gb28181.errors import Unreachable
from gb28181.ports import SipRequest
from gb28181.sip.digest import digest_response
from gb28181.sip.io.convert import public_request
from gb28181.sip.transaction import Flow, RequestArrived
from tests.device.world import PASSWORD, World
from tests.fakes import DEVICE, DOMAIN, PLATFORM, settle
from tests.sip.link import endpoint

FOLDER = Path(__file__).parents[1] / "vectors" / "registration"
HERE, LOCAL = Address("203.0.113.7", 40_000), Address("192.0.2.1", 5060)
OTHER_PORT, ELSEWHERE = Address("203.0.113.7", 41_000), Address("198.51.100.9", 40_000)
_number = count(1)


def arrived(name: str, source: Address = HERE, **filled: str) -> SipRequest:
    """The request that the SIP core hands up for a file."""
    data = (FOLDER / f"{name}.sip").read_bytes()
    number = str(next(_number))
    for key, value in {"BRANCH": number, "CSEQ": number, "AUTHORIZATION": "", "EXPIRES": "3600", **filled}.items():
        data = data.replace(f"%{key}%".encode(), value.encode())
    one = endpoint(PLATFORM)
    one.receive_datagram(data, Flow("udp", source.host, source.port), 0.0)
    event = one.next_event()
    assert isinstance(event, RequestArrived)
    return public_request(event, LOCAL)


async def send(world: World, request: SipRequest) -> int:
    await world.router.handle(request)
    return world.signalling.status


async def register(world: World, name: str = "q9-register-private-contact", source: Address = HERE, **filled: str) -> int:
    """A REGISTER, challenged and answered."""
    assert await send(world, arrived(name, source, **filled)) == 401
    nonce, uri = world.nonce(), f"sip:{PLATFORM}@{DOMAIN}"
    response = digest_response("MD5", username=DEVICE, realm=DOMAIN, password=PASSWORD, method="REGISTER", uri=uri, nonce=nonce)
    proof = (
        f'\r\nAuthorization: Digest username="{DEVICE}", realm="{DOMAIN}", nonce="{nonce}", uri="{uri}", response="{response}"'
    )
    return await send(world, arrived(name, source, AUTHORIZATION=f"{proof}, algorithm=MD5", **filled))


async def test_q9_the_nat_of_a_camera_with_a_private_contact_is_kept_open_every_25_s() -> None:
    """Q9."""
    world = World()
    assert await register(world) == 200
    assert world.devices.route(DEVICE).remote == HERE, "never its private Contact"
    world.clock.advance(24)
    world.devices.send_keep_alives()
    assert world.signalling.kept_open == []
    world.clock.advance(1)
    world.devices.send_keep_alives()
    assert world.signalling.kept_open == [HERE]


async def test_q8_a_keepalive_from_another_port_is_answered_and_moves_the_device_only_when_that_port_alone_answers() -> None:
    """Q8."""
    world = World()
    await register(world)
    async with world.devices:
        world.signalling.dead.add(HERE)
        assert await send(world, arrived("q8-keepalive", OTHER_PORT)) == 200
        await settle()
    assert world.devices.route(DEVICE).remote == OTHER_PORT
    assert world.store.devices[DEVICE].registration.route.remote == OTHER_PORT, "and that is kept"


async def test_q8_a_keepalive_from_another_host_is_403_so_that_the_device_registers() -> None:
    """Q8, S7."""
    world = World()
    await register(world)
    assert await send(world, arrived("q8-keepalive", ELSEWHERE)) == 403
    assert world.devices.route(DEVICE).remote == HERE


async def test_q11_a_keepalive_revives_a_registration_that_has_lapsed() -> None:
    """Q11."""
    world = World()
    await register(world)
    world.clock.advance(3601)
    assert await send(world, arrived("q8-keepalive")) == 200
    assert world.devices.is_online(DEVICE)
    assert world.device().registration.expires_at > world.clock.utc()


async def test_q12_a_keepalive_of_a_device_that_we_never_saw_is_403_and_never_silence() -> None:
    """Q12."""
    assert await send(World(), arrived("q8-keepalive")) == 403


async def test_q12_after_our_restart_a_keepalive_alone_brings_a_device_back() -> None:
    """Q12."""
    before = World()
    await register(before)
    world = World(store=before.store)
    await world.devices.load()
    with pytest.raises(Unreachable):
        world.devices.route(DEVICE)
    assert await send(world, arrived("q8-keepalive")) == 200
    assert world.devices.route(DEVICE).remote == HERE


async def test_w5_expires_in_contact_alone_counts() -> None:
    """W5, Q16."""
    world = World()
    assert await register(world, "w5-register-expires-in-contact", EXPIRES="120") == 200
    assert world.signalling.responses[-1].headers["Expires"] == "120"


async def test_contact_star_ends_the_registration_and_forgets_nothing() -> None:
    world = World()
    await register(world)
    assert await register(world, "unregister-contact-star") == 200
    assert world.signalling.responses[-1].headers["Expires"] == "0"
    assert world.seen(DeviceOffline) == [DeviceOffline(DEVICE, "deregistered")]
    assert world.device().user_agent == "IP Camera"
