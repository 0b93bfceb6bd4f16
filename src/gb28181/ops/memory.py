"""Memory that was freed goes back to the system.

The allocator of glibc keeps freed pieces between live ones. Where pieces of every size come and go for months, as chunks of
video do, what it keeps grows by several per cent an hour, though nothing is held.
"""

from __future__ import annotations

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


def give_back() -> None:
    """Returns whole free pages, in one to twenty milliseconds; does nothing where the C library is another one."""
    if _TRIM is not None:
        _TRIM(0)
