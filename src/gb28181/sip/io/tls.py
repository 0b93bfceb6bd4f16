"""SIP over TLS (§8.2, RFC 3261 §26.3.1): certificates, and a listener that bounds the handshakes under way.

No certificate is made here: one that nobody can check would only look safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from gb28181.config import SipSettings
from gb28181.errors import Invalid
from gb28181.sip.io.local import plain
from gb28181.texts.text import say

_HANDSHAKE_S: Final = 10
_MAX_HANDSHAKES: Final = 512
_MAX_OF_ONE: Final = 128
#: Connections taken from the kernel at one wake-up, so that a flood leaves the loop time for others.
_AT_ONCE: Final = 64
_BACKLOG: Final = 1024
#: Nothing can be accepted for a while.
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REST_S: Final = 1.0


def server_context(settings: SipSettings) -> ssl.SSLContext:
    """For connections of peers; with `tls_ca` they must show a certificate.

    Raises:
        Invalid: A file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if settings.tls_ca:
        context.verify_mode = ssl.CERT_REQUIRED
    return _loaded(context, settings)


def client_context(settings: SipSettings) -> ssl.SSLContext:
    """For connections of ours. Devices are known by addresses, so no name is checked; with `tls_ca` their certificate is.

    Raises:
        Invalid: A file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if settings.tls_ca else ssl.CERT_NONE
    return _loaded(context, settings)


def _loaded(context: ssl.SSLContext, settings: SipSettings) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if settings.tls_certificate:
            context.load_cert_chain(settings.tls_certificate, settings.tls_private_key or None)
        if settings.tls_ca:
            context.load_verify_locations(settings.tls_ca)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise Invalid(
            say(
                "start.sip_certificate",
                tls_certificate=settings.tls_certificate,
                tls_private_key=settings.tls_private_key or "(none)",
                tls_ca=settings.tls_ca or "(none)",
                reason=reason,
            )
        ) from None
    return context


class TlsListener:
    """Accepts connections on a bound socket and hands them over after their handshake.

    The event loop's own server would keep any number of handshakes that never end.

    Args:
        accept: Makes the protocol of a connection.
    """

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, accept: Callable[[], asyncio.Protocol], counters: Counter[str]
    ) -> None:
        self._socket = sock
        self._context = context
        self._accept = accept
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._handshakes: dict[asyncio.Task[None], str] = {}
        self._by_host: Counter[str] = Counter()
        self._resume: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._socket.listen(_BACKLOG)
        self._loop.add_reader(self._socket, self._arrived)

    async def stop(self) -> None:
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for task in list(self._handshakes):
            task.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    def _arrived(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._counters["tls_accept_failed"] += 1
                if error.errno in _EXHAUSTED:
                    # The connection stays in the queue and would wake us without end.
                    self._loop.remove_reader(self._socket)
                    self._resume = self._loop.call_later(_REST_S, self._loop.add_reader, self._socket, self._arrived)
                return
            host = plain(str(address[0]))
            if len(self._handshakes) >= _MAX_HANDSHAKES or self._by_host[host] >= _MAX_OF_ONE:
                self._counters["tls_refused_full"] += 1
                sock.close()
                continue
            sock.setblocking(False)
            task = self._loop.create_task(self._shake(sock))
            self._handshakes[task] = host
            self._by_host[host] += 1
            task.add_done_callback(self._shaken)

    async def _shake(self, sock: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._accept, sock, ssl=self._context, ssl_handshake_timeout=float(_HANDSHAKE_S)
            )
        except OSError:  # SSLError and a timeout are OSErrors too
            self._counters["tls_handshakes_failed"] += 1
            with contextlib.suppress(OSError):
                sock.close()

    def _shaken(self, task: asyncio.Task[None]) -> None:
        host = self._handshakes.pop(task)
        self._by_host[host] -= 1
        if not self._by_host[host]:
            del self._by_host[host]
