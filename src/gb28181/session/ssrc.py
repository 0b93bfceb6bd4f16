"""SSRC numbers of our live sessions (Annex G, y=): unique while in use, and resting a while after."""

from __future__ import annotations

from collections import deque
from typing import Final

from gb28181.errors import Unavailable
from gb28181.ids import Ssrc
from gb28181.texts.text import say

SERIALS: Final = 10_000


class SsrcPool:
    """Lends the 10,000 live SSRC values of one domain.

    Args:
        rest_s: Seconds for which a value given back is not lent again: cameras go on sending after BYE (quirk Q124).
    """

    def __init__(self, platform_id: str, *, rest_s: float = 30.0) -> None:
        self._platform_id = platform_id
        self._rest_s = rest_s
        self._free: deque[int] = deque(range(1, SERIALS))
        self._resting: deque[tuple[float, int]] = deque()
        self._used: dict[int, int] = {}

    def take(self, now: float) -> Ssrc:
        """Raises: Unavailable: all are in use or resting."""
        while self._resting and self._resting[0][0] <= now:
            self._free.append(self._resting.popleft()[1])
        while self._free:
            serial = self._free.popleft()
            ssrc = Ssrc.make(self._platform_id, serial)
            if ssrc.value not in self._used:
                self._used[ssrc.value] = serial
                return ssrc
        raise Unavailable(say("live.ssrc_used_up"))

    def adopt(self, value: int) -> None:
        """Marks a value of an earlier process as in use."""
        self._used.setdefault(value, value % SERIALS)

    def give_back(self, value: int, now: float) -> None:
        serial = self._used.pop(value, None)
        if serial:
            self._resting.append((now + self._rest_s, serial))
