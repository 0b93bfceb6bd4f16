"""When a recorded picture is sent and which time it carries: speed, pause, seek.

A player shows pictures at the speed of their time stamps, so these are divided by the speed (quirk W35). The player's time
never goes back and never jumps: after a seek, a gap or a change of speed it goes on from the last picture sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gb28181.edge.recorded_pictures import RecordedPicture

#: Pictures are sent so long before they are shown: what a player holds when somebody presses pause.
LEAD_S: Final = 0.5
#: A viewer or a disk that is later than this is not caught up with: the film goes on from here.
_LATE_S: Final = 2.0
_CLOCK: Final = 90_000
_MS: Final = 90
_USUAL: Final = 3600


#: No codec shows a picture after so many that are decoded later.
_REORDERED: Final = 16


def compositions(pictures: Sequence[RecordedPicture], led: int, speed: float) -> list[int]:
    """Presentation minus decoding time of the first `led` pictures, which `Pace.hurry` stamps, 90 kHz.

    They are shown in their order before all others, a millisecond each; but one that is shown among the others (they are B
    pictures) has its own place there.
    """
    shown = [picture.at_90k + picture.shown_90k for picture in pictures[: led + _REORDERED]]
    first = min(shown[led:], default=None)
    early = sorted((at, number) for number, at in enumerate(shown[:led]) if first is None or at < first)
    rank = {number: place for place, (_, number) in enumerate(early)}
    delay = max((number - place for number, place in rank.items()), default=0)
    out = []
    for number in range(led):
        if number in rank:
            out.append((rank[number] + delay - number) * _MS)
        else:
            out.append((led - 1 - number) * _MS + _USUAL + round((shown[number] - pictures[led].at_90k) / speed))
    return out


class Pace:
    """The two times of one viewer. `content` is the place in the recording without its gaps, 90 kHz, rising between seeks."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._content = 0
        self._out = 0
        self._at = 0.0
        self._paused: float | None = None
        self._last_content = 0
        self._last_out = -_MS

    @property
    def is_paused(self) -> bool:
        return self._paused is not None

    def begin(self, content: int, now: float) -> None:
        """From this place on pictures are shown as time passes, the first one now."""
        self._content, self._at = content, now
        self._out = 0 if self._last_out < 0 else self._last_out + _USUAL
        self._last_content = content
        if self._paused is not None:
            self._paused = now

    def pause(self, now: float) -> None:
        if self._paused is None:
            self._paused = now

    def resume(self, now: float) -> None:
        if self._paused is not None:
            self._at += now - self._paused
            self._paused = None

    def set_speed(self, speed: float, now: float) -> None:
        """Holds from the last picture sent on."""
        since = (self._last_out - self._out) / _CLOCK
        self._content, self._out, self._at = self._last_content, max(self._out, self._last_out), self._at + max(0.0, since)
        self.speed = speed
        if self._paused is not None:
            self._at, self._paused = self._at + now - self._paused, now

    def due(self, content: int) -> float | None:
        """When the picture of this place is sent; None while paused."""
        if self._paused is not None:
            return None
        return self._at + (content - self._content) / _CLOCK / self.speed - LEAD_S

    def late(self, content: int, now: float) -> None:
        """Says that it is sent now; if that is far too late, everything after it is due later too."""
        due = self.due(content)
        if due is not None and now - due > _LATE_S:
            self._at += now - due

    def stamp(self, content: int) -> int:
        """The player's time of a picture, 90 kHz; rises by at least a millisecond."""
        out = self._out + round((content - self._content) / self.speed)
        self._last_out = max(out, self._last_out + _MS)
        self._last_content = content
        return self._last_out

    def hurry(self) -> int:
        """The player's time of a picture that is only there to be built upon: it is shown for a millisecond."""
        self._last_out += _MS
        return self._last_out
