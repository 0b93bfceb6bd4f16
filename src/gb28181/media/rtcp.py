"""RTCP of a receiver: statistics and reports (RFC 3550 §6.4, A.3, A.8). Cameras stop sending without them (quirk Q112).

A compound whose last block is cut short, or appended by the vendor, is read as far as it is sound: the sender report before
it is still good.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

CLOCK_HZ: Final = 90_000
_SR: Final = 200
_RR: Final = 201
_SDES: Final = 202
_CNAME: Final = 1
_NAME: Final = b"gb28181"
_HEADER: Final = struct.Struct(">BBH")
_SENDER: Final = struct.Struct(">IQIII")
#: SSRC, fraction lost and packets lost (8 and 24 bits), highest sequence number, jitter, LSR, DLSR.
_BLOCK: Final = struct.Struct(">IIIIII")
_MASK32: Final = 0xFFFFFFFF
_MASK24: Final = 0xFFFFFF
_MOST_LOST: Final = 0x7FFFFF


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a sender said of itself: NTP time (32.32) and the RTP timestamp of the same moment."""

    ssrc: int
    ntp: int
    rtp_timestamp: int


def parse(data: bytes) -> list[SenderReport]:
    """The sender reports in a compound packet, as far as it is sound."""
    out: list[SenderReport] = []
    position = 0
    while position + _HEADER.size <= len(data):
        flags, kind, words = _HEADER.unpack_from(data, position)
        if flags >> 6 != 2:
            break
        body = position + _HEADER.size
        if kind == _SR and body + _SENDER.size <= len(data):
            ssrc, ntp, timestamp, _, _ = _SENDER.unpack_from(data, body)
            out.append(SenderReport(ssrc, ntp, timestamp))
        position = body + 4 * words
    return out


class Reception:
    """What the receiver reports of one SSRC. Losses are counted by sequence numbers, as RFC 3550 A.3 says."""

    __slots__ = (
        "_base", "_expected_before", "_highest", "_last_sr_at", "_last_sr_ntp", "_received", "_received_before", "_ssrc",
        "_transit", "jitter", "timestamp",
    )  # fmt: skip

    def __init__(self) -> None:
        self._last_sr_ntp = 0
        self._last_sr_at = 0.0
        self._begin(0)

    def _begin(self, ssrc: int) -> None:
        self._ssrc = ssrc
        self._base: int | None = None
        self._highest = 0  # extended: cycles of 2^16 and the sequence number
        self._received = self._received_before = self._expected_before = 0
        self._transit: int | None = None
        self.timestamp = 0
        self.jitter = 0.0  # in timestamp units

    @property
    def jitter_ms(self) -> float:
        return self.jitter * 1000 / CLOCK_HZ

    def received(self, ssrc: int, last_seq: int, count: int, timestamp: int, now: float) -> None:
        """Counts packets of one tick.

        Args:
            last_seq: Sequence number of the last one that arrived, `timestamp` its RTP timestamp.
            count: How many arrived, copies included.
        """
        if ssrc != self._ssrc or self._base is None:
            self._begin(ssrc)
            self._base = self._highest = (last_seq - count + 1) & 0xFFFF
        step = ((last_seq - self._highest + 0x8000) & 0xFFFF) - 0x8000
        if abs(step) > 3000 + count:
            # The sender began a new sequence under the same SSRC; what was expected before means nothing now.
            self._base = self._highest = (last_seq - count + 1) & 0xFFFF
            self._received = self._received_before = self._expected_before = 0
            step = count - 1
        self._highest += max(0, step)
        self._received += count
        self._measure_jitter(timestamp, now)

    def _measure_jitter(self, timestamp: int, now: float) -> None:
        if timestamp == self.timestamp:
            return
        self.timestamp = timestamp
        transit = (int(now * CLOCK_HZ) - timestamp) & _MASK32
        if self._transit is not None:
            difference = ((transit - self._transit + 0x80000000) & _MASK32) - 0x80000000
            if abs(difference) < CLOCK_HZ * 10:  # a jump of the sender's clock is no jitter
                self.jitter += (abs(difference) - self.jitter) / 16
        self._transit = transit

    def heard(self, report: SenderReport, now: float) -> None:
        """Notes a sender report, so that ours can name it (LSR, DLSR)."""
        self._last_sr_ntp = report.ntp >> 16 & _MASK32
        self._last_sr_at = now

    def report(self, own_ssrc: int, now: float) -> bytes:
        """The compound packet to send: a receiver report and our CNAME (RFC 3550 §6.1)."""
        block = b"" if self._base is None else self._block(now)
        return _packet(_RR, bool(block), own_ssrc, block) + _packet(_SDES, 1, own_ssrc, _NAME_CHUNK)

    def _block(self, now: float) -> bytes:
        assert self._base is not None
        expected = self._highest - self._base + 1
        expected_since = expected - self._expected_before
        lost_since = expected_since - (self._received - self._received_before)
        self._expected_before, self._received_before = expected, self._received
        fraction = min(255, (lost_since << 8) // expected_since) if lost_since > 0 and expected_since > 0 else 0
        delay = int((now - self._last_sr_at) * 65536) & _MASK32 if self._last_sr_ntp else 0
        lost = max(-_MOST_LOST - 1, min(expected - self._received, _MOST_LOST))
        return _BLOCK.pack(
            self._ssrc,
            fraction << 24 | lost & _MASK24,
            self._highest & _MASK32,
            int(self.jitter) & _MASK32,
            self._last_sr_ntp,
            delay,
        )


#: One item and at least one zero after it, to whole words (RFC 3550 §6.5).
_NAME_CHUNK: Final = struct.pack(">BB", _CNAME, len(_NAME)) + _NAME + bytes(4 - (2 + len(_NAME)) % 4)


def _packet(kind: int, count: int, ssrc: int, body: bytes) -> bytes:
    """One RTCP packet: its header with `count` blocks or chunks, an SSRC, and what follows it."""
    return _HEADER.pack(0x80 | count, kind, (4 + len(body)) // 4) + ssrc.to_bytes(4, "big") + body
