"""The one loop of the receiving thread: sleep to the tick on the Unix sockets, then empty the media sockets.

A tick that cannot keep up is followed by longer ones, so that each does more per wake-up; lateness is counted, not hidden.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Final

from gb28181.clock import Clock
from gb28181.ingest.census import Census
from gb28181.ingest.reports import Reporter
from gb28181.ingest.server import Server
from gb28181.ingest.service import Ingest, Lateness
from gb28181.ingest.stream import Moment
from gb28181.ingest_start import Receiving
from gb28181.ops.memory import give_back

logger = logging.getLogger(__name__)

_CHECK_S: Final = 0.25
_STATISTICS_S: Final = 5.0
_GIVE_BACK_S: Final = 10.0
_OVERLOADED_TICK_S: Final = 0.080
_RECOVERED_AFTER: Final = 25


class Pace:
    """When the next tick is due, and how long ticks are.

    Args:
        calm_s: Length while nobody watches; `quick_s` while somebody does.
    """

    def __init__(self, *, calm_s: float, quick_s: float, lateness: Lateness, now: float) -> None:
        self._calm_s = calm_s
        self._quick_s = min(quick_s, calm_s)
        self._lateness = lateness
        self._punctual = _RECOVERED_AFTER
        self._length = calm_s
        self._calm_at = now
        self.due = now

    def begin(self, now: float) -> bool:
        """Notes that a tick begins; returns whether the calm sockets are due too."""
        late = now - self.due
        if late > self._length:
            self._lateness.ticks += 1
            self._lateness.worst_ms = max(self._lateness.worst_ms, late * 1000)
            self._punctual = 0
        else:
            self._punctual += 1
        # Half a tick of grace: two quick ticks of 20 ms make a calm one of 40 ms even when one is a little early.
        return now + self._quick_s / 2 >= self._calm_at

    def hurry(self, now: float) -> None:
        """Somebody waits for each tick: the next one is no further away than theirs are."""
        if self._punctual >= _RECOVERED_AFTER:
            self.due = min(self.due, now + self._quick_s)

    def end(self, began: float, *, did_all: bool, has_quick: bool, longest_s: float = math.inf) -> None:
        """Sets when the next one is due, after `longest_s` at most unless there is too much to do."""
        is_overloaded = self._punctual < _RECOVERED_AFTER
        calm = max(self._calm_s, _OVERLOADED_TICK_S) if is_overloaded else min(self._calm_s, longest_s)
        if did_all:
            self._calm_at = max(self._calm_at + calm, began + calm / 2)
        self._length = self._quick_s if has_quick and not is_overloaded else calm
        # A late tick does not make the next one come at once: ticks that are made up for only cost wake-ups.
        self.due = max(self.due + self._length, began + self._length / 2)


class Loop:
    """Runs until it is told to stop."""

    def __init__(
        self, settings: Receiving, *, ingest: Ingest, server: Server, moment: Moment, clock: Clock, lateness: Lateness
    ) -> None:
        self._ingest = ingest
        self._server = server
        self._moment = moment
        self._clock = clock
        self._reporter = Reporter(settings.rtcp_interval_s)
        self._pace = Pace(
            calm_s=settings.tick_ms / 1000, quick_s=settings.watched_tick_ms / 1000, lateness=lateness, now=time.monotonic()
        )
        self._census = Census(ingest, _STATISTICS_S)
        self._check_at = 0.0
        self._give_back_at = 0.0
        self._stopping = False

    def stop(self) -> None:
        """From a signal handler: the loop ends with its present tick."""
        self._stopping = True

    def run(self) -> None:
        while not self._is_over():
            now = time.monotonic()
            if now < self._pace.due:
                self._server.wait(self._pace.due - now)
                if self._ingest.receiver.has_quick:
                    self._pace.hurry(time.monotonic())
                self._deliver()
                continue
            self._moment.now, self._moment.utc_us = now, self._clock.utc_us()
            everything = self._pace.begin(now)
            self._ingest.receiver.tick(everything=everything)
            self._ingest.volumes.poll(now)
            self._now_and_then(now)
            self._deliver()
            receiver = self._ingest.receiver
            self._pace.end(now, did_all=everything, has_quick=receiver.has_quick, longest_s=receiver.longest_tick_s)

    def _is_over(self) -> bool:
        return self._stopping or self._ingest.stop_request is not None or self._ingest.is_orphaned

    def _now_and_then(self, now: float) -> None:
        if now >= self._check_at:
            self._check_at = now + _CHECK_S
            self._ingest.check()
            self._reporter.send_due(self._ingest.receiver, now)
            if now >= self._give_back_at:
                self._give_back_at = now + _GIVE_BACK_S
                self._ingest.receiver.give_back()
                give_back()
        if self._server.has_control and (frame := self._census.step(now)):
            self._server.tell_control_frame(frame)

    def _deliver(self) -> None:
        """Sends events; segments first, so that who hears `Done` has heard of the segment."""
        self._server.flush()
        events = self._ingest.events
        if events:
            for event in events:
                self._server.tell_control(event)
            events.clear()
            self._server.flush()
