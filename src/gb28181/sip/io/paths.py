"""Ways to peers: over what a request goes (RFC 3261 §18.1.1; quirks Q33-Q35), and which address of ours stands in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gb28181.advertise import parse_rules
from gb28181.config import SipSettings
from gb28181.device.model import Address, Route, SipTransport
from gb28181.errors import Unreachable
from gb28181.sip.compose import Told
from gb28181.sip.io.connections import Connections
from gb28181.sip.io.local import LocalAddresses, is_address
from gb28181.sip.transaction import Flow
from gb28181.sip.uri import parse_uri
from gb28181.texts.text import say

#: A longer request goes over a stream where the peer has one: fragments of a datagram get lost (RFC 3261 §18.1.1).
_MAX_UDP: Final = 1300
_SIP_PORT, _SIPS_PORT = 5060, 5061
#: What UDP can carry at all.
_MAX_DATAGRAM: Final = 65_507
#: What our headers take of it, at the most.
_HEAD: Final = 600
#: Addresses of ours that are remembered; there are a few.
_MAX_LOCALS: Final = 256


class Paths:
    """Finds the way to a route.

    Args:
        bound: Address that the UDP socket is bound to.
        port, tls_port: That we listen on; 0 where TLS is off.
    """

    def __init__(self, settings: SipSettings, connections: Connections, *, bound: str, port: int, tls_port: int) -> None:
        self._connections = connections
        self._local = LocalAddresses(rules=parse_rules(settings.advertise), bound=bound)
        #: Our address that a UDP peer writes to, "" for the usual one.
        self.met_at: Callable[[Flow], str] = lambda _flow: ""
        self._locals: dict[Told, Address] = {}
        self._port = port
        self._tls_port = tls_port
        self._loop = asyncio.get_running_loop()

    def ready(self, route: Route) -> Flow | None:
        """The way that can be used at once: UDP, the connection of the route, or another one to the same address."""
        remote = route.remote
        if route.transport == "udp":
            return Flow("udp", remote.host, remote.port)
        connection = self._connections.get(route.connection) or self._connections.towards(route.transport, remote)
        return connection.flow if connection is not None else None

    def in_dialog(self, route: Route, target: str) -> Route:
        """The way for a request in a dialog: as it was, or to where the peer listens when its connection is gone (quirk Q34).

        Args:
            target: Remote target of the dialog. It is believed for the port only: behind a NAT its host is a private
                address, which in our network is somebody else's.
        """
        if self.ready(route) is not None:
            return route
        uri = parse_uri(target)
        if uri is None or uri.host != route.remote.host:
            return route
        port = uri.port or (_SIPS_PORT if route.transport == "tls" else _SIP_PORT)
        return Route(route.transport, Address(uri.host, port), route.local)

    async def find(self, route: Route, *, to: str = "", body: bytes = b"") -> Flow:
        """As `ready`, else over a new connection (quirk Q34).

        Args:
            to, body: Of a request: a large one takes the stream that this peer has opened to us (quirk Q33). Without one it
                goes by UDP all the same: who registers over UDP listens there.

        Raises:
            Unreachable: No address, or no connection can be made.
        """
        remote = route.remote
        if not is_address(remote.host) or not 0 < remote.port < 65536:
            raise Unreachable(say("device.no_address", remote=remote))
        ready = self.ready(route)
        if ready is None:
            return (await self._connections.connect(route.transport, remote)).flow
        if ready.transport == "udp" and len(body) > _MAX_UDP - _HEAD:
            stream = self._connections.of_user(remote.host, to)
            if stream is not None:
                return stream.flow
            if len(body) > _MAX_DATAGRAM - _HEAD:
                raise Unreachable(say("device.too_long_for_udp", size=len(body), remote=remote))
        return ready

    def told(self, flow: Flow) -> Told:
        """Host and port of ours as they stand in Via and Contact towards this peer."""
        if flow.transport == "udp":
            return self._told(flow.host, "udp", self.met_at(flow))
        connection = self._connections.get(flow.connection) if flow.connection else None
        return self._told(flow.host, flow.transport, connection.local if connection else "")

    def local_of(self, flow: Flow) -> Address:
        """As `told`; one object for all whom the same is told."""
        told = self.told(flow)
        known = self._locals.get(told)
        if known is None:
            if len(self._locals) >= _MAX_LOCALS:
                self._locals.clear()
            known = self._locals[told] = Address(*told)
        return known

    def local_for(self, remote: Address, transport: SipTransport) -> Address:
        """The address told to a peer before there is a flow to it."""
        if transport == "udp":
            return Address(*self.told(Flow("udp", remote.host, remote.port)))
        connection = self._connections.towards(transport, remote)
        return Address(*self._told(remote.host, transport, connection.local if connection else ""))

    def usual(self, host: str) -> str:
        """Address that the kernel sends from to this host."""
        return self._local.routed(host, self._loop.time())

    def _told(self, peer: str, transport: SipTransport, met_at: str) -> Told:
        host, port = self._local.towards(peer, self._loop.time(), met_at=met_at)
        # A configured port is that of UDP and TCP; where TLS arrives from outside is the port that we listen on.
        return host, self._tls_port if transport == "tls" else port or self._port
