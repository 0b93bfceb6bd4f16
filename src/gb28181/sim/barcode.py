"""The second of the minute as ten black and white blocks across the picture, read back from any scaled copy of it.

From left to right: white, black (the guards that give the levels), six bits of the second with the highest first, a
bit that makes the number of white data blocks odd, white. The strip's place is a fraction of the picture, so that a
screenshot of any size can be read without being told its scale.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]

#: The strip's upper and lower edge, as fractions of the height; the place is part of the format.
TOP: Final = 0.52
BOTTOM: Final = 0.64
CELLS: Final = 10
_BITS: Final = 6
#: Grey levels that have to lie between the two guards.
_LEAST_CONTRAST: Final = 60.0
#: A block has to be plain: its deviation may be this share of the contrast.
_MOST_UNEVEN: Final = 0.25
_BLACK: Final = 16
_WHITE: Final = 235


def cells(second: int) -> list[bool]:
    """The blocks of a second 0-59, True is white."""
    bits = [bool(second >> shift & 1) for shift in reversed(range(_BITS))]
    return [True, False, *bits, sum(bits) % 2 == 0, True]


def draw(luma: Luma, second: int) -> None:
    """Writes the strip into a picture's luma plane, shape (height, width)."""
    height, width = luma.shape
    edges = np.linspace(0, width, CELLS + 1).round().astype(int)
    strip = luma[round(height * TOP) : round(height * BOTTOM)]
    for index, white in enumerate(cells(second)):
        strip[:, edges[index] : edges[index + 1]] = _WHITE if white else _BLACK


def read(luma: npt.NDArray[Any]) -> int | None:
    """The second that a picture shows, None where there is no strip that can be trusted.

    Args:
        luma: Grey picture, shape (height, width), in any scale and any range of levels; only the whole picture, uncropped.
    """
    if luma.ndim != 2 or luma.shape[0] < 32 or luma.shape[1] < 32:
        return None
    height, width = luma.shape
    middle, reach = (TOP + BOTTOM) / 2, (BOTTOM - TOP) / 4
    strip = luma[int(height * (middle - reach)) : int(height * (middle + reach)) + 1].astype(np.float64)
    edges = np.linspace(0, width, CELLS + 1)
    inner = [strip[:, int(a + (b - a) * 0.25) : int(b - (b - a) * 0.25) + 1] for a, b in pairwise(edges)]
    levels = [float(block.mean()) for block in inner]
    white, black = (levels[0] + levels[-1]) / 2, levels[1]
    contrast = white - black
    if contrast < _LEAST_CONTRAST or any(float(block.std()) > contrast * _MOST_UNEVEN for block in inner):
        return None
    marks = [(level - black) / contrast for level in levels]
    if any(0.35 < mark < 0.65 for mark in marks):
        return None
    seen = [mark > 0.5 for mark in marks]
    second = sum(bit << shift for bit, shift in zip(seen[2 : 2 + _BITS], reversed(range(_BITS)), strict=True))
    return second if second < 60 and seen == cells(second) else None
