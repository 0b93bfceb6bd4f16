"""Carries out what `registrar.py` decides about a REGISTER: answers it, books the device, tells the others (§9.1)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from gb28181.bus import Bus
from gb28181.clock import Clock
from gb28181.config import SipSettings
from gb28181.device.addresses import Addresses, is_same_place
from gb28181.device.directory import Directory, Peer
from gb28181.device.info import MAX_TEXT
from gb28181.device.model import (
    Device,
    DeviceMoved,
    DeviceOffline,
    DeviceOnline,
    DeviceRegistered,
    Registration,
    RegistrationRefused,
)
from gb28181.device.nat import is_behind_nat
from gb28181.device.presence import Presence
from gb28181.device.profile import Profiles
from gb28181.device.registrar import Accept, Challenge, Refusals, Refuse, Register, Registrar
from gb28181.ids import DeviceId
from gb28181.ports import Secrets, Signalling, SipRequest
from gb28181.sip.digest import DigestServer

logger = logging.getLogger(__name__)


class Registrations:
    """Registers devices, ends registrations, remembers refusals.

    Args:
        domain_password: SIP password of a device that has none of its own.
        want_info: Has a device asked who it is.
    """

    def __init__(
        self,
        settings: SipSettings,
        directory: Directory,
        presence: Presence,
        addresses: Addresses,
        *,
        signalling: Signalling,
        secrets: Secrets,
        digest: DigestServer,
        domain_password: str,
        bus: Bus,
        clock: Clock,
        monotonic: Callable[[], float],
        counters: Counter[str],
        profiles: Profiles,
        want_info: Callable[[DeviceId], None],
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._presence = presence
        self._addresses = addresses
        self._signalling = signalling
        self._secrets = secrets
        self._domain_password = domain_password
        self._bus = bus
        self._clock = clock
        self._monotonic = monotonic
        self._counters = counters
        self._profiles = profiles
        self._want_info = want_info
        self._registrar = Registrar(settings, digest)
        self._refusals = Refusals()

    def refusals(self) -> list[RegistrationRefused]:
        """One per device and source, newest first."""
        return self._refusals.newest_first()

    def register(self, request: SipRequest) -> None:
        """Answers one REGISTER.

        Raises:
            WireError: From holds no identifier.
        """
        register = self._registrar.read(request)
        peer = self._directory.find(register.device_id)
        decision = self._registrar.decide(
            register,
            request,
            self._password(peer),
            now=self._monotonic(),
            utc=self._clock.utc().timestamp(),
        )
        if isinstance(decision, Accept):
            self._accept(register, request, peer, decision)
        else:
            self._refuse(register, request, decision)

    def _accept(self, register: Register, request: SipRequest, peer: Peer | None, decision: Accept) -> None:
        utc = self._clock.utc()
        self._signalling.respond(request, 200, headers=decision.headers(utc if self._wants_date(peer) else None))
        faults = Counter(request.faults)
        if request.uri_user and request.uri_user != self._settings.server_id:
            faults["wrong-server-id"] += 1  # quirk Q24
        if register.expires_s == 0:
            self._deregistered(peer)
        else:
            peer = self._registered(register, request, peer, utc)
        if faults:
            count_faults(self._directory.find(register.device_id), faults)

    def _registered(self, register: Register, request: SipRequest, peer: Peer | None, utc: datetime) -> Peer:
        identifier, route = register.device_id, request.route
        was_online = self._presence.is_online(identifier)
        old = peer.device.registration if peer is not None else None
        if peer is None:
            peer = self._directory.add(Device(identifier, created_at=utc))
            logger.info("new device", extra={"device_id": identifier, "source": str(route.remote)})
        moved = was_online and old is not None and not is_same_place(old.route, route)
        appears = not was_online or not peer.is_confirmed
        self._counters["registrations"] += 1
        user_agent = request.headers.get("user-agent", "")[:MAX_TEXT]
        self._directory.register(
            peer,
            Registration(
                route,
                register.contact,
                request.call_id,
                registered_at=utc,
                expires_at=utc + timedelta(seconds=register.expires_s),
                behind_nat=is_behind_nat(route, register.contact, request.headers.get("via", "")),
            ),
            last_seen_at=utc,
            user_agent=user_agent,
            gb_version=request.headers.get("x-gb-ver", "").strip()[:16],
            manufacturer=peer.device.manufacturer or self._profiles.manufacturer(user_agent),
        )
        peer.is_confirmed = True
        self._refusals.clear(identifier, route.remote.host)
        self._presence.registered(identifier, self._monotonic())
        self._addresses.keep_open(peer)
        if moved:
            logger.info("device moved", extra={"device_id": identifier, "source": str(route.remote)})
            self._bus.publish(DeviceMoved(identifier))
        if appears:
            logger.info("device online", extra={"device_id": identifier, "source": str(route.remote)})
            self._bus.publish(DeviceOnline(identifier))
        self._bus.publish(DeviceRegistered(identifier, is_new=moved or not was_online))
        if moved or not was_online:
            self._want_info(identifier)
        return peer

    def _deregistered(self, peer: Peer | None) -> None:
        self._counters["deregistrations"] += 1
        if peer is None or peer.device.registration is None:
            return
        identifier = peer.device.device_id
        self._directory.register(peer, None, last_seen_at=self._clock.utc())
        if self._presence.gone(identifier):
            logger.info("device offline", extra={"device_id": identifier, "cause": "deregistered"})
            self._bus.publish(DeviceOffline(identifier, "deregistered"))

    def _refuse(self, register: Register, request: SipRequest, decision: Challenge | Refuse) -> None:
        self._signalling.respond(request, decision.status, headers=decision.headers())
        if decision.reason:
            self._note_refusal(register, request, decision.reason)
        elif isinstance(decision, Challenge):
            self._counters["stale_nonces" if decision.stale else "challenges"] += 1

    def _note_refusal(self, register: Register, request: SipRequest, reason: str) -> None:
        self._counters["registrations_refused"] += 1
        if request.uri_user and request.uri_user != self._settings.server_id:
            reason += f"; the device was set to server ID {request.uri_user[:40]}, ours is {self._settings.server_id}"
        source = request.route.remote
        refused = RegistrationRefused(register.device_id, str(source), reason, at=self._clock.utc())
        self._refusals.add(refused, source.host)
        self._bus.publish(refused)

    def _wants_date(self, peer: Peer | None) -> bool:
        return peer.device.profile.date_header if peer is not None else self._settings.date_header

    def _password(self, peer: Peer | None) -> str:
        if peer is None or peer.device.password is None:
            return self._domain_password
        return self._secrets.open(peer.device.password)


def count_faults(peer: Peer | None, faults: Mapping[str, int]) -> None:
    """Adds to what was tolerated of a device: in memory, written with its next state that is."""
    if peer is not None:
        peer.device = peer.device.with_changes(faults=dict(Counter(peer.device.faults) + Counter(faults)))
