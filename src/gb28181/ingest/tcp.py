"""TCP media of one stream: a listener that stays as long as the stream does, and the connection that carries it.

A camera may connect before it was answered, twice, or again after its network came back (quirk Q115). Of two connections
that have brought nothing the first to bring something is read; after that the newest takes over when the old one has brought
nothing for 2 s or is gone. Until then it waits.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

from gb28181.media.framing import Framing

_SILENT_S: Final = 2.0
_LENGTH: Final = struct.Struct(">H")


class Connection:
    """One accepted connection.

    Args:
        peer: `host:port`.
    """

    __slots__ = ("_unsent", "framing", "last_heard", "peer", "rest", "sock")

    def __init__(self, sock: socket.socket, peer: str, now: float) -> None:
        self.sock = sock
        self.peer = peer
        self.framing = Framing()
        self.rest = b""  # begin of a frame that is not complete
        self.last_heard = now
        self._unsent = b""

    def has_brought(self) -> bool | None:
        """Whether bytes wait to be read; None: the peer has closed it."""
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)) or None
        except BlockingIOError:
            return False
        except OSError:
            return None

    def send(self, packet: bytes) -> None:
        """Sends one framed RTCP packet, or nothing while the peer takes none: half a frame would spoil the framing."""
        if not self._unsent:
            prefix = b"$\x01" if self.framing.is_interleaved else b""
            self._unsent = prefix + _LENGTH.pack(len(packet)) + packet
        try:
            sent = self.sock.send(self._unsent, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return  # a broken connection shows when it is read
        self._unsent = self._unsent[sent:]


class TcpMedia:
    """Which connection of a listener is read."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.current: Connection | None = None
        self.waiting: Connection | None = None

    def accept(self, now: float) -> list[Connection]:
        """Accepts who knocks, oldest first; the caller makes each `current` or `waiting`."""
        out: list[Connection] = []
        for _ in range(8):
            try:
                sock, address = self.listener.accept()
            except OSError:
                break
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            host, port = address[:2]
            out.append(Connection(sock, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", now))
        return out

    def successor(self, now: float) -> Connection | None:
        """The connection that waits, if its turn has come. The caller closes `current` and calls `take`."""
        if self.current is None or (self.current.last_heard and now - self.current.last_heard >= _SILENT_S):
            return self.waiting
        return None

    def gives_way(self, now: float) -> bool:
        """Whether a connection that waits and has brought something takes over: the other has not, or not for 2 s."""
        return self.current is None or now - self.current.last_heard >= _SILENT_S

    def take(self, connection: Connection) -> None:
        self.current = connection
        connection.last_heard = 0.0  # brings nothing yet: another one that does takes over at once
        if self.waiting is connection:
            self.waiting = None

    def close(self) -> None:
        for connection in (self.current, self.waiting):
            if connection is not None:
                connection.sock.close()
        self.listener.close()
