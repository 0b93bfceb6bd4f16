"""HTTP of a device: pictures that it leaves, firmware that it fetches (2022 §9.13, §9.14)."""

from __future__ import annotations

import hashlib
import time
import urllib.parse
import urllib.request
from fractions import Fraction
from typing import Final

import av
import numpy as np

from gb28181.errors import Unreachable
from gb28181.sim.encoder import Bands, Picture
from gb28181.sim.scene import Scene

_PATIENCE_S: Final = 15.0
_MOST_FIRMWARE: Final = 256 << 20
_CHUNK: Final = 256 << 10


def jpeg(picture: Picture, utc: float) -> bytes:
    """What the camera sees now, in the size of its main stream."""
    bands = Bands.of(picture)
    plane = Scene(picture.width, picture.height, picture.fps, (bands.top, bands.bottom)).draw(
        int(utc * picture.fps) % (60 * picture.fps)
    )
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuvj420p"
    encoder.time_base = Fraction(1, picture.fps)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(plane), format="yuv420p").reformat(format="yuvj420p")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def file_id(device_id: str, utc: float, sequence: int) -> str:
    """Code, `02`, time to the millisecond, sequence (2022 A.2.3.2.11)."""
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(utc + 8 * 3600))
    return f"{device_id}02{stamp}{int(utc * 1000) % 1000:03d}{sequence % 100:02d}"


def leave(url: str, name: str, data: bytes) -> None:
    """Puts a picture below the URL of the order; blocks.

    Raises:
        Unreachable: The server did not take it.
    """
    parts = urllib.parse.urlsplit(url)
    address = urllib.parse.urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}.jpg"))
    request = urllib.request.Request(address, data, {"Content-Type": "image/jpeg"}, method="PUT")  # noqa: S310 - checked in `_open`
    _open(request)


def fetch(url: str) -> str:
    """Reads a firmware file and returns its SHA-256; blocks.

    Raises:
        Unreachable: It cannot be had, or is too large.
    """
    return _open(urllib.request.Request(url))  # noqa: S310 - checked in `_open`


def _open(request: urllib.request.Request) -> str:
    if request.type not in ("http", "https"):
        raise Unreachable(f"no http address: {request.full_url[:80]}")
    digest, size = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer:  # noqa: S310 - http and https only
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                if size > _MOST_FIRMWARE:
                    raise Unreachable("the file is longer than 256 MiB")
    except (OSError, ValueError) as error:
        raise Unreachable(f"{request.get_method()} {request.full_url[:80]}: {error}") from error
    return digest.hexdigest()
