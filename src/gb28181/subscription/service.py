"""Subscriptions that refresh themselves (§9.11): catalogue, alarms, positions, PTZ position.

What is wanted comes from the configuration and from operators; what stands is stored with its dialog, so that a restart on
either side loses nothing: after ours the dialog goes on, after the device's a new one is made (quirk Q77). No more than
`subscription.per_s` requests a second leave, whoever comes back at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from gb28181.background import Background
from gb28181.bus import Bus
from gb28181.clock import Clock
from gb28181.config import SubscriptionSettings
from gb28181.device.model import DeviceOffline, DeviceOnline, DeviceRegistered
from gb28181.errors import Conflict, Invalid, WireError
from gb28181.ids import DeviceId, device_id
from gb28181.ports import Devices, Signalling, SipRequest, SubscriptionStore
from gb28181.router import Notice
from gb28181.sip.subscription import parse_state
from gb28181.subscription.asking import Asking
from gb28181.subscription.model import Subscription, SubscriptionKey, SubscriptionView, Topic, Wish
from gb28181.subscription.notices import topic_of
from gb28181.subscription.queries import check_edition
from gb28181.subscription.registry import Entry, Registry
from gb28181.subscription.renewal import pause_after, renewal_after
from gb28181.subscription.schedule import Schedule
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

_TICK_S: Final = 0.2
#: A device that has just come is busy with its registration and its catalogue.
_SOON_S: Final = (0.3, 1.5)
#: A refusal is not asked about again sooner, however often the device registers.
_REFUSED_REST_S: Final = 600.0
#: A subscription that its device ends sooner than so is made again after a pause only.
_SHORT_LIFE_S: Final = 60.0
_MOST_TARGETS: Final = 200
_EXPIRES_S: Final = range(30, 86_401)
_INTERVAL_S: Final = range(1, 3601)
#: Reasons of a NOTIFY that ends a subscription for good (RFC 6665 §4.1.3).
_FOR_GOOD: Final = frozenset({"rejected", "noresource", "invariant"})


class SubscriptionService:
    """All subscriptions of ours. `async with` runs its timer and its requests.

    Args:
        chance: 0 to 1, anew at each call.
        may_ask: Whether one more request that nobody waits for may leave now (`pace.py`).
    """

    def __init__(
        self,
        settings: SubscriptionSettings,
        *,
        signalling: Signalling,
        devices: Devices,
        store: SubscriptionStore,
        bus: Bus,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        may_ask: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._devices = devices
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._chance = chance
        self._may_ask = may_ask
        self._urgent: dict[SubscriptionKey, None] = {}
        self._retry_s = settings.retry_hours * 3600
        self._counters: Counter[str] = Counter()
        self._registry = Registry(settings, store=store, bus=bus, clock=clock)
        self._schedule = Schedule()
        self._requests = Asking(
            self._registry,
            self._schedule,
            signalling=signalling,
            devices=devices,
            clock=clock,
            monotonic=monotonic,
            chance=chance,
            counters=self._counters,
            retry_s=self._retry_s,
        )
        self._asked: Counter[DeviceId] = Counter()
        self._allowance = 0.0
        self._ticked_at = monotonic()
        self._background = Background()
        bus.subscribe(DeviceOnline, self._device_online)
        bus.subscribe(DeviceRegistered, self._device_registered)
        bus.subscribe(DeviceOffline, self._device_offline)

    # --- life ------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Restores wishes and dialogs; a subscription goes on when its device is heard (`DeviceOnline`)."""
        for subscription in await self._store.load_subscriptions():
            self._registry.put(subscription)

    async def __aenter__(self) -> SubscriptionService:
        await self._background.__aenter__()
        self._background.spawn(self._run_timer, "subscription timer", forever=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._background.__aexit__(*error)

    # --- what others ask -------------------------------------------------------------------------------------------

    def subscriptions(self, device_id: str) -> list[SubscriptionView]:
        """Every topic of a device, and what is subscribed to of its channels.

        Raises:
            NotFound: No such device.
        """
        identifier = self._devices.get(DeviceId(device_id)).device_id
        keys = {SubscriptionKey(identifier, topic) for topic in Topic}
        keys.update(entry.key for entry in self._registry.of_device(identifier))
        return [self._view(key) for key in sorted(keys, key=lambda key: (key.target, list(Topic).index(key.topic)))]

    def owners(self, request: SipRequest) -> list[DeviceId]:
        """The device that a request in one of our dialogs comes from: its From may be a channel (quirk Q32)."""
        entry = self._registry.of_call(request.call_id)
        return [entry.key.device_id] if entry is not None else []

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return {**self._counters, "background_failures": self._background.failures}

    def gauges(self) -> dict[str, int]:
        """Subscriptions by state, and requests under way."""
        states = self._registry.states()
        return {**{state: states[state] for state in ("active", "waiting", "refused", "failing")}, "asking": self._under_way}

    @property
    def _under_way(self) -> int:
        return self._asked.total()

    # --- what operators change -------------------------------------------------------------------------------------

    def change(self, device_id: str, topic: Topic, wish: Wish, *, target: str = "") -> SubscriptionView:
        """Sets what is wanted of one subscription; it is asked for, renewed or ended at once.

        Args:
            target: A channel; "" for the device itself.

        Raises:
            NotFound: No such device.
            Invalid: A time out of range, or a target that is no identifier.
            NotInEdition: The device speaks an edition that does not have it.
            Conflict: Too many channels of this device are subscribed to one by one.
        """
        device = self._devices.get(DeviceId(device_id))
        key = SubscriptionKey(device.device_id, topic, _target(target, device.device_id))
        _check(wish)
        if wish.enabled:
            check_edition(topic, self._devices.profile(device.device_id).edition)
        entry = self._registry.find(key)
        if entry is None:
            if len(self._registry.of_device(key.device_id)) >= _MOST_TARGETS:
                raise Conflict(say("alarm.targets_full", most=_MOST_TARGETS, device_id=device_id))
            entry = self._registry.put(Subscription(key))
        self._registry.change(entry, wish=wish, failures=0)
        self._consider(entry, 0.0, again=True)
        self._urgent[key] = None
        return self._view(key)

    # --- what arrives ----------------------------------------------------------------------------------------------

    def notified(self, request: SipRequest, device_id: DeviceId, command: object | None) -> Notice:
        """What a NOTIFY belongs to, and how it is answered. What it says is taken over in any case.

        One in a dialog that we do not know is answered 481, so that the device drops it (RFC 6665 §4.4.1); the content
        counts all the same, because no alarm may be lost for a forgotten dialog.
        """
        entry = self._registry.of_call(request.call_id)
        state = parse_state(request.headers.get("subscription-state", ""))
        if entry is None or entry.key.device_id != device_id:
            is_stale = not state.is_terminated and self._is_stale(request, device_id, command)
            self._counters["stale_notifies"] += is_stale
            return Notice(481 if is_stale else 200)
        entry.notified += 1
        entry.notified_at = self._clock.utc()
        self._counters["notifies"] += 1
        if state.is_terminated:
            self._ended_by_device(entry, state.reason, state.retry_after_s)
        elif state.expires_s is not None:
            self._heard_time_left(entry, state.expires_s)
        return Notice(200, DeviceId(entry.key.target) if entry.key.target else None)

    def _is_stale(self, request: SipRequest, device_id: DeviceId, command: object | None) -> bool:
        topic = topic_of(command)
        if command is not None and topic is None:
            return False  # a keepalive or whatever else, in a NOTIFY: its sender is told nothing that frightens it
        if self._asked[device_id]:
            return False  # the first NOTIFY may overtake the answer to SUBSCRIBE (RFC 6665 §4.1.2.4)
        if request.to_tag:
            return True
        # In no dialog at all: from a device that ought to be in one it is a mere fault (quirk Q29).
        return not any(
            entry.subscription.dialog is not None and topic in (None, entry.key.topic)
            for entry in self._registry.of_device(device_id)
        )

    def _ended_by_device(self, entry: Entry, reason: str, retry_after_s: int) -> None:
        self._counters["ended_by_device"] += 1
        now = self._monotonic()
        said = say("device.subscription_ended_because" if reason else "device.subscription_ended", reason=reason)
        if entry.is_busy:
            entry.is_fresh = entry.is_dirty = True
        elif not self._registry.wanted(entry.subscription).enabled:
            self._schedule.cancel(entry.key)
            self._registry.change(entry, dialog=None, expires_at=None, state="off", status=0, reason="")
        elif reason in _FOR_GOOD:
            self._requests.refused(entry, 0, said)
        else:
            short = now - entry.granted_at < _SHORT_LIFE_S
            pause = pause_after(1, self._chance(), wished_s=retry_after_s) if short else max(1.0, retry_after_s)
            self._registry.change(entry, dialog=None, expires_at=None, state="failing", status=0, reason=said)
            self._schedule.plan(entry.key, now + pause)

    def _heard_time_left(self, entry: Entry, left_s: int) -> None:
        """Where the device counts less than we do, it is renewed before the device drops it (RFC 6665 §4.1.2.2)."""
        planned, now = self._schedule.at(entry.key), self._monotonic()
        if planned is not None and planned > now + left_s * 0.9:
            self._schedule.plan(entry.key, now + renewal_after(left_s, self._chance()), is_renewal=True)

    # --- devices come and go ---------------------------------------------------------------------------------------

    def _device_online(self, event: DeviceOnline) -> None:
        for topic, enabled in self._registry.defaults.items():
            key = SubscriptionKey(event.device_id, topic)
            if enabled and self._registry.find(key) is None:
                self._registry.put(Subscription(key))
        for entry in self._registry.of_device(event.device_id):
            self._consider(entry, self._soon())

    def _device_registered(self, event: DeviceRegistered) -> None:
        registration = self._devices.get(event.device_id).registration
        call_id = registration.call_id if registration is not None else ""
        for entry in self._registry.of_device(event.device_id):
            subscription = entry.subscription
            if event.is_new:
                # From offline, or from another address: it may have been switched off, and knows no dialog any more.
                entry.is_fresh = True
                rested = self._monotonic() - entry.tried_at >= _REFUSED_REST_S
                self._consider(entry, self._soon(), again=subscription.state != "refused" or rested)
            elif subscription.state == "active" and call_id != subscription.registration:
                self._consider(entry, self._soon(), again=True)  # it may have been restarted before anybody missed it

    def _device_offline(self, event: DeviceOffline) -> None:
        for entry in self._registry.of_device(event.device_id):
            self._schedule.cancel(entry.key)
        if event.cause != "deleted":
            return
        for entry in self._registry.forget_device(event.device_id):
            if (dialog := entry.subscription.dialog) is not None:
                self._background.start(self._requests.end(entry.subscription, dialog.route), "subscription end")

    # --- when ------------------------------------------------------------------------------------------------------

    def _consider(self, entry: Entry, delay_s: float, *, again: bool = False) -> None:
        """Plans what this subscription needs, if anything.

        Args:
            again: What stands or was refused is asked for once more.
        """
        if entry.is_busy:
            entry.is_dirty = True
            return
        subscription, now = entry.subscription, self._monotonic()
        if not self._registry.wanted(subscription).enabled:
            if subscription.dialog is not None:
                self._schedule.plan(entry.key, now)
                return
            self._schedule.cancel(entry.key)
            self._registry.change(entry, state="off", status=0, reason="")
            return
        if subscription.state == "off":
            self._registry.change(entry, state="waiting")
        rest_s = 0.0 if again else self._rest_s(subscription)
        self._schedule.plan(entry.key, now + max(delay_s, rest_s), is_renewal=subscription.dialog is not None)

    def _rest_s(self, subscription: Subscription) -> float:
        """How long what stands needs nothing."""
        utc = self._clock.utc()
        if subscription.state == "refused" and subscription.changed_at is not None:
            return (subscription.changed_at - utc).total_seconds() + self._retry_s
        if subscription.dialog is not None and subscription.expires_at is not None:
            return renewal_after(max(0.0, (subscription.expires_at - utc).total_seconds()), self._chance())
        return 0.0

    def _soon(self) -> float:
        low, high = _SOON_S
        return low + (high - low) * self._chance()

    def expire(self) -> None:
        """Begins what is due, as many requests as may leave now."""
        now, per_s = self._monotonic(), self._settings.per_s
        self._allowance = min(self._allowance + (now - self._ticked_at) * per_s, max(1.0, per_s))
        self._ticked_at = now
        limit = max(0, min(int(self._allowance), self._settings.parallel - self._under_way))
        for key in list(self._urgent)[:limit]:
            limit -= 1
            del self._urgent[key]
            if (at := self._schedule.at(key)) is not None and at <= now:
                self._schedule.cancel(key)
                self._begin(key)
        for key in self._schedule.due(now, limit=limit, renewals=True):
            limit -= 1
            self._begin(key)
        while limit > 0 and self._schedule.is_due(now) and self._may_ask():
            limit -= 1
            for key in self._schedule.due(now, limit=1):
                self._begin(key)

    def _begin(self, key: SubscriptionKey) -> None:
        entry = self._registry.find(key)
        if entry is not None and not entry.is_busy:
            self._allowance -= 1.0
            entry.is_busy = True
            self._asked[key.device_id] += 1
            self._background.start(self._run(entry), "subscription request")

    async def _run_timer(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.expire()

    async def _run(self, entry: Entry) -> None:
        device_id = entry.key.device_id
        entry.tried_at = self._monotonic()
        try:
            await self._requests.step(entry)
        finally:
            entry.is_busy = False
            self._asked[device_id] -= 1
            if not self._asked[device_id]:
                del self._asked[device_id]
        if entry.is_dirty and self._registry.has(entry):
            entry.is_dirty = False
            self._consider(entry, self._soon(), again=True)

    def _view(self, key: SubscriptionKey) -> SubscriptionView:
        entry = self._registry.find(key) or Entry(Subscription(key))
        subscription, wanted = entry.subscription, self._registry.wanted(entry.subscription)
        if not wanted.enabled and subscription.dialog is None:
            subscription = replace(subscription, state="off")
        at = self._schedule.at(key)
        return SubscriptionView(
            subscription=subscription,
            enabled=wanted.enabled,
            expires_s=wanted.expires_s,
            interval_s=wanted.interval_s,
            next_at=None if at is None else self._clock.utc() + timedelta(seconds=at - self._monotonic()),
            notified=entry.notified,
            notified_at=entry.notified_at,
        )


def _target(text: str, device: DeviceId) -> str:
    if not text or text == device:
        return ""
    try:
        return device_id(text)
    except WireError as error:
        raise Invalid(error.reason) from None


def _check(wish: Wish) -> None:
    for name, value, allowed in (("expires_s", wish.expires_s, _EXPIRES_S), ("interval_s", wish.interval_s, _INTERVAL_S)):
        if value is not None and value not in allowed:
            raise Invalid(say("alarm.subscription_value", name=name, value=value, least=allowed.start, most=allowed.stop - 1))
