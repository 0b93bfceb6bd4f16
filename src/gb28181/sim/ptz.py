"""A simulated dome: eight bytes or precise angles move it, presets and cruises are kept (A.3, A.2.3 PTZPreciseCtrl)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

#: Degrees a second at the highest speed of a byte (FF), and zoom steps a second at F.
_PAN_RATE: Final = 90.0
_TILT_RATE: Final = 45.0
_ZOOM_RATE: Final = 4.0
_TILT: Final = (-30.0, 90.0)
_ZOOM: Final = (1.0, 32.0)
_HEX: Final = re.compile(r"[0-9A-Fa-f]{16}")
_MOST_POINTS: Final = 32


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees clockwise, degrees downward, magnification."""

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 1.0


@dataclass(frozen=True, slots=True)
class Preset:
    """A stored position."""

    name: str
    position: Position


@dataclass(slots=True)
class Cruise:
    """A tour of presets; speed 1 to 15 as CruiseTrackQuery tells it."""

    name: str = ""
    points: list[int] = field(default_factory=list)
    speed: int = 5
    stay_s: int = 10


class Dome:
    """Where the camera looks. Motion goes on until a stop comes; there is no dead-man's switch, as in the standard."""

    def __init__(self, now: float) -> None:
        self.presets: dict[int, Preset] = {}
        self.cruises: dict[int, Cruise] = {}
        self.switches: set[int] = set()
        self.running: tuple[str, int] | None = None
        self._at = now
        self._position = Position()
        self._rates = (0.0, 0.0, 0.0)
        self.focus = 0
        self.iris = 0

    def position(self, now: float) -> Position:
        """Where it looks now."""
        elapsed, self._at = now - self._at, now
        pan, tilt, zoom = self._rates
        here = self._position
        self._position = Position(
            (here.pan + pan * elapsed) % 360.0,
            _within(here.tilt + tilt * elapsed, _TILT),
            _within(here.zoom + zoom * elapsed, _ZOOM),
        )
        return self._position

    @property
    def is_moving(self) -> bool:
        return any(self._rates) or self.running is not None

    def go(self, now: float, *, pan: float | None = None, tilt: float | None = None, zoom: float | None = None) -> None:
        """Looks there at once; beyond its limits as far as it can (PTZPreciseCtrl)."""
        here = self.position(now)
        self._stop()
        self._position = Position(
            here.pan if pan is None else pan % 360.0,
            here.tilt if tilt is None else _within(tilt, _TILT),
            here.zoom if zoom is None else _within(zoom, _ZOOM),
        )

    def call(self, number: int, now: float) -> None:
        """Goes to a preset; one that is not set is nothing."""
        if (preset := self.presets.get(number)) is not None:
            self.position(now)
            self._stop()
            self._position = preset.position

    def _stop(self) -> None:
        self._rates, self.running = (0.0, 0.0, 0.0), None

    def command(self, text: str, now: float, *, preset_name: str = "", track_name: str = "") -> bool:
        """Carries out a PTZCmd; False for bytes that are none, which a device ignores."""
        if not _HEX.fullmatch(text.strip()):
            return False
        code = bytes.fromhex(text.strip())
        if code[0] != 0xA5 or sum(code[:7]) & 0xFF != code[7]:
            return False
        self.position(now)
        command, one, two, high = code[3], code[4], code[5], code[6] >> 4
        if command < 0x40:
            return self._move(command, one, two, high)
        if command < 0x50:
            return self._lens(command)
        if command <= 0x83:
            return self._preset(command, two, now, preset_name)
        return self._tour(command, one, two, high, track_name)

    def _move(self, bits: int, pan: int, tilt: int, zoom: int) -> bool:
        if bits & 3 == 3 or bits & 12 == 12 or bits & 48 == 48:
            return False
        self._stop()
        self._rates = (
            _signed(bits & 1, bits & 2) * pan / 255 * _PAN_RATE,
            _signed(bits & 4, bits & 8) * tilt / 255 * _TILT_RATE,
            _signed(bits & 16, bits & 32) * zoom / 15 * _ZOOM_RATE,
        )
        return True

    def _lens(self, bits: int) -> bool:
        self.focus, self.iris = _signed(bits & 1, bits & 2), _signed(bits & 4, bits & 8)
        return True

    def _preset(self, command: int, number: int, now: float, name: str) -> bool:
        if not number:
            return False
        if command == 0x81:
            self.presets[number] = Preset(name or f"PRESET {number}", self._position)
        elif command == 0x82:
            self.call(number, now)
        else:
            self.presets.pop(number, None)
        return True

    def _tour(self, command: int, group: int, low: int, high: int, name: str) -> bool:
        value = high << 8 | low
        match command:
            case 0x84 if len((cruise := self.cruises.setdefault(group, Cruise())).points) < _MOST_POINTS:
                cruise.points.append(low)
                cruise.name = name or cruise.name or f"CRUISE {group}"
            case 0x85 if low and group in self.cruises:
                self.cruises[group].points = [point for point in self.cruises[group].points if point != low]
            case 0x85:
                self.cruises.pop(group, None)
            case 0x86 if group in self.cruises:
                self.cruises[group].speed = min(max(1, value), 15)
            case 0x87 if group in self.cruises:
                self.cruises[group].stay_s = value
            case 0x88 if group in self.cruises and self.cruises[group].points:
                self.call(self.cruises[group].points[0], self._at)
                self.running = ("cruise", group)
            case 0x89 if low == 0:
                self._rates, self.running = (-10.0, 0.0, 0.0), ("scan", group)
            case 0x89 | 0x8A:
                return True
            case 0x8C:
                self.switches.add(group)
            case 0x8D:
                self.switches.discard(group)
            case _:
                return False
        return True


def _signed(plus: int, minus: int) -> int:
    return bool(plus) - bool(minus)


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])
