"""Who steers which camera, for how long, and which movements have to end."""

from __future__ import annotations

import pytest

from gb28181.errors import Unavailable
from gb28181.ptz.helm import Helm, Taken
from gb28181.ptz.model import Motion
from tests.ptz.world import ANN, BOB, CHIEF, KEY, OTHER

LEFT = Motion(pan=-0.5)


@pytest.fixture
def helm() -> Helm:
    return Helm(hold_s=5)


def test_a_movement_ends_with_its_lease_and_is_told_once(helm: Helm) -> None:
    assert helm.move(KEY, ANN, LEFT, 0, lease_s=3) == "started"
    assert helm.next_deadline() == 3
    assert helm.expire(2.9) == []
    assert helm.expire(3) == [KEY]
    assert helm.expire(3) == []
    assert helm.movement(KEY) is None


def test_the_same_motion_renews_and_another_changes(helm: Helm) -> None:
    helm.move(KEY, ANN, LEFT, 0, lease_s=3)
    assert helm.move(KEY, ANN, LEFT, 2, lease_s=3) == "renewed"
    assert helm.move(KEY, ANN, Motion(pan=-0.5001), 2, lease_s=3) == "renewed"  # the same code on the wire
    assert helm.move(KEY, ANN, Motion(pan=0.5), 2, lease_s=3) == "changed"
    assert helm.expire(4.9) == []


def test_who_steered_last_keeps_the_camera_for_a_while(helm: Helm) -> None:
    helm.move(KEY, ANN, LEFT, 0, lease_s=3)
    helm.end(KEY, 1)
    with pytest.raises(Taken) as taken:
        helm.take(KEY, BOB, 5.9)
    assert (taken.value.hold.holder, taken.value.hold.until) == (ANN, 6)
    assert helm.take(KEY, BOB, 6).holder == BOB


def test_a_higher_priority_takes_over_and_a_lower_one_waits(helm: Helm) -> None:
    helm.move(KEY, ANN, LEFT, 0, lease_s=3)
    assert helm.move(KEY, CHIEF, Motion(tilt=1), 1, lease_s=3) == "started"
    with pytest.raises(Taken):
        helm.move(KEY, ANN, LEFT, 1, lease_s=3)
    movement = helm.movement(KEY)
    assert movement is not None
    assert movement.holder == CHIEF


def test_one_user_steers_from_two_places(helm: Helm) -> None:
    helm.move(KEY, ANN, LEFT, 0, lease_s=3)
    elsewhere = type(ANN)(ANN.user, ANN.priority, "another session")
    assert helm.move(KEY, elsewhere, Motion(pan=1), 0, lease_s=3) == "changed"


def test_a_lock_outlives_what_its_user_does_and_expires(helm: Helm) -> None:
    helm.lock(KEY, ANN, 0, lock_s=60)
    helm.move(KEY, ANN, LEFT, 1, lease_s=3)
    helm.end(KEY, 2)
    hold = helm.hold(KEY, 2)
    assert hold is not None
    assert (hold.until, hold.locked) == (60, True)
    with pytest.raises(Taken):
        helm.lock(KEY, BOB, 59, lock_s=60)
    assert helm.lock(KEY, BOB, 60, lock_s=60).holder == BOB


def test_a_lock_is_taken_by_a_higher_priority_and_is_gone_then(helm: Helm) -> None:
    helm.lock(KEY, ANN, 0, lock_s=60)
    hold = helm.take(KEY, CHIEF, 1)
    assert (hold.holder, hold.locked, hold.until) == (CHIEF, False, 6)


def test_unlocking_frees_at_once_but_not_for_an_equal(helm: Helm) -> None:
    helm.lock(KEY, ANN, 0, lock_s=60)
    with pytest.raises(Taken):
        helm.unlock(KEY, BOB, 1)
    helm.unlock(KEY, ANN, 1)
    assert helm.hold(KEY, 1) is None
    assert len(helm) == 0
    helm.unlock(KEY, ANN, 1)


def test_a_camera_that_moves_stays_with_who_moves_it_when_it_is_unlocked(helm: Helm) -> None:
    helm.lock(KEY, ANN, 0, lock_s=60)
    helm.move(KEY, ANN, LEFT, 1, lease_s=3)
    helm.unlock(KEY, CHIEF, 2)
    with pytest.raises(Taken):
        helm.take(KEY, BOB, 2)


def test_a_login_that_is_gone_names_its_movements_only(helm: Helm) -> None:
    helm.move(KEY, ANN, LEFT, 0, lease_s=3)
    helm.move(OTHER, BOB, LEFT, 0, lease_s=3)
    assert helm.gone(ANN.session) == [KEY]
    assert helm.gone("") == []
    helm.end(KEY, 0)
    assert helm.gone(ANN.session) == []


def test_nothing_is_remembered_of_a_camera_that_nobody_holds(helm: Helm) -> None:
    helm.move(KEY, ANN, LEFT, 0, lease_s=3)
    helm.lock(OTHER, BOB, 0, lock_s=7)
    helm.expire(3)
    assert (len(helm), helm.next_deadline()) == (2, 7)
    helm.expire(8)
    assert (len(helm), helm.next_deadline()) == (0, None)


def test_so_many_cameras_are_held_at_once(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gb28181.ptz.helm._MOST", 1)
    helm.take(KEY, ANN, 0)
    with pytest.raises(Unavailable):
        helm.move(OTHER, ANN, LEFT, 0, lease_s=3)
    helm.take(KEY, ANN, 0)
