"""Playback of what this platform has recorded (W35): which sessions there are and what their viewers want.

The film itself is made in the edge, where a session goes on from where it was however often its viewer comes and goes; here it
is opened, listed, controlled and closed. A session that nobody closes ends by itself when its links have expired.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock, rfc3339
from gb28181.errors import Invalid, NotFound
from gb28181.messages import PlaybackControl
from gb28181.recording.model import Span
from gb28181.texts.text import say

Action = Literal["pause", "resume", "seek", "speed"]
SLOWEST: Final = 0.25
FASTEST: Final = 16.0

_HOUR_US: Final = 3_600_000_000
#: How far around a moment the nearest recording is looked for, step by step.
_NEAR_US: Final = (_HOUR_US, 24 * _HOUR_US, 32 * 24 * _HOUR_US, 400 * 24 * _HOUR_US)
_BRIDGE_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Playback:
    """One session.

    Args:
        start, end: What may be watched, UTC microseconds.
        expires_at: When its links end, and it with them.
    """

    session_id: str
    key: ChannelKey
    user: str
    start: int
    end: int
    opened_at: datetime
    expires_at: datetime
    is_paused: bool = False
    speed: float = 1.0


class Spans(Protocol):
    """`ports.SegmentStore`, as far as it is needed here."""

    async def spans_between(self, key: ChannelKey, start: int, end: int, *, bridge: int) -> list[Span]: ...


class PlaybackService:
    """Args:
    written: Start and newest media of the segment that a channel is being recorded to, which no store knows yet.
    tell: Hands a wish to the edge; raises `Unavailable` when there is none.
    ttl_s: How long a link opens something beyond twice the length of what it shows.
    """

    def __init__(
        self,
        *,
        store: Spans,
        written: Callable[[ChannelKey], tuple[int, int] | None],
        tell: Callable[[PlaybackControl], None],
        clock: Clock,
        ttl_s: int,
    ) -> None:
        self._store = store
        self._written = written
        self._tell = tell
        self._clock = clock
        self._ttl_s = ttl_s
        self._sessions: dict[str, Playback] = {}  # bounded by the sessions that one user may open, and by their end

    async def open(self, key: ChannelKey, start: int, end: int, *, user: str) -> Playback:
        """A session for [start, end) of a channel, of one that is no longer listed too.

        Raises:
            Invalid: The end is not after the start.
            NotFound: Nothing is recorded there; names the nearest recording.
        """
        if end <= start:
            raise Invalid(say("recording.end_not_after", end=rfc3339(end), start=rfc3339(start)))
        if not await self._recorded(key, start, end):
            raise NotFound(await self._nearest(key, start, end))
        now = self._clock.utc()
        expires = now + timedelta(seconds=self._ttl_s, microseconds=2 * (end - start))
        session = Playback(uuid.uuid4().hex, key, user, start, end, now, expires)
        self._sessions[session.session_id] = session
        return session

    def sessions(self) -> Sequence[Playback]:
        now = self._clock.utc()
        for session_id in [found.session_id for found in self._sessions.values() if found.expires_at < now]:
            del self._sessions[session_id]
        return list(self._sessions.values())

    def find(self, session_id: str) -> Playback | None:
        return next((found for found in self.sessions() if found.session_id == session_id), None)

    def control(self, session_id: str, action: Action, *, position: int | None = None, speed: float | None = None) -> Playback:
        """Pauses, resumes, seeks or changes the speed.

        Args:
            position: UTC microseconds, for `seek`.
            speed: For `speed`.

        Raises:
            NotFound: No such session.
            Invalid: The position is outside of the session's range, or the speed is none.
            Unavailable: The edge is being started again.
        """
        session = self.find(session_id)
        if session is None:
            raise NotFound(say("recording.no_playback", session_id=session_id[:40]))
        if action == "seek" and (position is None or not session.start <= position < session.end):
            raise Invalid(say("recording.position", start=rfc3339(session.start), end=rfc3339(session.end)))
        if action == "speed" and (speed is None or not SLOWEST <= speed <= FASTEST):
            raise Invalid(say("recording.speed", slowest=SLOWEST, fastest=FASTEST))
        self._tell(PlaybackControl(session_id, action, position, speed))
        if action == "speed" and speed is not None:
            session = replace(session, speed=speed)
        elif action != "seek":
            session = replace(session, is_paused=action == "pause")
        self._sessions[session_id] = session
        return session

    def close(self, session_id: str) -> None:
        """Ends a session; its links open nothing any more.

        Raises:
            Unavailable: The edge is being started again.
        """
        self._tell(PlaybackControl(session_id, "close"))
        self._sessions.pop(session_id, None)

    async def _spans(self, key: ChannelKey, start: int, end: int) -> list[tuple[int, int]]:
        found = [(span.start, span.end) for span in await self._store.spans_between(key, start, end, bridge=_BRIDGE_US)]
        written = self._written(key)
        if written is not None and written[0] < end and written[1] > start:
            found.append(written)
        return found

    async def _recorded(self, key: ChannelKey, start: int, end: int) -> bool:
        return bool(await self._spans(key, start, end))

    async def _nearest(self, key: ChannelKey, start: int, end: int) -> str:
        begin, finish = rfc3339(start), rfc3339(end)
        for reach in _NEAR_US:
            spans = await self._spans(key, max(0, start - reach), end + reach)
            if spans:
                near = min(spans, key=lambda span: min(abs(span[1] - start), abs(span[0] - end)))
                return say(
                    "recording.nearest", key=key, start=begin, end=finish, nearest=rfc3339(near[0]), until=rfc3339(near[1])
                )
        return say("recording.nothing", key=key, start=begin, end=finish)
