"""Motions and what they are on the wire (A.3; quirk Q171)."""

from __future__ import annotations

import pytest

from gb28181.errors import Invalid
from gb28181.manscdp.ptz_code import Lens, Move
from gb28181.ptz.model import ACTIONS, STILL, Motion, motion_of


@pytest.mark.parametrize(("motion", "move"), [
    (Motion(pan=1), Move(pan=1, pan_speed=255)),
    (Motion(pan=-0.5, tilt=0.25), Move(pan=-1, tilt=1, pan_speed=128, tilt_speed=64)),
    (Motion(zoom=1), Move(zoom=1, zoom_speed=15)),
    (Motion(zoom=-0.5), Move(zoom=-1, zoom_speed=8)),
    (STILL, Move()),
])  # fmt: skip
def test_speeds_are_scaled_to_the_wire(motion: Motion, move: Move) -> None:
    assert motion.move == move


def test_q171_what_moves_has_a_speed_of_one_at_least() -> None:
    crawl = Motion(pan=0.0001, tilt=-0.0001, zoom=0.0001, focus=0.0001, iris=-0.0001)
    assert crawl.move == Move(1, -1, 1, 1, 1, 1)
    assert crawl.lens == Lens(1, -1, 1, 1)


def test_an_action_names_its_axes() -> None:
    assert motion_of("left_up", 1.0) == Motion(pan=-1, tilt=1)
    assert motion_of("left_up", {"tilt": 0.2}) == Motion(pan=-0.5, tilt=0.2)
    assert motion_of("iris_close") == Motion(iris=-0.5)
    assert motion_of("stop") == STILL
    assert all(motion_of(action).turns or motion_of(action).focuses for action in ACTIONS if action != "stop")


@pytest.mark.parametrize(("action", "speeds"), [
    ("sideways", None), ("left", 0.0), ("left", 1.1), ("left", float("nan")), ("left", {"roll": 1.0}), ("left", {"pan": -1.0}),
])  # fmt: skip
def test_what_is_no_motion_is_refused(action: str, speeds: float | dict[str, float] | None) -> None:
    with pytest.raises(Invalid):
        motion_of(action, speeds)


@pytest.mark.parametrize("speed", [1.5, -1.5, float("nan"), float("inf")])
def test_a_motion_beyond_full_speed_is_refused(speed: float) -> None:
    with pytest.raises(Invalid):
        Motion(pan=speed)
