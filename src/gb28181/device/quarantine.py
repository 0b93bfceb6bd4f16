"""Identifiers that want to register and are no device of ours: who, from where, how often, and why they were refused.

Only who has answered a challenge from its own address stands here, so that a flood of forged requests fills nothing; who has
proved the domain's password is the last to be forgotten. The list lasts as long as this process: who still wants in is back on
it a minute after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from gb28181.device.model import Stranger, StrangerReason
from gb28181.errors import NotFound
from gb28181.ids import DeviceId
from gb28181.texts.text import say

MOST: Final = 1000


class Quarantine:
    """Strangers by identifier.

    Args:
        most: Beyond it the one that was seen longest ago is forgotten, those without the password first.
    """

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        # Two tables in order of last sight: a guesser pushes out other guessers, nobody who knows the password.
        self._proved: dict[DeviceId, Stranger] = {}
        self._unproved: dict[DeviceId, Stranger] = {}

    def __len__(self) -> int:
        return len(self._proved) + len(self._unproved)

    def noticed(self, device_id: DeviceId, reason: StrangerReason, *, source: str, user_agent: str, at: datetime) -> bool:
        """Books one attempt; whether it is the first."""
        if reason != "unknown" and (proved := self._proved.get(device_id)) is not None:
            # Somebody else under its name, or a password that was changed: its proof stays.
            self._proved[device_id] = replace(proved, count=proved.count + 1, last_seen_at=at)
            return False
        known = self._proved.pop(device_id, None) or self._unproved.pop(device_id, None)
        table = self._proved if reason == "unknown" else self._unproved
        first, count = (known.first_seen_at, known.count) if known is not None else (at, 0)
        table[device_id] = Stranger(device_id, source, user_agent, reason, count + 1, first, at)
        if len(self) > self._most:
            crowd = self._unproved or self._proved
            del crowd[next(iter(crowd))]
        return known is None

    def get(self, device_id: str) -> Stranger:
        """Raises:
        NotFound: It is not there.
        """
        identifier = DeviceId(device_id)
        found = self._proved.get(identifier) or self._unproved.get(identifier)
        if found is None:
            raise NotFound(say("device.not_in_quarantine", device_id=device_id[:64]))
        return found

    def remove(self, device_id: str) -> None:
        self._proved.pop(DeviceId(device_id), None)
        self._unproved.pop(DeviceId(device_id), None)

    def newest_first(self) -> list[Stranger]:
        return sorted(self._all(), key=lambda found: found.last_seen_at, reverse=True)

    def _all(self) -> Iterable[Stranger]:
        yield from self._proved.values()
        yield from self._unproved.values()
