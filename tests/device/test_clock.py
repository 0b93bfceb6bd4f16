"""Clocks of devices against ours (§9.10), faults in words, and what operators are told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import gb28181
from gb28181.clock import beijing
from gb28181.device.faults import MOST_KINDS, WORDS, counted, words
from gb28181.device.hints import hints
from gb28181.device.model import NO_FAULTS, Address, DeviceChange
from gb28181.device.offset import ClockOffset, header_time
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.device import DeviceInfoQuery, DeviceInfoResponse, DeviceStatusQuery, DeviceStatusResponse
from tests.device.world import World
from tests.fakes import DEVICE, message, settle, udp

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_half_the_round_trip_and_half_a_cut_second_are_taken_off() -> None:
    clock = ClockOffset()
    clock.told(NOW.replace(microsecond=400_000), NOW + timedelta(seconds=0.8), round_trip_s=0.8)
    assert clock.offset_s == pytest.approx(0.0)
    other = ClockOffset()
    other.told(NOW, NOW + timedelta(seconds=0.5))
    assert other.offset_s == pytest.approx(0.0)


def test_an_alarm_of_yesterday_changes_nothing() -> None:
    clock = ClockOffset()
    for told in (2, 2, -86_400, 2, 2):
        clock.told(NOW + timedelta(seconds=told, microseconds=1), NOW)
    assert clock.offset_s == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-01T08:00:00.000", NOW),  # §9.10: Beijing time without a zone
        ("2026-03-01T08:00:00", NOW),
        ("2026-03-01T00:00:00Z", NOW),
        ("Sun, 01 Mar 2026 00:00:00 GMT", NOW),  # RFC 3261 §20.17
        ("", None),
        ("yesterday", None),
        ("Sun, 99 Mar 2026 00:00:00 GMT", None),
        ("9999-99-99T00:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("2026-03-01T08:00:00+99:99", None),
        ("x" * 10_000, None),
    ],
)
def test_a_date_header_is_read_in_both_forms(value: str, expected: datetime | None) -> None:
    assert header_time(value) == expected


async def test_the_date_of_a_keepalive_and_of_a_register_is_compared() -> None:
    world = World()
    ahead = beijing(world.clock.utc() + timedelta(seconds=7), milliseconds=True)
    await world.register(date=ahead)
    assert world.device().clock_offset_s == pytest.approx(7.5, abs=0.6)
    assert world.device().clock_offset_at == world.clock.utc()
    [hint] = hints(world.device(), world.clock.utc())
    assert (hint.code, "快" in hint.zh, "ahead" in hint.en) == ("clock", True, True)


async def test_a_device_is_asked_for_its_time_when_it_appears_and_the_answer_is_kept() -> None:
    world = World()
    async with world.devices:
        await world.register()
        await settle()
        who = next(sent.command for sent in world.signalling.sent if isinstance(sent.command, DeviceInfoQuery))
        await world.router.handle(message(DeviceInfoResponse(sn=who.sn, device_id=DeviceId(DEVICE)), DEVICE))
        await settle()
        query = next(sent.command for sent in world.signalling.sent if isinstance(sent.command, DeviceStatusQuery))
        late = world.clock.utc() - timedelta(seconds=100)
        world.clock.advance(0.5)
        answer = DeviceStatusResponse(sn=query.sn, device_id=DeviceId(DEVICE), device_time=late)
        await world.router.handle(message(answer, DEVICE))
        await settle()
    assert world.device().clock_offset_s == pytest.approx(-99.75), "less half the way, and half a second that was cut off"
    assert hints(world.device(), world.clock.utc())[0].code == "clock"


async def test_a_device_that_never_tells_its_time_keeps_nobody_waiting_until_it_comes_again() -> None:
    world = World(query_timeout_s=0.01)

    def asked() -> int:
        return sum(isinstance(sent.command, DeviceStatusQuery) for sent in world.signalling.sent)

    infos = world.devices._infos
    async with world.devices:
        await world.register()
        await poll(lambda: world.devices.counters().get("status_failed", 0) == 1)
        infos.want_clock(DeviceId(DEVICE))
        await settle()
        assert asked() == 1
        await world.register(expires="0")
        await world.register()
        await poll(lambda: asked() == 2)


async def poll(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0.005)


async def test_the_offset_is_kept_over_a_restart() -> None:
    world = World()
    await world.register(date=beijing(world.clock.utc() - timedelta(seconds=60)))
    world.clock.advance(301)
    await world.keepalive()
    again = World(store=world.store)
    await again.devices.load()
    assert again.device().clock_offset_s == pytest.approx(-59.5)


# --- faults --------------------------------------------------------------------------------------------------------


async def test_faults_are_counted_with_time_and_words_and_kept() -> None:
    world = World()
    await world.register()
    for _ in range(312):
        world.devices.count_faults(DeviceId(DEVICE), {"wrong-content-length": 1})
    world.clock.advance(1)
    world.devices.count_faults(DeviceId(DEVICE), {"wrong-content-length": 2, "bad-item": 1})
    fault = world.device().faults["wrong-content-length"]
    assert (fault.count, fault.last_at) == (314, world.clock.utc())
    assert words("wrong-content-length") == ("Content-Length 有误", "wrong Content-Length")
    await world.devices.update(DEVICE, DeviceChange(name="x"))
    again = World(store=world.store)
    await again.devices.load()
    assert again.device().faults["bad-item"].count == 1


SOURCE = Path(gb28181.__file__).parent
#: What is tolerated in media is counted by stream.
OF_STREAMS = {"media", "ingest", "edge", "storage", "sim"}
NAMED = re.compile(r'(?:faults?\[|count_fault\(|count_faults\([^{]*\{)"([a-z][a-z0-9-]+)"')


def test_every_fault_that_the_code_names_has_words_in_both_languages() -> None:
    """Add them to `device/faults.py` where a fault is tolerated anew."""
    signalling = (path for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in OF_STREAMS)
    named = {name for path in signalling for name in NAMED.findall(path.read_text())}
    constants = (SOURCE / "sip" / "parser.py").read_text().partition("#: Tolerated faults")[2].partition("\n\n")[0]
    named |= set(re.findall(r'"([a-z][a-z0-9-]+)"', constants))
    assert len(named) > 20
    assert named - set(WORDS) == set()


def test_a_fault_without_words_is_shown_by_its_name() -> None:
    assert words("some-new-fault") == ("some-new-fault", "some new fault")
    assert words("missing-SumNum") == ("缺少 SumNum", "no SumNum")


def test_kinds_of_faults_are_bounded() -> None:
    faults = NO_FAULTS
    for number in range(1000):
        faults = counted(faults, f"kind-{number}", NOW)
    assert len(faults) == MOST_KINDS
    assert counted(faults, "kind-0", NOW)["kind-0"].count == 2


async def test_a_wrong_server_id_is_a_hint_until_it_is_corrected() -> None:
    """Q24."""
    world = World()
    await world.register(uri_user="34020000002000000009")
    [hint] = hints(world.device(), world.clock.utc())
    assert hint.code == "server-id"
    assert "34020000002000000009" in hint.zh
    world.clock.advance(10)
    await world.register()
    assert hints(world.device(), world.clock.utc()) == []


async def test_two_devices_with_one_identifier_are_the_first_hint() -> None:
    world = World()
    for turn in range(6):
        await world.register(route=udp(Address("198.51.100.7", 5060)) if turn % 2 else None)
        world.clock.advance(20)
    assert [hint.code for hint in hints(world.device(), world.clock.utc())] == ["shared-id"]
    world.clock.advance(3601)
    assert hints(world.device(), world.clock.utc()) == []
