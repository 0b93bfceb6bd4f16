"""Answers that come in many messages: collected under (device, CmdType, SN) until complete or silent (Annex M, N).

SumNum lies (quirk Q60), parts are repeated (Q63) and SN is not always echoed (Q52), so an answer ends when as many items as
announced were counted **or** as many unique ones came (W12), or after a quiet period. The machine keeps identifiers
only; what arrives is used as it arrives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Key = tuple[str, str, int]
End = Literal["complete", "quiet", "no_answer", "too_many"]


@dataclass(frozen=True, slots=True)
class Finished:
    """An answer ended.

    Args:
        announced: The largest SumNum of its parts, None when no part had one.
        received: Items counted, repeated ones and those without an identifier too.
        ids: The different identifiers among them.
    """

    peer: str
    cmd_type: str
    sn: int
    announced: int | None
    received: int
    ids: frozenset[str]
    end: End

    @property
    def is_complete(self) -> bool:
        return self.end == "complete"


@dataclass(slots=True)
class _Answer:
    deadline: float
    quiet_s: float
    announced: int | None = None
    received: int = 0
    ids: set[str] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        if self.announced is None or (self.announced == 0 and self.received > 0):
            return False
        return self.received >= self.announced or len(self.ids) >= self.announced


class Assembler:
    """Collects the answers of all outstanding queries.

    Args:
        first_answer_s: Patience before the first part (quirk Q62: lower platforms need up to two minutes).
        quiet_s: Patience between two parts.
        max_items: Items after which an answer is ended as `too_many`.
    """

    def __init__(self, *, first_answer_s: float = 120.0, quiet_s: float = 30.0, max_items: int = 200_000) -> None:
        self._first_answer_s = first_answer_s
        self._quiet_s = quiet_s
        self._max_items = max_items
        self._answers: dict[Key, _Answer] = {}

    def expect(
        self,
        peer: str,
        cmd_type: str,
        sn: int,
        now: float,
        *,
        first_answer_s: float | None = None,
        quiet_s: float | None = None,
    ) -> None:
        """A query is about to be sent; the caller bounds how many are outstanding.

        Args:
            first_answer_s, quiet_s: Patience with this peer where it is another than with the rest.
        """
        first = self._first_answer_s if first_answer_s is None else first_answer_s
        self._answers[peer, cmd_type, sn] = _Answer(now + first, self._quiet_s if quiet_s is None else quiet_s)

    def add(
        self, peer: str, cmd_type: str, sn: int, *, announced: int | None, ids: Iterable[str], now: float, unnamed: int = 0
    ) -> tuple[int | None, list[Finished]]:
        """Books one part.

        Args:
            unnamed: Items without an identifier; their sender counts them in SumNum (W12).

        Returns:
            The SN of the query that it answers, None for one that nobody asked for; and the answer if this ended it.
        """
        key = self._match(peer, cmd_type, sn)
        if key is None:
            return None, []
        answer = self._answers[key]
        received = answer.received
        if announced is not None and announced >= 0:
            answer.announced = max(announced, answer.announced or 0)
        answer.received += unnamed
        for identifier in ids:
            answer.received += 1
            answer.ids.add(identifier)
        patient_until = now + answer.quiet_s
        # A part without items is no progress: a peer could send such parts for ever.
        answer.deadline = patient_until if answer.received > received else min(answer.deadline, patient_until)
        if answer.is_complete:
            return key[2], [self._finish(key, "complete")]
        if answer.received >= self._max_items:
            return key[2], [self._finish(key, "too_many")]
        return key[2], []

    def progress(self, peer: str, cmd_type: str, sn: int) -> tuple[int, int | None]:
        """(received, announced) of an outstanding answer, (0, None) where there is none."""
        answer = self._answers.get((peer, cmd_type, sn))
        return (answer.received, answer.announced) if answer is not None else (0, None)

    def abandon(self, peer: str, cmd_type: str, sn: int) -> None:
        """The query could not be sent; what arrives for it is unsolicited."""
        self._answers.pop((peer, cmd_type, sn), None)

    def next_deadline(self) -> float | None:
        return min((answer.deadline for answer in self._answers.values()), default=None)

    def expire(self, now: float) -> list[Finished]:
        """Answers that fell silent."""
        silent = [key for key, answer in self._answers.items() if answer.deadline <= now]
        return [self._finish(key, "quiet" if self._answers[key].received else "no_answer") for key in silent]

    def _match(self, peer: str, cmd_type: str, sn: int) -> Key | None:
        key = (peer, cmd_type, sn)
        if key in self._answers:
            return key
        others = [other for other in self._answers if other[:2] == key[:2]]
        return others[0] if len(others) == 1 else None

    def _finish(self, key: Key, end: End) -> Finished:
        answer = self._answers.pop(key)
        return Finished(*key, answer.announced, answer.received, frozenset(answer.ids), end)
