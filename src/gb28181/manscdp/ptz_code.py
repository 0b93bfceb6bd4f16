"""The eight bytes of a PTZ command (A.3), as the sixteen hexadecimal digits of `PTZCmd`.

Byte 1 is A5, byte 2 the version and a check of both, byte 3 the address, byte 4 the command, bytes 5 to 7 its data, byte 8
the sum of all before it, modulo 256. Directions are those of the picture on the screen (A.3.2). Byte 5 is pan and byte 6 is
tilt, as 2022 prints it; a table of 2016 has them the other way round, against its own text.

`build(parse(text).action)` gives the digits again, but for what says nothing: case, blanks, data that a command has no use for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gb28181.errors import MisuseError, WireError

#: What known domes listen to; a profile may say otherwise (quirk Q172). By the standard `DeviceID` selects
#: the camera, the address selects nothing (A.3.1).
ADDRESS: Final = 1
MAX_ADDRESS: Final = 0xFFF
MAX_SPEED: Final = 0xFF
MAX_ZOOM_SPEED: Final = 0xF
MAX_PRESET: Final = 0xFF
MAX_NUMBER: Final = 0xFF
#: Largest value in twelve bits: speed and stay time of cruises, speed of scans.
MAX_DATA: Final = 0xFFF

_START: Final = 0xA5
_CLAUSE: Final = "A.3"
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_LENGTH: Final = 16

#: Negative is left, down, out, near, close; positive is right, up, in, far, open; 0 stands still.
Direction = Literal[-1, 0, 1]


@dataclass(frozen=True, slots=True)
class Move:
    """Turns and zooms until the next `Move`; one that stands still everywhere also stops cruises and scans (A.3.2).

    Args:
        pan, tilt, zoom: +1 is right, up, in (the picture grows).
        pan_speed, tilt_speed: 0 to 255, slow to fast.
        zoom_speed: 0 to 15.
    """

    pan: Direction = 0
    tilt: Direction = 0
    zoom: Direction = 0
    pan_speed: int = 0
    tilt_speed: int = 0
    zoom_speed: int = 0


@dataclass(frozen=True, slots=True)
class Lens:
    """Moves focus and iris until the next `Lens` (A.3.3).

    Args:
        focus, iris: +1 is far, open.
        focus_speed, iris_speed: 0 to 255.
    """

    focus: Direction = 0
    iris: Direction = 0
    focus_speed: int = 0
    iris_speed: int = 0


@dataclass(frozen=True, slots=True)
class Preset:
    """Sets, calls or deletes a preset, 1 to 255 (A.3.4)."""

    verb: Literal["set", "call", "delete"]
    number: int


@dataclass(frozen=True, slots=True)
class Cruise:
    """Edits or starts a cruise; `Move()` stops it (A.3.5).

    Args:
        track: 0 to 255, the group of the standard.
        value: Preset of `add` and `delete`; 0 to 4095 of `speed`, and of `stay`, in seconds; 0 else.
    """

    verb: Literal["add", "delete", "delete_all", "speed", "stay", "start"]
    track: int
    value: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """Sets the borders of an automatic scan, its speed, or starts it; `Move()` stops it (A.3.6).

    Args:
        group: 0 to 255.
        value: 0 to 4095 of `speed`; 0 else.
    """

    verb: Literal["start", "left", "right", "speed"]
    group: int
    value: int = 0


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """A switch: 1 is the wiper, other numbers are the maker's (A.3.7)."""

    on: bool
    number: int


PtzAction: TypeAlias = Move | Lens | Preset | Cruise | Scan | Auxiliary

STOP: Final = Move()
LENS_STOP: Final = Lens()


@dataclass(frozen=True, slots=True)
class PtzCode:
    """What the digits say.

    Args:
        address: 0 to 4095; 0 is everybody's.
    """

    action: PtzAction
    address: int


# --- writing -------------------------------------------------------------------------------------------------------

_PRESET: Final = {"set": 0x81, "call": 0x82, "delete": 0x83}
_CRUISE: Final = {"add": 0x84, "delete": 0x85, "delete_all": 0x85, "speed": 0x86, "stay": 0x87, "start": 0x88}
_SCAN: Final = {"start": 0, "left": 1, "right": 2}
_SCAN_COMMAND: Final = 0x89
_SCAN_SPEED: Final = 0x8A
_SWITCH_ON: Final = 0x8C
_SWITCH_OFF: Final = 0x8D
_LENS: Final = 0x40
_WIDE: Final = frozenset({"speed", "stay"})


def build(action: PtzAction, *, address: int = ADDRESS) -> str:
    """Sixteen upper-case digits.

    Raises:
        MisuseError: A number is out of its range.
    """
    command, first, second, third = _data(action)
    _within("address", address, MAX_ADDRESS)
    # version 0; check = A + 5 + version, modulo 16
    head = (_START, 0x0F, address & 0xFF, command, first, second, third << 4 | address >> 8)
    return bytes((*head, sum(head) & 0xFF)).hex().upper()


def _data(action: PtzAction) -> tuple[int, int, int, int]:
    """Byte 4, data 1, data 2 and the four bits of data 3."""
    match action:
        case Move():
            _within("pan_speed", action.pan_speed, MAX_SPEED)
            _within("tilt_speed", action.tilt_speed, MAX_SPEED)
            _within("zoom_speed", action.zoom_speed, MAX_ZOOM_SPEED)
            bits = _bits(action.zoom, 5, 4) | _bits(action.tilt, 2, 3) | _bits(action.pan, 1, 0)
            return bits, action.pan_speed, action.tilt_speed, action.zoom_speed
        case Lens():
            _within("focus_speed", action.focus_speed, MAX_SPEED)
            _within("iris_speed", action.iris_speed, MAX_SPEED)
            bits = _LENS | _bits(action.iris, 3, 2) | _bits(action.focus, 1, 0)
            return bits, action.focus_speed, action.iris_speed, 0
        case Preset():
            _within("preset", action.number, MAX_PRESET, least=1)
            return _PRESET[action.verb], 0, action.number, 0
        case Cruise():
            _within("track", action.track, MAX_NUMBER)
            if action.verb in ("add", "delete"):
                _within("preset", action.value, MAX_PRESET, least=1)
            else:
                _within(action.verb, action.value, MAX_DATA if action.verb in _WIDE else 0)
            return _CRUISE[action.verb], action.track, action.value & 0xFF, action.value >> 8
        case Scan():
            _within("group", action.group, MAX_NUMBER)
            _within(action.verb, action.value, MAX_DATA if action.verb in _WIDE else 0)
            if action.verb == "speed":
                return _SCAN_SPEED, action.group, action.value & 0xFF, action.value >> 8
            return _SCAN_COMMAND, action.group, _SCAN[action.verb], 0
        case Auxiliary():
            _within("switch", action.number, MAX_NUMBER)
            return _SWITCH_ON if action.on else _SWITCH_OFF, action.number, 0, 0


def _bits(direction: Direction, negative: int, positive: int) -> int:
    if direction not in (-1, 0, 1):
        raise MisuseError(f"a direction is -1, 0 or 1, not {direction}")
    return 0 if direction == 0 else 1 << (positive if direction > 0 else negative)


def _within(name: str, value: int, most: int, *, least: int = 0) -> None:
    if not least <= value <= most:
        raise MisuseError(f"{name} {value} is not in {least}..{most}")


# --- reading -------------------------------------------------------------------------------------------------------

_PRESET_VERBS: Final[dict[int, Literal["set", "call", "delete"]]] = {0x81: "set", 0x82: "call", 0x83: "delete"}
_CRUISE_VERBS: Final[dict[int, Literal["add", "delete", "speed", "stay", "start"]]] = {
    0x84: "add",
    0x85: "delete",
    0x86: "speed",
    0x87: "stay",
    0x88: "start",
}
_SCAN_VERBS: Final[dict[int, Literal["start", "left", "right"]]] = {0: "start", 1: "left", 2: "right"}


def parse(text: str) -> PtzCode:
    """Reads the digits, in any case; byte 2 is not checked, because A5 and the sum say enough.

    Raises:
        WireError: Not sixteen digits, not A5, a wrong sum, or a command that there is not. A receiver does nothing then.
    """
    digits = "".join(text.split()) if len(text) <= 4 * _LENGTH else text
    if len(digits) != _LENGTH or not _HEX.issuperset(digits):
        raise WireError(f"PTZCmd {text[:40]!r}, expected 16 hexadecimal digits", clause=_CLAUSE)
    octets = bytes.fromhex(digits)
    if octets[0] != _START:
        raise WireError(f"PTZCmd {digits} begins with {octets[0]:02X}, expected A5", clause=_CLAUSE)
    if octets[7] != (total := sum(octets[:7]) & 0xFF):
        raise WireError(f"PTZCmd {digits} has the sum {octets[7]:02X}, expected {total:02X}", clause=_CLAUSE)
    action = _action(octets[3], octets[4], octets[5], octets[6] >> 4)
    if action is None:
        raise WireError(f"PTZCmd {digits} holds no command of the standard", clause=_CLAUSE)
    return PtzCode(action, octets[2] | (octets[6] & 0x0F) << 8)


def _action(command: int, first: int, second: int, third: int) -> PtzAction | None:
    wide = second | third << 8
    if command < _LENS:
        pan, tilt, zoom = _direction(command, 1, 0), _direction(command, 2, 3), _direction(command, 5, 4)
        return None if pan is None or tilt is None or zoom is None else Move(pan, tilt, zoom, first, second, third)
    if command >> 4 == _LENS >> 4:
        focus, iris = _direction(command, 1, 0), _direction(command, 3, 2)
        return None if focus is None or iris is None else Lens(focus, iris, first, second)
    if (verb := _PRESET_VERBS.get(command)) is not None:
        return Preset(verb, second) if second else None
    if (edit := _CRUISE_VERBS.get(command)) is not None:
        return _cruise(edit, first, second, wide)
    if command == _SCAN_COMMAND:
        border = _SCAN_VERBS.get(second)
        return Scan(border, first) if border is not None else None
    if command == _SCAN_SPEED:
        return Scan("speed", first, wide)
    if command in (_SWITCH_ON, _SWITCH_OFF):
        return Auxiliary(command == _SWITCH_ON, first)
    return None


def _cruise(verb: Literal["add", "delete", "speed", "stay", "start"], track: int, preset: int, wide: int) -> Cruise | None:
    match verb:
        case "start":
            return Cruise("start", track)
        case "speed" | "stay":
            return Cruise(verb, track, wide)
        case "delete" if preset == 0:
            return Cruise("delete_all", track)
        case "add" if preset == 0:
            return None
    return Cruise(verb, track, preset)


def _direction(command: int, negative: int, positive: int) -> Direction | None:
    """None where both bits are set, which contradicts itself (A.3.2)."""
    minus, plus = command >> negative & 1, command >> positive & 1
    if minus and plus:
        return None
    return 1 if plus else -1 if minus else 0
