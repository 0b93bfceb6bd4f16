"""What the simulated camera sees: a street that passes by, two moving blocks, the second in big digits, the bar code.

The scene depends on the position in the minute alone. Everything moves sideways and never up or down: the encoder then has no
reason to predict one band of the picture from another, and the bands with name and clock can be exchanged (see `encoder`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gb28181.sim import barcode, font

Plane = npt.NDArray[np.uint8]

_BLACK: Final = 16
_WHITE: Final = 235
_NEUTRAL: Final = 128


class Scene:
    """Draws pictures in planar YUV 4:2:0.

    Args:
        width: Even number of pixels.
        height: Even number of pixels.
        fps: Pictures a second.
        margins: Rows at the upper and lower edge that stay black for the bands of name and clock.
    """

    def __init__(self, width: int, height: int, fps: int, margins: tuple[int, int]) -> None:
        self._width, self._height, self._fps = width, height, fps
        self._top, self._bottom = margins
        self._street = _street(width, height)
        self._picture = np.full((height * 3 // 2, width), _NEUTRAL, dtype=np.uint8)
        self._digits = [font.fit(f":{second:02d}", width // 4, height // 5) for second in range(60)]

    def draw(self, index: int) -> Plane:
        """Picture number `index` of the minute, shape (height * 3/2, width); overwritten by the next call."""
        width, height = self._width, self._height
        luma = self._picture[:height]
        chroma = self._picture[height:].reshape(2, height // 2, width // 2)
        shift = index * max(1, width // 352) * 25 // self._fps % width * 2
        luma[:] = self._street[0][:, shift : shift + width]
        for plane, tile in zip(chroma, self._street[1:], strict=True):
            plane[:] = tile[:, shift // 2 : shift // 2 + width // 2]
        self._block(index, period_s=6, top=0.36, tone=200)
        self._block(-index, period_s=10, top=0.68, tone=60)
        digits = self._digits[index // self._fps % 60]
        y, x = round(height * 0.20), width - digits.shape[1] - width // 40
        luma[y : y + digits.shape[0], x : x + digits.shape[1]][digits] = _WHITE
        barcode.draw(luma, index // self._fps % 60)
        luma[: self._top] = _BLACK
        luma[height - self._bottom :] = _BLACK
        chroma[:, round(height * barcode.TOP) // 2 : round(height * barcode.BOTTOM) // 2] = _NEUTRAL
        chroma[:, : self._top // 2] = _NEUTRAL
        chroma[:, (height - self._bottom) // 2 :] = _NEUTRAL
        return self._picture

    def _block(self, index: int, *, period_s: int, top: float, tone: int) -> None:
        size = self._height // 8
        left = index * (self._width - size) // (period_s * self._fps) % (self._width - size)
        row = round(self._height * top)
        self._picture[row : row + size, left : left + size] = tone


def _street(width: int, height: int) -> tuple[Plane, Plane, Plane]:
    """Three planes of a street of houses that is two pictures long, then its beginning again."""
    rng = np.random.default_rng(28181)
    luma = np.tile(np.linspace(210, 120, height)[:, None], (1, 2 * width))
    chroma = [np.full((height // 2, width), tone, dtype=np.float64) for tone in (142, 118)]  # the sky
    left = 0
    while left < 2 * width:
        right = min(2 * width, left + int(rng.integers(width // 10, width // 4)) // 2 * 2)
        roof = int(rng.integers(height // 6, height // 2)) // 2 * 2
        luma[roof:, left:right] = rng.integers(60, 190)
        pane = max(4, height // 24)
        for row in range(roof + pane, height * 3 // 4 - pane, 2 * pane):
            for column in range(left + pane, right - pane, 2 * pane):
                luma[row : row + pane, column : column + pane] = rng.choice((40, 70, 220))
        for plane in chroma:
            plane[roof // 2 :, left // 2 : right // 2] = rng.integers(105, 152)
        left = right
    luma[height * 3 // 4 :] = 90  # the road
    for plane in chroma:
        plane[height * 3 // 8 :] = _NEUTRAL
    luma += rng.normal(0.0, 4.0, luma.shape)  # grain: something for the encoder to spend bits on
    tiles = [np.clip(plane, 24, 225).astype(np.uint8) for plane in (luma, *chroma)]
    y, u, v = (np.concatenate([tile, tile[:, : tile.shape[1] // 2]], axis=1) for tile in tiles)
    return y, u, v


class Label:
    """Draws a line of text into one of the black bands of an otherwise black picture.

    Args:
        width: Even number of pixels.
        height: Even number of pixels.
        rows: First and last row, exclusive, of the band.
        at_top: Whether the text keeps to the upper edge of its band; else it keeps to the lower one.
    """

    def __init__(self, width: int, height: int, rows: tuple[int, int], *, at_top: bool) -> None:
        self._rows, self._at_top = rows, at_top
        self._picture = np.full((height * 3 // 2, width), _NEUTRAL, dtype=np.uint8)
        self._luma = self._picture[:height]

    def draw(self, text: str) -> Plane:
        """The picture with this text, shape (height * 3/2, width); overwritten by the next call."""
        first, last = self._rows
        self._luma[:] = _BLACK
        room = last - first
        drawn = font.fit(text, self._luma.shape[1] - 8, min(room - 2, max(font.ROWS, room * 5 // 8)))
        y = first + 2 if self._at_top else last - 2 - drawn.shape[0]
        self._luma[y : y + drawn.shape[0], 4 : 4 + drawn.shape[1]][drawn] = _WHITE
        return self._picture
