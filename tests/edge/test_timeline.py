"""What viewers see of a camera's clock."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gb28181.edge.timeline import Timeline

FRAME = 3600


def stamped(times: list[int], arrivals: list[int] | None = None) -> list[int]:
    """Decoding times of units whose arrival is as regular as 25 a second, unless told."""
    timeline = Timeline()
    arrivals = arrivals or [1_000_000_000 + n * 40_000 for n in range(len(times))]
    return [timeline.stamp(time, time, at)[0] for time, at in zip(times, arrivals, strict=True)]


def test_good_clock_is_kept_exactly():
    assert stamped([7_000_000 + n * FRAME for n in range(100)]) == [n * FRAME for n in range(100)]


def test_equal_stamps_of_three_pictures_do_not_drift():
    """Quirk Q119."""
    out = stamped([n // 3 * 3 * FRAME for n in range(300)])
    assert out == sorted(set(out))
    assert abs(out[-1] - 297 * FRAME) <= 3 * FRAME


def test_jump_ahead_or_back_becomes_one_frame():
    """Quirk Q119."""
    for jump in (10_000_000, -10_000_000):
        times = [n * FRAME + (jump if n >= 50 else 0) for n in range(100)]
        out = stamped(times)
        assert {b - a for a, b in pairwise(out)} == {FRAME}


def test_slow_camera_is_no_jump():
    out = stamped([n * 90_000 for n in range(20)], [1_000_000 + n * 1_000_000 for n in range(20)])
    assert out == [n * 90_000 for n in range(20)]


def test_slow_camera_from_a_file_is_a_jump_only_once():
    out = stamped([n * 90_000 for n in range(20)], [0] * 20)
    assert {b - a for a, b in pairwise(out[2:])} == {90_000}


def test_pause_that_the_arrival_confirms_is_kept():
    times = [n * FRAME + (180_000 if n >= 10 else 0) for n in range(20)]
    arrivals = [1_000_000 + n * 40_000 + (2_000_000 if n >= 10 else 0) for n in range(20)]
    assert stamped(times, arrivals) == times


def test_clock_of_another_rate_gives_way_to_the_arrival():
    """Quirk Q121: stamps in milliseconds instead of 90 kHz."""
    out = stamped([n * 40 for n in range(500)])
    assert out == sorted(set(out))
    assert {b - a for a, b in pairwise(out[300:])} == {FRAME}


def test_presentation_time_keeps_its_distance():
    timeline = Timeline()
    timeline.stamp(0, 7200, 1)
    assert timeline.stamp(3600, 14_400, 40_001) == (3600, 14_400)
    assert timeline.stamp(7200, 0, 80_001) == (7200, 7200)  # never before decoding


def test_time_rises_over_a_restart_of_the_stream():
    timeline = Timeline()
    before = [timeline.stamp(n * FRAME, n * FRAME, 1_000_000 + n * 40_000)[0] for n in range(10)]
    timeline.restart()
    after = [timeline.stamp(5 + n * FRAME, 5 + n * FRAME, 9_000_000 + n * 40_000)[0] for n in range(10)]
    assert after[0] == before[-1] + FRAME
    assert {b - a for a, b in pairwise(after)} == {FRAME}


@given(
    st.lists(
        st.tuples(st.integers(-(1 << 34), 1 << 34), st.integers(0, 1 << 50), st.integers(-9_000_000, 9_000_000)), max_size=60
    )
)
def test_time_never_runs_backwards(units):
    timeline = Timeline()
    last = -1
    for dts, at, distance in units:
        out, presented = timeline.stamp(dts, dts + distance, at)
        assert out > last
        assert presented >= out
        last = out
