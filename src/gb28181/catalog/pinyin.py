"""First letters of the pinyin of a name: 城北出入口 is found by `cbcrk` (decision 0018).

A character that is read in two ways counts in both, as 长 in 长江 and 校长: a name has as many spellings as these make, up
to a bound. Letters and digits stand for themselves, all else for nothing.
"""

from __future__ import annotations

from itertools import islice, product
from typing import Final

from gb28181.catalog.pinyin_table import FIRST, LETTERS, TABLE

#: Spellings of one name; the usual readings come first.
_MAX_SPELLINGS: Final = 16
_SETS: Final = LETTERS.split(",")


def initials(name: str) -> tuple[str, ...]:
    """All spellings of a name in lower case; none of a name without Chinese characters, which is its own spelling."""
    if name.isascii():
        return ()
    choices = [letters for character in name if (letters := _letters(character))]
    ambiguous = [letters for letters in choices if len(letters) > 1]
    if not ambiguous:
        return ("".join(choices),) if choices else ()
    return tuple("".join(letters) for letters in islice(product(*choices), _MAX_SPELLINGS))


def _letters(character: str) -> str:
    place = ord(character) - FIRST
    if 0 <= place < len(TABLE):
        return _SETS[TABLE[place]]
    return character.lower() if character.isascii() and character.isalnum() else ""
