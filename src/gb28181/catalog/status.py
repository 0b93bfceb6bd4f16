"""States that devices push (NOTIFY Catalog, §9.11.4): some flap between ON and OFF many times a second (quirk Q74).

The first change of a channel counts at once; what it says within the next seconds waits, and only the last of it counts.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gb28181.catalog.model import ChannelKey

#: Between two changes of one channel's state.
HOLD_S: Final = 3.0


@dataclass(slots=True)
class _Held:
    """Args:
    until: When the next change may count.
    waiting: The state that will count then, None for no change.
    """

    until: float
    waiting: bool | None = None


class StatusDebounce:
    """Which state of a channel counts. Times are monotonic seconds; it holds channels that changed lately and no others."""

    def __init__(self, hold_s: float = HOLD_S) -> None:
        self._hold_s = hold_s
        self._held: OrderedDict[ChannelKey, _Held] = OrderedDict()  # all are held equally long: the first ends first

    def __len__(self) -> int:
        return len(self._held)

    def counts(self, key: ChannelKey, said: bool, *, current: bool, now: float) -> bool:
        """The state that the channel has now, when it was `current` and its device has said this."""
        held = self._held.get(key)
        if held is not None and now < held.until:
            held.waiting = None if said == current else said
            return current
        if said != current:
            self._hold(key, now)
        return said

    def answered(self, key: ChannelKey) -> None:
        """A catalogue answer said what counts: nothing waits any more."""
        if (held := self._held.get(key)) is not None:
            held.waiting = None

    def next_deadline(self) -> float | None:
        return next(iter(self._held.values())).until if self._held else None

    def expire(self, now: float) -> list[tuple[ChannelKey, bool]]:
        """States that waited and count from now on."""
        changed: list[tuple[ChannelKey, bool]] = []
        while self._held:
            key, held = next(iter(self._held.items()))
            if held.until > now:
                break
            del self._held[key]
            if held.waiting is not None:
                changed.append((key, held.waiting))
                self._hold(key, now)
        return changed

    def _hold(self, key: ChannelKey, now: float) -> None:
        self._held[key] = _Held(now + self._hold_s)
        self._held.move_to_end(key)
