"""When subscriptions are renewed and tried again, and the heap that says so."""

from __future__ import annotations

import pytest

from gb28181.ids import DeviceId
from gb28181.subscription.model import SubscriptionKey, Topic
from gb28181.subscription.renewal import pause_after, renewal_after
from gb28181.subscription.schedule import Schedule


def key(number: int) -> SubscriptionKey:
    return SubscriptionKey(DeviceId(str(number)), Topic.ALARM)


@pytest.mark.parametrize("granted", [5, 30, 90, 600, 3600, 86_400])
def test_a_renewal_comes_before_the_end_and_never_in_a_rush(granted: int) -> None:
    moments = [renewal_after(granted, chance / 10) for chance in range(11)]
    assert all(min(5, granted) <= moment <= granted for moment in moments)
    assert moments == sorted(moments)
    if granted >= 30:
        assert moments[0] < moments[-1] < granted - granted / 5


def test_pauses_double_up_to_an_hour_and_a_wish_for_patience_is_heard() -> None:
    pauses = [pause_after(failures, 0.5) for failures in range(1, 12)]
    assert pauses[:4] == [30, 60, 120, 240]
    assert pauses[-1] == 3600
    assert pause_after(1, 0.5, wished_s=7200) == 7200
    assert pause_after(10**6, 1.0, wished_s=10**9) == 86_400


def test_what_is_longest_due_goes_first_and_the_rest_waits() -> None:
    schedule = Schedule()
    for number in (3, 1, 2):
        schedule.plan(key(number), float(number))
    assert schedule.due(0.5, limit=9) == []
    assert schedule.due(9.0, limit=2) == [key(1), key(2)]
    assert schedule.due(9.0, limit=2) == [key(3)]
    assert schedule.due(9.0, limit=2) == []


def test_a_later_plan_replaces_an_earlier_one_and_a_cancelled_one_is_not_due() -> None:
    schedule = Schedule()
    schedule.plan(key(1), 5.0)
    schedule.plan(key(1), 50.0)
    schedule.plan(key(2), 5.0)
    schedule.cancel(key(2))
    assert schedule.due(10.0, limit=9) == []
    assert schedule.at(key(1)) == 50.0
    assert schedule.due(60.0, limit=9) == [key(1)]


def test_the_heap_is_bounded_by_what_is_planned() -> None:
    schedule = Schedule()
    for number in range(50_000):
        schedule.plan(key(number % 10), float(number))
    assert sum(map(len, schedule._heaps.values())) <= 1100
