"""Numbers of requests in dialogs: they rise strictly, over a restart too (RFC 3261 §12.2.1.1; quirk Q149b)."""

from __future__ import annotations

from typing import Final

from gb28181.clock import Clock
from gb28181.sip.dialog import Dialog

#: Dialogs whose last number is remembered beyond what the caller stored, long after most of them ended.
_MAX_NUMBERS: Final = 20_000
#: 2026-01-01: from then on the numbers of restored dialogs are counted, below 2^31 until 2043.
_SINCE_US: Final = 1_767_225_600_000_000


class Numbers:
    """The last number used in each dialog."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # By the hash of the dialog's key, a fifth of the memory. Two that share one make each other's numbers leap, no more.
        self._last: dict[int, int] = {}

    def begin(self, dialog: Dialog) -> None:
        """A dialog was made; its number is what it says."""
        self._remember(hash(dialog.key), dialog.cseq)

    def next(self, dialog: Dialog) -> Dialog:
        """The dialog with its next number.

        Not every request is stored with its number, so those of an earlier process may have gone beyond what is in the
        dialog. The clock has gone on as well, four times a second, which no dialog outruns; leaps are allowed (§12.2.2).
        """
        key = hash(dialog.key)
        last = self._last.get(key)
        if last is None:
            last = (self._clock.utc_us() - _SINCE_US) // 250_000 % (1 << 31)
        number = max(dialog.cseq, last) + 1
        self._remember(key, number)
        return dialog.numbered(number)

    def _remember(self, key: int, number: int) -> None:
        self._last.pop(key, None)
        if len(self._last) >= _MAX_NUMBERS:
            del self._last[next(iter(self._last))]
        self._last[key] = number
