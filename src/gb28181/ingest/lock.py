"""Which packets on a port belong to its stream.

The socket names the stream even when the SSRC lies (quirk Q110): the first valid media packet locks source and SSRC. Another
source is foreign until the old one has been silent for 2 s; one that sends a pack header where the old one never did is
believed at once. Another SSRC from the same source is a restarted encoder as soon as it opens a pack or comes twice.
"""

from __future__ import annotations

import enum
import socket
import struct
from typing import Final

from gb28181.media.rtp import AUDIO_PAYLOAD_TYPES, RtpPacket

Source = tuple[int, int, int]
NOWHERE: Final[Source] = (0, 0, 0)

_SILENT_S: Final = 2.0


def address_of(source: Source) -> tuple[str, int]:
    """Host and port of address words: a sockaddr_in or sockaddr_in6 as the kernel wrote it."""
    raw = struct.pack("=QQQ", *source)
    (family,) = struct.unpack_from("=H", raw)
    (port,) = struct.unpack_from(">H", raw, 2)
    if family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, raw[8:24]), port
    return socket.inet_ntop(socket.AF_INET, raw[4:8]), port


class Verdict(enum.Enum):
    MEDIA = enum.auto()
    RESTART = enum.auto()
    """Media, but of another sequence than before."""
    BESIDE = enum.auto()
    """Belongs to the sequence of the stream, but its payload is no part of the program stream (quirk Q139)."""
    FOREIGN = enum.auto()


class SourceLock:
    """Decides packet by packet; see the module."""

    def __init__(self) -> None:
        self.source: Source = NOWHERE
        self.ssrc = 0
        self.payload_type = -1
        self.is_locked = False
        self.last_heard = 0.0
        self.is_confirmed = False  # the locked source has sent a pack header
        self._was_locked = False
        self._candidate: int | None = None

    def release(self) -> None:
        """The connection was replaced: whoever comes next is believed."""
        self.is_locked = False

    def admit(self, source: Source, packet: RtpPacket, opens_pack: bool, now: float) -> Verdict:
        """What to do with a packet.

        Args:
            opens_pack: Its payload begins with a pack header.
        """
        if packet.payload_type in AUDIO_PAYLOAD_TYPES and not opens_pack:
            return self._audio(source, packet)
        if not self.is_locked:
            return self._lock(source, packet, opens_pack, now)
        if source != self.source:
            if now - self.last_heard < _SILENT_S and (self.is_confirmed or not opens_pack):
                return Verdict.FOREIGN
            return self._lock(source, packet, opens_pack, now)
        if packet.ssrc != self.ssrc:
            if not opens_pack and self._candidate != packet.ssrc:
                self._candidate = packet.ssrc
                return Verdict.FOREIGN
            return self._lock(source, packet, opens_pack, now)
        self._candidate = None
        self.last_heard = now
        if packet.payload_type != self.payload_type:
            if self.is_confirmed and not opens_pack:
                return Verdict.BESIDE
            self.payload_type = packet.payload_type
        self.is_confirmed = self.is_confirmed or opens_pack
        return Verdict.MEDIA

    def _audio(self, source: Source, packet: RtpPacket) -> Verdict:
        same = self.is_locked and source == self.source and packet.ssrc == self.ssrc
        return Verdict.BESIDE if same else Verdict.FOREIGN

    def _lock(self, source: Source, packet: RtpPacket, opens_pack: bool, now: float) -> Verdict:
        verdict = Verdict.RESTART if self._was_locked else Verdict.MEDIA
        self.source, self.ssrc, self.payload_type = source, packet.ssrc, packet.payload_type
        self.is_locked = self._was_locked = True
        self.is_confirmed = opens_pack
        self._candidate = None
        self.last_heard = now
        return verdict
