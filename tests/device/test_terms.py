"""On what terms devices register: quarantine, networks, redirect, SHA-256, policies, and what is said of each (§9.1)."""

from __future__ import annotations

import pytest

from gb28181.device.model import (
    Address,
    Device,
    DeviceChange,
    DeviceOffline,
    DeviceQuarantined,
    DeviceRegistered,
)
from gb28181.device.quarantine import Quarantine
from gb28181.errors import Invalid, NotFound, Unreachable
from gb28181.ids import DeviceId
from gb28181.sip.digest import digest_response
from tests.device.world import PASSWORD, World
from tests.fakes import DEVICE, DOMAIN, PLATFORM, FakeDeviceStore, tcp, udp

OTHER = "34020000001110000077"
ELSEWHERE = udp(Address("198.51.100.7", 5060))
SERVER_A = "sip:34020000002000000002@203.0.113.9:5060"


class CountingStore(FakeDeviceStore):
    writes = 0

    def save_device(self, device: Device) -> None:
        self.writes += 1
        super().save_device(device)


# --- quarantine ----------------------------------------------------------------------------------------------------


async def test_an_unknown_device_with_the_domains_password_appears_by_default() -> None:
    world = World()
    assert await world.register() == 200
    assert world.devices.strangers() == []


async def test_beyond_what_is_accepted_by_itself_a_device_waits_in_quarantine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gb28181.device.registrations._MOST_ACCEPTED", 1)
    world = World()
    assert await world.register() == 200
    assert await world.register("34020000001320000002") == 403
    assert [found.device_id for found in world.devices.strangers()] == ["34020000001320000002"]
    await world.devices.accept("34020000001320000002")
    assert await world.register("34020000001320000002") == 200


async def test_an_unknown_device_waits_in_quarantine_until_somebody_lets_it_in() -> None:
    world = World(unknown_devices="quarantine")
    assert await world.register(user_agent="Cam/1", route=ELSEWHERE) == 403
    assert world.devices.devices() == []
    await world.register(user_agent="Cam/2", route=ELSEWHERE)
    [stranger] = world.devices.strangers()
    assert (stranger.device_id, stranger.source, stranger.user_agent) == (DEVICE, "198.51.100.7:5060", "Cam/2")
    assert (stranger.reason, stranger.count) == ("unknown", 2)
    assert world.seen(DeviceQuarantined) == [DeviceQuarantined(DEVICE, "198.51.100.7:5060", "unknown")]
    await world.devices.accept(DEVICE, name="东门")
    assert world.devices.strangers() == []
    assert await world.register(route=ELSEWHERE) == 200
    assert world.device().name == "东门"


async def test_who_was_never_challenged_fills_no_quarantine() -> None:
    world = World(unknown_devices="quarantine")
    for number in range(50):
        await world.challenge(f"3402000000111{number:07d}")
    assert world.devices.strangers() == []


async def test_a_stranger_with_a_wrong_password_is_let_in_only_with_one_of_its_own() -> None:
    world = World()
    await world.register(password="typo")
    [stranger] = world.devices.strangers()
    assert stranger.reason == "wrong-password"
    with pytest.raises(Invalid, match="wrong password"):
        await world.devices.accept(DEVICE)
    await world.devices.accept(DEVICE, password="typo")
    assert await world.register(password="typo") == 200


async def test_without_the_domains_password_only_devices_with_their_own_register() -> None:
    world = World(uses_domain_password=False)
    assert await world.register() == 403
    assert world.devices.strangers()[0].reason == "no-password"
    await world.devices.accept(DEVICE, password="own-secret")
    assert await world.register() == 401, "not that of the domain"
    assert await world.register(password="own-secret") == 200


async def test_a_known_device_with_a_wrong_password_is_no_stranger() -> None:
    world = World()
    await world.register()
    await world.register(password="wrong")
    assert world.devices.strangers() == []


async def test_a_dismissed_stranger_is_back_when_it_tries_again() -> None:
    world = World(unknown_devices="quarantine")
    await world.register()
    world.devices.dismiss(DEVICE)
    assert world.devices.strangers() == []
    with pytest.raises(NotFound):
        world.devices.dismiss(DEVICE)
    await world.register()
    assert len(world.devices.strangers()) == 1


def test_guessers_push_out_guessers_and_nobody_who_knows_the_password() -> None:
    clock = World().clock
    quarantine = Quarantine(most=3)
    for device_id, reason in (("1", "unknown"), ("2", "wrong-password"), ("3", "wrong-password"), ("4", "wrong-password")):
        quarantine.noticed(DeviceId(device_id), reason, source="", user_agent="", at=clock.utc())  # type: ignore[arg-type]
    assert {stranger.device_id for stranger in quarantine.newest_first()} == {"1", "3", "4"}
    quarantine.noticed(DeviceId("1"), "wrong-password", source="evil", user_agent="", at=clock.utc())
    assert (quarantine.get("1").reason, quarantine.get("1").source) == ("unknown", ""), "its proof stays"


# --- networks ------------------------------------------------------------------------------------------------------


async def test_who_is_outside_the_networks_is_refused_before_its_password_is_looked_at() -> None:
    world = World(networks=["192.0.2.0/24", "fd00::/8"])
    assert await world.send("REGISTER", route=ELSEWHERE) == 403
    assert "192.0.2.0/24" in world.devices.refusals()[0].reason
    assert await world.register() == 200
    assert await world.register(OTHER, route=udp(Address("::ffff:192.0.2.9", 5060))) == 200, "IPv4 in IPv6 clothes"


async def test_a_device_has_networks_of_its_own() -> None:
    world = World()
    await world.register()
    changed = await world.devices.update(DEVICE, DeviceChange(networks=("192.0.2.20", "198.51.100.9/25")))
    assert changed.networks == ("192.0.2.20/32", "198.51.100.0/25")
    assert await world.register() == 200
    await world.devices.update(DEVICE, DeviceChange(networks=("203.0.113.0/24",)))
    assert world.seen(DeviceOffline) == [DeviceOffline(DEVICE, "not_allowed")]
    with pytest.raises(Unreachable):
        world.devices.route(DEVICE)
    assert await world.keepalive() == 403
    assert await world.send("REGISTER") == 403
    with pytest.raises(Invalid, match="no network"):
        await world.devices.update(DEVICE, DeviceChange(networks=("300.1.2.3",)))


async def test_networks_that_were_narrowed_count_after_a_restart() -> None:
    before = World()
    await before.register()
    after = World(store=before.store, networks=["203.0.113.0/24"])
    await after.devices.load()
    assert not after.devices.is_online(DEVICE)
    assert await after.keepalive() == 403


# --- redirect (2022 §9.1.2.3) --------------------------------------------------------------------------------------


async def test_a_2022_device_that_is_not_here_is_sent_on_after_it_proved_itself() -> None:
    world = World(redirect=SERVER_A)
    assert await world.register(password="wrong", x_gb_ver="3.0") == 401
    assert await world.register(x_gb_ver="3.0") == 302
    headers = world.signalling.responses[-1].headers
    assert headers == {"Contact": f"<{SERVER_A}>", "Expires": "86400", "X-GB-Ver": "3.0"}
    assert world.devices.devices() == []


async def test_a_device_that_knows_no_302_is_served_here() -> None:
    world = World(redirect=SERVER_A)
    assert await world.register() == 200


async def test_a_device_that_is_registered_here_is_not_sent_on_without_reason() -> None:
    first = World()
    await first.register(x_gb_ver="3.0")
    world = World(store=first.store, redirect=SERVER_A)
    await world.devices.load()
    assert await world.register(x_gb_ver="3.0") == 200


async def test_an_operator_sends_one_device_on_at_its_next_register() -> None:
    world = World()
    await world.register()
    await world.devices.update(DEVICE, DeviceChange(redirect=SERVER_A))
    assert world.devices.is_online(DEVICE)
    assert await world.register(expires="0") == 200, "who leaves is not sent anywhere"
    await world.register(OTHER)
    await world.devices.update(OTHER, DeviceChange(redirect=SERVER_A))
    assert await world.register(OTHER) == 302
    assert world.seen(DeviceOffline)[-1] == DeviceOffline(DeviceId(OTHER), "redirected")


@pytest.mark.parametrize("uri", ["http://a", "203.0.113.9", f"sip:{PLATFORM}@203.0.113.9", "sip:203.0.113.9"])
async def test_a_redirect_must_name_another_server(uri: str) -> None:
    world = World()
    await world.register()
    with pytest.raises(Invalid, match="redirect"):
        await world.devices.update(DEVICE, DeviceChange(redirect=uri))


# --- SHA-256 (RFC 8760) --------------------------------------------------------------------------------------------


def _challenges(world: World) -> list[str]:
    return [value for name, value in world.signalling.responses[-1].all_headers if name == "WWW-Authenticate"]


async def _answer(world: World, challenge: str, algorithm: str) -> int:
    nonce, uri = challenge.split('nonce="')[1].split('"')[0], f"sip:{PLATFORM}@{DOMAIN}"
    response = digest_response(
        algorithm,
        username=DEVICE,
        realm=DOMAIN,
        password=PASSWORD,
        method="REGISTER",
        uri=uri,
        nonce=nonce,  # type: ignore[arg-type]
    )
    credentials = f'Digest username="{DEVICE}",realm="{DOMAIN}",nonce="{nonce}",uri="{uri}",response="{response}"'
    return await world.send("REGISTER", authorization=f"{credentials},algorithm={algorithm}")


async def test_only_a_device_that_is_set_to_it_gets_a_second_challenge_the_strongest_first() -> None:
    world = World()
    await world.challenge()
    assert len(_challenges(world)) == 1
    assert "algorithm=MD5" in _challenges(world)[0]
    await world.devices.provision(DEVICE)
    await world.devices.update(DEVICE, DeviceChange(overrides={"digest": "SHA-256"}))
    await world.challenge()
    strong, plain = _challenges(world)
    assert "algorithm=SHA-256" in strong
    assert "algorithm=MD5" in plain
    assert await _answer(world, strong, "SHA-256") == 200
    assert await _answer(world, plain, "MD5") == 200, "a client that knows MD5 alone takes the second"


async def test_sha_256_that_was_not_offered_proves_nothing() -> None:
    world = World()
    nonce = await world.challenge()
    assert await _answer(world, f'nonce="{nonce}"', "SHA-256") == 401
    assert "algorithm" in world.devices.refusals()[0].reason


# --- keepalives (quirk Q11) ----------------------------------------------------------------------------------------


async def test_by_the_strict_policy_a_lapsed_registration_is_offline_and_only_register_brings_it_back() -> None:
    world = World(keepalive_policy="strict")
    await world.register(expires="90")
    world.pass_time(60)
    assert await world.keepalive() == 200
    world.pass_time(31)
    assert world.seen(DeviceOffline) == [DeviceOffline(DEVICE, "expired")]
    assert await world.keepalive() == 403
    assert not world.devices.is_online(DEVICE)
    assert await world.register(expires="90") == 200


async def test_the_policy_of_one_device_can_be_another_and_change_while_it_is_here() -> None:
    world = World()
    await world.register(expires="90")
    await world.devices.update(DEVICE, DeviceChange(overrides={"keepalive_policy": "strict"}))
    await world.keepalive()
    world.pass_time(91)
    assert not world.devices.is_online(DEVICE)
    await world.devices.update(DEVICE, DeviceChange(overrides={"keepalive_policy": None}))
    assert await world.keepalive() == 200
    assert world.devices.is_online(DEVICE)


async def test_an_interval_that_an_operator_set_decides_alone() -> None:
    world = World()
    await world.register()
    await world.devices.update(DEVICE, DeviceChange(overrides={"keepalive_interval_s": 20, "keepalive_misses": 2}))
    await world.keepalive()
    world.pass_time(39)
    assert world.devices.is_online(DEVICE)
    world.pass_time(2)
    assert not world.devices.is_online(DEVICE)
    assert world.devices.keepalive_interval_s(DEVICE) == 20


# --- storms and shared identifiers (quirk Q18) ---------------------------------------------------------------------


async def test_a_device_that_registers_without_end_is_answered_counted_and_written_seldom() -> None:
    store = CountingStore()
    world = World(store=store)
    for _ in range(30):
        assert await world.register() == 200
        world.clock.advance(0.5)
    assert store.writes < 16
    assert len(world.seen(DeviceRegistered)) < 12
    assert world.device().faults["register-storm"].count > 15


async def test_the_newest_connection_of_a_device_wins() -> None:
    """Q18: one that opens a TCP connection for each message."""
    world = World()
    for connection in (1, 2, 3):
        await world.register(route=tcp(connection=connection))
    assert world.devices.route(DEVICE).connection == 3


async def test_two_devices_with_one_identifier_are_told_with_their_addresses() -> None:
    world = World()
    for turn in range(6):
        await world.register(route=ELSEWHERE if turn % 2 else udp())
        world.clock.advance(20)
    assert world.device().faults["address-contest"].detail == "192.0.2.20, 198.51.100.7"


async def test_a_camera_that_moves_once_is_no_contest() -> None:
    world = World()
    await world.register()
    await world.register(route=ELSEWHERE)
    assert "address-contest" not in world.device().faults


async def test_a_user_name_that_is_not_the_device_is_accepted_and_told() -> None:
    """Q22."""
    world = World()
    nonce = await world.challenge()
    uri = f"sip:{PLATFORM}@{DOMAIN}"
    response = digest_response(
        "MD5", username="admin", realm=DOMAIN, password=PASSWORD, method="REGISTER", uri=uri, nonce=nonce
    )
    credentials = f'Digest username="admin",realm="{DOMAIN}",nonce="{nonce}",uri="{uri}",response="{response}"'
    assert await world.send("REGISTER", authorization=credentials) == 200
    assert world.device().faults["username-not-device-id"].detail == "admin"


async def test_one_address_for_all_devices_is_told() -> None:
    """Q39: a container bridge in front of us."""
    world = World()
    for number in range(4):
        await world.register(f"3402000000111000000{number}", route=udp(Address("172.17.0.1", 5060 + number)))
    assert world.devices.one_source() == ""
    await world.register(OTHER, route=udp(Address("172.17.0.1", 6000)))
    assert world.devices.one_source() == "172.17.0.1"
    await world.register(DEVICE)
    assert world.devices.one_source() == ""
