"""Sessions of callers: who watches, and who has stopped."""

from __future__ import annotations

import pytest

from gb28181.errors import NotFound
from gb28181.session.sessions import Sessions
from tests.fakes import ManualClock
from tests.session.world import KEY


def sessions() -> Sessions:
    return Sessions(idle_s=15.0, clock=ManualClock())


def idle(one: Sessions, now: float, *, opening: bool = False) -> list[str]:
    return [session.session_id for session in one.idle(now, is_opening=lambda key: opening)]


def test_a_session_that_nobody_watches_is_idle_after_its_time() -> None:
    one = sessions()
    session = one.begin(KEY, "a", 100.0)
    one.told({}, 114.0)
    assert idle(one, 114.9) == []
    assert idle(one, 115.0, opening=True) == []
    assert idle(one, 115.0) == [session.session_id]
    one.end(session.session_id)
    assert one.all() == []
    with pytest.raises(NotFound, match="15 s"):
        one.get(session.session_id)


def test_a_session_that_somebody_watches_is_not_and_has_its_time_again_afterwards() -> None:
    one = sessions()
    session = one.begin(KEY, "a", 100.0)
    one.told({KEY: 1}, 130.0)
    assert one.viewers(KEY) == 1
    assert idle(one, 130.0) == []
    one.told({}, 131.0)
    assert idle(one, 144.0) == []
    assert idle(one, 145.0) == [session.session_id]


def test_while_the_edge_is_away_nobody_is_idle() -> None:
    one = sessions()
    one.begin(KEY, "a", 100.0)
    assert idle(one, 900.0) == []
    one.told({}, 900.0)
    assert idle(one, 915.1) == []
