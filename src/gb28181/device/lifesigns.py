"""Signs of life: keepalives, what they mean for presence and registration, and the clock that messages tell (§9.6.1, §9.10)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from gb28181.bus import Bus
from gb28181.clock import Clock
from gb28181.device.announcing import Announcements
from gb28181.device.directory import Directory, Peer
from gb28181.device.model import DeviceOffline, DeviceOnline, OfflineCause
from gb28181.device.offset import ClockOffset, header_time
from gb28181.device.presence import Presence

logger = logging.getLogger(__name__)

#: A device that proves alive is written at most this often; what matters is written at once.
_SAVE_EVERY_S: Final = 300.0
#: A device tells its time at most this often; an NVR's alarms come by the second.
_TELL_EVERY_S: Final = 60.0
_NEVER: Final = float("inf")


class LifeSigns:
    """Takes devices online and offline.

    Args:
        counters: Of the device service.
    """

    def __init__(
        self,
        directory: Directory,
        presence: Presence,
        *,
        bus: Bus,
        clock: Clock,
        monotonic: Callable[[], float],
        counters: Counter[str],
    ) -> None:
        self._directory = directory
        self._presence = presence
        self._bus = bus
        self._clock = clock
        self._monotonic = monotonic
        self._counters = counters
        self.announcements = Announcements()

    def agree(self, peer: Peer) -> None:
        """Patience with a device, after its registration or what an operator says of it has changed."""
        profile, registration = peer.device.profile, peer.device.registration
        ends = _NEVER
        if registration is not None and profile.keepalive_policy == "strict":
            ends = self._monotonic() + (registration.expires_at - self._clock.utc()).total_seconds()
        self._presence.agree(
            peer.device.device_id, interval_s=profile.keepalive_interval_s, misses=profile.keepalive_misses, ends=ends
        )

    def has_lapsed(self, peer: Peer) -> bool:
        """Whether its registration has ended and, by the strict policy, only a REGISTER brings it back."""
        registration = peer.device.registration
        return (
            registration is not None
            and peer.device.profile.keepalive_policy == "strict"
            and registration.expires_at <= self._clock.utc()
        )

    def alive(self, peer: Peer) -> None:
        """It spoke from where it is registered."""
        device, now, utc = peer.device, self._monotonic(), self._clock.utc()
        appears = bool(self._presence.keepalive(device.device_id, now)) or not peer.is_confirmed
        peer.is_confirmed = True
        registration = device.registration
        if registration is not None and registration.expires_at <= utc:
            # quirk Q11: some firmware never registers again while its keepalives are answered
            self._counters["registrations_revived"] += 1
            length = registration.expires_at - registration.registered_at
            revived = replace(registration, registered_at=utc, expires_at=utc + length)
            self._directory.register(peer, revived, last_seen_at=utc)
        elif appears or now - peer.saved_at >= _SAVE_EVERY_S:
            self._directory.change(peer, keepalive_interval_s=self._presence.interval_s(device.device_id), last_seen_at=utc)
        else:
            peer.seen_at = utc
        if appears:
            source = str(registration.route.remote) if registration is not None else ""
            self.announcements.online(device.device_id, now, source=source)
            self._bus.publish(DeviceOnline(device.device_id))

    def expire(self) -> None:
        """Takes devices offline that have been silent too long."""
        self.announcements.expire(self._monotonic())
        for event in self._presence.expire(self._monotonic()):
            peer = self._directory.get(event.device_id)
            cause: OfflineCause = "expired" if self.has_lapsed(peer) else "keepalive_timeout"
            logger.info("device offline", extra={"device_id": event.device_id, "cause": cause})
            self._counters["registrations_expired" if cause == "expired" else "keepalive_timeouts"] += 1
            self._directory.save(peer)
            self._bus.publish(DeviceOffline(event.device_id, cause))

    def end(self, peer: Peer, cause: OfflineCause) -> None:
        """Ends a registration."""
        identifier = peer.device.device_id
        self._directory.register(peer, None)
        if self._presence.gone(identifier):
            logger.info("device offline", extra={"device_id": identifier, "cause": cause})
            self._bus.publish(DeviceOffline(identifier, cause))

    # --- time ------------------------------------------------------------------------------------------------------

    def tell_time(self, peer: Peer, date: str, now: datetime) -> None:
        """A Date header of its own."""
        if self._wants_time(peer, now) and (told := header_time(date)) is not None:
            self.measure(peer, told, now)

    def told_time(self, peer: Peer, told: datetime | None) -> None:
        """A message that says when it was written."""
        now = self._clock.utc()
        if told is not None and self._wants_time(peer, now):
            self.measure(peer, told, now)

    def measure(self, peer: Peer, told: datetime, now: datetime, *, round_trip_s: float = 0.0) -> None:
        if peer.clock is None:
            peer.clock = ClockOffset()
        peer.clock.told(told, now, round_trip_s=round_trip_s)

    def _wants_time(self, peer: Peer, now: datetime) -> bool:
        clock = peer.clock
        return clock is None or clock.at is None or (now - clock.at).total_seconds() >= _TELL_EVERY_S
