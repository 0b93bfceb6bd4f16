from __future__ import annotations

import pytest

from gb28181.accounts.model import Caller
from gb28181.accounts.rights import demand, may
from gb28181.accounts.throttle import LoginThrottle, TooManyAttempts
from gb28181.errors import Denied


@pytest.mark.parametrize(
    ("role", "right", "allowed"),
    [
        ("viewer", "view", True), ("viewer", "watch", True), ("viewer", "operate", False), ("viewer", "administer", False),
        ("operator", "operate", True), ("operator", "administer", False),
        ("admin", "operate", True), ("admin", "administer", True),
    ],
)  # fmt: skip
def test_role_decides(role, right, allowed):
    assert may(Caller("x", role), right) is allowed


def test_known_caller_without_the_right_is_told_who_may():
    with pytest.raises(Denied, match="bob is viewer, this needs admin") as caught:
        demand(Caller("bob", "viewer"), "administer")
    assert caught.value.authenticated


def test_attempts_are_limited_and_come_back_with_time():
    throttle = LoginThrottle(per_minute=3)
    for _ in range(3):
        throttle.attempt("admin", "a", 100.0)
    with pytest.raises(TooManyAttempts) as caught:
        throttle.attempt("admin", "a", 100.0)
    assert caught.value.retry_after_s == pytest.approx(20)
    throttle.attempt("admin", "a", 120.1)


def test_guessing_from_elsewhere_locks_nobody_out():
    throttle = LoginThrottle(per_minute=3)
    for _ in range(100):
        try:
            throttle.attempt("admin", "attacker", 0.0)
        except TooManyAttempts:
            pass
    throttle.attempt("admin", "owner", 0.0)


def test_many_names_from_one_source_are_limited_too():
    throttle = LoginThrottle(per_minute=2)
    for number in range(12):
        throttle.attempt(f"user{number}", "a", 0.0)
    with pytest.raises(TooManyAttempts):
        throttle.attempt("user99", "a", 0.0)


def test_right_password_gives_the_allowance_back():
    throttle = LoginThrottle(per_minute=2)
    for _ in range(6):
        throttle.attempt("admin", "a", 0.0)
        throttle.succeeded("admin", "a")


def test_memory_is_bounded():
    throttle = LoginThrottle(per_minute=2)
    for number in range(30_000):
        throttle.attempt("admin", str(number), 0.0)
    assert len(throttle._buckets) <= 20_000
