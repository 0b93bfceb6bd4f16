"""Pauses of the garbage collector: kept short however many devices and channels are in memory.

A full collection looks at every object: with 200,000 channels it stops the loop for a quarter of a second, several times while
they arrive. When one took long, what survived it is set aside (`gc.freeze`), so that the next looks at what is new; memory
without cycles is given back at once as ever. What was set aside and died in a cycle meanwhile is found a few times a day. So a
short collection sets nothing aside: calls and requests under way would pile up there, several per cent of the memory an hour.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Mapping
from typing import Any, Final

from gb28181.ops.repeating import Repeating

_FULL: Final = 2
#: Between two collections of everything, seconds.
_THAW_S: Final = 6 * 3600.0
#: A collection is long from here on, seconds of this thread.
_LONG_S: Final = 0.02


class ShortPauses:
    """Works while it is entered, for the whole process; its loop must run."""

    def __init__(self, *, thaw_s: float = _THAW_S, long_s: float = _LONG_S) -> None:
        self._long_s = long_s
        self._began = 0.0
        self._timer = Repeating(thaw_s, lambda _: self.thaw())

    def __enter__(self) -> ShortPauses:
        gc.collect()
        gc.freeze()  # modules and what was loaded at the start are set aside while nobody waits yet
        gc.callbacks.append(self._collected)
        self._timer.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.__exit__(*error)
        gc.callbacks.remove(self._collected)
        gc.unfreeze()

    def thaw(self) -> None:
        """Collects everything, what was set aside too."""
        gc.unfreeze()
        gc.collect()

    def _collected(self, phase: str, info: Mapping[str, Any]) -> None:
        if info["generation"] != _FULL:
            return
        if phase == "start":
            self._began = time.thread_time()
        elif time.thread_time() - self._began >= self._long_s:
            gc.freeze()
