"""Which subscriptions there are: by key, by device and by the Call-ID of their dialogs; every change is stored and told."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from gb28181.bus import Bus
from gb28181.clock import Clock
from gb28181.config import SubscriptionSettings
from gb28181.ids import DeviceId
from gb28181.ports import SubscriptionStore
from gb28181.subscription.model import Subscription, SubscriptionChanged, SubscriptionKey, Topic

logger = logging.getLogger(__name__)

#: Reasons that are kept once; beyond it they are gathered anew.
_MAX_REASONS: Final = 1024


@dataclass(slots=True, eq=False)
class Entry:
    """One subscription and what is not stored of it.

    Args:
        is_busy: A request of ours is under way. `is_dirty`: what is wanted has changed meanwhile.
        is_fresh: The device may have forgotten the dialog: a new one is made.
        tried_at, granted_at: Monotonic time of the last request and of the last success; 0 for never.
        notified: NOTIFYs since our start.
    """

    subscription: Subscription
    is_busy: bool = False
    is_dirty: bool = False
    is_fresh: bool = False
    tried_at: float = 0.0
    granted_at: float = 0.0
    notified: int = 0
    notified_at: datetime | None = None

    @property
    def key(self) -> SubscriptionKey:
        return self.subscription.key


@dataclass(frozen=True, slots=True)
class Wanted:
    """What holds for a subscription now."""

    enabled: bool
    expires_s: int
    interval_s: int


class Registry:
    """All subscriptions of ours."""

    def __init__(self, settings: SubscriptionSettings, *, store: SubscriptionStore, bus: Bus, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._bus = bus
        self._clock = clock
        self.defaults = {
            Topic.CATALOG: settings.catalog,
            Topic.ALARM: settings.alarm,
            Topic.MOBILE_POSITION: settings.mobile_position,
            Topic.PTZ_POSITION: settings.ptz_position,
        }
        self._by_device: dict[DeviceId, list[Entry]] = {}
        self._by_call: dict[str, Entry] = {}
        self._reasons: dict[str, str] = {}

    def find(self, key: SubscriptionKey) -> Entry | None:
        return next((entry for entry in self._by_device.get(key.device_id, ()) if entry.key == key), None)

    def of_device(self, device_id: DeviceId) -> list[Entry]:
        return list(self._by_device.get(device_id, ()))

    def of_call(self, call_id: str) -> Entry | None:
        return self._by_call.get(call_id)

    def has(self, entry: Entry) -> bool:
        """Whether it is still there: its device may have been removed while it was asked."""
        return any(known is entry for known in self._by_device.get(entry.key.device_id, ()))

    def states(self) -> Counter[str]:
        return Counter(entry.subscription.state for entries in self._by_device.values() for entry in entries)

    def wanted(self, subscription: Subscription) -> Wanted:
        """The operator's wish, else the configuration; of a channel only a wish."""
        wish, key = subscription.wish, subscription.key
        default = self.defaults[key.topic] and not key.target
        return Wanted(
            enabled=default if wish.enabled is None else wish.enabled,
            expires_s=wish.expires_s or self._settings.expires_s,
            interval_s=wish.interval_s or self._settings.position_interval_s,
        )

    def put(self, subscription: Subscription) -> Entry:
        entry = Entry(subscription)
        self._by_device.setdefault(entry.key.device_id, []).append(entry)
        if subscription.dialog is not None:
            self._by_call[subscription.dialog.call_id] = entry
        return entry

    def forget_device(self, device_id: DeviceId) -> list[Entry]:
        """Takes out what there is of a device that was removed; the store removes its rows with it."""
        gone = self._by_device.pop(device_id, [])
        for entry in gone:
            if entry.subscription.dialog is not None:
                self._by_call.pop(entry.subscription.dialog.call_id, None)
        return gone

    def change(self, entry: Entry, **changes: Any) -> None:
        """Replaces fields of a subscription; one whose device is gone is left alone."""
        if not self.has(entry):
            return
        before = entry.subscription
        if "reason" in changes:
            changes["reason"] = self._once(changes["reason"])
        after = replace(before, **changes)
        if before.dialog is not None and after.dialog is not before.dialog:
            self._by_call.pop(before.dialog.call_id, None)
        if after.dialog is not None:
            self._by_call[after.dialog.call_id] = entry
        if (after.state, after.status, after.reason) != (before.state, before.status, before.reason):
            after = replace(after, changed_at=self._clock.utc())
            self._tell(after)
        entry.subscription = after
        if after != before:
            self._store.save_subscription(after)

    def _tell(self, subscription: Subscription) -> None:
        key, state = subscription.key, subscription.state
        # What the configuration wishes of each device is two lines a device; what an operator wishes is said.
        logger.log(
            logging.DEBUG if subscription.wish.enabled is None else logging.INFO,
            "subscription %s",
            state,
            extra={"device_id": key.device_id, "topic": key.topic, "target": key.target, "reason": subscription.reason},
        )
        self._bus.publish(
            SubscriptionChanged(key.device_id, key.topic, key.target, state, subscription.status, subscription.reason)
        )

    def _once(self, reason: str) -> str:
        """One object for what ten thousand devices refuse with."""
        if len(self._reasons) >= _MAX_REASONS:
            self._reasons.clear()
        return self._reasons.setdefault(reason, reason)
