"""Tasks of one owner: started inside it, cancelled and awaited when it ends. The border where a failing task is logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

logger = logging.getLogger(__name__)

_AGAIN_S: Final = 1.0


class Background:
    """A task group whose end cancels what still runs."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Background:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(None, None, None)

    def spawn(self, run: Callable[[], Coroutine[Any, Any, None]], name: str, *, forever: bool = False) -> asyncio.Task[None]:
        """Runs it once, or `forever`: again after a failure, which is logged."""
        task = self._group.create_task(_run(run, name, forever), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _run(run: Callable[[], Coroutine[Any, Any, None]], name: str, forever: bool) -> None:
    while True:
        try:
            await run()
        except Exception:
            logger.exception("background task failed", extra={"task": name})
        if not forever:
            return
        await asyncio.sleep(_AGAIN_S)
