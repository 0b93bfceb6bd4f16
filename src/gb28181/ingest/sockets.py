"""Opens media sockets with the buffers that a coalescing tick needs."""

from __future__ import annotations

import errno
import logging
import socket
from dataclasses import dataclass
from typing import Final

from gb28181.errors import Unavailable
from gb28181.ingest.ports import PortPool
from gb28181.messages import MediaTransport
from gb28181.texts.text import reason_of, say

logger = logging.getLogger(__name__)

_SO_RCVBUFFORCE: Final = 33
_BACKLOG: Final = 8


@dataclass(frozen=True, slots=True)
class MediaSockets:
    """Sockets of one stream; `media` is a UDP socket or a TCP listener, `rtcp` is None for TCP."""

    port: int
    media: socket.socket
    rtcp: socket.socket | None

    def close(self) -> None:
        self.media.close()
        if self.rtcp is not None:
            self.rtcp.close()


class SocketOpener:
    """Binds the sockets of streams.

    Args:
        host: Local address.
        buffer_bytes: Receive buffer that is asked for; what the kernel gave is read back and warned about once.
    """

    def __init__(self, host: str, pool: PortPool, *, buffer_bytes: int) -> None:
        self._host = host
        self._pool = pool
        self._buffer_bytes = buffer_bytes
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        #: Words of eight bytes of a `sockaddr` in which two sources may differ.
        self.source_words = 1 if self._family == socket.AF_INET else 3
        self.is_short = False
        """Whether the system granted a smaller buffer than asked for."""

    def open(self, transport: MediaTransport, now: float) -> MediaSockets:
        """Takes the next port that can be bound.

        Raises:
            Unavailable: No port is free, or the process has no file descriptors left.
        """
        refused: OSError | None = None
        for port in self._pool.candidates(now):
            try:
                sockets = self._bind(transport, port)
            except OSError as error:
                refused = error
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    break
                self._pool.unusable(port)
                continue
            self._pool.taken(port)
            return sockets
        why = say("stream.last_refusal", why=reason_of(refused)) if refused else say("stream.ports_used")
        raise Unavailable(say("stream.no_port", why=why))

    def _bind(self, transport: MediaTransport, port: int) -> MediaSockets:
        if transport == "tcp":
            return MediaSockets(port, self._listener(port), None)
        media = self._datagram(port, self._buffer_bytes)
        try:
            return MediaSockets(port, media, self._datagram(port + 1, 0))
        except OSError:
            media.close()
            raise

    def _datagram(self, port: int, buffer_bytes: int) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            if buffer_bytes:
                self._enlarge(sock, buffer_bytes)
            sock.bind((self._host, port))
        except OSError:
            sock.close()
            raise
        return sock

    def _listener(self, port: int) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._enlarge(sock, self._buffer_bytes)  # accepted connections inherit it; after listen it is too late
            sock.bind((self._host, port))
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
        return sock

    def _enlarge(self, sock: socket.socket, wanted: int) -> None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, wanted)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, wanted)
        got = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # Linux reports the double, for its own overhead
        if got < wanted and not self.is_short:
            self.is_short = True
            logger.warning(
                "media receive buffers are smaller than configured, bursts may be lost: raise net.core.rmem_max",
                extra={"wanted_bytes": wanted, "got_bytes": got},
            )
