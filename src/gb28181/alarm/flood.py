"""How many alarms of one device are kept: a burst at once, then a steady rate. Times are monotonic seconds."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gb28181.ids import DeviceId

_DEVICES: Final = 100_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    dropped: int = 0


class FloodGate:
    """Counts per device.

    Args:
        per_s: Alarms of one device that are kept in a second on end.
        burst: Alarms of one device that are kept at once.
    """

    def __init__(self, *, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._buckets: OrderedDict[DeviceId, _Bucket] = OrderedDict()

    def take(self, device_id: DeviceId, now: float) -> bool:
        """Whether one more alarm of this device is kept."""
        bucket = self._buckets.get(device_id)
        if bucket is None:
            if len(self._buckets) >= _DEVICES:
                self._buckets.popitem(last=False)  # the one silent for longest
            bucket = self._buckets[device_id] = _Bucket(self._burst, now)
        self._buckets.move_to_end(device_id)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._per_s)
        bucket.at = now
        if bucket.left < 1.0:
            bucket.dropped += 1
            return False
        bucket.left -= 1.0
        return True

    def dropped(self, device_id: DeviceId) -> int:
        """Alarms of a device that were not kept since the start."""
        bucket = self._buckets.get(device_id)
        return bucket.dropped if bucket is not None else 0

    def floods(self) -> dict[DeviceId, int]:
        """Every device of which alarms were dropped, and how many."""
        return {device_id: bucket.dropped for device_id, bucket in self._buckets.items() if bucket.dropped}

    def forget(self, device_id: DeviceId) -> None:
        self._buckets.pop(device_id, None)
