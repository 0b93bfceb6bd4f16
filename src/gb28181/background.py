"""Tasks of one owner: started inside it, cancelled and awaited when it ends. The border where a failing task is logged."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from gb28181.errors import Gb28181Error

logger = logging.getLogger(__name__)

T = TypeVar("T")

_AGAIN_S: Final = 1.0


class Background:
    """A task group whose end cancels what still runs.

    A task that fails ends no other: it is counted in `failures` and logged, with a traceback where nothing foresaw it.

    Args:
        most: Tasks that run at the same time; `start` refuses further ones.
    """

    def __init__(self, *, most: int = sys.maxsize) -> None:
        self._most = most
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
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
        """Runs it once, or `forever`: again a second after a failure."""
        if self._group is None:
            raise RuntimeError(f"{name} is started before its owner or after it")
        work = self._repeated(run, name) if forever else self._once(run(), name, None)
        return self._add(self._group.create_task(work, name=name))

    def start(self, work: Coroutine[Any, Any, T], name: str, *, otherwise: T | None = None) -> asyncio.Task[T | None] | None:
        """Runs it once. None where it is not run: there are too many, or nobody would wait for it outside the owner's life.

        Args:
            otherwise: Result of the task where the work fails.
        """
        if self._group is None or len(self._tasks) >= self._most:
            work.close()
            return None
        task = self._add(self._group.create_task(self._once(work, name, otherwise), name=name))
        task.add_done_callback(lambda _: work.close())  # one that is cancelled before its first step would warn
        return task

    def _add(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _once(self, work: Coroutine[Any, Any, T], name: str, otherwise: T | None) -> T | None:
        try:
            return await work
        except Gb28181Error as error:
            self.failures += 1
            logger.warning("background task failed: %s", error, extra={"task": name})
        except Exception:
            self.failures += 1
            logger.exception("background task failed", extra={"task": name})
        return otherwise

    async def _repeated(self, run: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        while True:
            await self._once(run(), name, None)
            await asyncio.sleep(_AGAIN_S)
