"""JPEG as far as a receiver must look into it before it keeps a file (ITU-T T.81): is it one, whole, and how large.

Nothing is decoded. Any bytes give a size or a `WireError`.
"""

from __future__ import annotations

import struct
from typing import Final

from gb28181.errors import WireError

_SEGMENT: Final = struct.Struct(">HBHH")
#: SOF0 to SOF15 without DHT, JPG and DAC, which share their range (T.81 table B.1).
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers without a length: TEM, RST0 to RST7, SOI.
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_SCAN: Final = 0xDA
_END: Final = b"\xff\xd9"
#: Segments before the first frame header; a camera writes about ten.
_MOST_SEGMENTS: Final = 256
#: Firmware pads files to whole blocks, or writes data of its own behind the end marker.
_TRAILER: Final = 64 << 10


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of a whole picture.

    Raises:
        WireError: It is no JPEG, has no frame before its scan, or was cut off.
    """
    if data[:2] != b"\xff\xd8":
        raise WireError(f"not a JPEG: it begins with {data[:4].hex() or 'nothing'}, expected ffd8", status=415)
    size = _frame(data)
    if _END not in data[-_TRAILER:]:
        raise WireError(f"a JPEG that was cut off: its {len(data)} bytes have no end marker ffd9")
    return size


def _frame(data: bytes) -> tuple[int, int]:
    position = 2
    for _ in range(_MOST_SEGMENTS):
        position = data.find(b"\xff", position)
        while 0 <= position < len(data) - 1 and data[position + 1] == 0xFF:
            position += 1  # fill bytes (T.81 B.1.1.2)
        if position < 0 or position + 2 + _SEGMENT.size > len(data):
            break
        marker = data[position + 1]
        if marker in _BARE:
            position += 2
            continue
        if marker in (_SCAN, 0xD9):
            break
        length, _precision, height, width = _SEGMENT.unpack_from(data, position + 2)
        if marker in _FRAMES:
            if not width or not height:
                raise WireError("a JPEG without width or height")
            return width, height
        if length < 2:
            raise WireError(f"a JPEG with a segment of {length} bytes")
        position += 2 + length
    raise WireError("a JPEG without a frame before its scan")
