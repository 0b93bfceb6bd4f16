"""A 5 x 7 dot font for labels in the picture; the encoder has no text filter. Characters it does not know are a box."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

ROWS: Final = 7
COLUMNS: Final = 5
#: Dots from one character's left edge to the next one's.
ADVANCE: Final = 6

_BOX: Final = "1f11111111111f"
#: Seven rows a character, two hex digits a row, the highest of five bits is the leftmost dot.
_GLYPHS: Final = {
    " ": "00000000000000",
    "0": "0e11131519110e",
    "1": "040c040404040e",
    "2": "0e11010204081f",
    "3": "1f02040201110e",
    "4": "02060a121f0202",
    "5": "1f101e0101110e",
    "6": "0608101e11110e",
    "7": "1f010204080808",
    "8": "0e11110e11110e",
    "9": "0e11110f01020c",
    "A": "0e11111f111111",
    "B": "1e11111e11111e",
    "C": "0e11101010110e",
    "D": "1c12111111121c",
    "E": "1f10101e10101f",
    "F": "1f10101e101010",
    "G": "0e11101711110f",
    "H": "1111111f111111",
    "I": "0e04040404040e",
    "J": "0702020202120c",
    "K": "11121418141211",
    "L": "1010101010101f",
    "M": "111b1515111111",
    "N": "11111915131111",
    "O": "0e11111111110e",
    "P": "1e11111e101010",
    "Q": "0e11111115120d",
    "R": "1e11111e141211",
    "S": "0f10100e01011e",
    "T": "1f040404040404",
    "U": "1111111111110e",
    "V": "11111111110a04",
    "W": "1111111515150a",
    "X": "11110a040a1111",
    "Y": "1111110a040404",
    "Z": "1f01020408101f",
    ":": "000c0c000c0c00",
    "-": "0000001f000000",
    ".": "00000000000c0c",
    "/": "00010204081000",
    "_": "0000000000001f",
    "#": "0a0a1f0a1f0a0a",
}


def dots(text: str) -> npt.NDArray[np.bool_]:
    """The text as dots, shape (7, 6 x characters - 1); lower case is drawn as upper case."""
    field = np.zeros((ROWS, max(ADVANCE * len(text) - 1, 0)), dtype=np.bool_)
    for position, character in enumerate(text.upper()):
        rows = bytes.fromhex(_GLYPHS.get(character, _BOX))
        for row, bits in enumerate(rows):
            for column in range(COLUMNS):
                field[row, position * ADVANCE + column] = bool(bits >> (COLUMNS - 1 - column) & 1)
    return field


def fit(text: str, width: int, height: int) -> npt.NDArray[np.bool_]:
    """The text in the greatest whole scale that fits into `width` x `height` pixels, cut on the right at scale 1."""
    drawn = dots(text)
    scale = max(1, min(height // ROWS, width // max(drawn.shape[1], 1)))
    return np.kron(drawn, np.ones((scale, scale), dtype=np.bool_))[:height, :width]
