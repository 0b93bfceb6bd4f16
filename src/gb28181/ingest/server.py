"""The Unix socket of an ingest: one control connection that is obeyed, and edges that watch.

Nothing here blocks: what a reader does not take waits in a bounded buffer. A control whose buffer overflows is cut off and
attaches again; a watch that would overflow its edge's buffer is ended (`overrun`), the others go on.
"""

from __future__ import annotations

import logging
import os
import select
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from gb28181.errors import StorageError, WireError
from gb28181.frames import FrameReader, encode, encode_chunk_header
from gb28181.ingest.journal import Journal
from gb28181.ingest.stream import Stream
from gb28181.media.keyframe import Piece
from gb28181.messages import Attach, Hello, MediaChunk, Message, Unwatch, Watch, WatchEnded, WatchStarted
from gb28181.texts.text import reason_of, say

logger = logging.getLogger(__name__)

_READ: Final = 64 << 10
_MOST_BUFFERS: Final = 64
_CONTROL_BYTES: Final = 64 << 20
_EDGE_BYTES: Final = 16 << 20
_JOURNAL_AHEAD: Final = 256 << 10
_JOURNAL_BATCH: Final = 64
_SEND_BUFFER: Final = 1 << 20


class Orders(Protocol):
    """Who carries out what is asked."""

    def order(self, message: Message) -> list[Message]:
        """Carries out a message of control; returns the answers that can be given at once."""

    def find(self, device_id: str, channel_id: str) -> Stream | None: ...

    def watchers_changed(self, stream: Stream) -> None: ...


class _Peer:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reader = FrameReader()
        self.watches: dict[int, _Watch] = {}
        self.buffered = 0
        self.wants_write = False  # registered for EPOLLOUT
        self.is_open = True
        self._out: deque[bytes | memoryview] = deque()

    def put(self, *parts: bytes) -> None:
        self._out.extend(parts)
        self.buffered += sum(map(len, parts))

    def flush(self) -> None:
        """Sends what the reader takes.

        Raises:
            OSError: The connection is gone.
        """
        out = self._out
        while out:
            try:
                sent = self.sock.sendmsg([out[place] for place in range(min(len(out), _MOST_BUFFERS))])
            except BlockingIOError:
                return
            self.buffered -= sent
            while sent:
                size = len(out[0])
                if sent < size:
                    out[0] = memoryview(out[0])[sent:]
                    break
                sent -= size
                out.popleft()


class _Watch:
    """A stream on its way to an edge."""

    def __init__(self, watch_id: int, peer: _Peer, stream: Stream) -> None:
        self.watch_id = watch_id
        self.stream = stream
        self._peer = peer

    def send(self, piece: Piece, flags: int) -> None:
        if self._peer.buffered + len(piece.data) > _EDGE_BYTES:
            self.stream.watchers.remove(self)
            self.ended("overrun")
            return
        header = encode_chunk_header(self.watch_id, flags, piece.offset, piece.at, len(piece.data))
        self._peer.put(header, piece.data)

    def ended(self, cause: str) -> None:
        self._peer.watches.pop(self.watch_id, None)
        self._peer.put(encode(WatchEnded(self.watch_id, cause)))


class Server:
    """Listens, reads orders, writes answers, events and media.

    Args:
        hello: What every connection is greeted with.
        detached: Called when the control connection ends, `attached` when one begins.
    """

    def __init__(self, path: Path, hello: Hello, journal: Journal, orders: Orders, *, attached: Callable[[bool], None]) -> None:
        self._path = path
        self._hello = encode(hello)
        self._journal = journal
        self._orders = orders
        self._attached = attached
        self._peers: dict[int, _Peer] = {}
        self._control: _Peer | None = None
        self._journal_sent = 0
        self._epoll = select.epoll()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    def listen(self) -> None:
        """Raises:
        StorageError: The socket cannot be made; says why.
        """
        try:
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                self._listener.bind(str(self._path))
            finally:
                os.umask(before)
            self._listener.listen(16)
        except OSError as error:
            raise StorageError(say("start.socket", path=self._path, why=reason_of(error))) from None
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)

    @property
    def has_control(self) -> bool:
        return self._control is not None

    def wait(self, timeout_s: float) -> None:
        """Serves connections until `timeout_s` is over or one of them had something to say."""
        for fd, events in self._epoll.poll(max(0.0, timeout_s)):
            if fd == self._listener.fileno():
                self._accept()
                continue
            peer = self._peers.get(fd)
            if peer is not None and events & ~select.EPOLLOUT:
                self._read(peer)

    def tell_control(self, message: Message) -> None:
        """Sends an event to control; without one it is forgotten, the snapshot tells the state."""
        self.tell_control_frame(encode(message))

    def tell_control_frame(self, frame: bytes) -> None:
        """The same of a message that is encoded already."""
        if self._control is not None:
            self._control.put(frame)

    def flush(self) -> None:
        """Sends what waits, and as much of the journal as control can take."""
        if self._control is not None:
            self._send_journal(self._control)
        for peer in tuple(self._peers.values()):
            if peer.buffered or peer.wants_write:
                self._flush(peer)

    def close(self) -> None:
        for peer in tuple(self._peers.values()):
            self._flush(peer)
            self._drop(peer)
        self._listener.close()
        self._epoll.close()
        self._path.unlink(missing_ok=True)

    # --- connections -------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            peer = _Peer(sock)
            self._peers[sock.fileno()] = peer
            self._epoll.register(sock.fileno(), select.EPOLLIN)
            peer.put(self._hello)
            self._flush(peer)

    def _read(self, peer: _Peer) -> None:
        try:
            data = peer.sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(peer)
            return
        try:
            messages = peer.reader.feed(data)
        except WireError as error:
            logger.warning("connection closed: %s", error.reason)
            self._drop(peer)
            return
        for message in messages:
            if peer.is_open:
                self._handle(peer, message)
        if peer.is_open:
            self._flush(peer)

    def _handle(self, peer: _Peer, message: Message | MediaChunk) -> None:
        if isinstance(message, Attach):
            self._attach(peer)
        elif isinstance(message, Watch):
            self._watch(peer, message)
        elif isinstance(message, Unwatch):
            self._unwatch(peer, message.watch_id)
        elif peer is self._control:
            for answer in self._orders.order(message):
                peer.put(encode(answer))
        # An order of a control that was replaced is not carried out: its connection is being closed.

    def _attach(self, peer: _Peer) -> None:
        before, self._control = self._control, peer
        if before is not None and before is not peer:
            self._drop(before)
        self._journal_sent = 0
        self._attached(True)

    def _watch(self, peer: _Peer, message: Watch) -> None:
        if message.watch_id in peer.watches:
            return
        stream = self._orders.find(message.device_id, message.channel_id)
        if stream is None:
            peer.put(encode(WatchEnded(message.watch_id, "not_found")))
            return
        watch = _Watch(message.watch_id, peer, stream)
        peer.watches[message.watch_id] = watch
        join = stream.join()
        peer.put(encode(WatchStarted(message.watch_id, stream.stream_id, join.file, join.begin, join.end)))
        stream.watch(watch, join)
        self._orders.watchers_changed(stream)

    def _unwatch(self, peer: _Peer, watch_id: int) -> None:
        watch = peer.watches.pop(watch_id, None)
        if watch is not None:
            watch.stream.watchers.remove(watch)
            self._orders.watchers_changed(watch.stream)

    def _send_journal(self, control: _Peer) -> None:
        while control.buffered < _JOURNAL_AHEAD and (entries := self._journal.after(self._journal_sent, _JOURNAL_BATCH)):
            for entry in entries:
                control.put(encode(entry))
            self._journal_sent = entries[-1].seq

    def _flush(self, peer: _Peer) -> None:
        try:
            peer.flush()
        except OSError:
            self._drop(peer)
            return
        if peer is self._control and peer.buffered > _CONTROL_BYTES:
            logger.warning("control does not read, cut off", extra={"bytes": peer.buffered})
            self._drop(peer)
            return
        if bool(peer.buffered) != peer.wants_write:
            peer.wants_write = bool(peer.buffered)
            events = select.EPOLLIN | select.EPOLLOUT if peer.wants_write else select.EPOLLIN
            self._epoll.modify(peer.sock.fileno(), events)

    def _drop(self, peer: _Peer) -> None:
        if not peer.is_open:
            return
        peer.is_open = False
        for watch_id in tuple(peer.watches):
            self._unwatch(peer, watch_id)
        self._peers.pop(peer.sock.fileno(), None)
        self._epoll.unregister(peer.sock.fileno())
        peer.sock.close()
        if peer is self._control:
            self._control = None
            self._attached(False)
