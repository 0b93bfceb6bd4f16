"""What RFC 3550 lets a sender build is read back: CSRCs, extension and padding never reach the payload."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from gb28181.media import rtp


def build(
    payload_type: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, *, csrcs: int, extension: bytes | None,
    padding: int, marker: bool,
) -> bytes:  # fmt: skip
    """RFC 3550 §5.1, §5.3.1."""
    first = 0x80 | (0x20 if padding else 0) | (0x10 if extension is not None else 0) | csrcs
    wire = struct.pack(">BBHII", first, payload_type | (0x80 if marker else 0), sequence, timestamp, ssrc) + b"\xaa" * 4 * csrcs
    if extension is not None:
        words = extension + b"\0" * (-len(extension) % 4)
        wire += struct.pack(">HH", 0xBEDE, len(words) // 4) + words
    return wire + payload + (bytes(padding - 1) + bytes((padding,)) if padding else b"")


@given(
    payload_type=st.integers(0, 127).filter(lambda value: not 72 <= value <= 76),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(min_size=1, max_size=200),
    csrcs=st.integers(0, 15),
    extension=st.none() | st.binary(max_size=40),
    padding=st.integers(0, 32),
    marker=st.booleans(),
)
def test_every_packet_that_can_be_built_is_read_back(
    payload_type: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, csrcs: int, extension: bytes | None,
    padding: int, marker: bool,
) -> None:  # fmt: skip
    wire = build(
        payload_type, sequence, timestamp, ssrc, payload, csrcs=csrcs, extension=extension, padding=padding, marker=marker
    )
    got = rtp.parse(wire)
    assert got is not None
    assert got == rtp.parse(memoryview(wire))
    assert wire[got.begin : got.end] == payload
    assert (got.payload_type, got.seq, got.timestamp, got.ssrc) == (payload_type, sequence, timestamp, ssrc)
