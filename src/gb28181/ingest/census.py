"""`Statistics` of a thousand streams, made a few streams a tick: the receiving thread has no time for them at once."""

from __future__ import annotations

from typing import Final

from gb28181.frames import encode_with, to_json
from gb28181.ingest.service import Ingest
from gb28181.ingest.stream import Stream

_AT_ONCE: Final = 40


class Census:
    """Args:
    interval_s: Seconds from the beginning of one `Statistics` to that of the next.
    """

    def __init__(self, ingest: Ingest, interval_s: float) -> None:
        self._ingest = ingest
        self._interval_s = interval_s
        self._due = 0.0
        self._waiting: list[Stream] | None = None  # not asked yet, the next one last; None between two rounds
        self._parts: list[bytes] = []

    def step(self, now: float) -> bytes | None:
        """Once a tick; returns the frame of a `Statistics` that is complete."""
        if self._waiting is None:
            if now < self._due:
                return None
            self._due = now + self._interval_s
            self._waiting = self._ingest.receiver.streams[::-1]
        for _ in range(min(_AT_ONCE, len(self._waiting))):
            stream = self._waiting.pop()
            if self._ingest.receiver.stream(stream.stream_id) is stream:  # else it was closed meanwhile
                self._parts.append(to_json(stream.state()))
        if self._waiting:
            return None
        frame = encode_with(self._ingest.statistics(), "streams", self._parts)
        self._waiting, self._parts = None, []
        return frame
