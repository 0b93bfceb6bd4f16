"""What is kept of transactions that have their final answer (RFC 3261 §17.1.2.2, §17.2.2; timers J and K): next to nothing.

In a storm a hundred thousand of them wait for a copy that hardly ever comes. So there is no object and no timer for each: a
number that stands for the key, what answers a copy, and batches that end together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final

#: What was kept within so many seconds ends together, with its last.
_BATCH_S: Final = 0.5


class Kept:
    """Answers by key, each for `span` seconds at least.

    A key is known by its hash alone: 64 bits, keyed anew in each process for text and what is made of it, so that nobody makes
    two alike.

    Args:
        span: Seconds; half a second more at most.
    """

    def __init__(self, span: float) -> None:
        self._span = span
        self._answers: dict[int, bytes | str] = {}
        self._batches: deque[_Batch] = deque()

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, key: Hashable, answer: bytes | str, now: float) -> None:
        """Args:
        answer: Whatever `find` is to bring.
        """
        number = hash(key)
        self._answers[number] = answer
        if not self._batches or now - self._batches[-1].since >= _BATCH_S:
            self._batches.append(_Batch(now))
        batch = self._batches[-1]
        batch.numbers.append(number)
        batch.until = now + self._span

    def find(self, key: Hashable) -> bytes | str | None:
        return self._answers.get(hash(key))

    def next_deadline(self) -> float | None:
        return self._batches[0].until if self._batches else None

    def expire(self, now: float) -> None:
        while self._batches and self._batches[0].until <= now:
            for number in self._batches.popleft().numbers:
                self._answers.pop(number, None)


class _Batch:
    __slots__ = ("numbers", "since", "until")

    def __init__(self, since: float) -> None:
        self.since = self.until = since
        self.numbers: list[int] = []
