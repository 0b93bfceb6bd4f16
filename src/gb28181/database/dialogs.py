"""Dialogs as JSON, of streams and of subscriptions."""

from __future__ import annotations

from typing import Any

from gb28181.database.devices import route_in
from gb28181.session.model import Dialog


def dialog_in(data: dict[str, Any]) -> Dialog:
    """The dialog of `dataclasses.asdict`."""
    return Dialog(**data | {"route_set": tuple(data["route_set"]), "route": route_in(data["route"])})
