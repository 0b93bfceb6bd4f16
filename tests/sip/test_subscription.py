"""What a NOTIFY says of the life of its subscription (RFC 6665 §4.1.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.sip.subscription import MAX_EXPIRES_S, SubscriptionState, parse_state


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("active;expires=600", SubscriptionState("active", expires_s=600)),
        ("pending", SubscriptionState("pending")),
        ("", SubscriptionState("active")),
        ("terminated;reason=giveup;retry-after=60", SubscriptionState("terminated", reason="giveup", retry_after_s=60)),
        ("Terminated ; Reason=Something-New", SubscriptionState("terminated", reason="something-new")),
        ("active;expires=99999999999999", SubscriptionState("active")),  # no number that a time can have
    ],
)
def test_a_state_is_read_as_it_is_meant(text: str, expected: SubscriptionState) -> None:
    state = parse_state(text)
    assert state == expected
    assert state.is_terminated is (expected.state == "terminated")


@given(st.text(max_size=200))
def test_any_state_is_read_without_an_error(text: str) -> None:
    state = parse_state(text)
    assert state.state
    assert state.expires_s is None or 0 <= state.expires_s <= MAX_EXPIRES_S
