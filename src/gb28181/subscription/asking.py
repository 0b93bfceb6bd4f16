"""One request of a subscription: SUBSCRIBE anew, in its dialog, or for its end, and what the answer means.

A device that has forgotten the dialog (481), does not answer in it (408) or answers what makes no sense in one is asked anew
at once, in a new dialog (quirk Q77). One that cannot subscribe at all is remembered with its status.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from gb28181.clock import Clock
from gb28181.device.model import Route
from gb28181.errors import NotFound, NotInEdition, PeerTimeout, SubscriptionRefused, Unreachable
from gb28181.ports import Devices, Signalling, Subscribed
from gb28181.session.model import Dialog
from gb28181.subscription.model import Subscription, SubscriptionKey
from gb28181.subscription.queries import body_of, check_edition, event_of, other_event
from gb28181.subscription.registry import Entry, Registry, Wanted
from gb28181.subscription.renewal import is_dialog_lost, is_passing, pause_after, renewal_after
from gb28181.subscription.schedule import Schedule

logger = logging.getLogger(__name__)

#: The device does not know this Event (RFC 6665 §8.3.2).
_BAD_EVENT: Final = 489


class Asking:
    """Carries out what is due of one subscription, and plans what comes next.

    Args:
        retry_s: Until a refusal is asked about again.
        counters: Of the subscription service.
        chance: 0 to 1, anew at each call.
    """

    def __init__(
        self,
        registry: Registry,
        schedule: Schedule,
        *,
        signalling: Signalling,
        devices: Devices,
        clock: Clock,
        monotonic: Callable[[], float],
        chance: Callable[[], float],
        counters: Counter[str],
        retry_s: float,
    ) -> None:
        self._registry = registry
        self._schedule = schedule
        self._signalling = signalling
        self._devices = devices
        self._clock = clock
        self._monotonic = monotonic
        self._chance = chance
        self._counters = counters
        self._retry_s = retry_s

    async def step(self, entry: Entry) -> None:
        """Asks, renews or ends, as is wanted now."""
        wanted = self._registry.wanted(entry.subscription)
        route = self._route(entry)
        if not wanted.enabled:
            if route is not None:
                await self.end(entry.subscription, route)
            self._registry.change(entry, dialog=None, expires_at=None, state="off", status=0, reason="", failures=0)
        elif route is not None:
            await self._ask(entry, wanted, route)
        # Without a way nothing is planned: `DeviceOnline` comes when there is one again.

    async def end(self, subscription: Subscription, route: Route) -> None:
        """SUBSCRIBE with Expires 0, once; a device that does not hear it drops the subscription when its time is over."""
        if subscription.dialog is None:
            return
        self._counters["ends"] += 1
        key = subscription.key
        body = body_of(key, self._devices.next_sn(), self._devices.profile(key.device_id).charset)
        try:
            await self._signalling.resubscribe(
                subscription.dialog, event=subscription.event, body=body, expires_s=0, route=route
            )
        except (SubscriptionRefused, PeerTimeout, Unreachable) as error:
            logger.info("end of a subscription was not taken", extra={"device_id": key.device_id, "reason": str(error)})

    def refused(self, entry: Entry, status: int, reason: str) -> None:
        """Not supported, or not for us: remembered, and asked about again in a day or when the device registers anew."""
        self._counters["refused"] += 1
        self._registry.change(entry, dialog=None, expires_at=None, state="refused", status=status, reason=reason)
        self._schedule.plan(entry.key, self._monotonic() + self._retry_s * (0.9 + 0.2 * self._chance()))

    def _route(self, entry: Entry) -> Route | None:
        try:
            return self._devices.route(entry.key.device_id)
        except (NotFound, Unreachable):
            return None

    async def _ask(self, entry: Entry, wanted: Wanted, route: Route) -> None:
        key, profile = entry.key, self._devices.profile(entry.key.device_id)
        try:
            check_edition(key.topic, profile.edition)
        except NotInEdition as error:
            self.refused(entry, 0, str(error))
            return
        dialog = self._usable_dialog(entry)
        event = entry.subscription.event if dialog is not None else event_of(key.topic, self._chance())
        body = body_of(key, self._devices.next_sn(), profile.charset, interval_s=wanted.interval_s)
        self._counters["requests" if dialog is None else "renewals"] += 1
        try:
            if dialog is None:
                answer, event = await self._begin(route, key, event, body, wanted.expires_s)
            else:
                answer = await self._signalling.resubscribe(
                    dialog, event=event, body=body, expires_s=wanted.expires_s, route=route
                )
        except SubscriptionRefused as refusal:
            if dialog is not None and is_dialog_lost(refusal.status):
                self._dialog_lost(entry, refusal.status, str(refusal))
            elif is_passing(refusal.status):
                self._failing(entry, refusal.status, str(refusal), wished_s=refusal.retry_after_s)
            else:
                self.refused(entry, refusal.status, str(refusal))
        except PeerTimeout as error:
            if dialog is not None:
                self._dialog_lost(entry, 0, str(error))
            else:
                self._failing(entry, 0, str(error))
        except Unreachable as error:
            self._failing(entry, 0, str(error))
        else:
            await self._granted(entry, answer, event, route)

    async def _begin(
        self, route: Route, key: SubscriptionKey, event: str, body: bytes, expires_s: int
    ) -> tuple[Subscribed, str]:
        """Subscribes in a new dialog; what was granted and under which Event."""
        try:
            granted = await self._signalling.subscribe(route, to=key.device_id, event=event, body=body, expires_s=expires_s)
        except SubscriptionRefused as refusal:
            other = other_event(key.topic, event)
            if refusal.status != _BAD_EVENT or not other:
                raise
            self._counters["other_events"] += 1
            return await self._signalling.subscribe(route, to=key.device_id, event=other, body=body, expires_s=expires_s), other
        return granted, event

    def _usable_dialog(self, entry: Entry) -> Dialog | None:
        subscription = entry.subscription
        is_over = subscription.expires_at is None or subscription.expires_at <= self._clock.utc()
        return None if entry.is_fresh or is_over else subscription.dialog

    async def _granted(self, entry: Entry, answer: Subscribed, event: str, route: Route) -> None:
        if not self._registry.has(entry):  # the device was removed while it was asked
            await self.end(replace(entry.subscription, dialog=answer.dialog, event=event), route)
            return
        self._counters["granted"] += 1
        now = entry.granted_at = self._monotonic()
        entry.is_fresh = False
        registration = self._devices.get(entry.key.device_id).registration
        self._registry.change(
            entry,
            state="active",
            dialog=_shared(answer.dialog, route),
            event=event,
            expires_at=self._clock.utc() + timedelta(seconds=answer.expires_s),
            registration=registration.call_id if registration is not None else "",
            status=0,
            reason="",
            failures=0,
        )
        self._schedule.plan(entry.key, now + renewal_after(answer.expires_s, self._chance()), is_renewal=True)

    def _dialog_lost(self, entry: Entry, status: int, reason: str) -> None:
        self._counters["dialogs_lost"] += 1
        self._registry.change(entry, dialog=None, expires_at=None, state="waiting", status=status, reason=reason)
        self._schedule.plan(entry.key, self._monotonic() + 0.5 + self._chance())

    def _failing(self, entry: Entry, status: int, reason: str, *, wished_s: float = 0.0) -> None:
        self._counters["failed"] += 1
        failures = entry.subscription.failures + 1
        self._registry.change(entry, state="failing", status=status, reason=reason, failures=failures)
        self._schedule.plan(entry.key, self._monotonic() + pause_after(failures, self._chance(), wished_s=wished_s))


def _shared(dialog: Dialog, route: Route) -> Dialog:
    """The dialog with what all of them say alike kept once: there are a hundred thousand."""
    return replace(dialog, local_uri=sys.intern(dialog.local_uri), route=route if route == dialog.route else dialog.route)
