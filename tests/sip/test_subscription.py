"""Subscriptions in both roles: refresh, expiry, refusals and endings (RFC 6665)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.errors import SubscriptionRefused
from gb28181.sip.subscription import MAX_EXPIRES_S, Ask, Expired, Lapsed, Notifier, Subscriber, SubscriptionState, parse_state


def refusal(status: int, **more: int) -> SubscriptionRefused:
    return SubscriptionRefused("no", status=status, **more)


def active(expires_s: int = 600, now: float = 0.0) -> Subscriber:
    one = Subscriber(expires_s=600)
    assert one.start(now) == [Ask(600, refresh=False)]
    assert one.next_deadline() is None  # a request is under way
    one.accepted(now, expires_s)
    assert one.is_active
    return one


def test_it_is_refreshed_in_its_dialog_before_it_ends() -> None:
    one = active()
    assert one.next_deadline() == 600 - 64
    assert one.expire(535.0) == []
    assert one.expire(536.0) == [Ask(600, refresh=True)]
    assert one.expire(599.0) == []
    one.accepted(537.0, 600)
    assert one.ends_at == 1137.0


def test_a_short_grant_is_refreshed_in_its_second_half() -> None:
    assert active(60).next_deadline() == 30.0


def test_one_that_could_not_be_refreshed_lapses_and_is_asked_for_anew() -> None:
    one = active()
    one.expire(536.0)
    assert one.unanswered(568.0) == []
    assert one.next_deadline() == 598.0
    assert one.expire(598.0) == [Ask(600, refresh=True)]
    one.unanswered(630.0)
    assert one.expire(630.0) == [Lapsed("timeout")]
    assert one.next_deadline() == 690.0
    assert one.expire(690.0) == [Ask(600, refresh=False)]


def test_a_refresh_that_is_refused_leaves_the_subscription_until_its_end() -> None:
    one = active()
    one.expire(536.0)
    one.refused(537.0, refusal(503, retry_after_s=40))
    assert one.is_active
    assert one.expire(577.0) == [Ask(600, refresh=True)]


@pytest.mark.parametrize("status", [481, 404, 489])
def test_a_dialog_that_the_peer_has_forgotten_is_made_anew_at_once_and_not_in_a_loop(status: int) -> None:
    one = active()
    one.expire(536.0)
    assert one.refused(537.0, refusal(status)) == [Lapsed(str(status)), Ask(600, refresh=False)]
    assert one.refused(538.0, refusal(status)) == []
    assert (one.next_deadline() or 0) >= 538.0 + 30


def test_an_interval_too_brief_is_lifted() -> None:
    one = Subscriber(expires_s=60)
    one.start(0.0)
    assert one.refused(0.1, refusal(423, min_expires_s=3600)) == [Ask(3600, refresh=False)]
    assert one.refused(0.2, refusal(423, min_expires_s=3600)) == []  # it says the same again
    assert one.next_deadline() == 30.2


def test_failures_are_tried_again_at_growing_intervals_without_end() -> None:
    one = Subscriber(retry_min_s=30, retry_max_s=200)
    one.start(0.0)
    pauses = []
    now = 0.0
    for _ in range(5):
        one.unanswered(now)
        due = one.next_deadline()
        assert due is not None
        pauses.append(due - now)
        now = due
        assert one.expire(now) == [Ask(600, refresh=False)]
    assert pauses == [30, 60, 120, 200, 200]


def test_what_the_peer_does_not_know_is_asked_for_seldom() -> None:
    one = Subscriber()
    one.start(0.0)
    one.refused(0.0, refusal(489))
    assert one.next_deadline() == 3600.0


@pytest.mark.parametrize(
    ("state", "due"),
    [
        ("terminated;reason=deactivated", 100.0),
        ("terminated;reason=timeout", 100.0),
        ("terminated", 100.0),
        ("terminated;reason=deactivated;retry-after=5", 105.0),
        ("terminated;reason=probation;retry-after=300", 400.0),
        ("terminated;reason=probation", 130.0),
        ("terminated;reason=giveup", 130.0),
        ("terminated;reason=rejected", 3700.0),
        ("terminated;reason=noresource", 3700.0),
        ("Terminated ; Reason=something-new", 100.0),
    ],
)
def test_an_ending_says_when_to_come_again(state: str, due: float) -> None:
    one = active()
    (event,) = one.notified(100.0, parse_state(state))
    assert isinstance(event, Lapsed)
    assert not one.is_active
    assert one.next_deadline() == due
    assert one.expire(due) == [Ask(600, refresh=False)]


def test_one_that_ends_as_soon_as_it_is_made_is_not_asked_for_in_a_loop() -> None:
    one = Subscriber()
    one.start(0.0)
    for number in range(3):
        now = one.next_deadline() or 0.0
        one.expire(now)
        one.notified(now, parse_state("terminated"))
        one.accepted(now + 0.1, 600)  # the answer comes behind the NOTIFY, or never counted
        one.notified(now + 0.2, parse_state("terminated;reason=timeout"))
        assert (one.next_deadline() or 0.0) >= now + 30, number


def test_a_notifier_may_shorten_the_life_and_never_lengthen_it() -> None:
    one = active()
    one.notified(10.0, parse_state("active;expires=100"))
    assert one.ends_at == 110.0
    one.notified(10.0, parse_state("active;expires=99999"))
    assert one.ends_at == 610.0
    one.notified(20.0, parse_state("active;expires=0"))
    one.notified(20.0, parse_state("active"))
    one.notified(20.0, parse_state(""))
    assert one.ends_at == 610.0


def test_stopping_ends_it_and_nothing_comes_after() -> None:
    one = active()
    assert one.stop(10.0) == [Ask(0, refresh=True)]
    one.accepted(11.0, 0)
    one.notified(12.0, parse_state("terminated;reason=timeout"))
    assert one.next_deadline() is None
    assert one.expire(1e9) == []
    assert one.stop(13.0) == []


def test_one_whose_peer_is_away_waits_for_it() -> None:
    one = active()
    one.expire(536.0)
    one.pause()
    one.unanswered(568.0)
    assert one.next_deadline() is None
    assert one.start(5000.0) == [Ask(600, refresh=False)]


def test_a_restored_one_is_refreshed_in_time() -> None:
    one = Subscriber()
    one.restore(1000.0, 200.0)
    assert one.next_deadline() == 1136.0
    late = Subscriber()
    late.restore(1000.0, -50.0)
    assert late.expire(1000.0) == [Lapsed("timeout"), Ask(600, refresh=False)]


# --- notifier


def test_a_notifier_grants_what_was_asked_up_to_its_limit() -> None:
    one = Notifier(max_expires_s=7200)
    assert one.subscribed("600", 0.0) == 600
    assert str(one.state(7.5)) == "active;expires=592"
    assert one.subscribed("99999999999999", 0.0) == 3600  # no number that a time can have
    assert one.subscribed("86400", 0.0) == 7200


# W6
@pytest.mark.parametrize("expires", ["", "x", "-1"])
def test_a_subscriber_that_says_no_time_gets_an_hour(expires: str) -> None:
    assert Notifier().subscribed(expires, 0.0) == 3600


def test_a_subscriber_that_does_not_refresh_is_told_and_forgotten() -> None:
    one = Notifier()
    one.subscribed("600", 0.0)
    assert one.expire(599.9) == []
    one.subscribed("600", 599.9)
    assert one.next_deadline() == 1199.9
    assert one.expire(1199.9) == [Expired(SubscriptionState("terminated", reason="timeout"))]
    assert (one.expire(9999.0), one.next_deadline(), one.is_active) == ([], None, False)


def test_zero_seconds_end_it() -> None:
    one = Notifier()
    one.subscribed("600", 0.0)
    assert one.subscribed("0", 1.0) == 0
    assert not one.is_active
    assert str(one.state(1.0)) == "terminated;reason=timeout"


@pytest.mark.parametrize(("status", "stays"), [(200, True), (500, True), (415, True), (481, False), (408, False), (405, False)])
def test_a_subscriber_that_has_forgotten_us_is_dropped(status: int, stays: bool) -> None:
    one = Notifier()
    one.subscribed("600", 0.0)
    assert one.answered(status) is stays
    assert one.is_active is stays


def test_a_state_reads_as_it_was_written() -> None:
    for text in ("active;expires=600", "pending", "terminated;reason=giveup;retry-after=60"):
        assert str(parse_state(text)) == text


@given(st.text(max_size=200))
def test_any_state_is_read_and_written_without_an_error(text: str) -> None:
    state = parse_state(text)
    assert state.state
    assert state.expires_s is None or 0 <= state.expires_s <= MAX_EXPIRES_S
    one = active()
    one.notified(1.0, state)
    assert one.next_deadline() is not None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["accept", "refuse", "silence", "notify", "end", "wait"]),
            st.floats(0, 5000),
            st.sampled_from([403, 423, 481, 489, 500, 503]),
            st.integers(0, 5000),
        ),
        max_size=40,
    )
)
def test_a_subscription_that_is_wanted_is_never_left_alone(steps: list[tuple[str, float, int, int]]) -> None:
    one = Subscriber()
    asked = len(one.start(0.0))
    now = 0.0
    for what, pause, status, number in steps:
        now += pause
        events: list[object] = []
        if asked and what == "accept":
            asked, events = 0, [*one.accepted(now, number)]
        elif asked and what == "refuse":
            asked, events = 0, [*one.refused(now, refusal(status, retry_after_s=number, min_expires_s=number))]
        elif asked and what == "silence":
            asked, events = 0, [*one.unanswered(now)]
        elif what in ("notify", "end"):
            events = [*one.notified(now, SubscriptionState("active" if what == "notify" else "terminated", expires_s=number))]
        elif what == "wait":
            events = [*one.expire(now)]
        asked += sum(isinstance(event, Ask) for event in events)
        assert asked <= 1  # never two requests of one subscription at a time
        assert asked or one.next_deadline() is not None
