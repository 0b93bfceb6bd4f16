"""Devices: registrations, presence and simple queries (§9.1, §9.5, §9.6).

Everything is in memory (`directory.py`); a keepalive never waits for the database (quirk Q13). What is offline has no route,
and neither has what was not heard since our start (`addresses.py`, W16).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from gb28181.bus import Bus
from gb28181.catalog.model import CatalogFinished
from gb28181.clock import Clock
from gb28181.config import SipSettings
from gb28181.device.addresses import Addresses, is_same
from gb28181.device.directory import Directory, Peer
from gb28181.device.info import MAX_TEXT, WORKERS, DeviceInfos
from gb28181.device.model import (
    Device,
    DeviceChanged,
    DeviceOffline,
    DeviceOnline,
    Profile,
    ProfileValue,
    RegistrationRefused,
    Route,
)
from gb28181.device.presence import Presence
from gb28181.device.profile import Profiles
from gb28181.device.queries import Queries, Target
from gb28181.device.registrations import Registrations, count_faults
from gb28181.errors import Conflict, Invalid, WireError
from gb28181.ids import DeviceId
from gb28181.ids import device_id as checked_id
from gb28181.manscdp.commands.notify import Keepalive
from gb28181.ports import DeviceStore, Secrets, Signalling, SipRequest
from gb28181.router import Admission, Inbound
from gb28181.sip.digest import DigestServer

logger = logging.getLogger(__name__)

#: A device that proves alive is written at most this often; what matters is written at once.
_SAVE_EVERY_S: Final = 300.0
NO_CHANGE: Final[Mapping[str, ProfileValue | None]] = MappingProxyType({})


class DeviceService:
    """All devices of this platform.

    `async with` runs its timers, its probes and its DeviceInfo queries.

    Args:
        domain_password: SIP password of a device that has none of its own; "" admits only devices that have one.
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
        domain_password: str,
        profiles: Profiles,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._counters: Counter[str] = Counter()
        self._secrets = secrets
        self._bus = bus
        self._clock = clock
        self._profiles = profiles
        self._monotonic = monotonic
        self._presence = Presence(
            offline_after_s=settings.offline_after_s,
            misses=settings.keepalive_misses,
            interval_s=settings.keepalive_interval_s,
        )
        self._directory = Directory(store, profiles, monotonic=monotonic)
        first_sn = int(clock.utc().timestamp())
        self._queries = Queries(signalling, timeout_s=settings.query_timeout_s, first_sn=first_sn)
        self._infos = DeviceInfos(self._directory, query=self.query, bus=bus, counters=self._counters)
        self._addresses = Addresses(
            self._directory,
            self._presence,
            signalling=signalling,
            queries=self._queries,
            bus=bus,
            nat_keepalive_s=settings.nat_keepalive_s,
            monotonic=monotonic,
            counters=self._counters,
            start=self._start,
            alive=self._alive,
        )
        self._registrations = Registrations(
            settings,
            self._directory,
            self._presence,
            self._addresses,
            signalling=signalling,
            secrets=secrets,
            digest=digest,
            domain_password=domain_password,
            bus=bus,
            clock=clock,
            monotonic=monotonic,
            counters=self._counters,
            profiles=profiles,
            want_info=self._infos.want,
        )
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        bus.subscribe(CatalogFinished, self._catalog_finished)

    # --- life ------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Restores devices. A registration that has not expired is shown online, with full patience; its address is used when
        the device was heard (decision 0011)."""
        now, utc = self._monotonic(), self._clock.utc()
        for device in await self._store.load_devices():
            registration = device.registration
            if registration is not None:
                # Connections of an earlier process are gone, and their numbers are given out anew.
                registration = dataclasses.replace(registration, route=dataclasses.replace(registration.route, connection=0))
                device = device.with_changes(registration=registration)
            peer = self._directory.add(device)
            if registration is not None and registration.expires_at > utc:
                self._presence.restore(device.device_id, device.keepalive_interval_s, now)
                self._addresses.keep_open(peer)

    async def __aenter__(self) -> DeviceService:
        self._group = await asyncio.TaskGroup().__aenter__()
        self._start(self._run_timer())
        self._start(self._addresses.confirm_restored())
        self._start(self._addresses.run_keep_alives())
        for _ in range(WORKERS):
            self._start(self._infos.run_worker())
        return self

    async def __aexit__(self, *_error: object) -> None:
        group, self._group = self._group, None
        for task in self._tasks:
            task.cancel()
        if group is not None:
            await group.__aexit__(None, None, None)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            work.close()
            return
        task = self._group.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:  # border of background tasks: a fault in one must not end the others
            self._counters["background_failures"] += 1
            logger.exception("background task failed")

    # --- what others ask -------------------------------------------------------------------------------------------

    def devices(self) -> list[Device]:
        return [peer.device for peer in self._directory.peers()]

    def get(self, device_id: str) -> Device:
        """Raises:
        NotFound: No such device.
        """
        return self._directory.get(device_id).device

    def is_online(self, device_id: str) -> bool:
        return self._presence.is_online(DeviceId(device_id))

    def profile(self, device_id: str) -> Profile:
        """How a device is treated: its edition, its charset and what its vendor does otherwise; of an unknown one, as any."""
        peer = self._directory.find(device_id)
        return peer.device.profile if peer is not None else self._profiles.base

    def route(self, device_id: str) -> Route:
        """The way to a device.

        Raises:
            NotFound: No such device.
            Unreachable: It is offline or was not heard since our start: its last address may be another camera's by now (W16).
        """
        return self._addresses.route(self._directory.get(device_id))

    def refusals(self) -> list[RegistrationRefused]:
        """The last refused registrations, one per device and source, newest first."""
        return self._registrations.refusals()

    def counters(self) -> dict[str, int]:
        """Events since the start, by name."""
        return dict(self._counters)

    def gauges(self) -> dict[str, int]:
        """How many devices are known, online, unconfirmed since our start, and kept open through a NAT now."""
        return {
            "known": len(self._directory),
            "online": self._presence.online,
            "unconfirmed": sum(
                not peer.is_confirmed and self._presence.is_online(peer.device.device_id) for peer in self._directory.peers()
            ),
            "kept_open": self._addresses.kept_open,
        }

    # --- what operators change -------------------------------------------------------------------------------------

    async def provision(self, device_id: str, *, name: str = "", password: str = "") -> Device:
        """Adds a device that has not registered yet.

        Raises:
            Invalid: The identifier or the name cannot be used.
            Conflict: The device exists.
        """
        try:
            identifier = checked_id(device_id)
        except WireError as error:
            raise Invalid(error.reason) from None
        if identifier in self._directory:
            raise Conflict(f"device {identifier} exists already")
        device = Device(identifier, name=_name(name), password=self._sealed(password), created_at=self._clock.utc())
        self._directory.add(device)
        await self._store.save_device_now(device)
        self._bus.publish(DeviceChanged(identifier))
        return device

    async def update(
        self,
        device_id: str,
        *,
        name: str | None = None,
        password: str | None = None,
        overrides: Mapping[str, ProfileValue | None] = NO_CHANGE,
    ) -> Device:
        """Changes what is given; an empty password means the domain's password.

        Args:
            overrides: Fields of its profile; None takes back what an operator set.

        Raises:
            NotFound: No such device.
            Invalid: The name or a field of the profile cannot be used.
        """
        peer = self._directory.get(device_id)
        changes: dict[str, object] = {}
        if name is not None:
            changes["name"] = _name(name)
        if password is not None:
            changes["password"] = self._sealed(password)
        if overrides:
            changes["overrides"] = self._profiles.merged(peer.device.overrides, overrides)
        self._directory.change(peer, **changes)
        await self._store.save_device_now(peer.device)
        self._bus.publish(DeviceChanged(peer.device.device_id))
        return peer.device

    async def remove(self, device_id: str) -> None:
        """Forgets a device and its channels; one that still knows a password appears again.

        Raises:
            NotFound: No such device.
        """
        peer = self._directory.get(device_id)
        device = peer.device
        self._directory.remove(peer)
        self._presence.forget(device.device_id)
        self._infos.forget(device.device_id)
        await self._store.delete_device(device.device_id)
        self._bus.publish(DeviceOffline(device.device_id, "deleted"))

    def remember_media_transport(self, device_id: str, transport: Literal["udp", "tcp"]) -> None:
        """What worked for media last; unknown devices are ignored."""
        peer = self._directory.find(device_id)
        if peer is not None and peer.device.media_transport != transport:
            self._directory.change(peer, media_transport=transport)

    # --- queries ---------------------------------------------------------------------------------------------------

    def next_sn(self) -> int:
        """A serial number that no outstanding query of ours has."""
        return self._queries.next_sn()

    async def send(self, device_id: str, command: object) -> None:
        """Sends one command; returns when the device's SIP has accepted it.

        Raises:
            NotFound: No such device.
            PeerTimeout: No answer to the MESSAGE.
            Unreachable: The device is offline, or refused the MESSAGE.
        """
        await self._queries.send(self._target(device_id), command)

    async def query(self, device_id: str, command: Any, *, timeout_s: float | None = None) -> Any:
        """Asks a device and returns its Response. The command gets an SN of its own.

        Args:
            timeout_s: For everything; `sip.query_timeout_s` by default.

        Raises:
            NotFound: No such device.
            PeerTimeout: It did not answer.
            Unreachable: It is offline, or refused the MESSAGE.
        """
        return await self._queries.ask(self._target(device_id), command, timeout_s=timeout_s)

    def _target(self, device_id: str) -> Target:
        return self._addresses.target(self.get(device_id), self.route(device_id))

    # --- what arrives (see handlers.py) ----------------------------------------------------------------------------

    async def register(self, request: SipRequest) -> None:
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
        came = inbound.request.route
        if not is_same(peer.device.registration.route, came):
            self._addresses.probe(peer, came)
            if not self._addresses.is_usable(peer):
                return  # it is back when its new address has answered, not at the old one, which may be another's
        self._alive(peer)

    def answered(self, inbound: Inbound[Any]) -> None:
        """A Response to a query of ours."""
        if not self._queries.answered(inbound.device_id, inbound.command):
            self._counters["unsolicited_responses"] += 1

    # --- who may speak (router.Peers) ------------------------------------------------------------------------------

    def admit(self, device_id: DeviceId, request: SipRequest) -> Admission:
        return self._addresses.admit(device_id, request)

    def at_address(self, request: SipRequest) -> DeviceId | None:
        return self._addresses.at_address(request)

    def seen(self, device_id: DeviceId) -> None:
        peer = self._directory.find(device_id)
        if peer is not None:
            self._addresses.seen(peer)

    def count_faults(self, device_id: DeviceId, faults: Mapping[str, int]) -> None:
        count_faults(self._directory.find(device_id), faults)

    # --- time ------------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Takes devices offline that have been silent too long."""
        for event in self._presence.expire(self._monotonic()):
            logger.info("device offline", extra={"device_id": event.device_id, "cause": "keepalive_timeout"})
            self._counters["keepalive_timeouts"] += 1
            self._directory.save(self._directory.get(event.device_id))
            self._bus.publish(DeviceOffline(event.device_id, "keepalive_timeout"))

    def send_keep_alives(self) -> None:
        """Keeps the ways to devices behind a NAT open; those whose turn it is."""
        self._addresses.send_keep_alives()

    async def _run_timer(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.expire()

    def _sealed(self, password: str) -> bytes | None:
        return self._secrets.seal(password) if password else None

    # --- life signs ------------------------------------------------------------------------------------------------

    def _alive(self, peer: Peer) -> None:
        device, now, utc = peer.device, self._monotonic(), self._clock.utc()
        appears = bool(self._presence.keepalive(device.device_id, now)) or not peer.is_confirmed
        peer.is_confirmed = True
        registration = device.registration
        changes: dict[str, object] = {"last_seen_at": utc, "keepalive_interval_s": self._presence.interval_s(device.device_id)}
        lapsed = registration is not None and registration.expires_at <= utc
        if registration is not None and lapsed:
            # quirk Q11: some firmware never registers again while its keepalives are answered
            self._counters["registrations_revived"] += 1
            length = registration.expires_at - registration.registered_at
            changes["registration"] = dataclasses.replace(registration, registered_at=utc, expires_at=utc + length)
        peer.device = device.with_changes(**changes)
        if lapsed or appears or now - peer.saved_at >= _SAVE_EVERY_S:
            self._directory.save(peer)
        if appears:
            logger.info("device online", extra={"device_id": device.device_id})
            self._bus.publish(DeviceOnline(device.device_id))

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


def _name(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_TEXT or not text.isprintable():
        raise Invalid(f"a name has at most {MAX_TEXT} printable characters")
    return text
