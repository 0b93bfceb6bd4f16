"""Memory that was freed goes back to the system from time to time, in processes with an event loop. An ingest has none."""

from __future__ import annotations

import asyncio

from gb28181.ops.memory import give_back


class GivesBack:
    """Does so every `every_s` seconds while it is entered; its loop must run."""

    def __init__(self, *, every_s: float = 30.0) -> None:
        self._every_s = every_s
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> GivesBack:
        self._arm()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._step)

    def _step(self) -> None:
        give_back()
        self._arm()
