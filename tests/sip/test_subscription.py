"""What a NOTIFY says of the life of its subscription (RFC 6665 §4.1.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.errors import SubscriptionRefused
from gb28181.sip.message import Response
from gb28181.sip.subscription import MAX_EXPIRES_S, SubscriptionState, check_accepted, parse_state
from gb28181.texts.text import rendered


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


@pytest.mark.parametrize(
    ("reason", "told"), [("Bad Event", "订阅请求被设备应答 489 Bad Event"), ("", "订阅请求被设备应答 489")]
)
def test_a_refusal_is_told_in_both_languages(reason: str, told: str) -> None:
    with pytest.raises(SubscriptionRefused) as refusal:
        check_accepted(Response(489, reason, []))
    assert str(refusal.value) == f"SUBSCRIBE was answered 489 {reason}".rstrip()
    assert rendered(str(refusal.value), "zh") == told
