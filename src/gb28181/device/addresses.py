"""Where devices are reached, and from where they may speak (§9.1; quirks Q8, Q9, Q34; W16, S7).

An address moves by an authenticated REGISTER, or to another port of the same host after that port has answered a query of
ours where the old one did not. A registration of before our restart is not used until its device was heard: the address may
have been given to another camera meanwhile. Each is asked once at the start, a few hundred a second.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

from gb28181.bus import Bus
from gb28181.device.directory import Directory, Peer
from gb28181.device.model import Address, Device, DeviceOnline, Registration, Route
from gb28181.device.nat import KeepAlives, literal_address
from gb28181.device.presence import Presence
from gb28181.device.sending import Sending, Target
from gb28181.errors import NotFound, PeerTimeout, Unreachable
from gb28181.ids import DeviceId
from gb28181.manscdp.commands.device import DeviceStatusQuery
from gb28181.ports import Signalling, SipRequest
from gb28181.router import Admission
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

#: A device whose port differs is probed at most this often.
_PROBE_EVERY_S: Final = 60.0
#: Mean pause between two restored devices that are asked: 400 a second.
_CONFIRM_PAUSE_S: Final = 1 / 400
#: Devices that all come from one address before that is worth a word (quirk Q39).
_ONE_SOURCE: Final = 5
_KEEPALIVE_TICK_S: Final = 0.2


class Addresses:
    """The ways to all devices.

    Args:
        counters: Of the device service.
        start: Runs a task of the device service.
        alive: Called with a device that has moved to a port where it answered.
    """

    def __init__(
        self,
        directory: Directory,
        presence: Presence,
        *,
        signalling: Signalling,
        sending: Sending,
        bus: Bus,
        monotonic: Callable[[], float],
        counters: Counter[str],
        start: Callable[[Coroutine[Any, Any, None]], object],
        alive: Callable[[Peer], None],
    ) -> None:
        self._directory = directory
        self._presence = presence
        self._signalling = signalling
        self._sending = sending
        self._bus = bus
        self._monotonic = monotonic
        self._counters = counters
        self._start = start
        self._alive = alive
        self._keep_alives = KeepAlives()

    # --- where to --------------------------------------------------------------------------------------------------

    def is_usable(self, peer: Peer) -> bool:
        """Whether requests may go to where it is registered."""
        return peer.is_confirmed and self._presence.is_online(peer.device.device_id)

    def route(self, peer: Peer) -> Route:
        """The way to a device.

        Raises:
            Unreachable: It is offline, was not heard since our start, or its connection is closed and cannot be made anew.
        """
        device_id, registration = peer.device.device_id, peer.device.registration
        if registration is None or not self._presence.is_online(device_id):
            raise Unreachable(say("device.offline", device_id=device_id))
        if not peer.is_confirmed:
            raise Unreachable(say("device.unheard", device_id=device_id, remote=registration.route.remote))
        return self._way(peer.device, registration)

    def target(self, device: Device, route: Route) -> Target:
        """A command's destination."""
        return Target(device.device_id, route, device.profile.charset)

    def _way(self, device: Device, registration: Registration) -> Route:
        """Where it came from, or its Contact when the TCP connection is gone (quirk Q34).

        Contact is believed for the port only: behind a NAT its host is a private address, which in our network is
        another camera's.
        """
        route = registration.route
        if self._signalling.is_connected(route):
            return route
        place = literal_address(registration.contact)
        if place is None or place[0] != route.remote.host:
            raise Unreachable(
                say("device.tcp_closed", device_id=device.device_id, contact=registration.contact, host=route.remote.host)
            )
        return dataclasses.replace(route, remote=Address(*place), connection=0)

    # --- who may speak ---------------------------------------------------------------------------------------------

    def admit(self, peer: Peer, request: SipRequest) -> Admission:
        if peer.device.registration is None:
            return "refused"
        known, came = peer.device.registration.route, request.route
        if known.remote.host != came.remote.host:
            self._counters["foreign_source"] += 1
            return "refused"
        if is_weaker(known, came):
            # A datagram may be forged, and a probe of its port would move the device out of its TLS connection.
            self._counters["unprotected_source"] += 1
            return "refused"
        return "accepted" if is_same(known, came) else "moved"

    def at_address(self, request: SipRequest) -> DeviceId | None:
        if request.user in self._directory:
            return None  # it says who it is, and has been refused as that
        found = self._directory.at(request.route.remote)
        online = [
            device_id
            for device_id, registration in ((one, self._directory.get(one).device.registration) for one in found)
            if registration is not None
            and not is_weaker(registration.route, request.route)
            and self._presence.is_online(device_id)
        ]
        return online[0] if len(online) == 1 else None

    def one_source(self) -> str:
        """The host from which all devices that are online come, "" unless there are several of one."""
        hosts: set[str] = set()
        count = 0
        for peer in self._directory.peers():
            registration = peer.device.registration
            if registration is not None and self._is_online(peer):
                hosts.add(registration.route.remote.host)
                count += 1
                if len(hosts) > 1:
                    return ""
        return hosts.pop() if count >= _ONE_SOURCE else ""

    # --- first heard -----------------------------------------------------------------------------------------------

    def seen(self, peer: Peer) -> None:
        """Something came from where it is registered."""
        if peer.is_confirmed:
            return
        peer.is_confirmed = True
        device_id = peer.device.device_id
        if self._presence.is_online(device_id):
            logger.info("device heard again", extra={"device_id": device_id})
            self._bus.publish(DeviceOnline(device_id))

    async def confirm_restored(self) -> None:
        """Asks every restored device for a sign of life, in random order; who does not answer is waited for."""
        waiting = [peer for peer in self._directory.peers() if not peer.is_confirmed and self._is_online(peer)]
        random.shuffle(waiting)
        for peer in waiting:
            if not peer.is_confirmed:
                self._counters["confirmations_asked"] += 1
                self._start(self._confirm(peer))
                await asyncio.sleep(_CONFIRM_PAUSE_S * random.uniform(0.5, 1.5))

    async def _confirm(self, peer: Peer) -> None:
        device, registration = peer.device, peer.device.registration
        if registration is None:
            return
        query = DeviceStatusQuery(sn=self._sending.next_sn(), device_id=device.device_id)
        try:
            # A refusal is a sign of life as well: not every firmware knows this query.
            await self._sending.reach(self.target(device, self._way(device, registration)), query)
        except (PeerTimeout, Unreachable):
            self._counters["confirmations_failed"] += 1
            return
        now = peer.device.registration
        if now is not None and now.route == registration.route:
            self.seen(peer)

    def _is_online(self, peer: Peer) -> bool:
        return self._presence.is_online(peer.device.device_id)

    # --- another port ----------------------------------------------------------------------------------------------

    def probe(self, peer: Peer, came: Route) -> None:
        """The device has spoken from another port or connection of its host: finds out where it is."""
        now = self._monotonic()
        if now - peer.probed_at < _PROBE_EVERY_S:
            return
        peer.probed_at = now
        self._counters["probes"] += 1
        self._start(self._probe_both(peer, came))

    async def _probe_both(self, peer: Peer, came: Route) -> None:
        """The device keeps the address that answers; the old one, when both do."""
        registration = peer.device.registration
        if registration is None:
            return
        was_usable = self.is_usable(peer)
        async with asyncio.TaskGroup() as group:
            new = group.create_task(self._answers(came, peer.device))
            if was_usable:
                old = group.create_task(self._answers(registration.route, peer.device))
        old_answers = old.result() if was_usable else self.is_usable(peer)
        if peer.device.registration is not registration or not new.result() or old_answers:
            return  # it registered or left meanwhile, or there is nothing to move
        logger.info("device moved", extra={"device_id": peer.device.device_id, "source": str(came.remote)})
        self._counters["routes_moved"] += 1
        self._directory.register(peer, dataclasses.replace(registration, route=came))
        self._alive(peer)

    async def _answers(self, route: Route, device: Device) -> bool:
        """Whether somebody at this address takes a query for the device."""
        query = DeviceStatusQuery(sn=self._sending.next_sn(), device_id=device.device_id)
        try:
            await self._sending.send(self.target(device, route), query)
        except (PeerTimeout, Unreachable, NotFound):
            return False
        return True

    # --- NAT -------------------------------------------------------------------------------------------------------

    def keep_open(self, peer: Peer) -> None:
        """Begins or ends the keep-alives of a device after its registration or first sign of life."""
        registration = peer.device.registration
        if registration is not None and registration.behind_nat:
            self._keep_alives.add(peer.device.device_id, self._monotonic(), peer.device.profile.keep_open_s)
        else:
            self._keep_alives.remove(peer.device.device_id)

    @property
    def kept_open(self) -> int:
        """Number of devices whose NAT is kept open."""
        return len(self._keep_alives)

    def send_keep_alives(self) -> None:
        for device_id in self._keep_alives.due(self._monotonic()):
            peer = self._directory.find(device_id)
            registration = peer.device.registration if peer is not None else None
            if peer is None or registration is None or not registration.behind_nat:
                self._keep_alives.remove(device_id)
            elif self.is_usable(peer):
                self._counters["nat_keep_alives"] += 1
                self._signalling.keep_open(registration.route)

    async def run_keep_alives(self) -> None:
        while True:
            await asyncio.sleep(_KEEPALIVE_TICK_S)
            self.send_keep_alives()


def is_same(known: Route, came: Route) -> bool:
    """Whether two routes are one path: the same connection, or the same address by UDP."""
    there, here = known.remote, came.remote
    return (
        here.port == there.port
        and here.host == there.host
        and known.connection == came.connection
        and known.transport == came.transport
    )


def is_weaker(known: Route, came: Route) -> bool:
    """Whether what came lacks the protection under which the device registered."""
    return known.transport == "tls" != came.transport


def is_same_place(known: Route, came: Route) -> bool:
    """Whether a REGISTER came from where the device was: a new TCP connection of one host is no move."""
    if known.transport == came.transport != "udp":
        return known.remote.host == came.remote.host
    return known.transport == came.transport and known.remote == came.remote
