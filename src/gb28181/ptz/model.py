"""Steering a camera: how it is to move, who holds it, and what is said about that (A.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gb28181.catalog.model import ChannelKey
from gb28181.errors import Conflict, Invalid
from gb28181.manscdp.ptz_code import MAX_SPEED, MAX_ZOOM_SPEED, Direction, Lens, Move
from gb28181.texts.text import say

#: Speed of a movement whose caller names none.
DEFAULT_SPEED: Final = 0.5
AXES: Final = ("pan", "tilt", "zoom", "focus", "iris")


@dataclass(frozen=True, slots=True)
class Motion:
    """How fast each axis moves, from -1 to 1; 0 stands still. Positive is right, up, in, far, open.

    Raises:
        Invalid: A speed is not in -1..1.
    """

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0
    focus: float = 0.0
    iris: float = 0.0

    def __post_init__(self) -> None:
        for axis in AXES:
            if not -1.0 <= getattr(self, axis) <= 1.0:
                raise Invalid(say("ptz.speed_signed", axis=axis, value=getattr(self, axis)))

    @property
    def turns(self) -> bool:
        """Whether the camera turns or zooms."""
        return bool(self.pan or self.tilt or self.zoom)

    @property
    def focuses(self) -> bool:
        """Whether focus or iris moves."""
        return bool(self.focus or self.iris)

    @property
    def move(self) -> Move:
        return Move(
            _direction(self.pan),
            _direction(self.tilt),
            _direction(self.zoom),
            _speed(self.pan, MAX_SPEED),
            _speed(self.tilt, MAX_SPEED),
            _speed(self.zoom, MAX_ZOOM_SPEED),
        )

    @property
    def lens(self) -> Lens:
        return Lens(_direction(self.focus), _direction(self.iris), _speed(self.focus, MAX_SPEED), _speed(self.iris, MAX_SPEED))


STILL: Final = Motion()


def _direction(speed: float) -> Direction:
    return 0 if speed == 0 else 1 if speed > 0 else -1


def _speed(speed: float, most: int) -> int:
    # quirk Q171: a speed of 0 is the maker's default to some, standing still to others
    return 0 if speed == 0 else max(1, round(abs(speed) * most))


#: Axes that an action moves, and whereto.
ACTIONS: Final[Mapping[str, Mapping[str, Direction]]] = {
    "left": {"pan": -1},
    "right": {"pan": 1},
    "up": {"tilt": 1},
    "down": {"tilt": -1},
    "left_up": {"pan": -1, "tilt": 1},
    "left_down": {"pan": -1, "tilt": -1},
    "right_up": {"pan": 1, "tilt": 1},
    "right_down": {"pan": 1, "tilt": -1},
    "zoom_in": {"zoom": 1},
    "zoom_out": {"zoom": -1},
    "focus_near": {"focus": -1},
    "focus_far": {"focus": 1},
    "iris_open": {"iris": 1},
    "iris_close": {"iris": -1},
    "stop": {},
}


def motion_of(action: str, speeds: float | Mapping[str, float] | None = None) -> Motion:
    """The motion that an action names.

    Args:
        speeds: 0 to 1 for all axes, or for each; what is not named has `DEFAULT_SPEED`.

    Raises:
        Invalid: No such action or axis, or a speed is not in 0..1.
    """
    if action not in ACTIONS:
        raise Invalid(say("ptz.no_action", action=action[:40], known=", ".join(ACTIONS)))
    named = speeds if isinstance(speeds, Mapping) else dict.fromkeys(AXES, DEFAULT_SPEED if speeds is None else speeds)
    if unknown := set(named) - set(AXES):
        raise Invalid(say("ptz.no_axis", axis=min(unknown)[:40], known=", ".join(AXES)))
    for axis, speed in named.items():
        if not 0.0 < speed <= 1.0:
            raise Invalid(say("ptz.speed_positive", axis=axis, speed=speed))
    return Motion(**{axis: sign * named.get(axis, DEFAULT_SPEED) for axis, sign in ACTIONS[action].items()})


@dataclass(frozen=True, slots=True)
class Holder:
    """Who steers.

    Args:
        priority: Who has a higher one takes a camera from who has a lower one.
        session: The login that it came by; when that is gone, its movements end.
    """

    user: str
    priority: int
    session: str = ""


class Held(Conflict):
    """Somebody else steers the camera.

    Args:
        until: When it is free, unless the holder goes on.
    """

    def __init__(self, key: ChannelKey, holder: Holder, until: datetime, *, locked: bool) -> None:
        how = "ptz.locked" if locked else "ptz.steered"
        moment = until.isoformat(timespec="seconds")
        super().__init__(say(how, key=key, user=holder.user, priority=holder.priority, until=moment))
        self.user = holder.user
        self.until = until


@dataclass(frozen=True, slots=True)
class PtzState:
    """Who steers a camera now.

    Args:
        held_by: "" when it is free.
        until: When it is free, unless the holder goes on; None when it is free.
        locked: The holder asked for it; else it is held because it was just steered.
        is_moving: A movement of ours is under way.
    """

    held_by: str = ""
    priority: int = 0
    until: datetime | None = None
    locked: bool = False
    is_moving: bool = False


@dataclass(frozen=True, slots=True)
class PtzChanged:
    """A camera begins or ends to move, or another one steers it; fields as in `PtzState`."""

    key: ChannelKey
    held_by: str
    until: datetime | None
    locked: bool
    is_moving: bool


@dataclass(frozen=True, slots=True)
class Preset:
    """A position that a camera remembers.

    Args:
        number: 1 to 255, what a command calls it by.
    """

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Presets:
    """What a camera says that it remembers, by number.

    Args:
        announced: As many as it said there are, None when it did not say. It may lie (quirk Q57).
    """

    items: tuple[Preset, ...]
    announced: int | None


@dataclass(frozen=True, slots=True)
class Home:
    """The position to which a camera returns by itself.

    Args:
        after_s: Seconds of rest before it does.
        preset: 0 to 255.
    """

    enabled: bool
    after_s: int | None = None
    preset: int | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the picture, in pixels of a window from its top left corner (A.2.3.1.8).

    Args:
        window_width, window_height: Size of the window.
        center_x, center_y: Middle of the box.
        width, height: Size of the box.
    """

    window_width: int
    window_height: int
    center_x: int
    center_y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where a camera looks; None what it does not tell.

    Args:
        pan: 0 to 360 degrees, clockwise seen from above.
        tilt: Degrees, down is positive.
        zoom: Factor.
        horizontal_angle, vertical_angle: Of view, degrees.
        view_distance_m: How far it sees.
    """

    pan: float | None
    tilt: float | None
    zoom: float | None
    horizontal_angle: float | None
    vertical_angle: float | None
    view_distance_m: float | None


@dataclass(frozen=True, slots=True)
class CruisePoint:
    """A stop of a cruise track.

    Args:
        speed: Towards it, 1 to 15.
    """

    preset: int
    stay_s: int | None
    speed: int | None


@dataclass(frozen=True, slots=True)
class CruiseTrack:
    """A cruise track. `points` is empty in a list of tracks."""

    number: int
    name: str
    points: tuple[CruisePoint, ...] = ()
