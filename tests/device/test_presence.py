"""Who is alive (§9.6.1; quirks Q11, Q14)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gb28181.device.model import Device
from gb28181.device.presence import Presence, WentOffline, WentOnline
from gb28181.ids import DeviceId

A, B = DeviceId("34020000001320000001"), DeviceId("34020000001320000002")


def test_a_register_and_the_first_keepalive_after_silence_mean_online() -> None:
    presence = Presence()
    assert presence.registered(A, 0.0) == [WentOnline(A)]
    assert presence.keepalive(A, 1.0) == []
    assert presence.online == 1
    presence.expire(1000.0)
    assert presence.keepalive(A, 1001.0) == [WentOnline(A)]


def test_silence_of_three_intervals_means_offline_and_not_a_moment_less() -> None:
    presence = Presence(offline_after_s=180, misses=3, interval_s=60)
    presence.registered(A, 0.0)
    presence.keepalive(A, 60.0)
    assert presence.expire(239.9) == []
    assert presence.expire(240.0) == [WentOffline(A)]
    assert not presence.is_online(A)


def test_a_slow_device_gets_three_of_its_own_intervals() -> None:
    presence = Presence()
    for moment in (0.0, 120.0, 240.0):
        presence.keepalive(A, moment)
    assert presence.interval_s(A) == 120
    presence.keepalive(A, 360.0)
    assert presence.expire(719.0) == []
    assert presence.expire(720.0) == [WentOffline(A)]


def test_a_fast_device_still_gets_the_configured_patience() -> None:
    presence = Presence(offline_after_s=180)
    for moment in range(0, 100, 20):
        presence.keepalive(A, float(moment))
    assert presence.interval_s(A) == 20
    assert presence.expire(80 + 179.0) == []


def test_copies_of_a_keepalive_do_not_distort_the_interval() -> None:
    presence = Presence()
    for moment in (0.0, 0.5, 2.0, 60.0, 60.5, 61.0, 120.0, 124.0, 180.0):
        presence.keepalive(A, moment)
    assert presence.interval_s(A) == 60


def test_a_lost_keepalive_and_an_outage_do_not_stretch_the_interval() -> None:
    presence = Presence()
    for moment in (0.0, 60.0, 120.0, 240.0, 300.0, 360.0, 7200.0, 7260.0):
        presence.keepalive(A, moment)
    assert presence.interval_s(A) == 60


def test_a_restored_device_has_full_patience_of_its_interval() -> None:
    presence = Presence()
    presence.restore(A, 100.0, 0.0)
    assert presence.expire(299.0) == []
    assert presence.expire(300.0) == [WentOffline(A)]


def test_a_device_that_left_is_not_reported_again() -> None:
    presence = Presence()
    presence.registered(A, 0.0)
    assert presence.gone(A)
    assert not presence.gone(A)
    assert presence.expire(1000.0) == []
    assert presence.online == 0


def test_a_forgotten_device_leaves_nothing_behind() -> None:
    presence = Presence()
    presence.registered(A, 0.0)
    presence.forget(A)
    presence.registered(A, 500.0)
    assert presence.expire(600.0) == []
    assert presence.is_online(A)


def test_each_device_has_its_own_deadline() -> None:
    presence = Presence()
    presence.registered(A, 0.0)
    presence.registered(B, 100.0)
    assert presence.next_deadline() == 180.0
    assert presence.expire(200.0) == [WentOffline(A)]
    assert presence.expire(280.0) == [WentOffline(B)]
    assert presence.next_deadline() is None


def test_a_million_keepalives_leave_one_entry_a_device() -> None:
    presence = Presence()
    for moment in range(2000):
        presence.keepalive(A, moment * 20.0)
        presence.keepalive(B, moment * 30.0)
        presence.expire(moment * 20.0)
    assert len(presence._heap) <= 4


def test_a_device_is_changed_in_the_named_fields_only() -> None:
    device = Device(DeviceId("34020000001110000001"), name="gate", keepalive_interval_s=30.0)
    assert device.with_changes(name="door") == replace(device, name="door")
    assert device.with_changes() == device
    with pytest.raises(TypeError):
        device.with_changes(nmae="door")
