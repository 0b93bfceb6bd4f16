"""RTP over TCP: RFC 4571 (two bytes of length) and the interleaved form `$ channel length` (quirk Q114).

Invariant: chunking never changes the frames of a stream that is in order, and a complete frame never waits for the next one.
A stream that lost its framing (quirk Q113: a camera that ignores partial writes) is searched for the next header with the
known SSRC, or for packets that follow each other; the connection is kept. Nothing that only looks like a header is believed:
what comes behind a frame has the last word about it, until an SSRC has come twice.
"""

from __future__ import annotations

import re
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
#: Of bytes in which no SSRC is known so many are kept: frames of the usual size, and room to wait for more of them.
_KEPT: Final = 48 << 10
_MOST: Final = _KEPT + (_KEPT >> 2)
#: Frames that are looked at to believe the first.
_FOLLOWED: Final = 8
_LONGEST_RTCP: Final = 4096
_RTCP_FIRST: Final = 200
_RTCP_LAST: Final = 204
#: Where a frame may begin whose SSRC is not known: two bytes before version 2; no camera mixes more than three sources.
_VERSION: Final = re.compile(rb"(?s)(?=..[\x80-\x83\x90-\x93\xa0-\xa3\xb0-\xb3])")


class Framing:
    """Finds the packets in the bytes of one connection.

    Bytes stay where they are: `scan` works on a view and says how much of it is used up; the caller keeps the rest and
    presents it again in front of what comes next.
    """

    __slots__ = (
        "_candidate",
        "_discarded",
        "_is_settled",
        "_payload_type",
        "_search_at",
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
        self._is_settled = False  # the SSRC has come twice
        self._search_at = 0  # bytes that must have come before searching them again is of use
        self._discarded = 0  # bytes thrown away since framing was lost
        self.is_lost = False
        self.is_interleaved = False  # the last frame had the longer prefix
        self.resyncs = 0  # times that framing was lost
        self.skipped = 0  # bytes that belong to no frame
        self.saw_sip = False

    @property
    def steady_ssrc(self) -> int:
        """SSRC of the packets that are expected, each in the frame of RFC 4571; -1 while that is not known."""
        return -1 if self._ssrc is None or not self._is_settled or self.is_lost or self.is_interleaved else self._ssrc

    def scan(self, view: memoryview, begin: int, end: int, offsets: list[int], lengths: list[int]) -> int:
        """Appends offset and length of every complete packet in `view[begin:end]`; returns the first byte not used."""
        position = begin
        first = len(offsets)
        while end - position >= _JUDGED:
            if self._is_settled and not self.is_lost:
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
        size, flags, _, _, _, ssrc = _HEAD.unpack_from(view, position)
        if ssrc == self._ssrc and self._is_settled and flags >> 6 == 2 and size >= _SHORTEST:
            return _PREFIX, size
        head = _head(view, position, end)
        if head is None:
            return _PREFIX, MAX_FRAME
        prefix, size, flags, kind, _, ssrc = head
        if size == 0 and prefix == _PREFIX:
            return _PREFIX, 0  # RFC 4571 §2: a keep-alive of some devices
        if not _is_header(size, flags, kind):
            return prefix, -1
        if prefix == _INTERLEAVED_PREFIX:
            self.is_interleaved = True
        if _RTCP_FIRST <= kind <= _RTCP_LAST or (ssrc == self._ssrc and self._is_settled):
            return prefix, size
        return prefix, size if self._admits(view, position, end, kind & 0x7F, ssrc) else -1

    def _admits(self, view: memoryview, position: int, end: int, payload_type: int, ssrc: int) -> bool:
        """Whether the frame of an SSRC that is not known well is one, as far as the bytes behind it tell."""
        _, is_broken, following = _follow(view, position, end)
        if is_broken:
            return False
        if following > end:  # it is judged again when it is whole; packets do not hold packets
            return self._search(view, position + 1, end) is None
        if self._ssrc is None:
            self._ssrc, self._payload_type = ssrc, payload_type
        elif ssrc == self._ssrc:
            self._is_settled = True
        elif payload_type == self._payload_type:
            # Another SSRC with the same payload type, twice, is a restarted encoder; audio may have one of its own.
            if ssrc == self._candidate:
                self._ssrc = ssrc
            self._candidate = ssrc
        else:
            return payload_type < 24 or payload_type >= 96
        return True

    def _lose(self, view: memoryview, position: int, end: int, offsets: list[int], lengths: list[int], first: int) -> int:
        """Framing is lost at `position`; the frame before may have swallowed the next header, so it is searched too."""
        self.resyncs += 1
        self.is_lost = True
        self._search_at = 0
        if is_sip(view[position : position + 13]):
            self.saw_sip = True
        if len(offsets) > first and self._ssrc is not None:
            inside = self._find_ssrc(view, offsets[-1] + 12, end)
            if inside is not None and inside < position:
                offsets.pop()
                lengths.pop()
                return inside
        return position

    def _search(self, view: memoryview, position: int, end: int) -> int | None:
        """Where the next frame begins that those behind it bear out."""
        found = self._find_ssrc(view, position, end) if self._ssrc is not None else None
        size = end - position
        if self._is_settled or found is not None or size < self._search_at:
            return found
        data = bytes(view[position:end])
        whole = memoryview(data)
        for match in _VERSION.finditer(data):
            at = match.start()
            following = at + _PREFIX + (data[at] << 8 | data[at + 1])
            ssrc = data[at + 10 : at + 14]
            if ssrc not in (data[following + 10 : following + 14], data[following + 12 : following + 16]):
                continue
            begin = at + _PREFIX - self._prefix_before(data, at + _PREFIX)
            if _follow(whole, begin, size, is_counted=True)[:2] == (True, False):
                self._ssrc = None  # what was taken for it came once
                self._search_at = 0
                return position + begin
        self._search_at = min(size + (size >> 2), _MOST)
        return None

    def _find_ssrc(self, view: memoryview, position: int, end: int) -> int | None:
        """Where a header with the known SSRC and payload type has a length before it that leads to another header."""
        assert self._ssrc is not None
        wanted = self._ssrc.to_bytes(4, "big")
        data = bytes(view[position:end])
        whole = memoryview(data)
        at = data.find(wanted, 10)
        while at >= 0:
            head = at - 8
            if data[head] >> 6 == 2 and data[head + 1] & 0x7F == self._payload_type:
                begin = head - self._prefix_before(data, head)
                _, is_broken, following = _follow(whole, begin, len(data))
                if not is_broken and following <= len(data):
                    return position + begin
            at = data.find(wanted, at + 1)
        return None

    @staticmethod
    def _prefix_before(data: bytes, head: int) -> int:
        interleaved = head >= _INTERLEAVED_PREFIX and data[head - 4] == _DOLLAR and data[head - 3] <= 3
        return _INTERLEAVED_PREFIX if interleaved else _PREFIX

    def _discard(self, position: int, end: int) -> int:
        """Nothing found: keeps what may be a frame that is not whole."""
        rest = end - _KEPT if end - position > _MOST else position
        self.skipped += rest - position
        self._discarded += rest - position
        if self._discarded >= _FORGET_AFTER:
            self._ssrc = None  # whatever sends now is not what we knew
            self._is_settled = False
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
        return size >= _SHORTEST and view[position] >> 6 == 2 and _RTCP_FIRST <= view[position + 1] <= _RTCP_LAST


def _head(view: memoryview, position: int, end: int) -> tuple[int, int, int, int, int, int] | None:
    """Prefix and length of a frame, then flags, type, sequence and SSRC of its packet; None: too few bytes to tell the forms
    apart. At least `_JUDGED` have come."""
    size, flags, kind, sequence, _, ssrc = _HEAD.unpack_from(view, position)
    if size >> 8 == _DOLLAR and size & 0xFF <= 3:
        if end - position < _JUDGED_INTERLEAVED:
            return None
        if view[position + _INTERLEAVED_PREFIX] >> 6 == 2:
            size, flags, kind, sequence, _, ssrc = _HEAD.unpack_from(view, position + _PREFIX)
            return _INTERLEAVED_PREFIX, size, flags, kind, sequence, ssrc
    return _PREFIX, size, flags, kind, sequence, ssrc


def _is_header(size: int, flags: int, kind: int) -> bool:
    """Whether a packet of RTP or RTCP may begin so and have this length."""
    if flags >> 6 != 2 or size < _SHORTEST:
        return False
    if _RTCP_FIRST <= kind <= _RTCP_LAST:
        return size <= _LONGEST_RTCP
    return size >= 12 + 4 * (flags & 15)


def _follow(view: memoryview, position: int, end: int, *, is_counted: bool = False) -> tuple[bool, bool, int]:
    """What the bytes from a frame's beginning tell about it.

    Args:
        is_counted: An SSRC that comes again must have the next sequence number.

    Returns:
        Whether an SSRC comes again with its payload type, whether before that something follows that is no frame, and where
        the first frame ends (0: its header is none, or not whole).
    """
    seen: dict[tuple[int, int], int] = {}
    first = 0
    for _ in range(_FOLLOWED):
        if end - position < _JUDGED:
            break
        if (head := _head(view, position, end)) is None:
            break
        prefix, size, flags, kind, sequence, ssrc = head
        if (size or not first) and not _is_header(size, flags, kind):
            return False, True, first
        position += prefix + size
        first = first or position
        if not size or _RTCP_FIRST <= kind <= _RTCP_LAST:
            continue
        before = seen.get((ssrc, kind & 0x7F))
        if before is not None and (not is_counted or sequence == before + 1 & 0xFFFF):
            return True, False, first
        seen[ssrc, kind & 0x7F] = sequence
    return False, False, first
