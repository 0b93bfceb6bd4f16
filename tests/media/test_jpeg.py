from __future__ import annotations

import contextlib
import io

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.errors import WireError
from gb28181.media.jpeg import size_of


def jpeg(width: int = 64, height: int = 48) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 90, np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


PICTURE = jpeg()


def test_a_whole_picture_has_a_size():
    assert size_of(PICTURE) == (64, 48)
    assert size_of(PICTURE + bytes(512)) == (64, 48)  # padded to whole blocks
    # A thumbnail within the first segment has a frame and an end of its own: neither is the picture's.
    thumbnail = b"\xff\xe1" + (len(PICTURE) + 2).to_bytes(2, "big") + jpeg(16, 16)[: len(PICTURE)]
    padded = thumbnail.ljust(len(PICTURE) + 4, b"\0")
    assert size_of(PICTURE[:2] + padded + PICTURE[2:]) == (64, 48)
    assert size_of(PICTURE[:2] + b"\xff\xff\xff" + PICTURE[2:]) == (64, 48)  # fill bytes


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", "nothing", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "not a JPEG", id="png"),
        pytest.param(b"<html>no</html>", "not a JPEG", id="html"),
        pytest.param(PICTURE[:-2], "cut off", id="cut-off"),
        pytest.param(PICTURE[:20], "without a frame", id="head-only"),
        pytest.param(b"\xff\xd8\xff\xd9", "without a frame", id="nothing-in-it"),
        pytest.param(b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x00\x00\x10\xff\xd9", "without width", id="no-height"),
        pytest.param(b"\xff\xd8\xff\xe0\x00\x01" + bytes(40), "segment of 1", id="bad-length"),
    ],
)
def test_what_is_no_whole_picture_is_refused_with_what_was_seen(data: bytes, said: str):
    with pytest.raises(WireError, match=said):
        size_of(data)


@given(st.binary(max_size=400), st.integers(0, len(PICTURE)))
def test_any_bytes_have_a_size_or_are_refused(noise: bytes, at: int):
    for data in (noise, b"\xff\xd8" + noise, PICTURE[:at] + noise + PICTURE[at:], PICTURE[:at]):
        with contextlib.suppress(WireError):
            width, height = size_of(data)
            assert width > 0
            assert height > 0
