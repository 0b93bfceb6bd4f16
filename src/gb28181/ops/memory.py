"""Memory that was freed goes back to the system.

The allocator of glibc keeps freed pieces between live ones. Where pieces of every size come and go for months, as chunks of
video do, what it keeps grows by several per cent an hour, though nothing is held.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from collections.abc import Callable
from typing import Final


def _trimmer() -> Callable[[int], int] | None:
    # PyDLL keeps the interpreter's lock: it takes less than the time of getting it back.
    with contextlib.suppress(OSError, AttributeError):
        trim: Callable[[int], int] = ctypes.PyDLL(None).malloc_trim
        return trim
    return None


_TRIM: Final = _trimmer()
#: Between two looks of a process that serves, seconds.
_EVERY_S: Final = 30.0


def give_back() -> None:
    """Returns whole free pages, in one to twenty milliseconds; does nothing where the C library is another one."""
    if _TRIM is not None:
        _TRIM(0)


class GivesBack:
    """Does so every half a minute while it is entered; its loop must run."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> GivesBack:
        self._arm()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_EVERY_S, self._step)

    def _step(self) -> None:
        give_back()
        self._arm()
