"""Devices that come, in the log: a line each, and in a storm a line a second that counts them."""

from __future__ import annotations

import logging
from typing import Final

from gb28181.ids import DeviceId

logger = logging.getLogger(__name__)

#: Lines a second; further devices are counted.
_LINES_PER_S: Final = 20


class Announcements:
    """Writes the log of devices that come online. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._since = float("-inf")
        self._lines = 0
        self._unsaid = 0

    def online(self, device_id: DeviceId, now: float, *, source: str, is_new: bool = False) -> None:
        """A device came online.

        Args:
            is_new: It was not known before.
        """
        if now - self._since >= 1:
            self.expire(now)
            self._since, self._lines = now, 0
        self._lines += 1
        if self._lines > _LINES_PER_S:
            self._unsaid += 1
            return
        logger.info("new device online" if is_new else "device online", extra={"device_id": device_id, "source": source})

    def expire(self, now: float) -> None:
        """Says how many were only counted."""
        if self._unsaid and now - self._since >= 1:
            logger.info("more devices online", extra={"count": self._unsaid})
            self._unsaid = 0
