"""Which role may do what: one table, asked by the API for every request."""

from __future__ import annotations

from typing import Final, Literal

from gb28181.accounts.model import Caller, Role
from gb28181.errors import Denied
from gb28181.texts.text import say

Right = Literal["view", "watch", "operate", "administer"]
"""`view`: see devices, channels, states and the list of recordings. `watch`: open pictures and fetch recordings.
`operate`: what changes how devices are used: steering, recording, catalogue queries, sessions of others, refused registrations.
`administer`: make and remove devices and set their passwords."""

MAY: Final[dict[Role, frozenset[Right]]] = {
    "viewer": frozenset({"view", "watch"}),
    "operator": frozenset({"view", "watch", "operate"}),
    "admin": frozenset({"view", "watch", "operate", "administer"}),
}

#: Who has a higher one takes a camera from somebody with a lower one, who steers it.
PRIORITY: Final[dict[Role, int]] = {"viewer": 1, "operator": 5, "admin": 9}


def may(caller: Caller, right: Right) -> bool:
    return right in MAY[caller.role]


def demand(caller: Caller, right: Right) -> None:
    """Returns when the caller may.

    Raises:
        Denied: The caller is known but has not this right.
    """
    if not may(caller, right):
        roles = " or ".join(role for role in MAY if right in MAY[role])
        raise Denied(say("accounts.needs_role", username=caller.username, role=caller.role, roles=roles), authenticated=True)
