"""How an order goes on: one table for each kind, from what is heard of the device to its next state (§9.13, §9.14).

A pair that is absent is ignored: reports are repeated, and come late or out of turn.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from gb28181.command.model import ENDED, Detail, Kind, Order, State


class Event(StrEnum):
    """What is heard of an order."""

    ACCEPTED = "accepted"  # Result OK, or the 200 of a command that has no Response
    REFUSED = "refused"
    LOST = "lost"  # the device went offline
    BACK = "back"  # it registered anew
    MOVED = "moved"  # a part of the file went over, a picture came, a percentage rose
    ALL = "all"  # all of the file, all pictures, all cards
    SUCCEEDED = "succeeded"  # the device says so
    PARTLY = "partly"
    FAILED = "failed"
    EXPIRED = "expired"


Transitions = Mapping[tuple[State, Event], State]

_O, _A = State.ORDERED, State.ACCEPTED


def _from_each(states: tuple[State, ...], event: Event, following: State) -> dict[tuple[State, Event], State]:
    return {(state, event): following for state in states}


_REBOOT_OPEN: Final = (_O, _A, State.RESTARTING)
#: TeleBoot has no Response; some firmware answers the MESSAGE, some is gone before it can (quirk Q56).
REBOOT: Final[Transitions] = {
    (_O, Event.ACCEPTED): _A,
    (_O, Event.REFUSED): State.REFUSED,
    **_from_each((_O, _A), Event.LOST, State.RESTARTING),
    **_from_each(_REBOOT_OPEN, Event.BACK, State.DONE),
    **_from_each(_REBOOT_OPEN, Event.FAILED, State.FAILED),
    **_from_each(_REBOOT_OPEN, Event.EXPIRED, State.TIMED_OUT),
    (State.TIMED_OUT, Event.BACK): State.DONE,
}

_FORMAT_OPEN: Final = (_O, _A, State.FORMATTING)
FORMAT: Final[Transitions] = {
    (_O, Event.ACCEPTED): _A,
    (_O, Event.REFUSED): State.REFUSED,
    **_from_each(_FORMAT_OPEN, Event.MOVED, State.FORMATTING),
    **_from_each(_FORMAT_OPEN, Event.ALL, State.DONE),
    **_from_each(_FORMAT_OPEN, Event.FAILED, State.FAILED),
    **_from_each(_FORMAT_OPEN, Event.EXPIRED, State.TIMED_OUT),
}

_FETCHING: Final = (_O, _A, State.DOWNLOADING)
_UPGRADE_OPEN: Final = (*_FETCHING, State.DOWNLOADED, State.RESTARTING, State.RESTARTED)
#: The result may overtake anything, and a device may restart before, during or after its download.
UPGRADE: Final[Transitions] = {
    (_O, Event.ACCEPTED): _A,
    (_O, Event.REFUSED): State.REFUSED,
    **_from_each((*_FETCHING, State.RESTARTING, State.RESTARTED), Event.MOVED, State.DOWNLOADING),
    **_from_each((*_FETCHING, State.RESTARTING, State.RESTARTED), Event.ALL, State.DOWNLOADED),
    **_from_each((_A, State.DOWNLOADING, State.DOWNLOADED), Event.LOST, State.RESTARTING),
    **_from_each((_A, State.DOWNLOADING, State.DOWNLOADED, State.RESTARTING), Event.BACK, State.RESTARTED),
    **_from_each(_UPGRADE_OPEN, Event.SUCCEEDED, State.DONE),
    **_from_each(_UPGRADE_OPEN, Event.FAILED, State.FAILED),
    **_from_each(_UPGRADE_OPEN, Event.EXPIRED, State.TIMED_OUT),
    (State.TIMED_OUT, Event.SUCCEEDED): State.DONE,
    (State.TIMED_OUT, Event.FAILED): State.FAILED,
}

_SNAPSHOT_OPEN: Final = (_O, _A, State.UPLOADING)
SNAPSHOT: Final[Transitions] = {
    (_O, Event.ACCEPTED): _A,
    (_O, Event.REFUSED): State.REFUSED,
    **_from_each(_SNAPSHOT_OPEN, Event.MOVED, State.UPLOADING),
    **_from_each(_SNAPSHOT_OPEN, Event.ALL, State.DONE),
    **_from_each(_SNAPSHOT_OPEN, Event.PARTLY, State.PARTIAL),
    **_from_each(_SNAPSHOT_OPEN, Event.FAILED, State.FAILED),
    # A picture may be on its way while the device says, or we think, that none will come.
    (State.PARTIAL, Event.ALL): State.DONE,
    (State.FAILED, Event.ALL): State.DONE,
    (State.FAILED, Event.PARTLY): State.PARTIAL,
}

TABLES: Final[Mapping[Kind, Transitions]] = {
    "reboot": REBOOT,
    "format": FORMAT,
    "upgrade": UPGRADE,
    "snapshot": SNAPSHOT,
}


def advance(
    order: Order, event: Event, now: datetime, *, detail: Detail | None = None, message: str | None = None
) -> Order | None:
    """The order after an event; None where nothing changed.

    Args:
        detail: What is known by now; kept in every state.
        message: Replaces the old one when the state changes.
    """
    state = TABLES[order.kind].get((order.state, event), order.state)
    changed = dataclasses.replace(order, state=state, detail=detail or order.detail)
    if state != order.state:
        ended_at = now if state in ENDED else None
        changed = dataclasses.replace(changed, ended_at=ended_at, message=message or "")
    return changed if changed != order else None
