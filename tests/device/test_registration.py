"""REGISTER end to end, without a socket (§9.1, RFC 3261 §10.3; quirks Q10, Q16, Q17, Q20-Q24, W5, S7)."""

from __future__ import annotations

import pytest

from gb28181.device.model import (
    Address,
    DeviceChange,
    DeviceMoved,
    DeviceOffline,
    DeviceOnline,
    DeviceQuarantined,
    DeviceRegistered,
    Fault,
    RegistrationRefused,
)
from gb28181.device.wrong_passwords import WrongPasswords
from gb28181.errors import NotFound, Unreachable
from tests.device.world import World
from tests.fakes import DEVICE, PLATFORM, tcp, udp

ELSEWHERE = udp(Address("198.51.100.7", 5060))


async def test_a_device_with_the_domain_password_appears() -> None:
    world = World()
    assert await world.register(expires="3600", user_agent="example/1.0", x_gb_ver="3.0") == 200
    device = world.device()
    assert (device.user_agent, device.gb_version) == ("example/1.0", "3.0")
    assert world.devices.route(DEVICE) == udp()
    assert world.events == [DeviceOnline(DEVICE), DeviceRegistered(DEVICE, is_new=True)]
    assert DEVICE in world.store.devices


async def test_the_answer_carries_contact_expires_beijing_time_and_version() -> None:
    world = World()
    await world.register(expires="3600")
    headers = world.signalling.responses[-1].headers
    assert headers == {
        "Contact": "<sip:34020000001110000001@10.0.0.5:5060>;expires=3600",
        "Expires": "3600",
        "Date": "2026-03-01T08:00:00.000",
        "X-GB-Ver": "3.0",
    }


async def test_the_date_can_be_switched_off() -> None:
    world = World(date_header=False)
    await world.register()
    assert "Date" not in world.signalling.responses[-1].headers


async def test_a_register_without_credentials_is_challenged() -> None:
    world = World()
    assert await world.send("REGISTER") == 401
    headers = world.signalling.responses[-1].headers
    assert headers["X-GB-Ver"] == "3.0"
    assert 'realm="3402000000"' in headers["WWW-Authenticate"]
    assert world.devices.devices() == []
    assert world.devices.refusals() == []


async def test_strangers_flood_nobody_who_listens_for_events() -> None:
    world = World()
    for number in range(300):
        await world.register(f"3402000000132{number:07d}", password="wrong")
    assert len(world.seen(RegistrationRefused)) + len(world.seen(DeviceQuarantined)) == 100
    assert world.devices.counters()["refusals_untold"] == 500
    assert len(world.devices.strangers()) == 300
    world.pass_time(1)
    await world.register("34020000001320009999", password="wrong")
    assert world.devices.counters()["refusals_untold"] == 500


async def test_a_wrong_password_is_401_and_from_the_third_on_403_and_no_device_appears() -> None:
    world = World()
    assert [await world.register(password="wrong") for _ in range(4)] == [401, 401, 403, 403]
    assert world.signalling.responses[-1].headers["X-GB-Ver"] == "3.0"
    assert world.devices.devices() == []
    assert world.store.devices == {}
    [refused] = world.devices.refusals()
    assert (refused.device_id, refused.at) == (DEVICE, world.clock.utc())
    assert "password" in refused.reason
    assert len(world.seen(RegistrationRefused)) == 4


async def test_guessing_is_slowed_by_device_and_source_only() -> None:
    world = World()
    for _ in range(8):
        await world.register(password="wrong", route=ELSEWHERE)
    assert await world.register(route=ELSEWHERE) == 403  # even the right one: a guesser learns nothing now
    assert int(world.signalling.responses[-1].headers["Retry-After"]) >= 1
    assert await world.register() == 200, "the camera itself, from its own address, is never locked out"
    world.clock.advance(61)
    assert await world.register(route=ELSEWHERE) == 200


async def test_the_right_password_clears_what_was_wrong_before() -> None:
    world = World()
    await world.register(password="wrong")
    assert await world.register() == 200
    assert await world.register(password="wrong") == 401
    assert await world.register(password="wrong") == 401
    assert world.devices.is_online(DEVICE), "an intruder's wrong password takes nobody offline"


def test_wrong_passwords_are_forgiven_in_time_and_bounded_in_number() -> None:
    wrong = WrongPasswords(max_pairs=100)
    pair = ("device", "host")
    assert [wrong.failed(pair, 0.0) for _ in range(3)] == [1, 2, 3]
    assert wrong.failed(pair, 1000.0) == 1
    for number in range(1000):
        wrong.failed((str(number), "host"), 1001.0)
    assert len(wrong) == 100


async def test_a_nonce_that_is_not_ours_is_stale_and_no_wrong_password() -> None:
    world = World()
    for _ in range(5):
        assert await world.register(nonce="0" * 32) == 401
        assert "stale=true" in world.signalling.responses[-1].headers["WWW-Authenticate"]
    assert world.devices.refusals() == []
    assert await world.register(nonce=world.nonce()) == 200


async def test_an_expired_nonce_is_stale() -> None:
    world = World(nonce_ttl_s=60)
    nonce = await world.challenge()
    world.clock.advance(62)
    assert await world.register(nonce=nonce) == 401
    assert "stale=true" in world.signalling.responses[-1].headers["WWW-Authenticate"]


async def test_a_renewal_without_credentials_is_challenged_again() -> None:
    world = World()
    await world.register()
    assert await world.send("REGISTER", call_id="r1@10.0.0.5") == 401
    assert world.devices.is_online(DEVICE)


async def test_a_renewal_is_no_new_registration() -> None:
    world = World()
    await world.register()
    world.pass_time(100)
    await world.register()
    assert [event.is_new for event in world.seen(DeviceRegistered)] == [True, False]  # type: ignore[attr-defined]
    world.pass_time(179)
    assert world.devices.is_online(DEVICE)


@pytest.mark.parametrize(
    ("contact", "header", "expires"),
    [
        ("<sip:a@10.0.0.5>;expires=600", "3600", 600),
        ('<sip:a@10.0.0.5>;q=1;Expires="600"', "", 600),
        ("<sip:a@10.0.0.5>", "3600", 3600),
        ("<sip:a@10.0.0.5>", "", 86400),
        ("<sip:a@10.0.0.5>", "soon", 86400),
        ("", "3600", 3600),
        ("<sip:a@10.0.0.5>", "4294967295", 30 * 86400),
    ],
    ids=["contact-wins", "quoted", "header", "default", "garbage", "no-contact", "too-long"],
)
async def test_expiry_comes_from_contact_then_header_then_default(contact: str, header: str, expires: int) -> None:
    world = World()
    assert await world.register(contact=contact, **({"expires": header} if header else {})) == 200
    registration = world.device().registration
    assert registration is not None
    assert (registration.expires_at - registration.registered_at).total_seconds() == expires
    assert world.signalling.responses[-1].headers["Expires"] == str(expires)


async def test_too_short_an_expiry_is_423_with_the_minimum() -> None:
    world = World(register_min_expires_s=30)
    assert await world.register(expires="5") == 423
    assert world.signalling.responses[-1].headers["Min-Expires"] == "30"
    assert world.devices.devices() == []


@pytest.mark.parametrize(
    "parts", [{"expires": "0"}, {"contact": "<sip:a@10.0.0.5>;expires=0"}, {"contact": "*", "expires": "0"}]
)
async def test_expires_zero_and_a_star_deregister(parts: dict[str, str]) -> None:
    world = World()
    await world.register()
    assert await world.register(**parts) == 200
    assert world.signalling.responses[-1].headers["Expires"] == "0"
    assert world.seen(DeviceOffline) == [DeviceOffline(DEVICE, "deregistered")]
    assert world.device().registration is None
    with pytest.raises(Unreachable):
        world.devices.route(DEVICE)


async def test_a_deregistration_needs_credentials() -> None:
    world = World()
    await world.register()
    assert await world.send("REGISTER", expires="0") == 401
    assert world.devices.is_online(DEVICE)


async def test_a_deregistration_before_the_first_registration_makes_no_device() -> None:
    world = World()
    assert await world.register(expires="0") == 200
    assert world.devices.devices() == []


async def test_a_register_from_another_address_moves_the_device() -> None:
    world = World()
    await world.register()
    await world.register(route=ELSEWHERE)
    assert world.devices.route(DEVICE) == ELSEWHERE
    assert world.seen(DeviceMoved) == [DeviceMoved(DEVICE)]
    assert [event.is_new for event in world.seen(DeviceRegistered)] == [True, True]  # type: ignore[attr-defined]
    assert await world.keepalive() == 403, "the old address speaks for nobody any more"


async def test_a_new_tcp_connection_of_the_same_host_is_no_move() -> None:
    world = World()
    await world.register(route=tcp(Address("192.0.2.20", 40000), 1))
    again = tcp(Address("192.0.2.20", 40001), 2)
    await world.register(route=again)
    assert world.devices.route(DEVICE) == again
    assert world.seen(DeviceMoved) == []


async def test_a_device_with_its_own_password_needs_that_one() -> None:
    world = World()
    await world.devices.provision(DEVICE, name="Gate", password="own")
    assert await world.register() == 401
    assert await world.register(password="own") == 200
    assert world.device().password != b"own"
    await world.devices.update(DEVICE, DeviceChange(password=""))
    assert await world.register() == 200


async def test_without_any_password_nobody_registers() -> None:
    world = World(domain_password="")
    assert await world.register(password="") == 403
    assert world.devices.devices() == []


async def test_a_wrong_server_id_is_told_to_the_operator() -> None:
    world = World()
    await world.register(password="wrong", uri_user="34020000002000000009")
    assert "34020000002000000009" in world.devices.refusals()[0].reason
    assert PLATFORM in world.devices.refusals()[0].reason
    assert await world.register(uri_user="34020000002000000009") == 200
    assert world.device().faults == {"wrong-server-id": Fault(1, world.clock.utc(), "34020000002000000009")}


async def test_a_register_from_nobody_is_refused() -> None:
    world = World()
    assert await world.send("REGISTER", "") == 400
    assert await world.send("REGISTER", "a b/c") == 400


async def test_the_maker_comes_from_the_user_agent_until_the_device_tells() -> None:
    world = World()
    await world.register(user_agent="Hikvision NVR V4")
    assert world.device().manufacturer == "Hikvision"


async def test_a_deleted_device_is_gone() -> None:
    world = World()
    await world.register()
    await world.devices.remove(DEVICE)
    assert world.seen(DeviceOffline) == [DeviceOffline(DEVICE, "deleted")]
    with pytest.raises(NotFound):
        world.device()
    assert world.store.devices == {}
    assert await world.keepalive() == 403
