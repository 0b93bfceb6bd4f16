"""Recordings played from a device: packs of past minutes at any speed, and the MANSRTSP that steers them (§9.8, Annex B)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gb28181.errors import WireError
from gb28181.sim import tone
from gb28181.sim.ps import CLOCK_HZ, Muxer
from gb28181.sim.source import Pack
from gb28181.sim.studio import Film

_SCALES: Final = (0.25, 8.0)
_NPT: Final = re.compile(r"npt\s*=\s*(now|\d{1,9}(?:\.\d{1,6})?)?\s*-", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Steering:
    """One MANSRTSP request.

    Args:
        method: PLAY, PAUSE or TEARDOWN.
        scale: Speed that is asked for, None to keep it.
        npt: Seconds from the beginning of the recording, None to go on from here.
    """

    method: str
    scale: float | None = None
    npt: float | None = None


def parse_steering(body: bytes) -> Steering:
    """Reads the body of an INFO.

    Raises:
        WireError: It is no MANSRTSP, or asks for a speed that the device does not have (e.g. backwards).
    """
    first, *lines = body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    method = first.split(" ", 1)[0].upper()
    if method not in ("PLAY", "PAUSE", "TEARDOWN"):
        raise WireError(f"not a MANSRTSP request: {first[:40]!r}", clause="Annex B")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    scale = None
    if "scale" in fields:
        if not re.fullmatch(r"\d{1,3}(\.\d{1,6})?", fields["scale"]):
            raise WireError(f"Scale {fields['scale'][:20]!r} is not available", status=500, clause="B.2.6")
        scale = min(max(float(fields["scale"]), _SCALES[0]), _SCALES[1])
    found = _NPT.search(fields.get("range", ""))
    npt = float(found[1]) if found and found[1] and found[1] != "now" else None
    return Steering(method, scale, npt)


class PlaybackSource:
    """Packs of a range of the past.

    Args:
        film: Prepared for `name`.
        name: What stands in the picture.
        start, end: UTC seconds; the first picture is the key picture at or before `start`.
        is_keys_only: Above normal speed only key pictures are sent.
        is_restamped: Timestamps follow the clock on the wall, not the recording.
        is_endless: Goes on after `end`.
    """

    def __init__(
        self,
        film: Film,
        name: str,
        start: float,
        end: float,
        *,
        scale: float = 1.0,
        is_keys_only: bool = False,
        is_restamped: bool = False,
        is_endless: bool = False,
    ) -> None:
        self._film, self._name, self._start = film, name, start
        self._last = film.number_at(end) if not is_endless else None
        self._is_keys_only, self._is_restamped = is_keys_only, is_restamped
        self._muxer = Muxer(film.picture.codec, film.picture.bitrate_kbps, audio=True)
        self._number = self._anchor = film.key_at_or_before(film.number_at(start))
        self._anchor_due = 0.0
        self._stamp = self._number * CLOCK_HZ // film.picture.fps
        self.scale = scale

    def begin(self, utc: float) -> float:
        return utc

    def steer(self, steering: Steering, elapsed_s: float) -> None:
        """Changes speed or place; `elapsed_s` since the stream began."""
        if steering.npt is not None:
            self._number = self._film.key_at_or_before(self._film.number_at(self._start + steering.npt))
        if steering.scale is not None:
            self.scale = steering.scale
        self._anchor, self._anchor_due = self._number, elapsed_s

    def next(self) -> Pack | None:
        fps, number = self._film.picture.fps, self._number
        if self._last is not None and number > self._last:
            return None
        picture, is_key = self._film.frame(number, self._name)
        self._number += 1
        if self._is_keys_only and self.scale > 1:
            while not self._film.frame(self._number, self._name)[1]:
                self._number += 1
        pts = number * CLOCK_HZ // fps
        audio: list[tuple[int, bytes]] = []
        if self.scale == 1:  # sound at another speed is noise
            rate = tone.FRAMES_PER_SECOND
            first, end = -(-number * rate // fps), -(-(number + 1) * rate // fps)
            audio = [(frame * CLOCK_HZ // rate, tone.frame(frame)) for frame in range(first, end)]
        data = self._muxer.pack(picture, pts, is_key=is_key, audio=audio)
        due = self._anchor_due + (number - self._anchor) / fps / self.scale
        stamp = self._stamp + round(due * CLOCK_HZ) if self._is_restamped else pts
        return Pack(data, stamp, due, (self._number - number) / fps / self.scale, is_key)

    def skip_to(self, utc: float) -> int:
        return 0  # nothing of a recording is left out
