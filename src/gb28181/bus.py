"""Events inside the control process: who publishes knows nobody who listens.

A subscriber is called at once and in order; it must not block. One that fails is counted and logged; the others and the
publisher never notice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

logger = logging.getLogger(__name__)

E = TypeVar("E")


class Bus:
    """Publishes events to subscribers by type."""

    def __init__(self) -> None:
        self._subscribers: dict[type, list[Callable[[Any], None]]] = defaultdict(list)
        self._listeners: set[asyncio.Queue[object]] = set()
        self.failures = 0
        self.dropped = 0

    def subscribe(self, kind: type[E], subscriber: Callable[[E], None]) -> None:
        self._subscribers[kind].append(cast("Callable[[Any], None]", subscriber))

    def publish(self, event: object) -> None:
        for subscriber in self._subscribers.get(type(event), ()):
            try:
                subscriber(event)
            except Exception:
                self.failures += 1
                logger.exception("subscriber failed", extra={"event": type(event).__name__})
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()  # a slow reader of /events misses the oldest, nobody waits for it
                self.dropped += 1
            queue.put_nowait(event)

    @contextmanager
    def listen(self, *, size: int = 1000) -> Iterator[asyncio.Queue[object]]:
        """Every event from now on, in a queue that drops its oldest when full."""
        queue: asyncio.Queue[object] = asyncio.Queue(size)
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)
