"""Devices: registrations, presence and simple queries (§9.1, §9.5, §9.6). Wires the parts, and is all that others call.

Everything is in memory (`directory.py`); a keepalive never waits for the database (quirk Q13). What is offline has no route,
and neither has what was not heard since our start (`addresses.py`, W16).
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal

from gb28181.background import Background
from gb28181.bus import Bus
from gb28181.catalog.model import CatalogFinished
from gb28181.clock import Clock
from gb28181.config import SipSettings
from gb28181.device.addresses import Addresses, is_same
from gb28181.device.administration import Administration
from gb28181.device.directory import Directory, Peer
from gb28181.device.faulty import FaultyChannels
from gb28181.device.info import WORKERS, DeviceInfos
from gb28181.device.lifesigns import LifeSigns
from gb28181.device.model import Device, DeviceChange, Profile, RegistrationRefused, Route, Stranger
from gb28181.device.presence import Presence
from gb28181.device.profile import Profiles
from gb28181.device.registrar import Registrar
from gb28181.device.registrations import Registrations
from gb28181.device.sending import Sending, Target
from gb28181.device.tells import Tells
from gb28181.exchange import Exchanges
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.notify import Keepalive
from gb28181.ports import DeviceStore, Secrets, Signalling, SipRequest
from gb28181.router import Admission, Inbound
from gb28181.sip.digest import DigestServer


class DeviceService:
    """All devices of this platform.

    `async with` runs its timers, its probes and its queries. By `exchanges` every feature asks devices and waits for Responses.

    Args:
        digest, strong: Challenge with MD5 and with SHA-256.
        domain_password: SIP password of a device that has none of its own; "" admits only devices that have one.
        may_ask: Whether one more question of our own may leave now (`pace.py`).
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        settings: SipSettings,
        *,
        signalling: Signalling,
        store: DeviceStore,
        secrets: Secrets,
        bus: Bus,
        clock: Clock,
        digest: DigestServer,
        strong: DigestServer,
        domain_password: str,
        profiles: Profiles,
        may_ask: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._profiles = profiles
        self._monotonic = monotonic
        self._counters: Counter[str] = Counter()
        self._background = Background()
        self._faulty = FaultyChannels(bus)
        self._presence = Presence(
            offline_after_s=settings.offline_after_s,
            misses=settings.keepalive_misses,
            interval_s=settings.keepalive_interval_s,
        )
        self._directory = Directory(store, profiles, monotonic=monotonic)
        self._life = LifeSigns(
            self._directory, self._presence, bus=bus, clock=clock, monotonic=monotonic, counters=self._counters
        )
        first_sn = int(clock.utc().timestamp())
        self._sending = Sending(signalling, timeout_s=settings.query_timeout_s, first_sn=first_sn)
        self.exchanges = Exchanges(signalling, self, timeout_s=settings.query_timeout_s)
        self._infos = DeviceInfos(
            self._directory,
            self._life,
            self._presence,
            exchanges=self.exchanges,
            bus=bus,
            clock=clock,
            monotonic=monotonic,
            counters=self._counters,
            check_every_s=settings.clock_check_hours * 3600,
            may_ask=may_ask,
        )
        self._tells = Tells(self._directory, self._life)
        self._addresses = Addresses(
            self._directory,
            self._presence,
            signalling=signalling,
            sending=self._sending,
            bus=bus,
            monotonic=monotonic,
            counters=self._counters,
            start=lambda work: self._background.start(work, "device probe"),
            alive=self._life.alive,
        )
        self._registrations = Registrations(
            settings,
            self._directory,
            self._presence,
            self._addresses,
            self._life,
            registrar=Registrar(settings, digest, strong),
            signalling=signalling,
            secrets=secrets,
            domain_password=domain_password if settings.domain_password else "",
            bus=bus,
            clock=clock,
            monotonic=monotonic,
            counters=self._counters,
            profiles=profiles,
            want_info=self._infos.want,
        )
        self._administration = Administration(
            self._directory,
            self._registrations.quarantine,
            profiles,
            server_id=settings.server_id,
            store=store,
            secrets=secrets,
            bus=bus,
            clock=clock,
            changed=self._treat_anew,
            removed=self._forget,
        )
        bus.subscribe(CatalogFinished, self._catalog_finished)

    # --- life ------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Restores devices. A registration that has not expired is shown online, with full patience; its address is used when
        the device was heard (decision 0011)."""
        now, utc = self._monotonic(), self._clock.utc()
        for device in await self._store.load_devices():
            registration = device.registration
            if not self._registrations.may_stay(device):
                device, registration = device.with_changes(registration=None), None  # the networks were changed meanwhile
            if registration is not None:
                # Connections of an earlier process are gone, and their numbers are given out anew.
                registration = dataclasses.replace(registration, route=dataclasses.replace(registration.route, connection=0))
                device = device.with_changes(registration=registration)
            peer = self._directory.add(device)
            if registration is not None and registration.expires_at > utc:
                self._life.agree(peer)
                self._presence.restore(device.device_id, device.keepalive_interval_s, now)
                self._addresses.keep_open(peer)

    async def __aenter__(self) -> DeviceService:
        await self._background.__aenter__()
        self._background.spawn(self._run_timer, "device timer", forever=True)
        self._background.spawn(self._addresses.confirm_restored, "device confirmation")
        self._background.spawn(self._addresses.run_keep_alives, "device keep-alives", forever=True)
        self._background.spawn(self._infos.run_clock_checks, "device clocks", forever=True)
        for _ in range(WORKERS):
            self._background.spawn(self._infos.run_worker, "device queries", forever=True)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._background.__aexit__(*error)

    # --- what others ask -------------------------------------------------------------------------------------------

    def devices(self) -> list[Device]:
        """All; `last_seen_at`, `faults` and the clock of each may be minutes old: `get` has them of now."""
        return [peer.device for peer in self._directory.peers()]

    def get(self, device_id: str) -> Device:
        """Raises:
        NotFound: No such device.
        """
        return self._directory.get(device_id).current()

    def is_online(self, device_id: str) -> bool:
        return self._presence.is_online(DeviceId(device_id))

    def keepalive_interval_s(self, device_id: str) -> float:
        """The interval that a device keeps, learned or set; 0 while it is unknown."""
        return self._presence.interval_s(DeviceId(device_id))

    def profile(self, device_id: str) -> Profile:
        """How a device is treated: its edition, its charset and what its vendor does otherwise; of an unknown one, as any."""
        peer = self._directory.find(device_id)
        return peer.device.profile if peer is not None else self._profiles.base

    def vendors(self) -> list[str]:
        """Names of vendors that a device may be set to."""
        return self._profiles.vendors()

    def is_faulty(self, device_id: str, channel_id: str) -> bool:
        """Whether the device's last keepalive lists this channel as faulty."""
        return self._faulty.has(DeviceId(device_id), channel_id)

    def route(self, device_id: str) -> Route:
        """The way to a device.

        Raises:
            NotFound: No such device.
            Unreachable: It is offline or was not heard since our start: its last address may be another camera's by now (W16).
        """
        return self._addresses.route(self._directory.get(device_id))

    def refusals(self) -> list[RegistrationRefused]:
        """The last refused registrations, one per device and source, newest first."""
        return self._registrations.refusals.newest_first()

    def strangers(self) -> list[Stranger]:
        """Who wants to register and is no device of ours, newest first."""
        return self._registrations.quarantine.newest_first()

    def one_source(self) -> str:
        """The address from which all devices come, "" unless several come from one: a bridge or NAT in front of us (Q39)."""
        return self._addresses.one_source()

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return {**self._counters, "background_failures": self._background.failures}

    def gauges(self) -> dict[str, int]:
        """How many devices are known, online, unconfirmed since our start, and kept open through a NAT now."""
        return {
            "known": len(self._directory),
            "online": self._presence.online,
            "unconfirmed": sum(
                not peer.is_confirmed and self._presence.is_online(peer.device.device_id) for peer in self._directory.peers()
            ),
            "kept_open": self._addresses.kept_open,
            "strangers": len(self._registrations.quarantine),
        }

    # --- what operators change (see administration.py) -------------------------------------------------------------

    async def provision(self, device_id: str, *, name: str = "", password: str = "") -> Device:
        """Raises: Invalid, Conflict."""
        return await self._administration.provision(device_id, name=name, password=password)

    async def accept(self, device_id: str, *, name: str = "", password: str = "") -> Device:
        """Raises: NotFound, Invalid."""
        return await self._administration.accept(device_id, name=name, password=password)

    def dismiss(self, device_id: str) -> None:
        """Takes a stranger off the list; it is back when it tries again.

        Raises:
            NotFound: It is not there.
        """
        self._registrations.quarantine.remove(self._registrations.quarantine.get(device_id).device_id)

    async def update(self, device_id: str, change: DeviceChange) -> Device:
        """Raises: NotFound, Invalid."""
        return await self._administration.update(device_id, change)

    async def remove(self, device_id: str) -> None:
        """Raises: NotFound."""
        await self._administration.remove(device_id)

    def remember_media_transport(self, device_id: str, transport: Literal["udp", "tcp"]) -> None:
        """What worked for media last; unknown devices are ignored."""
        peer = self._directory.find(device_id)
        if peer is not None and peer.device.media_transport != transport:
            self._directory.change(peer, media_transport=transport)

    def _treat_anew(self, peer: Peer) -> None:
        """Its profile or networks may be others now."""
        if not self._registrations.may_stay(peer.device):
            self._life.end(peer, "not_allowed")
        self._life.agree(peer)
        self._addresses.keep_open(peer)

    def _forget(self, peer: Peer) -> None:
        identifier = peer.device.device_id
        self._presence.forget(identifier)
        self._infos.forget(identifier)
        self._registrations.forget(identifier)

    # --- commands --------------------------------------------------------------------------------------------------

    def next_sn(self) -> int:
        """A serial number that no outstanding query of ours has."""
        return self._sending.next_sn()

    async def send(self, device_id: str, command: object) -> None:
        """Sends one command; returns when the device's SIP has accepted it.

        Raises:
            NotFound: No such device.
            PeerTimeout: No answer to the MESSAGE.
            Unreachable: The device is offline, or refused the MESSAGE.
        """
        await self._sending.send(self._target(device_id), command)

    def _target(self, device_id: str) -> Target:
        return self._addresses.target(self._directory.get(device_id).device, self.route(device_id))

    # --- what arrives (see handlers.py) ----------------------------------------------------------------------------

    def register(self, request: SipRequest) -> None:
        """Answers one REGISTER.

        Raises:
            WireError: From holds no identifier.
        """
        self._registrations.register(request)

    def heard(self, inbound: Inbound[Keepalive]) -> None:
        """A keepalive from where `admit` accepts it."""
        self._counters["keepalives"] += 1
        peer = self._directory.find(inbound.device_id)
        if peer is None or peer.device.registration is None:
            return
        request = inbound.request
        if not is_same(peer.device.registration.route, request.route):
            self._addresses.probe(peer, request.route)
            if not self._addresses.is_usable(peer):
                return  # it is back when its new address has answered, not at the old one, which may be another's
        self._life.alive(peer)
        self._faulty.listed(inbound.device_id, inbound.command.faulty)
        if "date" in request.headers:
            self._life.tell_time(peer, request.headers["date"], self._clock.utc())

    # --- who may speak (router.Peers) ------------------------------------------------------------------------------

    def admit(self, device_id: DeviceId, request: SipRequest) -> Admission:
        peer = self._directory.find(device_id)
        if peer is None:
            return "refused"
        if self._life.has_lapsed(peer):
            self._counters["lapsed_refused"] += 1
            return "refused"
        return self._addresses.admit(peer, request)

    def at_address(self, request: SipRequest) -> DeviceId | None:
        return self._addresses.at_address(request)

    def seen(self, device_id: DeviceId) -> None:
        peer = self._directory.find(device_id)
        if peer is not None:
            self._addresses.seen(peer)

    def told(self, device_id: DeviceId, command: object) -> None:
        """What a command says beside what it is for: the device's time, and the edition that knows it."""
        self._tells.told(device_id, command)

    def count_faults(self, device_id: DeviceId, faults: Mapping[str, int]) -> None:
        peer = self._directory.find(device_id)
        if peer is not None:
            utc = self._clock.utc()
            for name, count in faults.items():
                peer.count_fault(name, utc, count=count)

    # --- time ------------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Takes devices offline that have been silent too long."""
        self._life.expire()

    def send_keep_alives(self) -> None:
        """Keeps the ways to devices behind a NAT open; those whose turn it is."""
        self._addresses.send_keep_alives()

    async def _run_timer(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.expire()

    # --- state -----------------------------------------------------------------------------------------------------

    def _catalog_finished(self, event: CatalogFinished) -> None:
        peer = self._directory.find(event.device_id)
        if peer is not None:
            self._directory.change(
                peer,
                catalog_announced=event.announced,
                catalog_received=event.received,
                catalog_at=self._clock.utc() if event.complete else peer.device.catalog_at,
            )
