"""Where a stream's packs come from: the film of the present minute, or a PS file sent byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from gb28181.errors import Invalid
from gb28181.sim import tone
from gb28181.sim.ps import CLOCK_HZ, Muxer
from gb28181.sim.studio import Film

_PACK: Final = b"\x00\x00\x01\xba"
#: A file without usable times is sent as 25 packs a second.
_DEFAULT_STEP: Final = CLOCK_HZ // 25
#: A step between two packs that is longer than this is a jump of the file's clock, not a pause.
_LONGEST_STEP: Final = 10 * CLOCK_HZ
_MOST_FILE: Final = 1 << 30


@dataclass(slots=True)
class Pack:
    """One pack that is due.

    Args:
        data: Starts with a pack header.
        timestamp: 90 kHz, not wrapped; the same for all packs of one picture.
        due: Seconds since the stream's origin: of the Unix epoch for film, of the first pack for a file.
        seconds: How long the pack may take to be sent.
        is_key: Whether decoding can start here.
        ends_picture: Whether the next pack belongs to another picture.
    """

    data: bytes
    timestamp: int
    due: float
    seconds: float
    is_key: bool
    ends_picture: bool = True


class Source(Protocol):
    """Packs one after the other."""

    def begin(self, utc: float) -> float:
        """Starts at this moment; returns the stream's origin as a UTC second."""

    def next(self) -> Pack | None:
        """The next pack, None after the last one."""

    def skip_to(self, utc: float) -> int:
        """Leaves packs out so that the next one is of now; returns how many pictures were left out."""


class FilmSource:
    """Packs of the present: the first is the key picture at or before now, its successors are late until now is reached.

    Args:
        film: Prepared for `name`.
        name: What stands in the picture.
        audio: Whether the tone is sent too.
    """

    def __init__(self, film: Film, name: str, *, audio: bool) -> None:
        self._film, self._name, self._audio = film, name, audio
        self._muxer = Muxer(film.picture.codec, film.picture.bitrate_kbps, audio=audio)
        self._number = 0

    def begin(self, utc: float) -> float:
        self._number = self._film.key_at_or_before(self._film.number_at(utc))
        return 0.0

    def next(self) -> Pack:
        fps, number = self._film.picture.fps, self._number
        picture, is_key = self._film.frame(number, self._name)
        self._number += 1
        pts = number * CLOCK_HZ // fps
        audio: list[tuple[int, bytes]] = []
        if self._audio:
            rate = tone.FRAMES_PER_SECOND
            first, end = -(-number * rate // fps), -(-(number + 1) * rate // fps)
            audio = [(frame * CLOCK_HZ // rate, tone.frame(frame)) for frame in range(first, end)]
        data = self._muxer.pack(picture, pts, is_key=is_key, audio=audio)
        return Pack(data, pts, self._film.time_of(number), 1 / fps, is_key)

    def skip_to(self, utc: float) -> int:
        before = self._number
        self._number = max(before, self._film.key_at_or_before(self._film.number_at(utc)))
        return self._number - before


class PsFile:
    """A program stream cut at its pack headers, with the times at which the packs are due."""

    def __init__(self, path: Path) -> None:
        """Reads the whole file.

        Raises:
            Invalid: It is larger than 1 GiB or does not begin with a pack header.
            OSError: It cannot be read.
        """
        if path.stat().st_size > _MOST_FILE:
            raise Invalid(f"{path} is larger than 1 GiB")
        data = path.read_bytes()
        if not data.startswith(_PACK):
            raise Invalid(f"{path} does not begin with a pack header (00 00 01 BA)")
        self.packs: list[tuple[bytes, int]] = []
        clock, last = 0, None
        for start, end in _pack_bounds(data):
            time = _pts(data, start, end)
            time = _scr(data, start) if time is None else time
            step = _DEFAULT_STEP if time is None or last is None else (time - last) % (1 << 33)
            if last is not None:
                clock += step if step <= _LONGEST_STEP else _DEFAULT_STEP
            last = time if time is not None else last
            self.packs.append((data[start:end], clock))
        self.duration = clock + _DEFAULT_STEP


class FileSource:
    """Packs of a file, from its beginning, once or again and again; RTP timestamps run on, the bytes stay as they are."""

    def __init__(self, file: PsFile, *, once: bool) -> None:
        self._file, self._once = file, once
        self._index = 0
        self._turn = 0

    def begin(self, utc: float) -> float:
        return utc

    def next(self) -> Pack | None:
        packs = self._file.packs
        if self._index == len(packs):
            if self._once:
                return None
            self._index, self._turn = 0, self._turn + self._file.duration
        data, clock = packs[self._index]
        self._index += 1
        following = packs[self._index][1] if self._index < len(packs) else self._file.duration
        return Pack(
            data,
            self._turn + clock,
            (self._turn + clock) / CLOCK_HZ,
            (following - clock) / CLOCK_HZ,
            b"\x00\x00\x01\xbb" in data[:64],
            following != clock,
        )

    def skip_to(self, utc: float) -> int:
        return 0  # byte for byte: late, but complete


def _pack_bounds(data: bytes) -> list[tuple[int, int]]:
    """Walks from packet to packet by their lengths, so that the bytes of a pack header inside sound are none."""
    starts: list[int] = []
    at = 0
    while at < len(data):
        if data[at : at + 4] == _PACK:
            starts.append(at)
            at += 14 + (data[at + 13] & 7 if at + 13 < len(data) else 0)
        elif data[at : at + 3] == b"\x00\x00\x01" and at + 6 <= len(data):
            at += 6 + int.from_bytes(data[at + 4 : at + 6], "big")
        else:
            at = data.find(_PACK, at + 1)
            if at < 0:
                break
    return list(zip(starts, [*starts[1:], len(data)], strict=True))


def _scr(data: bytes, start: int) -> int | None:
    value = int.from_bytes(data[start + 4 : start + 10], "big")
    if value >> 46 != 1:
        return None
    return (value >> 43 & 7) << 30 | (value >> 27 & 0x7FFF) << 15 | value >> 11 & 0x7FFF


def _pts(data: bytes, start: int, end: int) -> int | None:
    """PTS of the first video packet in a pack."""
    at = start + 14 + (data[start + 13] & 7 if start + 13 < len(data) else 0)
    while at + 14 <= end and data[at : at + 3] == b"\x00\x00\x01":
        if data[at + 3] & 0xF0 == 0xE0 and data[at + 7] & 0x80:
            value = int.from_bytes(data[at + 9 : at + 14], "big")
            return (value >> 33 & 7) << 30 | (value >> 17 & 0x7FFF) << 15 | value >> 1 & 0x7FFF
        at += 6 + int.from_bytes(data[at + 4 : at + 6], "big")
    return None
