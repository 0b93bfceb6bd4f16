"""Devices that register without end, and identifiers that two devices share (quirk Q18).

Both are answered, because a refusal would make them hurry; they are told to the operator instead, and cost the others nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from gb28181.ids import DeviceId

#: Registrations of one device in a minute that are more than any sound firmware makes.
STORM: Final = 6
WINDOW_S: Final = 60.0
#: Moves between addresses in ten minutes that are no change of network any more.
CONTEST: Final = 4
_CONTEST_S: Final = 600.0
_MOST: Final = 10_000


@dataclass(slots=True)
class _Window:
    since: float
    registrations: int = 0
    moves: list[tuple[float, str]] = field(default_factory=list)


class Churn:
    """Counts hasty registrations and moves by device. Times are monotonic seconds.

    Args:
        most: Devices that are watched; the one that was hasty longest ago is forgotten.
    """

    def __init__(self, *, most: int = _MOST) -> None:
        self._most = most
        self._windows: OrderedDict[DeviceId, _Window] = OrderedDict()

    def registered(self, device_id: DeviceId, now: float) -> bool:
        """Books a registration that follows another within `WINDOW_S`; whether it is one of a storm."""
        window = self._window(device_id, now)
        if now - window.since >= WINDOW_S:
            window.since, window.registrations = now, 0
        window.registrations += 1
        return window.registrations > STORM

    def moved(self, device_id: DeviceId, old: str, new: str, now: float) -> str:
        """Books a move; the addresses between which it goes to and fro, "" while it does not.

        Args:
            old, new: Hosts.
        """
        window = self._window(device_id, now)
        window.moves = [move for move in window.moves[-CONTEST:] if now - move[0] < _CONTEST_S]
        window.moves.append((now, new))
        hosts = {host for _, host in window.moves} | {old}
        back_and_forth = len(window.moves) >= CONTEST and len(hosts) < len(window.moves)
        return ", ".join(sorted(hosts)) if back_and_forth else ""

    def forget(self, device_id: DeviceId) -> None:
        self._windows.pop(device_id, None)

    def _window(self, device_id: DeviceId, now: float) -> _Window:
        window = self._windows.get(device_id)
        if window is None:
            window = self._windows[device_id] = _Window(now)
            if len(self._windows) > self._most:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(device_id)
        return window
