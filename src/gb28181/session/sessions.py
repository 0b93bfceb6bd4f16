"""Sessions of callers: what each was given, who watches it, and which of them nobody watches any more."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Final

from gb28181.catalog.model import ChannelKey
from gb28181.clock import Clock
from gb28181.errors import NotFound
from gb28181.session.model import Session
from gb28181.texts.text import say

#: The edge says who watches at least every 5 s; silent for longer, it is not there, and nobody knows.
_EDGE_SILENCE_S: Final = 15.0


class Sessions:
    """Times are monotonic seconds.

    Args:
        idle_s: A session that nobody has watched for so long ends.
    """

    def __init__(self, *, idle_s: float, clock: Clock) -> None:
        self._idle_s = idle_s
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._seen_at: dict[str, float] = {}
        self._viewers: Mapping[ChannelKey, int] = {}
        self._heard_at: float | None = None

    def begin(self, key: ChannelKey, user: str, now: float) -> Session:
        session = Session(uuid.uuid4().hex, key, user, self._clock.utc())
        self._sessions[session.session_id] = session
        self._seen_at[session.session_id] = now
        return session

    def end(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)
        self._seen_at.pop(session_id, None)

    def seen(self, session_id: str, now: float) -> None:
        """Its picture is there from now on."""
        if session_id in self._sessions:
            self._seen_at[session_id] = now

    def all(self) -> list[Session]:
        return list(self._sessions.values())

    def get(self, session_id: str) -> Session:
        """Raises: NotFound."""
        found = self._sessions.get(session_id)
        if found is None:
            raise NotFound(say("live.no_session", session_id=session_id, idle_s=self._idle_s))
        return found

    def of(self, key: ChannelKey) -> list[str]:
        """Ids of those of one channel."""
        return [session.session_id for session in self._sessions.values() if session.key == key]

    def viewers(self, key: ChannelKey) -> int:
        """Who watches a channel now, as the edge says."""
        return self._viewers.get(key, 0)

    def told(self, counts: Mapping[ChannelKey, int], now: float) -> None:
        """Takes what the edge says about who watches what."""
        self._viewers, self._heard_at = counts, now
        for session in self._sessions.values():
            if counts.get(session.key):
                self._seen_at[session.session_id] = now

    def idle(self, now: float, *, is_opening: Callable[[ChannelKey], bool]) -> list[Session]:
        """Those that nobody watches any more; none while the edge is away."""
        if self._heard_at is None or now - self._heard_at > _EDGE_SILENCE_S:
            return []
        return [
            session
            for session in self._sessions.values()
            if not self._viewers.get(session.key)
            and not is_opening(session.key)
            and now - self._seen_at[session.session_id] >= self._idle_s
        ]
