"""Program stream multiplexer (Annex C.1, ISO/IEC 13818-1): one picture and the sound that belongs to it become one pack.

A key picture is preceded by system header and program stream map. PES packets are at most 65,535 bytes after their length
field; only the first of a picture carries its PTS. Times are 90 kHz and wrap at 33 bits.
"""

from __future__ import annotations

from typing import Final, Literal

CLOCK_HZ: Final = 90_000
_WRAP: Final = (1 << 33) - 1
#: The decoder gets each picture this long before it has to show it, in 90 kHz ticks.
_LEAD: Final = 3600
_VIDEO_ID: Final = 0xE0
_AUDIO_ID: Final = 0xC0
_STREAM_TYPE: Final = {"h264": 0x1B, "h265": 0x24}
_ALAW_TYPE: Final = 0x90
#: Flag bytes and header length that follow the PES length field.
_PES_HEADER: Final = 3
_PTS_BYTES: Final = 5
_MOST: Final = 65_535 - _PES_HEADER - _PTS_BYTES


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        crc = value << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
        table.append(crc)
    return table


_CRC: Final = _crc_table()


def crc32(data: bytes) -> int:
    """CRC of the program stream map: polynomial 04C11DB7, all ones at the start, nothing reflected or inverted."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc = crc << 8 & 0xFFFFFFFF ^ _CRC[crc >> 24 ^ octet]
    return crc


def pack_header(scr: int, mux_rate: int, extension: int = 0) -> bytes:
    """Pack header without stuffing, 14 bytes.

    Args:
        scr: System clock reference in 90 kHz ticks.
        mux_rate: In units of 50 bytes a second, 1 to 2^22 - 1.
        extension: The SCR's 27 MHz part, 0 to 299.
    """
    value = 1 << 46 | (scr >> 30 & 7) << 43 | 1 << 42 | (scr >> 15 & 0x7FFF) << 27 | 1 << 26
    value |= (scr & 0x7FFF) << 11 | 1 << 10 | extension << 1 | 1
    return b"\x00\x00\x01\xba" + value.to_bytes(6, "big") + (mux_rate << 2 | 3).to_bytes(3, "big") + b"\xf8"


def system_header(rate_bound: int, *, audio: bool) -> bytes:
    """System header with the buffer bounds of the video and, where there is one, of the audio stream."""
    streams = b"\xe0\xe8\x00" + (b"\xc0\xc2\x00" if audio else b"")
    body = (1 << 23 | rate_bound << 1 | 1).to_bytes(3, "big") + bytes([int(audio) << 2 | 1, 0xE1, 0x7F]) + streams
    return b"\x00\x00\x01\xbb" + len(body).to_bytes(2, "big") + body


def stream_map(video_type: int, *, audio: bool) -> bytes:
    """Program stream map: video of this stream type, and G.711 A-law where there is audio."""
    entries = bytes([video_type, _VIDEO_ID, 0, 0]) + (bytes([_ALAW_TYPE, _AUDIO_ID, 0, 0]) if audio else b"")
    body = b"\xe0\xff\x00\x00" + len(entries).to_bytes(2, "big") + entries
    section = b"\x00\x00\x01\xbc" + (len(body) + 4).to_bytes(2, "big") + body
    return section + crc32(section).to_bytes(4, "big")


def pes(stream_id: int, payload: bytes | memoryview, pts: int | None) -> bytes:
    """One PES packet; the payload is at most 65,527 bytes."""
    stamp = b""
    if pts is not None:
        value = 0b0010 << 36 | (pts >> 30 & 7) << 33 | 1 << 32 | (pts >> 15 & 0x7FFF) << 17 | 1 << 16 | (pts & 0x7FFF) << 1 | 1
        stamp = value.to_bytes(_PTS_BYTES, "big")
    length = _PES_HEADER + len(stamp) + len(payload)
    # Aligned (04): the payload starts with an access unit of video; a continuation does not.
    alignment = 0x84 if stamp and stream_id == _VIDEO_ID else 0x80
    flags = bytes([alignment, 0x80 if stamp else 0, len(stamp)])
    return b"".join((b"\x00\x00\x01", bytes([stream_id]), length.to_bytes(2, "big"), flags, stamp, payload))


class Muxer:
    """Makes packs of one stream.

    Args:
        codec: Decides the stream type in the map.
        bitrate_kbps: Of the video; bounds what the headers announce.
        audio: Whether the map announces G.711 A-law.
    """

    def __init__(self, codec: Literal["h264", "h265"], bitrate_kbps: int, *, audio: bool) -> None:
        # Twice the mean: a key picture comes faster than that.
        self._rate = min((1 << 22) - 1, bitrate_kbps * 2 * 1000 // 8 // 50 + 200)
        self._start = system_header(self._rate, audio=audio) + stream_map(_STREAM_TYPE[codec], audio=audio)

    def pack(self, picture: bytes, pts: int, *, is_key: bool, audio: list[tuple[int, bytes]]) -> bytes:
        """The pack of one picture.

        Args:
            picture: Annex B form.
            pts: 90 kHz ticks of any size; what is written wraps at 33 bits.
            is_key: Whether the headers that a late joiner needs stand in front.
            audio: PTS and payload of the sound frames of this picture's time.
        """
        pieces = [pack_header(pts - _LEAD & _WRAP, self._rate)]
        if is_key:
            pieces.append(self._start)
        whole = memoryview(picture)
        pieces.append(pes(_VIDEO_ID, whole[:_MOST], pts & _WRAP))
        pieces.extend(pes(_VIDEO_ID, whole[start : start + _MOST], None) for start in range(_MOST, len(whole), _MOST))
        pieces.extend(pes(_AUDIO_ID, payload, stamp & _WRAP) for stamp, payload in audio)
        return b"".join(pieces)
