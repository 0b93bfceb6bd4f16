"""Catalogue notifications that arrive while the same catalogue is being asked for (W13).

A notification counts at once, and once more when the answer has ended: parts that were on their way were written before it,
and would undo it.
"""

from __future__ import annotations

from typing import Final

from gb28181.ids import DeviceId
from gb28181.manscdp.commands.catalog import CatalogItem

#: Items of one device that wait for the end of an answer; a device that says more is asked again instead.
MAX_ITEMS: Final = 20_000


class Notices:
    """Notified items in their order, by device; at most as many devices as are being asked."""

    def __init__(self, max_items: int = MAX_ITEMS) -> None:
        self._max_items = max_items
        self._waiting: dict[DeviceId, list[CatalogItem] | None] = {}

    def keep(self, device_id: DeviceId, items: tuple[CatalogItem, ...]) -> None:
        waiting = self._waiting.setdefault(device_id, [])
        if waiting is None:
            return
        waiting += items
        if len(waiting) > self._max_items:
            self._waiting[device_id] = None

    def take(self, device_id: DeviceId) -> list[CatalogItem] | None:
        """What waited, to be applied again; None when it was too much, so that only another query helps."""
        return self._waiting.pop(device_id, [])
