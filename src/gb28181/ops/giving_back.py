"""Memory that was freed goes back to the system from time to time, in processes with an event loop. An ingest has none."""

from __future__ import annotations

from gb28181.ops.memory import give_back
from gb28181.ops.repeating import Repeating


def gives_back(every_s: float = 30.0) -> Repeating:
    """Does so while it is entered."""
    return Repeating(every_s, lambda _: give_back())
