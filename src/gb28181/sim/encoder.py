"""Encodes the scene once, and the bands of name and clock apart, so that they can be exchanged slice by slice.

Every picture consists of several slices of whole macroblock rows. The first holds the camera's name, the last the clock;
in the scene's own encoding both are black. A slice is decoded without its neighbours, in-loop filters are off, and an
unchanged band is all skipped blocks. So the first slice of a key picture can be replaced by one encoded elsewhere with
the same parameters, and every camera shows its own name and the time of day though the scene is encoded a single time.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal

import av
import numpy as np
import numpy.typing as npt

from gb28181.errors import Invalid
from gb28181.sim.scene import Label, Scene

Codec = Literal["h264", "h265"]
Plane = npt.NDArray[np.uint8]

LOOP_SECONDS: Final = 60
_START_CODE: Final = re.compile(rb"\x00?\x00\x00\x01")
_H264_SEI: Final = 6
_H265_SEI: Final = frozenset({39, 40})


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that decides the bytes of the encoded scene.

    Args:
        codec: `h264` or `h265`.
        width: Even, 128 to 3840 pixels.
        height: Even, 96 to 2160 pixels.
        fps: Pictures a second, 1 to 60.
        bitrate_kbps: Video alone, without PS and RTP.
        gop_s: Seconds from key picture to key picture.
    """

    codec: Codec = "h264"
    width: int = 704
    height: int = 576
    fps: int = 25
    bitrate_kbps: int = 1024
    gop_s: float = 1.0

    def __post_init__(self) -> None:
        if self.codec not in ("h264", "h265"):
            raise Invalid(f"codec {self.codec!r} is neither h264 nor h265")
        if not (128 <= self.width <= 3840 and 96 <= self.height <= 2160) or self.width % 2 or self.height % 2:
            raise Invalid(f"picture size {self.width}x{self.height} is not even or not in 128x96 to 3840x2160")
        if not 1 <= self.fps <= 60:
            raise Invalid(f"{self.fps} pictures a second is not in 1..60")
        if not 16 <= self.bitrate_kbps <= 50_000:
            raise Invalid(f"bit rate {self.bitrate_kbps} kbit/s is not in 16..50000")
        if not 0 < self.gop_s <= LOOP_SECONDS:
            raise Invalid(f"a key picture every {self.gop_s} s is not in 0..{LOOP_SECONDS}")

    @property
    def gop_frames(self) -> int:
        """Pictures from key picture to key picture."""
        return max(1, round(self.gop_s * self.fps))

    @property
    def loop_frames(self) -> int:
        """Pictures in the loop of exactly 60 s."""
        return LOOP_SECONDS * self.fps

    @property
    def gops(self) -> int:
        """Key pictures in the loop; the last group may be shorter."""
        return -(-self.loop_frames // self.gop_frames)


@dataclass(frozen=True, slots=True)
class Bands:
    """How a picture is cut into slices: the first and the last slice are bands for text.

    Args:
        slices: Slices of each picture.
        unit: Height of a row of coding blocks, in pixels.
        unit_rows: Rows of coding blocks in each slice but the last.
        top: Pixel rows of the first slice.
        bottom: Pixel rows of the last slice that are visible.
    """

    slices: int
    unit: int
    unit_rows: int
    top: int
    bottom: int

    @classmethod
    def of(cls, picture: Picture) -> Bands:
        """The bands are about a ninth of the height each."""
        unit = 16 if picture.codec == "h264" or picture.height < 400 else 32
        total = -(-picture.height // unit)
        least = 2 if unit == 16 else 1
        # libx264's last slice takes what is left over; it must be tall enough for text.
        fitting = [rows for rows in range(least, total // 3 + 1) if total % rows == 0 or total % rows >= least] or [least]
        rows = min(fitting, key=lambda candidate: abs(candidate - total / 9))
        slices = -(-total // rows)
        if picture.codec == "h264":
            return cls(slices, unit, rows, rows * unit, picture.height - (slices - 1) * rows * unit)
        # libx265 shares the rows out evenly, in fixed point with eight binary places.
        share = (total << 8) // slices
        return cls(slices, unit, rows, (share >> 8) * unit, picture.height - ((slices - 1) * share >> 8) * unit)


@dataclass(frozen=True, slots=True)
class Parts:
    """One encoded picture in Annex B form: parameter sets, the name's slice, the scene's slices, the clock's slice."""

    lead: bytes
    top: bytes
    body: bytes
    bottom: bytes
    is_key: bool


class Encoder:
    """One run of libx264 or libx265 whose slices fit those of every other run with the same `Picture`."""

    def __init__(self, picture: Picture) -> None:
        bands = Bands.of(picture)
        self._codec = picture.codec
        self._slices = bands.slices
        self._count = 0
        self._owed: deque[bool] = deque()  # pictures inside the encoder: whether anybody wants them
        gop = picture.gop_frames
        rate = f"vbv-maxrate={picture.bitrate_kbps}:vbv-bufsize={picture.bitrate_kbps}"
        common = f"keyint={gop}:min-keyint={gop}:scenecut=0:repeat-headers=1:{rate}"
        macroblocks = -(-picture.width // 16) * bands.unit_rows
        options = {
            "h264": {"x264-params": f"{common}:threads=1:slice-max-mbs={macroblocks}:mvrange=32:merange=4:no-deblock=1"},
            # Slices need wavefronts and these a pool, else libx265 crashes; the predictor in time would tie a band to the
            # motion of the picture before, which is another one after an exchange.
            "h265": {
                "x265-params": f"{common}:pools=1:wpp=1:frame-threads=1:log-level=none:bframes=0:open-gop=0:info=0:merange=8"
                f":slices={self._slices}:ctu={bands.unit}:max-tu-size={min(32, bands.unit)}:qg-size={bands.unit}"
                ":deblock=0:sao=0:temporal-mvp=0:lookahead-slices=0"
            },
        }[picture.codec]
        context: Any = av.CodecContext.create("libx264" if picture.codec == "h264" else "libx265", "w")
        context.width, context.height, context.pix_fmt = picture.width, picture.height, "yuv420p"
        context.framerate, context.time_base = Fraction(picture.fps), Fraction(1, picture.fps)
        context.bit_rate = picture.bitrate_kbps * 1000
        context.gop_size, context.max_b_frames, context.thread_count = gop, 0, 1
        context.options = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1", **options}
        self._context = context

    def run(self, pictures: Iterable[tuple[Plane, bool]]) -> Iterator[Parts]:
        """The same pictures encoded, in order; may be called again to go on.

        libx265 gives a picture back only when it gets the next one if there is more than one slice; what is still
        owed at the end is driven out by a picture that is thrown away.

        Args:
            pictures: Planar YUV 4:2:0, shape (height * 3/2, width), and whether it has to be a key picture.

        Raises:
            Invalid: The encoder did not cut a picture into the slices it was told to.
        """
        plane: Plane | None = None
        for plane, is_key in pictures:
            yield from self._push(plane, is_key=is_key, is_wanted=True)
        while plane is not None and any(self._owed):
            yield from self._push(plane, is_key=True, is_wanted=False)

    def _push(self, plane: Plane, *, is_key: bool, is_wanted: bool) -> Iterator[Parts]:
        frame: Any = av.VideoFrame.from_ndarray(plane, format="yuv420p")
        frame.pts = self._count
        if is_key:
            frame.pict_type = av.video.frame.PictureType.I
        self._count += 1
        self._owed.append(is_wanted)
        for packet in self._context.encode(frame):
            if self._owed.popleft():
                yield self._cut(bytes(packet), bool(packet.is_keyframe))

    def _cut(self, stream: bytes, is_key: bool) -> Parts:
        lead: list[bytes] = []
        slices: list[bytes] = []
        for start, header, nal in _nals(stream):
            kind = header & 31 if self._codec == "h264" else header >> 1 & 63
            if kind == _H264_SEI if self._codec == "h264" else kind in _H265_SEI:
                continue  # encoder's advertisement
            is_slice = kind in (1, 5) if self._codec == "h264" else kind < 32
            (slices if is_slice else lead).append(start + nal)
        if len(slices) != self._slices:
            raise Invalid(f"the {self._codec} encoder made {len(slices)} slices, {self._slices} were expected")
        return Parts(b"".join(lead), slices[0], b"".join(slices[1:-1]), slices[-1], is_key)


def _nals(stream: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    marks = list(_START_CODE.finditer(stream))
    for index, mark in enumerate(marks):
        end = marks[index + 1].start() if index + 1 < len(marks) else len(stream)
        yield b"\x00\x00\x00\x01", stream[mark.end()], stream[mark.end() : end]


def scene(picture: Picture) -> Iterator[Parts]:
    """The whole loop: `loop_frames` pictures, the first one a key picture."""
    bands = Bands.of(picture)
    drawn = Scene(picture.width, picture.height, picture.fps, (bands.top, bands.bottom))
    encoder = Encoder(picture)
    pictures = ((drawn.draw(index), index % picture.gop_frames == 0) for index in range(picture.loop_frames))
    yield from encoder.run(pictures)


def name_slices(picture: Picture, name: str) -> tuple[bytes, bytes]:
    """The first slice of a key picture with this name: for groups with an even and with an odd number.

    H.264 numbers key pictures by turns (`idr_pic_id`), and all slices of one must carry the same number.
    """
    bands = Bands.of(picture)
    label = Label(picture.width, picture.height, (0, bands.top), at_top=True)
    even, odd = Encoder(picture).run((label.draw(name), True) for _ in range(2))
    return even.top, odd.top


class ClockEncoder:
    """Makes the last slices of one group of pictures after the other; not for two threads at a time."""

    def __init__(self, picture: Picture) -> None:
        bands = Bands.of(picture)
        self._label = Label(picture.width, picture.height, (picture.height - bands.bottom, picture.height), at_top=False)
        self._encoder = Encoder(picture)
        self._groups = 0

    def group(self, texts: Iterable[str], *, is_odd: bool) -> list[bytes]:
        """The last slices of a group's pictures, from the key picture on, one a text."""
        if self._groups % 2 != is_odd:
            list(self._encoder.run([(self._label.draw(""), True)]))
            self._groups += 1
        pictures = ((self._label.draw(text), index == 0) for index, text in enumerate(texts))
        slices = [parts.bottom for parts in self._encoder.run(pictures)]
        self._groups += 1
        return slices
