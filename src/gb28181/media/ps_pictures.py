"""Pictures out of the video bytes of a program stream: cut where their own slice headers say that a new one begins.

The stream layer is `ps.py`. Packs, PES packets and time stamps are hints here, nothing more (quirks Q138, Q142, Q148d).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

from gb28181.media import nal

MediaCodec = Literal[
    "", "h264", "h265", "mpeg4", "mpeg2", "svac", "aac", "g711a", "g711u", "g722.1", "g723.1", "g729", "mp2", "svac-audio"
]

MAX_UNIT_BYTES: Final = 8 << 20

_WRAP: Final = 1 << 33
#: Lengths near the 16-bit limit mean that the picture goes on in the next PES packet.
_FULL_PES: Final = 65000
#: So many right guesses in a row before `settle` trusts its guess without waiting.
_TRUSTED: Final = 8
_MISTRUST: Final = -64


@dataclass(slots=True)
class AccessUnit:
    """One picture, or the audio of one PES packet.

    Args:
        pts_90k, dts_90k: 90 kHz, unwrapped beyond 33 bits; the arrival time where the stream has none (quirk Q148c).
        is_key: An IDR or IRAP picture; True for audio.
        data: Annex B with start codes for video, the bare payload for audio.
        at_us: Arrival of the chunk that held the first byte, as the caller gave it.
    """

    codec: MediaCodec
    pts_90k: int
    dts_90k: int
    is_key: bool
    data: bytes
    at_us: int

    @property
    def is_video(self) -> bool:
        return self.codec in _VIDEO


_VIDEO: Final = frozenset({"h264", "h265", "mpeg4", "mpeg2", "svac", ""})


def unwrapped(value: int, last: int | None) -> int:
    """The time nearest to `last` that has these 33 bits."""
    if last is None:
        return value
    return last + ((value - last + _WRAP // 2) % _WRAP) - _WRAP // 2


_LEAD: Final = 0
_FIRST: Final = 1
_NEXT: Final = 2
_OTHER: Final = 3

# H.264 table 7-1: what may begin an access unit before its first slice; 1, 2, 5 are slices told apart by first_mb_in_slice.
_H264_LEADS: Final = frozenset({6, 7, 8, 9, 14, 15, 16, 17, 18})
_H264_SLICES: Final = frozenset({1, 5})
# H.265 table 7-1: parameter sets, delimiter, prefix SEI and what is reserved beside them (§7.4.2.4.4).
_H265_LEADS: Final = frozenset({32, 33, 34, 35, 39, 41, 42, 43, 44, *range(48, 56)})


class Pictures:
    """Cuts video bytes into pictures by their own headers."""

    def __init__(self, out: list[AccessUnit], faults: Counter[str]) -> None:
        self.codec: MediaCodec = ""
        self.at_us = 0
        self._out = out
        self._faults = faults
        self._probed = False
        self._interlaced = False
        self._es = bytearray()
        self._scan = 0
        self._open = False  # `_es` begins with the first NAL unit of a picture
        self._has_slice = False
        self._is_key = False
        self._lead: int | None = None  # where the next picture may have begun: parameter sets seen, no slice yet
        self._stamp: tuple[int, int] | None = None  # of the packet whose first picture has not begun yet
        self._unit_stamp: tuple[int, int] | None = None
        self._unit_at = 0
        self._boundary = False  # a pack header or a time stamp came since the last slice
        self._last_dts: int | None = None
        self._last_raw: int | None = None
        self._no_clock = False
        # What `settle` has learnt of this stream.
        self._packet = 0  # size of the last PES packet, 0 when its length was a lie
        self._before = 0  # size of the one before it
        self._entered = False  # no slice of the last packet has been seen
        self._continued = _FULL_PES  # smallest packet that was followed by more of the same picture
        self._guessed = False
        self._early = False  # the last picture went out on a guess
        self._right = 0

    def declare(self, codec: MediaCodec) -> None:
        """What the map says; a probed codec wins (quirk Q133)."""
        if self._probed:
            if codec != self.codec:
                self._faults["map-says-other-codec"] += 1
        elif codec != self.codec:
            self._reset()
            self.codec = codec

    def pack_seen(self) -> None:
        self._boundary = True

    def feed(self, payload: bytes, pts: int | None, dts: int | None, packet: int) -> None:
        if self.codec in ("svac", "mpeg4", "mpeg2"):
            # Their pictures are not looked into; a declared codec may still be a lie, so NAL units are probed below.
            if self._es and (pts is not None or self._boundary):
                self._emit(len(self._es))
            if not self._es:
                self._begin((pts, dts) if pts is not None and dts is not None else None)
                self._has_slice = True
            self._boundary = False
        if pts is not None and dts is not None:
            self._stamp = (pts, dts)
            if self._unit_stamp != self._stamp and self.codec in ("h264", "h265"):
                self._boundary = True
        if (self._has_slice or self._early) and not payload.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
            self._went_on(self._packet)
        self._before, self._packet = self._packet, packet
        self._entered = True
        self._es += payload
        self._walk()
        if not self._open:
            # Bytes of a picture whose beginning is missing; a start code may be cut at the end.
            del self._es[: self._scan]
            self._scan = 0
        elif len(self._es) > MAX_UNIT_BYTES:
            self._faults["oversized"] += 1
            self._reset()

    def _walk(self) -> None:
        es = self._es
        in_slices = self._in_slices
        while True:
            at = es.find(b"\x00\x00\x01", self._scan)
            if at < 0:
                self._scan = max(self._scan, len(es) - 2)
                return
            if at + 6 > len(es):
                self._scan = at
                return
            self._scan = at + 3
            if in_slices and (kind := es[at + 3] & 0x1F) in _H264_SLICES and es[at + 4] < 0x80:
                # The next of many slices changes nothing that `_place` would change.
                self._is_key |= kind == nal.H264_IDR
                continue
            self._nal(at - 1 if at and not es[at - 1] else at, at + 3)
            in_slices = self._in_slices

    @property
    def _in_slices(self) -> bool:
        """Inside an H.264 picture, past its first slice in this packet, with nothing pending."""
        return (
            self._has_slice
            and self._open
            and self._probed
            and self.codec == "h264"
            and not (self._entered or self._boundary)
            and self._lead is None
            and self._stamp is None
        )

    def _nal(self, start: int, at: int) -> None:
        es = self._es
        first, second = es[at], es[at + 1]
        found = nal.probe(first, second)
        if found is not None and (found != self.codec or not self._probed):
            if self.codec and found != self.codec:
                self._faults["map-says-other-codec"] += 1
                self._abandon(start)
                start, at = 0, at - start
            self.codec, self._probed = found, True
        if self.codec == "h264":
            kind = first & 0x1F
            if kind in (1, 2, 5):
                role = _FIRST if second & 0x80 else _NEXT
            else:
                role = _LEAD if kind in _H264_LEADS else _NEXT if kind in (3, 4) else _OTHER
            if kind == nal.H264_SPS:
                info = nal.sequence_info("h264", bytes(es[at : at + 512]))
                self._interlaced = info is not None and info.interlaced
            is_key = kind == nal.H264_IDR
        elif self.codec == "h265":
            kind = first >> 1 & 0x3F
            if first & 1 or second >> 3:
                role = _OTHER  # a layer above the base
            elif kind < 32:
                role = _FIRST if es[at + 2] & 0x80 else _NEXT
            else:
                role = _LEAD if kind in _H265_LEADS else _OTHER
            is_key = 16 <= kind <= 23
        else:
            return
        self._place(role, start, is_key=is_key)

    def _place(self, role: int, start: int, *, is_key: bool) -> None:
        """Decides to which picture the NAL unit at `start` belongs."""
        if role == _OTHER:
            return
        if role == _NEXT:
            if self._open and self._has_slice:
                self._lead = None
                self._is_key |= is_key
            if self._entered and (self._has_slice or self._early):
                self._went_on(self._before)
            self._stamp, self._boundary, self._entered = None, False, False
            return
        if role == _LEAD:
            if not self._open:
                self._cut(start)
                self._begin(None)
            elif self._has_slice and self._lead is None:
                self._lead = start
            return
        if not self._open:
            self._cut(start)
            self._begin(None)
        elif self._has_slice:
            if self._interlaced and self._lead is None and not self._boundary:
                return  # the second field of the same frame
            self._emit(start if self._lead is None else self._lead)
            self._begin(None)
        if self._guessed or self._early:
            self._right += 1
            self._guessed = self._early = False
        self._has_slice, self._is_key, self._entered = True, is_key, False
        self._unit_stamp, self._stamp, self._boundary = self._stamp, None, False

    def _begin(self, stamp: tuple[int, int] | None) -> None:
        self._open = True
        self._has_slice = self._is_key = False
        self._lead = None
        self._unit_stamp = stamp
        self._unit_at = self.at_us

    def _went_on(self, packet: int) -> None:
        """More of the same picture came after a PES packet of this size had ended."""
        if packet:
            self._continued = min(self._continued, packet)
        if self._guessed or self._early:
            self._right = _MISTRUST
            if self._early:
                self._faults["picture-cut-by-guess"] += 1
            self._guessed = self._early = False

    def _cut(self, count: int) -> None:
        """Forgets bytes in front of a picture."""
        del self._es[:count]
        self._scan = max(0, self._scan - count)
        if self._lead is not None:
            self._lead -= count

    def _abandon(self, start: int) -> None:
        """Forgets the picture before `start`."""
        self._cut(start)
        self._open = self._has_slice = False
        self._lead = None

    def _reset(self) -> None:
        self._es.clear()
        self._scan = 0
        self._open = self._has_slice = self._guessed = self._early = False
        self._lead = self._stamp = None

    def settle(self, *, idle: bool) -> None:
        if not self._looks_whole():
            return
        if idle or self._right >= _TRUSTED:
            self._emit(len(self._es))
            self._open = self._has_slice = self._guessed = False
            self._early = True
        elif not self._guessed:
            self._guessed = True

    def _looks_whole(self) -> bool:
        return self._open and self._has_slice and self._lead is None and 0 < self._packet < self._continued

    def finish(self) -> None:
        if self._open and self._has_slice:
            self._emit(len(self._es))
        self._reset()

    def lose(self, *, whole: bool) -> None:
        if whole and self._looks_whole():
            self._emit(len(self._es))
        elif self._es:
            self._faults["incomplete-picture"] += 1
        self._reset()

    def _emit(self, end: int) -> None:
        with memoryview(self._es) as view:
            data = bytes(view[:end])
        self._cut(end)
        # A stray start code before the next pack (quirk Q137) is no NAL unit.
        while data.endswith((b"\x00\x00\x00\x01", b"\x00\x00\x01")):
            data = data.rstrip(b"\x01").rstrip(b"\x00")
        pts, dts = self._times()
        self._out.append(AccessUnit(self.codec, pts, dts, self._is_key, data, self._unit_at))
        self._open = self._has_slice = False

    def _times(self) -> tuple[int, int]:
        """Time stamps of the picture: the PES packet's, else the arrival (quirks Q119, Q148c)."""
        stamp = self._unit_stamp
        if stamp is not None:
            # Many pictures at 0 mean a clock that never runs; a single one is the beginning of a stream.
            self._no_clock = stamp[1] == 0 and self._last_raw == 0
            self._last_raw = stamp[1]
        if stamp is None or self._no_clock:
            arrival = self._unit_at * 9 // 100
            return arrival, arrival
        dts = self._last_dts = unwrapped(stamp[1], self._last_dts)
        return unwrapped(stamp[0], dts), dts
