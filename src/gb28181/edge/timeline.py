"""The time that viewers see: never backwards, never a jump, whatever the camera's clock does (quirks Q119, Q121, Q148c).

One timeline serves a channel for as long as somebody watches, over restarts of the stream too.
"""

from __future__ import annotations

from typing import Final

_MS: Final = 90
#: A step that is longer is believed only when the arrival or the step before it says the same.
_MAX_STEP: Final = 300 * _MS
_AGREES: Final = 500 * _MS
_BACKWARDS: Final = 80 * _MS
_USUAL: Final = 40 * _MS
_LONGEST: Final = 10_000 * _MS
#: Over so long the stream's clock is compared with the arrival.
_WINDOW: Final = 5_000 * _MS
_SLOWEST, _FASTEST = 0.5, 2.0
#: Sound may stand so far from the newest picture; farther away its clock is another one.
_SOUND_REACH: Final = 3_000 * _MS


class Timeline:
    """Stamps access units anew, in 90 kHz from 0 on.

    Attributes:
        by_arrival: The stream's clock runs at another rate than time does; the arrival is used.
    """

    def __init__(self) -> None:
        self.by_arrival = False
        self._offset: int | None = None
        self._last_in = 0
        self._last_out = -_MS
        self._last_step = 0
        self._last_arrival: int | None = None
        self._window: tuple[int, int] | None = None

    def restart(self) -> None:
        """The stream ended and a new one follows: its clock has nothing to do with the old one."""
        self.by_arrival = False
        self._window = None
        self._last_step = 0
        self._last_arrival = None
        self._offset = None

    def stamp(self, dts_90k: int, pts_90k: int, at_us: int) -> tuple[int, int]:
        """Decoding and presentation time of a unit; the first rises by at least a millisecond.

        Args:
            at_us: Arrival, microseconds; 0 for what comes from a file, where no arrival is known.
        """
        arrival = at_us * _MS // 1000 if at_us else None
        waited = arrival - self._last_arrival if arrival is not None and self._last_arrival is not None else None
        self._last_arrival = arrival
        self._compare(dts_90k, arrival)
        value = arrival if self.by_arrival and arrival is not None else dts_90k
        if self._offset is None:
            self._offset = self._last_out + (_MS if self._last_out < 0 else _USUAL) - value
            self._last_in = value
        step = value - self._last_in
        out = value + self._offset
        ahead = out - self._last_out
        if ahead > _MAX_STEP and not self._believable(step, waited):
            out = self._reanchor(value, waited)
        elif ahead < _MS:
            # Equal stamps, or a little back, are put right by the next unit; a real step back is a new beginning.
            out = self._reanchor(value, waited) if ahead < -_BACKWARDS else self._last_out + _MS
        self._last_step, self._last_in, self._last_out = step, value, out
        return out, out + min(max(0, pts_90k - dts_90k), _LONGEST)

    def place(self, pts_90k: int, at_us: int) -> int | None:
        """The time of sound beside the pictures; None before the first of them.

        Args:
            at_us: As for `stamp`.
        """
        if self._offset is None:
            return None
        value = at_us * _MS // 1000 if self.by_arrival and at_us else pts_90k
        out = value + self._offset
        return out if abs(out - self._last_out) <= _SOUND_REACH else self._last_out

    def _believable(self, step: int, waited: int | None) -> bool:
        if not 0 < step <= _LONGEST:
            return False
        if waited is not None and abs(step - waited) <= _AGREES:
            return True
        return abs(step - self._last_step) <= _MAX_STEP  # a slow camera: each step is as long as the one before

    def _reanchor(self, value: int, waited: int | None) -> int:
        out = self._last_out + min(max(waited if waited else _USUAL, _MS), _MAX_STEP)
        self._offset = out - value
        return out

    def _compare(self, dts: int, arrival: int | None) -> None:
        """Finds a clock that does not run at 90 kHz (quirk Q121)."""
        if arrival is None:
            return
        if self._window is None:
            self._window = (dts, arrival)
            return
        passed = arrival - self._window[1]
        if passed < _WINDOW:
            return
        rate = (dts - self._window[0]) / passed
        # A jump inside the window says nothing about the rate; it is smoothed by itself.
        wrong = 0 <= rate < _SLOWEST or _FASTEST < rate < 200
        if wrong and not self.by_arrival:
            self.by_arrival = True
            self._offset = None
        self._window = (dts, arrival)
