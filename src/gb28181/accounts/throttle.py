"""Slows down guessing of passwords without letting anybody lock others out.

Attempts are counted per (user, source) and, more generously, per source: a stranger who guesses for `admin` from elsewhere
uses up his own allowance and never the administrator's. `now` is monotonic seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from gb28181.errors import Gb28181Error
from gb28181.texts.text import say

_SOURCE_FACTOR: Final = 6
_ENTRIES: Final = 20_000


class TooManyAttempts(Gb28181Error):
    """Logins are tried too fast (API 429).

    Args:
        retry_after_s: When the next one is allowed.
    """

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(say("accounts.too_many_attempts", retry_after_s=retry_after_s))
        self.retry_after_s = retry_after_s


class TooManyRequests(Gb28181Error):
    """A caller asks faster than it may (API 429).

    Args:
        retry_after_s: When the next request is answered.
    """

    def __init__(self, reason: str, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class RateLimit:
    """A token bucket for each caller: `per_s` requests a second, `burst` at once. The longest silent is forgotten first."""

    def __init__(self, *, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, caller: Hashable, now: float) -> None:
        """Counts one request.

        Raises:
            TooManyRequests: The allowance is used up; such a request costs nothing more.
        """
        level, at = self._buckets.get(caller, (self._burst, now))
        level = min(self._burst, level + max(0.0, now - at) * self._per_s)
        if level < 1:
            raise TooManyRequests(say("accounts.too_many_requests", per_s=self._per_s), (1 - level) / self._per_s)
        self._buckets[caller] = (level - 1, now)
        self._buckets.move_to_end(caller)
        while len(self._buckets) > _ENTRIES:
            self._buckets.popitem(last=False)


class LoginThrottle:
    """Token buckets: `per_minute` attempts at once, refilled over a minute. The least recently used is forgotten first."""

    def __init__(self, *, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def attempt(self, username: str, source: str, now: float) -> None:
        """Counts one attempt.

        Raises:
            TooManyAttempts: The allowance is used up; such an attempt costs nothing more.
        """
        wanted: tuple[tuple[Hashable, float], ...] = (
            ((source,), float(self._per_minute * _SOURCE_FACTOR)),
            ((username, source), float(self._per_minute)),
        )
        levels = [(key, size, self._level(key, size, now)) for key, size in wanted]
        for _, size, level in levels:
            if level < 1:
                raise TooManyAttempts(max(1.0, (1 - level) * 60 / size))
        for key, _, level in levels:
            self._buckets[key] = (level - 1, now)
            self._buckets.move_to_end(key)
        while len(self._buckets) > _ENTRIES:
            self._buckets.popitem(last=False)

    def succeeded(self, username: str, source: str) -> None:
        """The right password gives the allowance of this user at this source back."""
        self._buckets.pop((username, source), None)

    def _level(self, key: Hashable, size: float, now: float) -> float:
        level, at = self._buckets.get(key, (size, now))
        return min(size, level + max(0.0, now - at) * size / 60)
