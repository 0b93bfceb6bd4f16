"""Memory that was freed goes back to the system from time to time, in processes with an event loop. An ingest has none."""

from __future__ import annotations

import asyncio
from typing import Final

from gb28181.ops.memory import give_back

#: Between two looks of a process that serves, seconds.
_EVERY_S: Final = 30.0


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
