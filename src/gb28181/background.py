"""Tasks of one owner: started inside it, cancelled and awaited when it ends. The border where a failing task is logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

logger = logging.getLogger(__name__)

_AGAIN_S: Final = 1.0


class Background:
    """A task group whose end cancels what still runs. `failures` counts tasks that failed."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures = 0

    async def __aenter__(self) -> Background:
        self._group = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        group, self._group = self._group, None
        for task in self._tasks:
            task.cancel()
        if group is not None:
            await group.__aexit__(None, None, None)

    def spawn(self, run: Callable[[], Coroutine[Any, Any, None]], name: str, *, forever: bool = False) -> asyncio.Task[None]:
        """Runs it once, or `forever`: again after a failure, which is logged."""
        if self._group is None:
            raise RuntimeError(f"{name} is started before its owner or after it")
        return self._add(self._group.create_task(self._run(run, name, forever), name=name))

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Runs it once; outside the owner's life, when nobody would wait for it, not at all."""
        if self._group is None:
            work.close()
        else:
            self._add(self._group.create_task(self._run(lambda: work, name, False), name=name))

    def _add(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, run: Callable[[], Coroutine[Any, Any, None]], name: str, forever: bool) -> None:
        while True:
            try:
                await run()
            except Exception:
                self.failures += 1
                logger.exception("background task failed", extra={"task": name})
            if not forever:
                return
            await asyncio.sleep(_AGAIN_S)
