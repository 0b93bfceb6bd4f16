"""Signed links: good for one action on one resource until one moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.errors import Denied
from gb28181.tokens import check, derive, sign

KEY = derive(b"s" * 32, "link")


def test_a_token_opens_what_it_was_made_for_until_it_expires() -> None:
    token = sign(KEY, "live", "d/c", 1000)
    check(KEY, "live", "d/c", token, 1000)
    with pytest.raises(Denied, match="expired"):
        check(KEY, "live", "d/c", token, 1000.5)


@pytest.mark.parametrize(
    ("key", "action", "resource"),
    [(derive(b"s" * 32, "api"), "live", "d/c"), (KEY, "segment", "d/c"), (KEY, "live", "d/x")],
)
def test_a_token_opens_nothing_else(key: bytes, action: str, resource: str) -> None:
    with pytest.raises(Denied):
        check(key, action, resource, sign(KEY, "live", "d/c", 1000), 0)  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_anything_else_is_refused(token: str) -> None:
    with pytest.raises(Denied):
        check(KEY, "live", "d/c", token, 0)
