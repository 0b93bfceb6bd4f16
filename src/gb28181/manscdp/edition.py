"""Editions of GB/T 28181 and what they are called in X-GB-Ver (Annex I)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Edition(IntEnum):
    """An edition; a later one is greater. Its text is the year: `str(Edition.E2016) == "2016"`."""

    E2011 = 2011  # X-GB-Ver 1.0
    E2014 = 2014  # 1.1, the amendment of 2011
    E2016 = 2016  # 2.0
    E2022 = 2022  # 3.0

    def __str__(self) -> str:
        return str(self.value)

    @property
    def gb_version(self) -> str:
        """The edition as X-GB-Ver says it."""
        return _VERSIONS[self]


_VERSIONS: Final = {Edition.E2011: "1.0", Edition.E2014: "1.1", Edition.E2016: "2.0", Edition.E2022: "3.0"}


def edition_of(gb_version: str) -> Edition:
    """The edition that a peer declared; one that declared none, or what nobody knows, is taken for 2016.

    Args:
        gb_version: Value of X-GB-Ver, "" for none. A version between two editions is the earlier one.
    """
    major, _, minor = gb_version.strip().partition(".")
    if not (major.isascii() and major.isdigit()) or int(major[:4]) == 0:
        return Edition.E2016
    version = (int(major[:4]), int(minor[:4]) if minor.isascii() and minor.isdigit() else 0)
    if version >= (3, 0):
        return Edition.E2022
    if version >= (2, 0):
        return Edition.E2016
    return Edition.E2014 if version >= (1, 1) else Edition.E2011
