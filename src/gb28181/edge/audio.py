"""Sound for players: G.711 becomes AAC-LC at 8 kHz, AAC passes through. Nothing is encoded for nobody.

Theory of operation. A sound track is counted in samples from time 0 of the viewers' or the file's timeline; 1024 of them are
an AAC frame. `SoundTrack` runs along a stream: packets that stand within 100 ms of where they are due follow each other
without a seam, so the jitter of a camera's clock is not heard; larger holes become silence.

An encoder has a memory, entries of a playlist are made one by one and in any order. `entry_sound` therefore numbers frames on
the absolute grid of 1024 samples, lets the encoder run in over the last frames of the groups before, and cuts by a rule that
both neighbours compute alike: a frame belongs to the first entry whose bytes hold all samples that the encoder needs for it.
Only the shape of the window matters at the cut (time domain aliasing cancels between frames), and it does not depend on
where the encoder began.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import av
import av.logging
import numpy as np
import numpy.typing as npt

from gb28181.media.ps_pictures import AccessUnit, MediaCodec

FRAME: Final = 1024
"""Samples of one AAC-LC frame."""
CLOCK: Final = 90_000

_G711_RATE: Final = 8000
_BITRATE: Final = 24_000
#: ISO/IEC 14496-3 table 1.18.
_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
#: A packet may stand so far from where it is due before it is believed.
_TOLERANCE_S: Final = 0.1
#: A longer hole is not filled: the frames after it just come later.
_FILL_S: Final = 1.0
#: Samples of one entry at most: a clock that jumps must not ask for hours of silence.
_LONGEST: Final = 600 * _G711_RATE
#: Frames that the encoder wants to see after a frame: its own overlap, and what decides the window.
_AHEAD: Final = 2
_WRAP: Final = 1 << 33
_FOREIGN: Final = 30 * CLOCK
_RUN_IN: Final = 6
#: The most that is kept of an ADTS frame whose end has not come; a frame has at most 8191 bytes.
_MAX_ADTS: Final = 8191
#: A frame of silence by channels.
_SILENT: Final = {1: bytes.fromhex("00c800802380"), 2: bytes.fromhex("210049900219002380")}

Pcm = npt.NDArray[np.float32]

# FFmpeg writes its opinions to stderr.
av.logging.set_level(av.logging.PANIC)


def _alaw() -> Pcm:
    """ITU-T G.711 table 1a/G.711, values as shares of full scale."""
    code = np.arange(256) ^ 0x55
    exponent, mantissa = code >> 4 & 7, code & 15
    magnitude = np.where(exponent == 0, (mantissa << 4) + 8, (mantissa * 16 + 264) << np.maximum(exponent - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / 32768).astype(np.float32)


def _ulaw() -> Pcm:
    """ITU-T G.711 table 2a/G.711."""
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return (np.where(code & 0x80, -magnitude, magnitude) / 32768).astype(np.float32)


_G711: Final[dict[MediaCodec, Pcm]] = {"g711a": _alaw(), "g711u": _ulaw()}

SOUND_CODECS: Final[frozenset[MediaCodec]] = frozenset({*_G711, "aac"})
"""What players can be given; the rest is left out."""


@dataclass(frozen=True, slots=True)
class SoundConfig:
    """What a player has to know before the first frame.

    Args:
        rate: Samples a second.
        specific: AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
    """

    rate: int
    channels: int
    specific: bytes


def adts(specific: bytes, frame: bytes) -> bytes:
    """The frame behind an ADTS header (ISO/IEC 13818-7 §6.2), as MPEG-TS wants it.

    Args:
        specific: AudioSpecificConfig.
    """
    size = len(frame) + 7
    head = specific[0] << 8 | specific[1]
    kind, index, channels = head >> 11, head >> 7 & 15, head >> 3 & 15
    word = 0xFFF1 << 40 | (kind - 1) << 38 | index << 34 | channels << 30 | size << 13 | 0x7FF << 2
    return word.to_bytes(7, "big") + frame


class SoundUnit(NamedTuple):
    """The sound of one PES packet on the timeline of whoever takes it, 90 kHz."""

    codec: MediaCodec
    at_90k: int
    data: bytes


class SoundFrame(NamedTuple):
    """One AAC frame without header; `sample` is counted from time 0."""

    sample: int
    data: bytes


class _Encoder:
    """AAC-LC of one channel; frames come out two behind what went in."""

    def __init__(self) -> None:
        context = av.CodecContext.create("aac", "w")
        context.sample_rate, context.layout, context.format = _G711_RATE, "mono", "fltp"
        context.bit_rate, context.time_base = _BITRATE, Fraction(1, _G711_RATE)
        # Half the cost of the thorough coder, and no difference to be heard in what a telephone codec left.
        context.options = {"aac_coder": "fast", "flags": "+bitexact"}
        context.open()
        self._context = context
        self.config = SoundConfig(_G711_RATE, 1, bytes(context.extradata or b""))

    def encode(self, sample: int, pcm: Pcm) -> list[SoundFrame]:
        """Takes 1024 samples."""
        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, FRAME), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = _G711_RATE, sample
        return [SoundFrame(packet.pts or 0, bytes(packet)) for packet in self._context.encode(frame)]

    def finish(self) -> list[SoundFrame]:
        return [SoundFrame(packet.pts or 0, bytes(packet)) for packet in self._context.encode(None)]


class SoundTrack:
    """Runs along one stream and gives AAC frames whose time rises.

    Attributes:
        config: Of the frames; None before the first. It changes only when the camera's AAC does.
    """

    def __init__(self) -> None:
        self.config: SoundConfig | None = None
        self._next: int | None = None  # where the next sample belongs
        self._given = -(1 << 62)  # the first sample that has not been given to anybody yet
        self._encoder: _Encoder | None = None
        self._pcm: list[Pcm] = []
        self._held = 0
        self._adts = _Adts()
        self._codec: MediaCodec = ""

    def feed(self, unit: SoundUnit) -> list[SoundFrame]:
        """Frames that became complete; none for a codec that players cannot be given."""
        if unit.codec not in SOUND_CODECS:
            return []
        out: list[SoundFrame] = []
        if unit.codec != self._codec:
            out += self._finish()
            self._codec = unit.codec
        if unit.codec == "aac":
            out += self._pass_through(unit)
        else:
            out += self._samples(unit.at_90k, _G711[unit.codec][np.frombuffer(unit.data, np.uint8)])
        return self._rising(out)

    def begin(self, codec: MediaCodec, config: SoundConfig, at_90k: int) -> None:
        """Silence from here on, by `keep_up`, until sound of this kind comes."""
        self._codec, self.config, self._next = codec, config, at_90k * config.rate // CLOCK
        if codec != "aac":
            self._encoder = _Encoder()

    def keep_up(self, at_90k: int) -> list[SoundFrame]:
        """Silence up to this time where the camera's sound has ended: players wait for a track that stays behind."""
        config, place = self.config, self._next
        if config is None or place is None:
            return []
        missing = at_90k * config.rate // CLOCK - place
        if missing <= 0:
            return []
        if self._encoder is not None:
            return self._rising(self._add(np.zeros(min(missing, config.rate * 10), np.float32)))
        silent = _SILENT.get(config.channels)
        if silent is None:
            return []
        count = min(missing // FRAME, 500)
        self._next = place + count * FRAME
        return self._rising([SoundFrame(place + number * FRAME, silent) for number in range(count)])

    @property
    def end_90k(self) -> int | None:
        """Time up to which sound has come."""
        if self._next is None or self.config is None:
            return None
        return self._next * CLOCK // self.config.rate

    def restart(self) -> None:
        """What follows has nothing to do with what was: another stream, or a gap."""
        self._finish()

    def flush(self) -> list[SoundFrame]:
        """What the encoder still holds."""
        return self._rising(self._finish())

    def _rising(self, frames: list[SoundFrame]) -> list[SoundFrame]:
        out = []
        for frame in frames:
            if frame.sample >= self._given:
                self._given = frame.sample + FRAME
                out.append(frame)
        return out

    # --- G.711 -----------------------------------------------------------------------------------------------------

    def _samples(self, at_90k: int, pcm: Pcm) -> list[SoundFrame]:
        place = (at_90k * _G711_RATE + CLOCK // 2) // CLOCK
        out: list[SoundFrame] = []
        if self._next is not None:
            drift = place - self._next
            if drift > _FILL_S * _G711_RATE:
                out += self._finish()
            elif drift > _TOLERANCE_S * _G711_RATE:
                out += self._add(np.zeros(drift, np.float32))
            elif drift < -_TOLERANCE_S * _G711_RATE:
                pcm = pcm[-drift:]
        if self._next is None:
            self._next = place
            self._encoder = _Encoder()
            self.config = self._encoder.config
        return out + self._add(pcm)

    def _add(self, pcm: Pcm) -> list[SoundFrame]:
        if self._encoder is None or self._next is None:
            return []
        self._pcm.append(pcm)
        self._held += len(pcm)
        self._next += len(pcm)
        if self._held < FRAME:
            return []
        whole = np.concatenate(self._pcm)
        first = self._next - len(whole)
        out: list[SoundFrame] = []
        count = len(whole) // FRAME
        for number in range(count):
            out += self._encoder.encode(first + number * FRAME, whole[number * FRAME : (number + 1) * FRAME])
        self._pcm = [whole[count * FRAME :]]
        self._held = len(self._pcm[0])
        return out

    def _finish(self) -> list[SoundFrame]:
        out: list[SoundFrame] = []
        if self._encoder is not None and self._next is not None:
            out += self._add(np.zeros(-self._held % FRAME, np.float32))
            out += self._encoder.finish()
        self._encoder = self._next = None
        self._pcm, self._held = [], 0
        self._adts = _Adts()
        return out

    # --- AAC -------------------------------------------------------------------------------------------------------

    def _pass_through(self, unit: SoundUnit) -> list[SoundFrame]:
        out = []
        begins = not self._adts.holds
        for config, data in self._adts.feed(unit.data):
            if config != self.config:
                # Samples of another rate are counted anew.
                self.config, self._next, self._given, begins = config, None, -(1 << 62), True
            if begins or self._next is None:
                place = unit.at_90k * config.rate // CLOCK
                if self._next is None or abs(place - self._next) > _TOLERANCE_S * config.rate:
                    self._next = place
            begins = False
            out.append(SoundFrame(self._next, data))
            self._next += FRAME
        return out


class _Adts:
    """Cuts ADTS frames (ISO/IEC 13818-7 §6.2) out of packets that need not hold whole ones."""

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def holds(self) -> bool:
        """The beginning of a frame whose end has not come."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[tuple[SoundConfig, bytes]]:
        buffer, at = self._buffer + data, 0
        self._buffer = b""
        while at + 7 <= len(buffer):
            head = buffer[at : at + 7]
            size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
            index, channels = head[2] >> 2 & 15, (head[2] & 1) << 2 | head[3] >> 6
            skip = 7 if head[1] & 1 else 9
            if head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or index >= len(_RATES) or size <= skip or not channels:
                following = buffer.find(b"\xff", at + 1)
                at = following if following >= 0 else len(buffer)
                continue
            if at + size > len(buffer):
                break
            # More than one block a frame is allowed and not seen; it cannot be cut without decoding.
            if not head[6] & 3:
                specific = ((head[2] >> 6) + 1 << 11 | index << 7 | channels << 3).to_bytes(2, "big")
                yield SoundConfig(_RATES[index], channels, specific), buffer[at + skip : at + size]
            at += size
        self._buffer = buffer[at:][:_MAX_ADTS]


def sound_units(units: Iterable[AccessUnit], offset_90k: int = 0, *, near_90k: int | None = None) -> list[SoundUnit]:
    """The sound among the access units of a group, `offset_90k` later; one codec, that of the first.

    Args:
        near_90k: Where the group stands; sound whose stamps lead half a minute away from it (a clock of its own) begins there.
    """
    found = [unit for unit in units if unit.codec in SOUND_CODECS]
    # Each stream of a group is unwrapped for itself: the difference is meant modulo 33 bits.
    out = [
        SoundUnit(unit.codec, (unit.pts_90k + offset_90k + _WRAP // 2) % _WRAP - _WRAP // 2, unit.data)
        for unit in found
        if unit.codec == found[0].codec
    ]
    if out and near_90k is not None and abs(out[0].at_90k - near_90k) > _FOREIGN:
        shift = near_90k - out[0].at_90k
        out = [unit._replace(at_90k=unit.at_90k + shift) for unit in out]
    return out


def joined(units: Sequence[SoundUnit]) -> list[SoundUnit]:
    """The same sound in fewer units: G.711 packets that follow each other are one."""
    out: list[SoundUnit] = []
    run: list[SoundUnit] = []
    size = 0
    for unit in units:
        if run:
            due = run[0].at_90k + size * CLOCK // _G711_RATE
            if unit.codec not in _G711 or unit.codec != run[0].codec or abs(unit.at_90k - due) > _TOLERANCE_S * CLOCK:
                out.append(run[0]._replace(data=b"".join(part.data for part in run)))
                run, size = [], 0
        run.append(unit)
        size += len(unit.data)
    if run:
        out.append(run[0]._replace(data=b"".join(part.data for part in run)))
    return out


def entry_sound(
    before: Sequence[Sequence[SoundUnit]], groups: Sequence[Sequence[SoundUnit]], *, last: bool
) -> tuple[SoundConfig, list[SoundFrame]] | None:
    """The AAC frames of one playlist entry, the same on every call; None when it has no sound.

    Args:
        before: Sound of the groups just before the entry, at least a second where there is as much; empty for the first
            entry of a span.
        groups: Sound of the entry's own groups, in order, on the span's timeline, which begins at 0.
        last: No entry follows in this span: the end is not kept back for it.

    Returns:
        Frames that join those of the entries before and after without hole or overlap. They begin up to three frames
        before the entry's first picture.
    """
    own = [units for units in groups if units]
    if not own:
        return None
    run_in = [units for units in before if units]
    if own[0][0].codec == "aac":
        return _entry_aac(own)
    if run_in and run_in[-1][0].codec == "aac":
        run_in = []
    pcm, origin = _lay_out([*run_in, *own])
    first = max(0, origin // FRAME) if not run_in else _end_of(run_in[-1]) // FRAME - _AHEAD
    end = min(_end_of(own[-1]), origin + _LONGEST)
    stop = -(-end // FRAME) if last else end // FRAME - _AHEAD
    begin = max(first - _RUN_IN, origin // FRAME - 1)
    encoder = _Encoder()
    frames: list[SoundFrame] = []
    for number in range(begin, stop + _AHEAD + 1):
        frames += encoder.encode(number * FRAME, _piece(pcm, number * FRAME - origin))
    return encoder.config, [frame for frame in frames if first * FRAME <= frame.sample < stop * FRAME]


def _place_of(unit: SoundUnit) -> int:
    return (unit.at_90k * _G711_RATE + CLOCK // 2) // CLOCK


def _end_of(units: Sequence[SoundUnit]) -> int:
    """The first sample after a group; it depends on nothing but the group."""
    return _places(units)[-1] + len(units[-1].data)


def _places(units: Sequence[SoundUnit]) -> list[int]:
    """Where the packets of a group stand: one after the other from the first, anew where one is too far from its time."""
    places: list[int] = []
    due = _place_of(units[0])
    for unit in units:
        place = _place_of(unit)
        if _TOLERANCE_S * _G711_RATE < place - due < _LONGEST:
            due = place
        places.append(due)
        due += len(unit.data)
    return places


def _lay_out(groups: Sequence[Sequence[SoundUnit]]) -> tuple[Pcm, int]:
    """Samples of all groups, and the place of the first of them."""
    placed = [(place, unit) for units in groups for place, unit in zip(_places(units), units, strict=True)]
    origin = placed[0][0]
    size = min(max(place - origin + len(unit.data) for place, unit in placed), _LONGEST)
    pcm = np.zeros(size, np.float32)
    due = 0
    for place, unit in placed:
        at = place - origin
        samples = _G711[unit.codec][np.frombuffer(unit.data, np.uint8)]
        if at < due:
            samples, at = samples[due - at :], due
        samples = samples[: max(0, size - at)]
        if not len(samples):
            continue
        if 0 < at - due <= _TOLERANCE_S * _G711_RATE and due:
            # A few samples between two groups: a bridge is heard less than a hole.
            pcm[due:at] = np.linspace(pcm[due - 1], samples[0], at - due)
        pcm[at : at + len(samples)] = samples
        due = at + len(samples)
    return pcm, origin


def _piece(pcm: Pcm, at: int) -> Pcm:
    piece = np.zeros(FRAME, np.float32)
    found = pcm[max(0, at) : max(0, at + FRAME)]
    start = max(0, -at)
    piece[start : start + len(found)] = found
    return piece


def _entry_aac(groups: Sequence[Sequence[SoundUnit]]) -> tuple[SoundConfig, list[SoundFrame]] | None:
    """AAC as it came: each group's frames count from its first time stamp."""
    track = SoundTrack()
    frames: list[SoundFrame] = []
    config = None
    for units in groups:
        for unit in units:
            found = track.feed(unit)
            if config is None:
                config = track.config
            if track.config == config:
                frames += found
    return (config, frames) if config is not None and frames else None
