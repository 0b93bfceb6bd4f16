"""Devices: registrations, presence, addresses and simple queries (§9.1, §9.5, §9.6).

The registry lives in memory; the database is written behind and never waited for by a keepalive (quirk Q13). An address
moves by an authenticated REGISTER only, or to another port of the same host after that port has answered a query of ours
where the old one did not (quirk Q8, S7). What is offline has no route (W16).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from gb28181.bus import Bus
from gb28181.catalog.model import CatalogFinished
from gb28181.clock import Clock
from gb28181.config import SipSettings
from gb28181.device.model import (
    Device,
    DeviceChanged,
    DeviceMoved,
    DeviceOffline,
    DeviceOnline,
    DeviceRegistered,
    Registration,
    RegistrationRefused,
    Route,
)
from gb28181.device.presence import Presence
from gb28181.device.queries import Queries, Target
from gb28181.device.registrar import Accept, Challenge, Refusals, Refuse, Register, Registrar
from gb28181.device.vendor import manufacturer_of
from gb28181.errors import Conflict, Invalid, NotFound, PeerTimeout, Unreachable, WireError
from gb28181.ids import DeviceId
from gb28181.ids import device_id as checked_id
from gb28181.manscdp.commands.device import DeviceInfoQuery, DeviceInfoResponse, DeviceStatusQuery
from gb28181.manscdp.commands.notify import Keepalive
from gb28181.ports import DeviceStore, Secrets, Signalling, SipRequest
from gb28181.router import Admission, Inbound
from gb28181.sip.digest import DigestServer

logger = logging.getLogger(__name__)

#: Devices that are asked for DeviceInfo at the same time.
_INFO_WORKERS: Final = 8
#: A device that proves alive is written at most this often; what matters is written at once.
_SAVE_EVERY_S: Final = 300.0
#: A device whose port differs is probed at most this often.
_PROBE_EVERY_S: Final = 60.0
_MAX_NAME: Final = 255


@dataclass(slots=True)
class _Peer:
    device: Device
    saved_at: float = float("-inf")
    probed_at: float = float("-inf")


class DeviceService:
    """All devices of this platform.

    `async with` runs its timers, probes and DeviceInfo queries.

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
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._signalling = signalling
        self._store = store
        self._secrets = secrets
        self._bus = bus
        self._clock = clock
        self._domain_password = domain_password
        self._monotonic = monotonic
        self._registrar = Registrar(settings, digest)
        self._presence = Presence(
            offline_after_s=settings.offline_after_s,
            misses=settings.keepalive_misses,
            interval_s=settings.keepalive_interval_s,
        )
        self._peers: dict[DeviceId, _Peer] = {}
        self._by_address: dict[tuple[str, int], set[DeviceId]] = {}
        self._refusals = Refusals()
        first_sn = int(clock.utc().timestamp())
        self._queries = Queries(signalling, timeout_s=settings.query_timeout_s, first_sn=first_sn)
        self._wanted_info: dict[DeviceId, None] = {}
        self._info_is_wanted = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._counters: Counter[str] = Counter()
        bus.subscribe(CatalogFinished, self._catalog_finished)

    # --- life ------------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Restores devices; a registration that has not expired is online, with full patience."""
        now, utc = self._monotonic(), self._clock.utc()
        for device in await self._store.load_devices():
            registration = device.registration
            if registration is not None:
                # Connections of an earlier process are gone, and their numbers are given out anew.
                registration = dataclasses.replace(registration, route=dataclasses.replace(registration.route, connection=0))
                device = device.with_changes(registration=registration)
            self._peers[device.device_id] = _Peer(device)
            if registration is not None:
                self._index(device.device_id, registration.route)
                if registration.expires_at > utc:
                    self._presence.restore(device.device_id, device.keepalive_interval_s, now)

    async def __aenter__(self) -> DeviceService:
        self._group = await asyncio.TaskGroup().__aenter__()
        self._start(self._run_timer())
        for _ in range(_INFO_WORKERS):
            self._start(self._run_info_worker())
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
        return [peer.device for peer in self._peers.values()]

    def get(self, device_id: str) -> Device:
        """Raises:
        NotFound: No such device.
        """
        return self._peer(device_id).device

    def is_online(self, device_id: str) -> bool:
        return self._presence.is_online(DeviceId(device_id))

    def route(self, device_id: str) -> Route:
        """The way to a device.

        Raises:
            NotFound: No such device.
            Unreachable: It is offline; its last address may be another camera's by now (W16).
        """
        registration = self._peer(device_id).device.registration
        if registration is None or not self.is_online(device_id):
            raise Unreachable(f"device {device_id} is offline: check its power, its network and its SIP settings")
        return registration.route

    def refusals(self) -> list[RegistrationRefused]:
        """The last refused registrations, one per device and source, newest first."""
        return self._refusals.newest_first()

    def counters(self) -> dict[str, int]:
        """Events since the start, and the number of devices now, by name."""
        return {**self._counters, "devices": len(self._peers), "online": self._presence.online}

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
        if identifier in self._peers:
            raise Conflict(f"device {identifier} exists already")
        device = Device(identifier, name=_name(name), password=self._sealed(password), created_at=self._clock.utc())
        self._peers[identifier] = _Peer(device)
        await self._store.save_device_now(device)
        self._bus.publish(DeviceChanged(identifier))
        return device

    async def update(self, device_id: str, *, name: str | None = None, password: str | None = None) -> Device:
        """Changes what is given; an empty password means the domain's password.

        Raises:
            NotFound: No such device.
            Invalid: The name cannot be used.
        """
        peer = self._peer(device_id)
        changes: dict[str, object] = {}
        if name is not None:
            changes["name"] = _name(name)
        if password is not None:
            changes["password"] = self._sealed(password)
        peer.device = peer.device.with_changes(**changes)
        await self._store.save_device_now(peer.device)
        self._bus.publish(DeviceChanged(peer.device.device_id))
        return peer.device

    async def remove(self, device_id: str) -> None:
        """Forgets a device and its channels; one that still knows a password appears again.

        Raises:
            NotFound: No such device.
        """
        device = self._peer(device_id).device
        del self._peers[device.device_id]
        if device.registration is not None:
            self._unindex(device.device_id, device.registration.route)
        self._presence.forget(device.device_id)
        self._wanted_info.pop(device.device_id, None)
        await self._store.delete_device(device.device_id)
        self._bus.publish(DeviceOffline(device.device_id, "deleted"))

    def remember_media_transport(self, device_id: str, transport: Literal["udp", "tcp"]) -> None:
        """What worked for media last; unknown devices are ignored."""
        peer = self._peers.get(DeviceId(device_id))
        if peer is not None and peer.device.media_transport != transport:
            self._change(peer, media_transport=transport)

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

    def _target(self, device_id: str, route: Route | None = None) -> Target:
        version = self._peer(device_id).device.gb_version
        return Target(DeviceId(device_id), route or self.route(device_id), "gb18030" if version >= "3" else "gb2312")

    # --- what arrives (see handlers.py) ----------------------------------------------------------------------------

    async def register(self, request: SipRequest) -> None:
        """Answers one REGISTER.

        Raises:
            WireError: From holds no identifier.
        """
        register = self._registrar.read(request)
        peer = self._peers.get(register.device_id)
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

    def heard(self, inbound: Inbound[Keepalive]) -> None:
        """A keepalive from where `admit` accepts it."""
        self._counters["keepalives"] += 1
        peer = self._peers.get(inbound.device_id)
        if peer is None or peer.device.registration is None:
            return
        came = inbound.request.route
        if not _is_same(peer.device.registration.route, came):
            self._probe(peer, came)
            if not self.is_online(inbound.device_id):
                return  # it is online when its new address has answered, not at the old one, which may be another's
        self._alive(peer)

    def answered(self, inbound: Inbound[Any]) -> None:
        """A Response to a query of ours."""
        if not self._queries.answered(inbound.device_id, inbound.command):
            self._counters["unsolicited_responses"] += 1

    # --- who may speak (router.Peers) ------------------------------------------------------------------------------

    def admit(self, device_id: DeviceId, request: SipRequest) -> Admission:
        peer = self._peers.get(device_id)
        if peer is None or peer.device.registration is None:
            return "refused"
        known, came = peer.device.registration.route, request.route
        if known.remote.host != came.remote.host:
            self._counters["foreign_source"] += 1
            return "refused"
        return "accepted" if _is_same(known, came) else "moved"

    def at_address(self, request: SipRequest) -> DeviceId | None:
        if DeviceId(request.user) in self._peers:
            return None  # it says who it is, and has been refused as that
        found = self._by_address.get((request.route.remote.host, request.route.remote.port), ())
        online = [device_id for device_id in found if self.is_online(device_id)]
        return online[0] if len(online) == 1 else None

    def count_faults(self, device_id: DeviceId, faults: Mapping[str, int]) -> None:
        peer = self._peers.get(device_id)
        if peer is not None:
            # In memory; written with the next state that is.
            peer.device = peer.device.with_changes(faults=dict(Counter(peer.device.faults) + Counter(faults)))

    # --- time ------------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Takes devices offline that have been silent too long."""
        for event in self._presence.expire(self._monotonic()):
            logger.info("device offline", extra={"device_id": event.device_id, "cause": "keepalive_timeout"})
            self._counters["keepalive_timeouts"] += 1
            self._save(self._peers[event.device_id])
            self._bus.publish(DeviceOffline(event.device_id, "keepalive_timeout"))

    async def _run_timer(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.expire()

    # --- registration ----------------------------------------------------------------------------------------------

    def _accept(self, register: Register, request: SipRequest, peer: _Peer | None, decision: Accept) -> None:
        utc = self._clock.utc()
        self._signalling.respond(request, 200, headers=decision.headers(utc if self._settings.date_header else None))
        faults = Counter(request.faults)
        if request.uri_user and request.uri_user != self._settings.server_id:
            faults["wrong-server-id"] += 1  # quirk Q24
        if register.expires_s == 0:
            self._deregistered(peer)
        else:
            peer = self._registered(register, request, peer, utc)
        if faults:
            self.count_faults(register.device_id, faults)

    def _registered(self, register: Register, request: SipRequest, peer: _Peer | None, utc: datetime) -> _Peer:
        identifier, route = register.device_id, request.route
        was_online = self.is_online(identifier)
        old = peer.device.registration if peer is not None else None
        if peer is None:
            peer = self._peers[identifier] = _Peer(Device(identifier, created_at=utc))
            logger.info("new device", extra={"device_id": identifier, "source": str(route.remote)})
        moved = was_online and old is not None and not _is_same_place(old.route, route)
        self._counters["registrations"] += 1
        user_agent = request.headers.get("user-agent", "")[:_MAX_NAME]
        self._relocate(peer, route)
        self._change(
            peer,
            registration=Registration(
                route,
                register.contact,
                request.call_id,
                registered_at=utc,
                expires_at=utc + timedelta(seconds=register.expires_s),
            ),
            last_seen_at=utc,
            user_agent=user_agent,
            gb_version=request.headers.get("x-gb-ver", "").strip()[:16],
            manufacturer=peer.device.manufacturer or manufacturer_of(user_agent),
        )
        self._refusals.clear(identifier, route.remote.host)
        self._presence.registered(identifier, self._monotonic())
        if moved:
            logger.info("device moved", extra={"device_id": identifier, "source": str(route.remote)})
            self._bus.publish(DeviceMoved(identifier))
        if not was_online:
            logger.info("device online", extra={"device_id": identifier, "source": str(route.remote)})
            self._bus.publish(DeviceOnline(identifier))
        self._bus.publish(DeviceRegistered(identifier, is_new=moved or not was_online))
        if moved or not was_online:
            self._want_info(identifier)
        return peer

    def _deregistered(self, peer: _Peer | None) -> None:
        self._counters["deregistrations"] += 1
        if peer is None or peer.device.registration is None:
            return
        identifier = peer.device.device_id
        self._unindex(identifier, peer.device.registration.route)
        self._change(peer, registration=None, last_seen_at=self._clock.utc())
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

    def _password(self, peer: _Peer | None) -> str:
        if peer is None or peer.device.password is None:
            return self._domain_password
        return self._secrets.open(peer.device.password)

    def _sealed(self, password: str) -> bytes | None:
        return self._secrets.seal(password) if password else None

    # --- life signs and addresses ----------------------------------------------------------------------------------

    def _alive(self, peer: _Peer) -> None:
        device, now, utc = peer.device, self._monotonic(), self._clock.utc()
        went_online = self._presence.keepalive(device.device_id, now)
        registration = device.registration
        changes: dict[str, object] = {"last_seen_at": utc, "keepalive_interval_s": self._presence.interval_s(device.device_id)}
        lapsed = registration is not None and registration.expires_at <= utc
        if registration is not None and lapsed:
            # quirk Q11: some firmware never registers again while its keepalives are answered
            self._counters["registrations_revived"] += 1
            length = registration.expires_at - registration.registered_at
            changes["registration"] = dataclasses.replace(registration, registered_at=utc, expires_at=utc + length)
        peer.device = device.with_changes(**changes)
        if lapsed or went_online or now - peer.saved_at >= _SAVE_EVERY_S:
            self._save(peer)
        if went_online:
            logger.info("device online", extra={"device_id": device.device_id})
            self._bus.publish(DeviceOnline(device.device_id))

    def _probe(self, peer: _Peer, came: Route) -> None:
        now = self._monotonic()
        if now - peer.probed_at < _PROBE_EVERY_S:
            return
        peer.probed_at = now
        self._counters["probes"] += 1
        self._start(self._probe_both(peer, came))

    async def _probe_both(self, peer: _Peer, came: Route) -> None:
        """The device keeps the address that answers; the old one, when both do."""
        registration = peer.device.registration
        if registration is None:
            return
        was_online = self.is_online(peer.device.device_id)
        async with asyncio.TaskGroup() as group:
            new = group.create_task(self._answers(came, peer.device.device_id))
            if was_online:
                old = group.create_task(self._answers(registration.route, peer.device.device_id))
        old_answers = was_online and old.result()
        if peer.device.registration is not registration or not new.result() or old_answers:
            return  # it registered or left meanwhile, or there is nothing to move
        logger.info("device moved", extra={"device_id": peer.device.device_id, "source": str(came.remote)})
        self._counters["routes_moved"] += 1
        self._relocate(peer, came)
        self._change(peer, registration=dataclasses.replace(registration, route=came))
        self._alive(peer)

    async def _answers(self, route: Route, device_id: DeviceId) -> bool:
        """Whether somebody at this address takes a query for the device."""
        try:
            await self._queries.send(self._target(device_id, route), DeviceStatusQuery(sn=self.next_sn(), device_id=device_id))
        except (PeerTimeout, Unreachable, NotFound):
            return False
        return True

    def _relocate(self, peer: _Peer, route: Route) -> None:
        if peer.device.registration is not None:
            self._unindex(peer.device.device_id, peer.device.registration.route)
        self._index(peer.device.device_id, route)

    def _index(self, device_id: DeviceId, route: Route) -> None:
        self._by_address.setdefault((route.remote.host, route.remote.port), set()).add(device_id)

    def _unindex(self, device_id: DeviceId, route: Route) -> None:
        place = (route.remote.host, route.remote.port)
        found = self._by_address.get(place, set())
        found.discard(device_id)
        if not found:
            self._by_address.pop(place, None)

    # --- DeviceInfo ------------------------------------------------------------------------------------------------

    def _want_info(self, device_id: DeviceId) -> None:
        self._wanted_info[device_id] = None
        self._info_is_wanted.set()

    async def _run_info_worker(self) -> None:
        """One query at a time, so that a storm of registrations is not followed by one of queries."""
        while True:
            await self._info_is_wanted.wait()
            if not self._wanted_info:
                self._info_is_wanted.clear()
                continue
            device_id = next(iter(self._wanted_info))
            del self._wanted_info[device_id]
            try:
                self._learn(device_id, await self.query(device_id, DeviceInfoQuery(device_id=device_id)))
            except (PeerTimeout, Unreachable, NotFound):
                self._counters["info_failed"] += 1

    def _learn(self, device_id: DeviceId, info: DeviceInfoResponse) -> None:
        peer = self._peer(device_id)
        device = peer.device
        changed = device.with_changes(
            name=device.name or (info.device_name or "")[:_MAX_NAME],
            manufacturer=(info.manufacturer or device.manufacturer)[:_MAX_NAME],
            model=(info.model or device.model)[:_MAX_NAME],
            firmware=(info.firmware or device.firmware)[:_MAX_NAME],
        )
        if changed != device:
            peer.device = changed
            self._save(peer)
            self._bus.publish(DeviceChanged(device_id))

    # --- state -----------------------------------------------------------------------------------------------------

    def _catalog_finished(self, event: CatalogFinished) -> None:
        peer = self._peers.get(event.device_id)
        if peer is not None:
            self._change(
                peer,
                catalog_announced=event.announced,
                catalog_received=event.received,
                catalog_at=self._clock.utc() if event.complete else peer.device.catalog_at,
            )

    def _peer(self, device_id: str) -> _Peer:
        peer = self._peers.get(DeviceId(device_id))
        if peer is None:
            raise NotFound(f"there is no device {device_id[:64]}")
        return peer

    def _change(self, peer: _Peer, **changes: object) -> None:
        peer.device = peer.device.with_changes(**changes)
        self._save(peer)

    def _save(self, peer: _Peer) -> None:
        peer.saved_at = self._monotonic()
        self._store.save_device(peer.device)


def _is_same(known: Route, came: Route) -> bool:
    """Whether two routes are one path: the same connection, or the same address by UDP."""
    return (known.transport, known.remote, known.connection) == (came.transport, came.remote, came.connection)


def _is_same_place(known: Route, came: Route) -> bool:
    """Whether a REGISTER came from where the device was: a new TCP connection of one host is no move."""
    if known.transport == came.transport == "tcp":
        return known.remote.host == came.remote.host
    return known.transport == came.transport and known.remote == came.remote


def _name(text: str) -> str:
    text = text.strip()
    if len(text) > _MAX_NAME or not text.isprintable():
        raise Invalid(f"a name has at most {_MAX_NAME} printable characters")
    return text
