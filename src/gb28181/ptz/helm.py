"""Who steers which camera, and which movements have to end. Sans-IO.

A movement is a lease: whoever wants it to go on says so again before it ends. Steering holds a camera for its user for a few
seconds more, and a lock for longer; somebody with a higher priority takes it all the same, an equal one waits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from gb28181.catalog.model import ChannelKey
from gb28181.errors import Unavailable
from gb28181.ptz.model import Holder, Motion
from gb28181.texts.text import say

#: Cameras that are steered, or were a few seconds ago, or are locked.
_MOST: Final = 10_000

Change = Literal["started", "changed", "renewed"]


class Taken(Exception):
    """Somebody else holds the camera, and has priority."""

    def __init__(self, hold: Hold) -> None:
        super().__init__(hold.holder.user)
        self.hold = hold


@dataclass(frozen=True, slots=True)
class Hold:
    """Args:
    until: Monotonic seconds.
    locked: Asked for, not only because the camera was steered.
    """

    holder: Holder
    until: float
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement under way; `until` is the end of its lease in monotonic seconds."""

    motion: Motion
    holder: Holder
    until: float


@dataclass(slots=True)
class _Seat:
    hold: Hold | None = None
    movement: Movement | None = None


class Helm:
    """All cameras that somebody steers. Times are monotonic seconds.

    Args:
        hold_s: How long a camera stays with who steered it last.
    """

    def __init__(self, *, hold_s: float) -> None:
        self._hold_s = hold_s
        self._seats: dict[ChannelKey, _Seat] = {}

    def __len__(self) -> int:
        return len(self._seats)

    def hold(self, key: ChannelKey, now: float) -> Hold | None:
        """Who holds the camera."""
        seat = self._seats.get(key)
        return seat.hold if seat is not None and seat.hold is not None and seat.hold.until > now else None

    def movement(self, key: ChannelKey) -> Movement | None:
        seat = self._seats.get(key)
        return seat.movement if seat is not None else None

    # --- holding ---------------------------------------------------------------------------------------------------

    def take(self, key: ChannelKey, holder: Holder, now: float, *, for_s: float = 0.0) -> Hold:
        """Holds a camera that is to be steered, for `for_s` and a few seconds more.

        Raises:
            Taken: Somebody else does, whose priority is as high.
            Unavailable: Too many cameras are held.
        """
        mine = self._mine(key, holder, now)
        until = now + for_s + self._hold_s
        if mine is not None:
            hold = Hold(holder, max(until, mine.until) if mine.locked else until, mine.locked)
        else:
            hold = Hold(holder, until)
        self._seat(key).hold = hold
        return hold

    def lock(self, key: ChannelKey, holder: Holder, now: float, *, lock_s: float) -> Hold:
        """Holds a camera for so long, whether it is steered or not; again, to hold it for longer.

        Raises:
            Taken, Unavailable: As for `take`.
        """
        self._mine(key, holder, now)
        hold = self._seat(key).hold = Hold(holder, now + lock_s, True)
        return hold

    def unlock(self, key: ChannelKey, holder: Holder, now: float) -> None:
        """Frees a camera, of somebody with a lower priority too; one that moves stays with who moves it.

        Raises:
            Taken: It is held by somebody else, whose priority is as high.
        """
        self._mine(key, holder, now)
        seat = self._seats.get(key)
        if seat is None:
            return
        moving = seat.movement
        seat.hold = None if moving is None else Hold(moving.holder, moving.until + self._hold_s)
        self._tidy(key)

    def _mine(self, key: ChannelKey, holder: Holder, now: float) -> Hold | None:
        """The hold of this user; None when nobody holds it or somebody of lower priority."""
        hold = self.hold(key, now)
        if hold is None or hold.holder.user == holder.user:
            return hold
        if hold.holder.priority >= holder.priority:
            raise Taken(hold)
        return None

    # --- moving ----------------------------------------------------------------------------------------------------

    def move(self, key: ChannelKey, holder: Holder, motion: Motion, now: float, *, lease_s: float) -> Change:
        """A movement begins, changes, or goes on for another lease.

        Raises:
            Taken, Unavailable: As for `take`.
        """
        self.take(key, holder, now, for_s=lease_s)
        seat = self._seat(key)
        before, seat.movement = seat.movement, Movement(motion, holder, now + lease_s)
        if before is None or before.holder.user != holder.user:
            return "started"
        same = (before.motion.move, before.motion.lens) == (motion.move, motion.lens)
        return "renewed" if same else "changed"

    def end(self, key: ChannelKey, now: float) -> Movement | None:
        """The movement that is under way is so no more; its user keeps the camera for a few seconds."""
        seat = self._seats.get(key)
        if seat is None or seat.movement is None:
            return None
        ended, seat.movement = seat.movement, None
        if seat.hold is not None and not seat.hold.locked:
            seat.hold = replace(seat.hold, until=now + self._hold_s)
        return ended

    def gone(self, session: str) -> list[ChannelKey]:
        """Cameras that move because of a login that is no more; "" is none."""
        if not session:
            return []
        return [
            key for key, seat in self._seats.items() if seat.movement is not None and seat.movement.holder.session == session
        ]

    # --- time ------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When a movement has to end, or a camera is free."""
        ends = [part.until for seat in self._seats.values() for part in (seat.movement, seat.hold) if part is not None]
        return min(ends, default=None)

    def expire(self, now: float) -> list[ChannelKey]:
        """Cameras whose movement nobody wants any more; each is told once. What is held no more is forgotten."""
        expired = [key for key, seat in self._seats.items() if seat.movement is not None and seat.movement.until <= now]
        for key in expired:
            self.end(key, now)
        for key, seat in list(self._seats.items()):
            if seat.movement is None and (seat.hold is None or seat.hold.until <= now):
                del self._seats[key]
        return expired

    def _seat(self, key: ChannelKey) -> _Seat:
        if key not in self._seats and len(self._seats) >= _MOST:
            raise Unavailable(say("ptz.helm_full", most=_MOST))
        return self._seats.setdefault(key, _Seat())

    def _tidy(self, key: ChannelKey) -> None:
        seat = self._seats[key]
        if seat.hold is None and seat.movement is None:
            del self._seats[key]
