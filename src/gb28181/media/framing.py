"""RTP over TCP: RFC 4571 (two bytes of length) and the interleaved form `$ channel length` (quirk Q114).

Invariant: chunking never changes the frames of a stream that is in order, and a complete frame never waits for the next one.
A stream that lost its framing (quirk Q113: a camera that ignores partial writes) is searched for the next header with the
known SSRC, or for the start of a pack; the connection is kept.
"""

from __future__ import annotations

import struct
from typing import Final

from gb28181.media.rtp import is_sip

#: A frame that is incomplete leaves at most this many bytes over: prefix and longest packet.
MAX_FRAME: Final = 4 + 0xFFFF

_HEAD: Final = struct.Struct(">HBBHII")  # length, flags, type, sequence, timestamp, SSRC
_RUN: Final = struct.Struct(">HB7xI")  # length, flags, SSRC
_DOLLAR: Final = 0x24
_PREFIX: Final = 2
_INTERLEAVED_PREFIX: Final = 4
_SHORTEST: Final = 8  # an RTCP receiver report without a block
#: What must follow a frame's beginning to judge it: prefix and a whole RTP header.
_JUDGED: Final = _PREFIX + 12
_JUDGED_INTERLEAVED: Final = _INTERLEAVED_PREFIX + 12
_FORGET_AFTER: Final = 64 << 10
_PACK_STARTS: Final = (b"\x00\x00\x01\xba", b"\x00\x00\x01\xbb")


class Framing:
    """Finds the packets in the bytes of one connection.

    Bytes stay where they are: `scan` works on a view and says how much of it is used up; the caller keeps the rest and
    presents it again in front of what comes next.
    """

    __slots__ = (
        "_candidate",
        "_discarded",
        "_payload_type",
        "_ssrc",
        "is_interleaved",
        "is_lost",
        "resyncs",
        "saw_sip",
        "skipped",
    )

    def __init__(self) -> None:
        self._ssrc: int | None = None
        self._candidate: int | None = None
        self._payload_type = -1
        self._discarded = 0  # bytes thrown away since framing was lost
        self.is_lost = False
        self.is_interleaved = False  # the last frame had the longer prefix
        self.resyncs = 0  # times that framing was lost
        self.skipped = 0  # bytes that belong to no frame
        self.saw_sip = False

    @property
    def steady_ssrc(self) -> int:
        """SSRC of the packets that are expected, each in the frame of RFC 4571; -1 while that is not known."""
        return -1 if self._ssrc is None or self.is_lost or self.is_interleaved else self._ssrc

    def scan(self, view: memoryview, begin: int, end: int, offsets: list[int], lengths: list[int]) -> int:
        """Appends offset and length of every complete packet in `view[begin:end]`; returns the first byte not used."""
        position = begin
        first = len(offsets)
        while end - position >= _JUDGED:
            if not self.is_lost:
                position = self._run(view, position, end, offsets, lengths)
                if end - position < _JUDGED:
                    break
            if self.is_lost:
                found = self._search(view, position, end)
                if found is None:
                    return self._discard(position, end)
                self.skipped += found - position
                position = found
                self.is_lost = False
                self._discarded = 0
            prefix, size = self._frame(view, position, end)
            if size < 0:
                position = self._lose(view, position, end, offsets, lengths, first)
            elif position + prefix + size > end:
                break
            else:
                if size:
                    offsets.append(position + prefix)
                    lengths.append(size)
                position += prefix + size
        return self._tail(view, position, end, offsets, lengths)

    def _run(self, view: memoryview, position: int, end: int, offsets: list[int], lengths: list[int]) -> int:
        """Takes frames as long as each is a packet of the known SSRC; returns where one is that is not, or not whole."""
        ssrc, unpack, last = self._ssrc, _RUN.unpack_from, end - _JUDGED
        while position <= last:
            size, flags, found = unpack(view, position)
            following = position + _PREFIX + size
            if found != ssrc or following > end or flags >> 6 != 2 or size < _SHORTEST:
                break
            offsets.append(position + _PREFIX)
            lengths.append(size)
            position = following
        return position

    def _frame(self, view: memoryview, position: int, end: int) -> tuple[int, int]:
        """Prefix and length of the frame that begins here; a length of -1 says that none does, 0 that it is empty."""
        size, flags, kind, _, _, ssrc = _HEAD.unpack_from(view, position)
        if ssrc == self._ssrc and flags >> 6 == 2 and size >= _SHORTEST:
            return _PREFIX, size
        if size >> 8 == _DOLLAR and size & 0xFF <= 3 and end - position < _JUDGED_INTERLEAVED:
            return _PREFIX, MAX_FRAME  # not enough to tell the two forms apart
        if size >> 8 == _DOLLAR and size & 0xFF <= 3 and view[position + 4] >> 6 == 2:
            size, flags, kind, _, _, ssrc = _HEAD.unpack_from(view, position + 2)
            self.is_interleaved = True
            return _INTERLEAVED_PREFIX, self._judge(size, flags, kind, ssrc)
        if size == 0:
            return _PREFIX, 0  # RFC 4571 §2: a keep-alive of some devices
        return _PREFIX, self._judge(size, flags, kind, ssrc)

    def _judge(self, size: int, flags: int, kind: int, ssrc: int) -> int:
        """`size` where the header may be one of RTP or RTCP, else -1."""
        if flags >> 6 != 2 or size < _SHORTEST:
            return -1
        if 200 <= kind <= 204:
            return size
        if size < 12:
            return -1
        payload_type = kind & 0x7F
        if self._ssrc is None:
            self._ssrc, self._payload_type = ssrc, payload_type
        elif ssrc != self._ssrc:
            # Another SSRC with the same payload type, twice, is a restarted encoder; audio may have one of its own.
            if payload_type == self._payload_type:
                if ssrc == self._candidate:
                    self._ssrc = ssrc
                self._candidate = ssrc
            elif payload_type >= 24 and payload_type < 96:
                return -1
        return size

    def _lose(self, view: memoryview, position: int, end: int, offsets: list[int], lengths: list[int], first: int) -> int:
        """Framing is lost at `position`; the frame before may have swallowed the next header, so it is searched too."""
        self.resyncs += 1
        self.is_lost = True
        if is_sip(view[position : position + 13]):
            self.saw_sip = True
        if len(offsets) > first and self._ssrc is not None:
            inside = self._find_ssrc(view, offsets[-1] + 12, min(end, position + _JUDGED_INTERLEAVED))
            if inside is not None:
                offsets.pop()
                lengths.pop()
                return inside
        return position

    def _search(self, view: memoryview, position: int, end: int) -> int | None:
        """Where the next plausible frame begins."""
        if self._ssrc is not None:
            return self._find_ssrc(view, position, end)
        data = bytes(view[position:end])
        for start in _PACK_STARTS:
            at = data.find(start)
            while at >= 0:
                if at >= _PREFIX + 12 and data[at - 12] >> 6 == 2:
                    return position + at - 12 - _PREFIX
                at = data.find(start, at + 1)
        return None

    def _find_ssrc(self, view: memoryview, position: int, end: int) -> int | None:
        """Where a header with the known SSRC and payload type has a length before it."""
        assert self._ssrc is not None
        wanted = self._ssrc.to_bytes(4, "big")
        data = bytes(view[position:end])
        at = data.find(wanted, 10)
        while at >= 0:
            head = at - 8
            if data[head] >> 6 == 2 and data[head + 1] & 0x7F == self._payload_type:
                return position + head - self._prefix_before(data, head)
            at = data.find(wanted, at + 1)
        return None

    @staticmethod
    def _prefix_before(data: bytes, head: int) -> int:
        interleaved = head >= _INTERLEAVED_PREFIX and data[head - 4] == _DOLLAR and data[head - 3] <= 3
        return _INTERLEAVED_PREFIX if interleaved else _PREFIX

    def _discard(self, position: int, end: int) -> int:
        """Nothing found: keeps only what could be the beginning of a header."""
        rest = max(position, end - _JUDGED_INTERLEAVED + 1)
        self.skipped += rest - position
        self._discarded += rest - position
        if self._discarded >= _FORGET_AFTER:
            self._ssrc = None  # whatever sends now is not what we knew
        return rest

    def _tail(self, view: memoryview, position: int, end: int, offsets: list[int], lengths: list[int]) -> int:
        """Takes complete frames that are shorter than what `_frame` reads: empty ones and short RTCP."""
        while not self.is_lost and end - position >= _PREFIX:
            size = view[position] << 8 | view[position + 1]
            if position + _PREFIX + size > end or (size and not self._is_short_rtcp(view, position + _PREFIX, size)):
                break
            if size:
                offsets.append(position + _PREFIX)
                lengths.append(size)
            position += _PREFIX + size
        return position

    @staticmethod
    def _is_short_rtcp(view: memoryview, position: int, size: int) -> bool:
        return size >= _SHORTEST and view[position] >> 6 == 2 and 200 <= view[position + 1] <= 204
