"""The sockets that SIP listens on: UDP and TCP under one port number."""

from __future__ import annotations

import socket
from typing import Final

from gb28181.device.model import Address
from gb28181.errors import Unavailable
from gb28181.sip.io.tcp import bind_tcp
from gb28181.sip.io.udp import bind_udp

_BIND_TRIES: Final = 20


def bind(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Sockets for UDP and TCP on one port number; with port 0 on one that is free for both.

    Raises:
        Unavailable: The address or port cannot be bound.
    """
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
    where = Address(host, port)
    raise Unavailable(f"SIP cannot listen on {where}: {error.strerror or error if error else 'unknown'}")


def _resolve(host: str) -> tuple[int, str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    return found[0][0], str(found[0][4][0])
