"""Sends RTCP receiver reports in time; cameras stop after 30 to 90 s without them (quirk Q112)."""

from __future__ import annotations

import secrets
from typing import Final

from gb28181.ingest.receive import Receiver

_FIRST_AFTER_S: Final = 1.0
_GIVE_UP_S: Final = 60.0


class Reporter:
    """Args:
    interval_s: Seconds between the reports of a stream; the first comes sooner.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._ssrc = secrets.randbits(32)
        self._due: dict[str, float] = {}

    def send_due(self, receiver: Receiver, now: float) -> None:
        streams = receiver.streams
        for stream in streams:
            if not stream.last_heard or now - stream.last_heard > _GIVE_UP_S:
                continue
            due = self._due.setdefault(stream.stream_id, now + min(_FIRST_AFTER_S, self._interval_s))
            if now >= due:
                self._due[stream.stream_id] = now + self._interval_s
                receiver.send_report(stream, stream.reception.report(self._ssrc, now))
        if len(self._due) > len(streams):
            alive = {stream.stream_id for stream in streams}
            self._due = {stream_id: due for stream_id, due in self._due.items() if stream_id in alive}
