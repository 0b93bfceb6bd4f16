"""Which due channel is looked at when."""

from __future__ import annotations

from itertools import islice

from gb28181.catalog.model import ChannelKey
from gb28181.ids import DeviceId
from gb28181.recording.due import DueChannels
from tests.recording.world import DEVICE, key


def due(*numbers: int) -> DueChannels:
    made = DueChannels()
    for number in numbers:
        made.add(key(number))
    return made


def test_ready_channels_come_by_their_moment_and_once() -> None:
    channels = due(1, 2, 3)
    channels.queue(key(2), 5.0)
    channels.queue(key(1), 9.0)
    channels.queue(key(3), 20.0)
    assert list(channels.ready(10.0)) == [key(2), key(1)]
    assert list(channels.ready(10.0)) == []
    assert list(channels.ready(20.0)) == [key(3)]


def test_an_earlier_moment_counts_and_a_later_one_does_not() -> None:
    channels = due(1)
    channels.queue(key(1), 50.0)
    channels.queue(key(1), 3.0)
    channels.queue(key(1), 9.0)
    assert list(channels.ready(3.0)) == [key(1)]
    assert list(channels.ready(100.0)) == []


def test_what_is_not_taken_stays_ready() -> None:
    channels = due(*range(1, 6))
    for number in range(1, 6):
        channels.queue(key(number), float(number))
    assert list(islice(channels.ready(9.0), 2)) == [key(1), key(2)]
    assert list(channels.ready(9.0)) == [key(3), key(4), key(5)]


def test_a_dropped_channel_is_never_ready() -> None:
    channels = due(1, 2)
    channels.queue(key(1), 0.0)
    channels.drop(key(1))
    channels.queue(key(1), 0.0)
    assert list(channels.ready(9.0)) == []
    assert list(channels) == [key(2)]
    assert channels.of_device(DEVICE) == (key(2),)


def test_parked_channels_of_a_device_come_one_by_one_in_order() -> None:
    channels = due(1, 2)
    channels.park(key(1))
    channels.park(key(2))
    channels.park(key(1))
    channels.unpark(DEVICE, 1.0)
    assert list(channels.ready(1.0)) == [key(1)]
    channels.unpark(DEVICE, 2.0)
    channels.unpark(DEVICE, 2.0)
    assert list(channels.ready(2.0)) == [key(2)]


def test_every_channel_is_passed_by_within_a_few_turns() -> None:
    channels = DueChannels()
    everything = {ChannelKey(DeviceId(f"{device:020}"), DeviceId(f"{device:020}")) for device in range(10_000)}
    for each in everything:
        channels.add(each)
    seen: set[ChannelKey] = set()
    for _ in range(7):
        turn = channels.some()
        assert len(turn) <= 2000
        seen.update(turn)
    assert seen == everything
