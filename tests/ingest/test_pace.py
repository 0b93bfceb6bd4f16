"""When ticks come."""

from __future__ import annotations

import pytest

from gb28181.ingest.loop import Pace
from gb28181.ingest.service import Lateness


def pace() -> Pace:
    return Pace(calm_s=0.08, quick_s=0.02, lateness=Lateness(), now=100.0)


def tick(pace: Pace, *, has_quick: bool = False, longest_s: float = 1.0) -> tuple[float, bool]:
    """One punctual tick: its time, and whether the calm sockets were due."""
    now = pace.due
    did_all = pace.begin(now)
    pace.end(now, did_all=did_all, has_quick=has_quick, longest_s=longest_s)
    return now, did_all


def test_calm_sockets_are_read_every_fourth_quick_tick() -> None:
    one = pace()
    ticks = [tick(one, has_quick=True) for _ in range(9)]
    assert [round(at - 100, 3) for at, _ in ticks] == [round(0.02 * number, 3) for number in range(9)]
    assert [did_all for _, did_all in ticks] == [True, False, False, False, True, False, False, False, True]


def test_who_begins_to_watch_does_not_wait_for_the_end_of_a_calm_tick() -> None:
    one = pace()
    tick(one)
    assert one.due == pytest.approx(100.08)
    one.hurry(100.01)
    assert one.due == pytest.approx(100.03)
    one.hurry(100.02)
    assert one.due == pytest.approx(100.03)


def test_small_receive_buffers_are_read_more_often() -> None:
    one = pace()
    tick(one, longest_s=0.04)
    assert one.due == pytest.approx(100.04)


def test_late_ticks_are_longer_for_a_while() -> None:
    one = pace()
    tick(one, has_quick=True)
    one.begin(one.due + 0.5)
    one.end(100.52, did_all=True, has_quick=True, longest_s=0.04)
    one.hurry(100.53)
    assert one.due - 100.52 >= 0.04
