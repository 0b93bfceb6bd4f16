"""MPEG-2 program stream as cameras send it (Annex C.1, ISO/IEC 13818-1 §2.5): bytes in, access units out.

Theory of operation. The standard puts one picture into one pack; devices put several, or a third of one, lie about lengths
and types, and leave out whatever can be left out. So two layers work independently of each other:

- the *stream layer* walks start codes by length where lengths hold, and by search where they do not. This is safe because the
  byte after 00 00 01 in an H.264 or H.265 stream is below 0x80, and that of the program stream's own codes is above 0xB8;
- the *picture layer* (`ps_pictures.py`) sees only the video bytes and cuts them where a new picture begins by its own slice
  headers, whatever packs, PES packets and time stamps say (quirks Q137, Q138, Q142, Q148e).

Invariant: what `feed` returns does not depend on how the bytes were cut into chunks. Only `settle` guesses, and says so.
Memory is bounded by `MAX_UNIT_BYTES` for a picture and as much for a PES packet of unknown length.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Final

from gb28181.media.ps_pictures import MAX_UNIT_BYTES, AccessUnit, MediaCodec, Pictures, unwrapped

#: stream_type of the program stream map (Annex C.1 table; quirk Q135 for what devices add).
STREAM_TYPES: Final[dict[int, MediaCodec]] = {
    0x01: "mpeg2", 0x02: "mpeg2", 0x10: "mpeg4", 0x1B: "h264", 0x24: "h265", 0x80: "svac",
    0x03: "mp2", 0x04: "mp2", 0x0F: "aac", 0x90: "g711a", 0x91: "g711u", 0x92: "g722.1", 0x93: "g723.1",
    0x99: "g729", 0x9B: "svac-audio",
}  # fmt: skip

_PACK: Final = 0xBA
_SYSTEM: Final = 0xBB
_MAP: Final = 0xBC
_END: Final = 0xB9
_ANY_CODE: Final = re.compile(rb"\x00\x00\x01[\xb9-\xff]", re.DOTALL)
_PACK_CODE: Final = b"\x00\x00\x01\xba"
_STUFFING: Final = b"\x00\x01\xff"


class PsParser:
    """Cuts one program stream into access units.

    Attributes:
        faults: What was tolerated, by name; for the operator's page and for diagnosis.
        packs: Pack headers seen; 0 after some media means that this is no program stream.
        declared: Codec by stream_id as the last program stream map said.
    """

    def __init__(self) -> None:
        self.faults: Counter[str] = Counter()
        self.packs = 0
        self.declared: dict[int, MediaCodec] = {}
        self._buffer = bytearray()
        self._synced = False
        self._searched = 0  # bytes of the buffer that hold no end of an unbounded packet
        self._after_video = False  # the last packet was video: bytes without a start code may belong to it
        self._out: list[AccessUnit] = []
        self._pictures = Pictures(self._out, self.faults)
        self._last_audio: dict[int, int] = {}

    @property
    def codec(self) -> MediaCodec:
        """Codec of the video, by probing before the map (quirk Q133); "" while unknown."""
        return self._pictures.codec

    def feed(self, data: bytes | memoryview, at_us: int, *, lost: bool = False) -> list[AccessUnit]:
        """Takes the next bytes.

        Args:
            at_us: Arrival, microseconds; the time of units whose stream has no time stamps.
            lost: Bytes before `data` are missing: what is not whole is dropped, and the search for a start code begins anew.

        Returns:
            Every access unit that is complete beyond doubt: the next one has begun.
        """
        if lost:
            self._lose()
        self._pictures.at_us = at_us
        self._buffer += data
        self._parse()
        return self._take()

    def settle(self, *, idle: bool = False) -> list[AccessUnit]:
        """The picture at the end of the bytes fed so far, if it looks whole, so that a viewer need not wait for the next one.

        Call it after each `feed`, and with `idle` when nothing came for longer than the gaps inside a picture. Without `idle`
        it answers only after this stream has shown that pictures end where its packets end.
        """
        head = self._buffer[:4]
        if (not head or head == _PACK_CODE) and self._synced:
            self._pictures.settle(idle=idle)
        return self._take()

    def flush(self) -> list[AccessUnit]:
        """What is left at the end of the stream."""
        if self._buffer and self._synced and self._after_video and not _ANY_CODE.match(self._buffer):
            self._gap(len(self._buffer))
        elif self._buffer[3:4] and 0xE0 <= self._buffer[3] <= 0xEF and self._buffer[4:6] == b"\x00\x00":
            self._pes(self._buffer[3], len(self._buffer), lied=True)
        self._buffer.clear()
        self._searched = 0
        self._pictures.finish()
        return self._take()

    def _take(self) -> list[AccessUnit]:
        out = self._out[:]
        self._out.clear()
        return out

    def _lose(self) -> None:
        self.faults["loss"] += 1
        buffer = self._buffer
        whole = not buffer or buffer.startswith(_PACK_CODE)
        if len(buffer) > 9 and self._synced and 0xE0 <= buffer[3] <= 0xEF:
            # The beginning of a packet tells whether the picture before it is whole; it is not kept itself.
            self._pes(buffer[3], len(buffer), lied=True)
        self._pictures.lose(whole=whole)
        self._buffer.clear()
        self._searched = 0
        self._synced = self._after_video = False

    # --- stream layer ----------------------------------------------------------------------------------------------

    def _parse(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        """Consumes one packet or one gap from the front of the buffer; False when more bytes are needed."""
        buffer = self._buffer
        if len(buffer) < 4:
            return False
        if buffer[0] or buffer[1] or buffer[2] != 1 or buffer[3] < _END:
            return self._search()
        self._synced = True
        code = buffer[3]
        if code == _PACK:
            return self._pack()
        if code == _END:
            self._drop(4)
            return True
        if len(buffer) < 6:
            return False
        length = buffer[4] << 8 | buffer[5]
        if 0xE0 <= code <= 0xEF:
            return self._video(code, length)
        if code in (_SYSTEM, _MAP):
            return self._section(code, length)
        end = 6 + length
        if len(buffer) < end:
            return False
        if 0xC0 <= code <= 0xDF:
            self._pes(code, end)
        elif code not in (0xBE,):
            self.faults["private-stream"] += 1  # quirk Q136: skipped by its length, start codes inside mean nothing
        self._after_video = False
        self._drop(end)
        return True

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._searched = 0

    def _search(self) -> bool:
        """No start code of the stream where one is due."""
        match = _ANY_CODE.search(self._buffer, self._searched)
        if match is not None:
            self._gap(match.start())
            self._drop(match.start())
            return True
        if self._after_video and self._synced:
            # The end of a PES packet whose length was too small; it may be a stray start code as well (quirk Q137).
            self._searched = max(0, len(self._buffer) - 3)
            if len(self._buffer) > MAX_UNIT_BYTES:
                self.faults["oversized"] += 1
                self._after_video = False
            return False
        self._drop(max(0, len(self._buffer) - 3))
        return False

    def _gap(self, count: int) -> None:
        """`count` bytes between the end of a packet and the next start code."""
        if not count or not self._synced:
            return
        gap = bytes(self._buffer[:count])
        if not gap.strip(_STUFFING):
            self.faults["stray-bytes"] += 1
        elif self._after_video:
            self.faults["pes-length-too-small"] += 1
            self._pictures.feed(gap, None, None, 0)
        else:
            self.faults["stray-bytes"] += 1

    def _pack(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 14:
            return False
        if buffer[4] & 0xC0 == 0x40:
            end = 14 + (buffer[13] & 7)  # quirk Q148b: the stuffing may look like a start code
        elif buffer[4] & 0xF0 == 0x20:
            end = 12  # ISO/IEC 11172-1
        else:
            return self._false_start()
        if len(buffer) < end:
            return False
        self.packs += 1
        self._pictures.pack_seen()
        self._after_video = False
        self._drop(end)
        return True

    def _false_start(self) -> bool:
        self.faults["false-start-code"] += 1
        self._drop(4)
        return True

    def _section(self, code: int, length: int) -> bool:
        """System header or map. Neither ends a picture's bytes, so waiting for what follows costs no time."""
        buffer = self._buffer
        end = 6 + length
        # A lying length is found out by the start code that is not there; 1 KiB is more than any true one.
        if length > 1024 or (len(buffer) >= end + 4 and not _ANY_CODE.match(buffer, end)):
            following = _ANY_CODE.search(buffer, 4)
            if following is None:
                if len(buffer) <= 4096:
                    return False
                return self._false_start()
            self.faults["section-length-wrong"] += 1
            end = following.start()
        elif len(buffer) < end + 4:
            return False
        if code == _MAP:
            self._read_map(bytes(buffer[6:end]))
        self._after_video = False
        self._drop(end)
        return True

    def _read_map(self, body: bytes) -> None:
        """Program stream map; its CRC is not checked (quirk Q132), its descriptors are not read."""
        if len(body) < 6:
            return
        at = 4 + (body[2] << 8 | body[3])
        found: dict[int, MediaCodec] = {}
        if at + 2 <= len(body):
            end = min(len(body), at + 2 + (body[at] << 8 | body[at + 1]))
            at += 2
            while at + 4 <= end:
                if body[at] in STREAM_TYPES:
                    found[body[at + 1]] = STREAM_TYPES[body[at]]
                at += 4 + (body[at + 2] << 8 | body[at + 3])
        if not any(0xE0 <= stream <= 0xEF for stream in found):
            # quirk Q131: lengths of descriptors do not fit; the pairs of type and id are there all the same
            for kind, stream in itertools.pairwise(body[4:]):
                if kind in STREAM_TYPES and 0xC0 <= stream <= 0xEF and (kind < 0x90 and kind != 0x0F) == (stream >= 0xE0):
                    found.setdefault(stream, STREAM_TYPES[kind])
            self.faults["map-lengths-wrong"] += 1
        self.declared = found
        for stream, codec in found.items():
            if 0xE0 <= stream <= 0xEF:
                self._pictures.declare(codec)

    def _video(self, code: int, length: int) -> bool:
        buffer = self._buffer
        if length == 0:
            return self._unbounded(code)
        end = 6 + length
        if len(buffer) < end:
            # A pack header inside says that the length lied, or that bytes are missing which nobody counted.
            inside = buffer.find(_PACK_CODE, max(6, self._searched))
            self._searched = max(0, len(buffer) - 3)
            if inside < 0:
                return False
        else:
            inside = buffer.find(_PACK_CODE, 6, end)
        if inside >= 0:
            self.faults["pes-length-too-large"] += 1
            end = inside
        if not self._pes(code, end, lied=inside >= 0):
            return self._false_start()
        self._after_video = True
        self._drop(end)
        return True

    def _unbounded(self, code: int) -> bool:
        """PES length 0 is not legal here, but sent: it lasts until the next start code (quirk Q138)."""
        buffer = self._buffer
        match = _ANY_CODE.search(buffer, max(6, self._searched))
        if match is None:
            self._searched = max(0, len(buffer) - 3)
            if len(buffer) > MAX_UNIT_BYTES:
                self.faults["oversized"] += 1
                return self._false_start()
            return False
        self.faults["pes-length-zero"] += 1
        if not self._pes(code, match.start(), lied=True):
            return self._false_start()
        self._after_video = True
        self._drop(match.start())
        return True

    def _pes(self, code: int, end: int, *, lied: bool = False) -> bool:
        """The PES packet at the front of the buffer, `end` bytes long; False when it is none."""
        buffer = self._buffer
        if end < 9 or buffer[6] & 0xC0 != 0x80:
            return False
        start = 9 + buffer[8]
        pts = dts = None
        flags = buffer[7] >> 6
        if flags & 2 and buffer[8] >= 5 and end >= 14:
            pts = dts = _timestamp(buffer, 9)
            if flags == 3 and buffer[8] >= 10 and end >= 19:
                dts = _timestamp(buffer, 14)
        if start > end:
            self.faults["pes-header-too-long"] += 1
            return True
        with memoryview(buffer) as view:  # one copy, where a slice of the buffer would make two
            payload = bytes(view[start:end])
        if code >= 0xE0:
            # Only a packet that ended where it said can be told to be the last of its picture.
            self._pictures.feed(payload, pts, dts, 0 if lied else end)
        elif payload:
            self._audio(code, payload, pts)
        return True

    def _audio(self, code: int, payload: bytes, pts: int | None) -> None:
        codec = self.declared.get(code, "g711a")
        if len(payload) > 2 and payload[0] == 0xFF and payload[1] & 0xF6 == 0xF0:
            codec = "aac"  # ADTS, whatever the map says (quirk Q135)
        at_us = self._pictures.at_us
        if pts is None:
            stamp = at_us * 9 // 100
        else:
            stamp = self._last_audio[code] = unwrapped(pts, self._last_audio.get(code))
        self._out.append(AccessUnit(codec, stamp, stamp, True, payload, at_us))


def _timestamp(buffer: bytearray, at: int) -> int:
    """33 bits in five bytes; marker bits are not checked."""
    return (
        (buffer[at] & 0x0E) << 29
        | buffer[at + 1] << 22
        | (buffer[at + 2] & 0xFE) << 14
        | buffer[at + 3] << 7
        | buffer[at + 4] >> 1
    )
