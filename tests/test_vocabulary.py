"""Identifiers, times and events."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from gb28181.bus import Bus
from gb28181.clock import beijing, from_us, parse_rfc3339, rfc3339, to_us
from gb28181.errors import Invalid, WireError
from gb28181.ids import Ssrc, device_id, domain_of, path_part, type_code


def test_the_parts_of_a_code() -> None:
    assert type_code("34020000001320000001") == "132"
    assert domain_of("34020000002000000001") == "3402000000"
    assert type_code("340200") == ""
    assert type_code("3402000000132000000x") == ""


@pytest.mark.parametrize("text", ["", " ", "a/b", ".", "..", " .. ", "../etc", "x" * 65, "a b", "日"])
def test_what_cannot_be_an_identifier_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        device_id(text)


def test_an_identifier_that_breaks_the_rules_is_kept_as_it_is() -> None:
    """Quirk Q25."""
    assert device_id(" 340200000013200001 ") == "340200000013200001"


def test_a_path_part_is_the_identifier_or_its_hash() -> None:
    assert path_part("34020000001320000001") == "34020000001320000001"
    assert path_part("..").startswith("h-")
    assert len(path_part("x" * 64)) <= 32


def test_ssrc_of_the_standards_examples() -> None:
    assert str(Ssrc.make("34020000002000000001", 1)) == "0200000001"
    assert Ssrc.make("34020000002000000001", 1).value == 0x0BEBC201
    assert str(Ssrc.make("34020000002000000001", 1, history=True)) == "1200000001"
    assert str(Ssrc.make("13010000002000000001", 0))[1:6] == "10000"
    assert Ssrc.parse("100000001").value == 100000001  # quirk Q83
    with pytest.raises(WireError):
        Ssrc.parse("0x1234")


def test_times_keep_their_microseconds_and_their_zone() -> None:
    moment = datetime(2026, 3, 1, 0, 0, 0, 123456, UTC)
    assert from_us(to_us(moment)) == moment
    assert rfc3339(moment) == "2026-03-01T00:00:00.123Z"
    assert beijing(moment, milliseconds=True) == "2026-03-01T08:00:00.123"
    assert parse_rfc3339("2026-03-01T08:00:00+08:00") == parse_rfc3339("2026-03-01T00:00:00Z")
    assert parse_rfc3339("2026-03-01T08:00:00 08:00") == parse_rfc3339("2026-03-01T00:00:00Z")  # + in a query string


@pytest.mark.parametrize("text", ["", "yesterday", "2026-03-01T00:00:00", "2026-13-01T00:00:00Z"])
def test_a_time_that_nobody_can_place_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_rfc3339(text)


def test_a_subscriber_that_fails_disturbs_nobody() -> None:
    bus, heard = Bus(), []

    def fails(_event: str) -> None:
        raise ValueError

    bus.subscribe(str, fails)
    bus.subscribe(str, heard.append)
    bus.publish("event")
    assert heard == ["event"]
    assert bus.failures == 1


async def test_a_slow_listener_misses_the_oldest() -> None:
    bus = Bus()
    with bus.listen(size=2) as queue:
        for number in range(3):
            bus.publish(number)
        assert [queue.get_nowait(), queue.get_nowait()] == [1, 2]
        assert bus.dropped == 1
    bus.publish(4)
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
