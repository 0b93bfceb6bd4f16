"""Who guesses passwords waits: by (device, source), so that nobody locks a camera out from elsewhere."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final


class WrongPasswords:
    """Counts failures of (device, source) and says how long such a pair has to wait.

    Args:
        max_pairs: The pair that failed longest ago is forgotten when there are more.
    """

    FREE: Final = 5
    LONGEST_WAIT_S: Final = 60.0
    DECAY_S: Final = 120.0  # a quiet time after which one failure is forgiven

    def __init__(self, *, max_pairs: int = 10_000) -> None:
        self._max_pairs = max_pairs
        self._pairs: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def wait_s(self, pair: tuple[str, str], now: float) -> float:
        """Seconds in which no attempt of this pair is looked at, 0 for none."""
        count, last = self._pairs.get(pair, (0, now))
        if count <= self.FREE:
            return 0.0
        return max(0.0, last + min(2.0 ** (count - self.FREE - 1), self.LONGEST_WAIT_S) - now)

    def failed(self, pair: tuple[str, str], now: float) -> int:
        """Books a failure; how many there are now."""
        count, last = self._pairs.pop(pair, (0, now))
        count = max(0, count - int((now - last) / self.DECAY_S)) + 1
        self._pairs[pair] = (count, now)
        if len(self._pairs) > self._max_pairs:
            self._pairs.popitem(last=False)
        return count

    def succeeded(self, pair: tuple[str, str]) -> None:
        self._pairs.pop(pair, None)

    def __len__(self) -> int:
        return len(self._pairs)
