"""Registrations that were refused lately, for operators who ask why a camera does not appear (quirks Q20, Q21)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from gb28181.device.model import RegistrationRefused

_MAX_REFUSALS: Final = 200


class Refusals:
    """The last refused registrations, one per device and source host."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, str], RegistrationRefused] = OrderedDict()

    def add(self, refused: RegistrationRefused, host: str) -> None:
        self.clear(refused.device_id, host)
        self._found[refused.device_id, host] = refused
        if len(self._found) > _MAX_REFUSALS:
            self._found.popitem(last=False)

    def clear(self, device_id: str, host: str) -> None:
        """The device has registered from there after all."""
        self._found.pop((device_id, host), None)

    def newest_first(self) -> list[RegistrationRefused]:
        return list(reversed(self._found.values()))
