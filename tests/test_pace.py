"""Questions of our own wait while devices pour in, and then leave as fast as the processor allows."""

from __future__ import annotations

from gb28181.pace import Pace


class World:
    def __init__(self) -> None:
        self.now = self.used = 0.0
        self.pace = Pace(monotonic=lambda: self.now, used=lambda: self.used)

    def run(self, seconds: float, *, arrivals_per_s: int = 0, share: float = 0.0) -> int:
        """Lets time pass, with somebody who asks whenever he may; how often he did."""
        asked = 0
        for step in range(int(seconds * 100)):
            self.now += 0.01
            self.used += 0.01 * share
            if arrivals_per_s and step % (100 // arrivals_per_s or 1) == 0:
                for _ in range(max(1, arrivals_per_s // 100)):
                    self.pace.arrived()
            while self.pace.may_ask():
                asked += 1
        return asked


def test_a_few_devices_are_asked_at_once() -> None:
    assert World().run(2, arrivals_per_s=5) > 150


def test_in_a_rush_of_registrations_few_questions_leave_and_afterwards_many() -> None:
    world = World()
    world.run(1, arrivals_per_s=1000)
    assert world.run(20, arrivals_per_s=1000) <= 20 * 10 + 5
    world.run(0.5)
    assert world.run(2) > 200
    world.run(20)
    assert world.pace.per_s == 1000


def test_a_busy_processor_slows_questions_down_and_never_stops_them() -> None:
    world = World()
    world.run(20)
    world.run(10, share=0.8)
    assert world.pace.per_s == 10
    assert world.run(10, share=0.8) >= 90
    world.run(20, share=0.2)
    assert world.pace.per_s > 500


def test_a_rush_without_an_end_holds_nobody_up_for_ever() -> None:
    world = World()
    world.run(181, arrivals_per_s=100)
    assert world.run(60, arrivals_per_s=100) > 100 * 10


def test_a_gap_in_a_rush_is_noticed_when_the_next_device_comes() -> None:
    world = World()
    world.run(5, arrivals_per_s=500)
    world.now += 30
    world.pace.arrived()
    assert world.pace.may_ask()
