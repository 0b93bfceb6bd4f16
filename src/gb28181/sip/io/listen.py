"""The sockets that SIP listens on: UDP and TCP under one port number, TLS under its own."""

from __future__ import annotations

import socket
from typing import Final

from gb28181.device.model import Address
from gb28181.errors import Unavailable
from gb28181.sip.io.tcp import bind_tcp
from gb28181.sip.io.udp import bind_udp
from gb28181.texts.text import reason_of, say

_BIND_TRIES: Final = 20


def bind(host: str, port: int, tls_port: int | None) -> tuple[socket.socket, socket.socket, socket.socket | None]:
    """Sockets for UDP and TCP on one port number, with port 0 on one that is free for both; and for TLS unless None.

    Raises:
        Unavailable: The address or a port cannot be bound.
    """
    udp, tcp = _bind_both(host, port)
    if tls_port is None:
        return udp, tcp, None
    try:
        return udp, tcp, bind_tcp(*_resolve(host), tls_port)
    except OSError as error:
        udp.close()
        tcp.close()
        raise _unavailable("SIP over TLS", host, tls_port, error) from None


def _bind_both(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    error: OSError | None = None
    for _ in range(1 if port else _BIND_TRIES):
        udp = None
        try:
            family, address = _resolve(host)
            udp = bind_udp(family, address, port)
            return udp, bind_tcp(family, address, udp.getsockname()[1])
        except OSError as failure:
            error = failure
            if udp is not None:
                udp.close()
    raise _unavailable("SIP", host, port, error)


def _unavailable(what: str, host: str, port: int, error: OSError | None) -> Unavailable:
    return Unavailable(
        say("start.sip_listen", what=what, address=Address(host, port), why=reason_of(error) if error else "unknown")
    )


def _resolve(host: str) -> tuple[int, str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    return found[0][0], str(found[0][4][0])
