"""A wrong clock deletes nothing."""

from __future__ import annotations

from gb28181.recording.leap import HOLD_S, LeapWatch

HOUR = 3_600_000_000
NOON = 1_767_225_600_000_000


def test_a_clock_that_goes_on_is_believed() -> None:
    watch = LeapWatch()
    for minute in range(0, 3000, 60):
        assert watch.trusted_us(NOON + minute * 1_000_000, 5.0 + minute) == NOON + minute * 1_000_000


def test_a_leap_forward_counts_after_a_day() -> None:
    watch = LeapWatch()
    watch.trusted_us(NOON, 0.0)
    assert watch.trusted_us(NOON + 500 * HOUR, 60.0) == NOON + 60_000_000
    assert watch.held_us == 500 * HOUR - 60_000_000
    assert watch.trusted_us(NOON + 501 * HOUR, 3660.0) == NOON + HOUR + 60_000_000
    a_day_later = NOON + 501 * HOUR + int(HOLD_S + 61.0 - 3660.0) * 1_000_000
    assert watch.trusted_us(a_day_later, HOLD_S + 61.0) == a_day_later


def test_a_leap_that_is_put_right_leaves_nothing() -> None:
    watch = LeapWatch()
    watch.trusted_us(NOON, 0.0)
    watch.trusted_us(NOON + 500 * HOUR, 0.0)
    assert watch.trusted_us(NOON + 60_000_000, 60.0) == NOON + 60_000_000
    assert watch.held_us == 0


def test_a_clock_that_is_set_back_is_believed() -> None:
    watch = LeapWatch()
    watch.trusted_us(NOON, 0.0)
    assert watch.trusted_us(NOON - 5 * HOUR, 60.0) == NOON - 5 * HOUR


def test_a_start_long_after_the_newest_recording_is_suspected() -> None:
    assert LeapWatch().trusted_us(NOON, 0.0, newest_us=NOON - 480 * HOUR) == NOON - 480 * HOUR
    assert LeapWatch().trusted_us(NOON, 0.0, newest_us=NOON - 5 * HOUR) == NOON
    assert LeapWatch().trusted_us(NOON, 0.0, newest_us=NOON + 5 * HOUR) == NOON
    assert LeapWatch().trusted_us(NOON, 0.0) == NOON
