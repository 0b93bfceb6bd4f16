"""Carries out what `registrar.py` decides about a REGISTER: answers it, books the device, tells the others (§9.1)."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from gb28181.bus import Bus
from gb28181.clock import Clock
from gb28181.config import SipSettings
from gb28181.device.addresses import Addresses, is_same_place
from gb28181.device.churn import WINDOW_S, Churn
from gb28181.device.directory import Directory, Peer
from gb28181.device.info import MAX_TEXT
from gb28181.device.lifesigns import LifeSigns
from gb28181.device.model import (
    Device,
    DeviceMoved,
    DeviceOnline,
    DeviceQuarantined,
    DeviceRegistered,
    Registration,
    RegistrationRefused,
    StrangerReason,
)
from gb28181.device.nat import is_behind_nat
from gb28181.device.networks import checked_networks, is_within
from gb28181.device.presence import Presence
from gb28181.device.profile import Profiles, declared_edition
from gb28181.device.quarantine import Quarantine
from gb28181.device.refusals import Refusals
from gb28181.device.registrar import Accept, Challenge, Redirect, Refuse, Register, Registrar, Terms
from gb28181.ids import DeviceId
from gb28181.ports import Secrets, Signalling, SipRequest
from gb28181.sip.limits import Bucket
from gb28181.texts.text import say, together

logger = logging.getLogger(__name__)

#: One that registers again and again is written at most this often.
_STORM_SAVE_S: Final = 60.0
#: Devices beyond which further ones wait in quarantine: who knows the domain's password may have any number of names.
_MOST_ACCEPTED: Final = 500_000
#: Refusals and strangers that are told on the bus in a second; all of them stand in their lists.
_TOLD_PER_S: Final = 50.0


class Registrations:
    """Registers devices, ends registrations, remembers refusals and strangers.

    Args:
        domain_password: SIP password of a device that has none of its own; "" where there is none.
        want_info: Has a device asked who it is.
    """

    def __init__(
        self,
        settings: SipSettings,
        directory: Directory,
        presence: Presence,
        addresses: Addresses,
        life: LifeSigns,
        *,
        registrar: Registrar,
        signalling: Signalling,
        secrets: Secrets,
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
        self._life = life
        self._registrar = registrar
        self._signalling = signalling
        self._secrets = secrets
        self._domain_password = domain_password
        self._bus = bus
        self._clock = clock
        self._monotonic = monotonic
        self._counters = counters
        self._profiles = profiles
        self._want_info = want_info
        self._networks = checked_networks(settings.networks)
        self._churn = Churn()
        self._tellable = Bucket(_TOLD_PER_S, monotonic())
        self.refusals = Refusals()
        self.quarantine = Quarantine()

    def register(self, request: SipRequest) -> None:
        """Answers one REGISTER.

        Raises:
            WireError: From holds no identifier.
        """
        register = self._registrar.read(request)
        peer = self._directory.find(register.device_id)
        utc = self._clock.utc()
        decision = self._registrar.decide(
            register, request, self._terms(peer, request), now=self._monotonic(), utc=utc.timestamp()
        )
        if isinstance(decision, Accept):
            self._accept(register, request, peer, decision, utc)
        elif isinstance(decision, Redirect):
            self._redirect(register, request, peer, decision)
        else:
            self._refuse(register, request, decision)

    def may_stay(self, device: Device) -> bool:
        """Whether it is registered from where it may be: networks change."""
        registration = device.registration
        if registration is None:
            return True
        host = registration.route.remote.host
        return is_within(host, self._networks) and is_within(host, device.networks)

    def forget(self, device_id: DeviceId) -> None:
        """The device was deleted."""
        self._churn.forget(device_id)

    # --- terms -----------------------------------------------------------------------------------------------------

    def _terms(self, peer: Peer | None, request: SipRequest) -> Terms:
        if peer is None:
            return Terms(
                self._domain_password,
                is_known=False,
                is_welcome=self._settings.unknown_devices == "accept" and len(self._directory) < _MOST_ACCEPTED,
                networks=(self._networks,),
                redirect=self._settings.redirect if _understands_redirect(request) else "",
                digest=self._profiles.base.digest,
            )
        device = peer.device
        return Terms(
            self._domain_password if device.password is None else self._secrets.open(device.password),
            networks=(self._networks, device.networks),
            redirect=self._redirect_of(device, request),
            digest=device.profile.digest,
        )

    def _redirect_of(self, device: Device, request: SipRequest) -> str:
        """Where an operator sends this device; else, where all are sent that do not stand here already (2022 §9.1.2.3)."""
        if device.redirect:
            return device.redirect
        if not self._settings.redirect or self._presence.is_online(device.device_id):
            return ""
        return self._settings.redirect if _understands_redirect(request) else ""

    # --- accepted --------------------------------------------------------------------------------------------------

    def _accept(self, register: Register, request: SipRequest, peer: Peer | None, decision: Accept, utc: datetime) -> None:
        wants_date = (peer.device.profile if peer is not None else self._profiles.base).date_header
        self._signalling.respond(request, 200, headers=decision.headers(utc if wants_date else None))
        if register.expires_s == 0:
            self._deregistered(peer)
        else:
            peer = self._registered(register, request, peer, utc)
        if peer is None:
            return
        for fault in request.faults:
            peer.count_fault(fault, utc)
        if request.uri_user and request.uri_user != self._settings.server_id:
            peer.count_fault("wrong-server-id", utc, detail=request.uri_user)  # quirk Q24
        if decision.username:
            peer.count_fault("username-not-device-id", utc, detail=decision.username)  # quirk Q22
        if "date" in request.headers:
            self._life.tell_time(peer, request.headers["date"], utc)

    def _registered(self, register: Register, request: SipRequest, peer: Peer | None, utc: datetime) -> Peer:
        identifier, route, now = register.device_id, request.route, self._monotonic()
        was_online = self._presence.is_online(identifier)
        is_unheard_of = peer is None
        if peer is None:
            peer = self._directory.add(Device(identifier, created_at=utc))
            self.quarantine.remove(identifier)
        old = peer.device.registration
        moved = was_online and old is not None and not is_same_place(old.route, route)
        appears = not was_online or not peer.is_confirmed
        self._counters["registrations"] += 1
        user_agent = sys.intern(request.headers.get("user-agent", "")[:MAX_TEXT])  # one text for all cameras of a kind
        registration = Registration(
            route,
            register.contact,
            request.call_id,
            registered_at=utc,
            expires_at=utc + timedelta(seconds=register.expires_s),
            behind_nat=is_behind_nat(route, register.contact, request.headers.get("via", "")),
        )
        is_hasty = old is not None and (utc - old.registered_at).total_seconds() < WINDOW_S
        is_storm = is_hasty and self._churn.registered(identifier, now)
        if is_storm:
            peer.count_fault("register-storm", utc)
        self._directory.register(
            peer,
            registration,
            save=not is_storm or moved or now - peer.saved_at >= _STORM_SAVE_S,
            last_seen_at=utc,
            user_agent=user_agent,
            gb_version=request.headers.get("x-gb-ver", "").strip()[:16],
            manufacturer=peer.device.manufacturer or self._profiles.manufacturer(user_agent),
        )
        peer.is_confirmed = True
        self.refusals.clear(identifier, route.remote.host)
        self._life.agree(peer)
        self._presence.registered(identifier, now)
        self._addresses.keep_open(peer)
        if moved and old is not None:
            self._moved(peer, old.route.remote.host, route.remote.host, now, utc)
        if appears:
            self._life.announcements.online(identifier, now, source=str(route.remote), is_new=is_unheard_of)
            self._bus.publish(DeviceOnline(identifier))
        is_new = moved or not was_online
        if is_new or not is_storm:
            self._bus.publish(DeviceRegistered(identifier, is_new=is_new))
        if is_new:
            self._want_info(identifier)
        return peer

    def _moved(self, peer: Peer, old: str, new: str, now: float, utc: datetime) -> None:
        identifier = peer.device.device_id
        logger.info("device moved", extra={"device_id": identifier, "source": new})
        if places := self._churn.moved(identifier, old, new, now):
            peer.count_fault("address-contest", utc, detail=places)
        self._bus.publish(DeviceMoved(identifier))

    def _deregistered(self, peer: Peer | None) -> None:
        self._counters["deregistrations"] += 1
        if peer is not None and peer.device.registration is not None:
            peer.seen_at = self._clock.utc()
            self._life.end(peer, "deregistered")

    # --- not accepted ----------------------------------------------------------------------------------------------

    def _redirect(self, register: Register, request: SipRequest, peer: Peer | None, decision: Redirect) -> None:
        self._counters["registrations_redirected"] += 1
        self._signalling.respond(request, decision.status, headers=decision.headers())
        logger.info("device sent on", extra={"device_id": register.device_id, "to": decision.uri})
        if peer is not None and peer.device.registration is not None:
            self._life.end(peer, "redirected")

    def _refuse(self, register: Register, request: SipRequest, decision: Challenge | Refuse) -> None:
        self._signalling.respond(request, decision.status, headers=decision.headers())
        if decision.stranger is not None:
            self._note_stranger(register.device_id, decision.stranger, request)
        if decision.stranger == "unknown":
            return  # nothing is wrong with it: it waits
        if decision.reason:
            self._note_refusal(register, request, decision.reason)
        elif isinstance(decision, Challenge):
            self._counters["stale_nonces" if decision.stale else "challenges"] += 1

    def _note_refusal(self, register: Register, request: SipRequest, reason: str) -> None:
        self._counters["registrations_refused"] += 1
        if request.uri_user and request.uri_user != self._settings.server_id:
            ours = self._settings.server_id
            reason = together([reason, say("device.refused.server_id", seen=request.uri_user[:40], ours=ours)])
        source = request.route.remote
        refused = RegistrationRefused(register.device_id, str(source), reason, at=self._clock.utc())
        self.refusals.add(refused, source.host)
        self._tell(refused)

    def _note_stranger(self, device_id: DeviceId, reason: StrangerReason, request: SipRequest) -> None:
        source, user_agent = str(request.route.remote), request.headers.get("user-agent", "")[:MAX_TEXT]
        if self.quarantine.noticed(device_id, reason, source=source, user_agent=user_agent, at=self._clock.utc()):
            self._counters["strangers"] += 1
            self._tell(DeviceQuarantined(device_id, source, reason))

    def _tell(self, event: RegistrationRefused | DeviceQuarantined) -> None:
        """Strangers make these: a flood must not push what devices do out of the queues of those who watch."""
        if self._tellable.take(self._monotonic()):
            self._bus.publish(event)
        else:
            self._counters["refusals_untold"] += 1


def _understands_redirect(request: SipRequest) -> bool:
    """302 came with the 2022 edition: who does not declare it is served here."""
    return declared_edition(request.headers.get("x-gb-ver", "")) == "2022"
