"""What `serve` checks before it starts a part: a mistake that a person made is said at once, with its remedy.

What only a part can find out (a database that is locked or too new) comes from that part; `supervisor.py` passes it on.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gb28181.config import HttpSettings, Settings, SipSettings
from gb28181.control.paths import DataFolder, ingest_names, port_share
from gb28181.errors import Gb28181Error, Invalid, StorageError, Unavailable
from gb28181.sip.io.tls import server_context
from gb28181.storage.io.volume import open_volume
from gb28181.texts.text import reason_of, say

logger = logging.getLogger(__name__)

#: What the database and the journals need to begin at all.
_LEAST_BYTES: Final = 8 << 20
#: A server that was just killed still holds its ports for a moment.
_PORT_PATIENCE_S: Final = 3.0
#: A network volume that hangs must not hang the start: others may be well.
_VOLUME_PATIENCE_S: Final = 10.0
_HTTP: Final = ((socket.SOCK_STREAM, "TCP"),)
_SIP: Final = ((socket.SOCK_DGRAM, "UDP"), (socket.SOCK_STREAM, "TCP"))


def check(settings: Settings, folder: DataFolder, *, instance: str, ingest_runs: bool) -> None:
    """Returns when nothing stands in the way.

    Args:
        ingest_runs: An ingest of an earlier `serve` is still recording; media ports that are taken are its own.

    Raises:
        Invalid, StorageError, Unavailable: What is wrong and what to do about it.
    """
    certificate(settings.http)
    sip_certificate(settings.sip)
    _ranges(settings)
    _space(folder.root)
    _port("sip", settings.sip.host, settings.sip.port, _SIP)
    if settings.sip.tls_certificate:
        _port("sip", settings.sip.host, settings.sip.tls_port, _HTTP, key="tls_port")
    _port("http", settings.http.host, settings.http.port, _HTTP)
    if not ingest_runs:
        _media(settings)
    _volumes(folder.volumes(settings), instance)


def certificate(http: HttpSettings) -> None:
    """Raises: Invalid: The pair cannot serve HTTPS."""
    if not http.certificate:
        if http.private_key:
            raise Invalid(say("start.http_key_alone"))
        return
    for key, name in (("http.certificate", http.certificate), ("http.private_key", http.private_key)):
        if name and not os.access(name, os.R_OK):
            reason = say("start.file_unreadable") if Path(name).exists() else say("start.file_missing")
            raise Invalid(say("start.file_unusable", key=key, name=name, reason=reason))
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(http.certificate, http.private_key or None)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "reason", None) or str(error)
        raise Invalid(
            say("start.http_certificate", certificate=http.certificate, private_key=http.private_key or "(none)", reason=why)
        ) from None


def sip_certificate(sip: SipSettings) -> None:
    """Raises: Invalid: The files cannot serve SIP over TLS."""
    if sip.tls_certificate:
        server_context(sip)
    elif sip.tls_private_key:
        raise Invalid(say("start.sip_key_alone"))


def _ranges(settings: Settings) -> None:
    names = ingest_names(settings)
    if len(port_share(settings, 0, len(names))) < 2:
        raise Invalid(say("start.media_ports_few", ports=settings.media.ports, processes=len(names)))
    ports = [("sip.port", settings.sip.port), ("http.port", settings.http.port)]
    if settings.sip.tls_certificate:
        ports.append(("sip.tls_port", settings.sip.tls_port))
    for key, port in ports:
        if port in settings.media.port_range:
            raise Invalid(say("start.port_in_media", key=key, port=port, ports=settings.media.ports))


def _space(root: Path) -> None:
    try:
        found = os.statvfs(root)
        proof = root / "run.check"
        proof.write_bytes(b"\0" * 4096)
        proof.unlink()
    except OSError as error:
        raise StorageError(say("start.data_unwritable", root=root, strerror=reason_of(error))) from None
    free = found.f_bavail * found.f_frsize
    if free < _LEAST_BYTES:
        raise StorageError(say("start.disk_full", root=root, free=free >> 10, least=_LEAST_BYTES >> 20))


def _port(section: str, host: str, port: int, kinds: Sequence[tuple[socket.SocketKind, str]], *, key: str = "port") -> None:
    if not port:
        return
    until = time.monotonic() + _PORT_PATIENCE_S
    for kind, name in kinds:
        while (error := _bind(host, port, kind)) is not None:
            if error.errno == errno.EADDRINUSE and time.monotonic() < until:
                time.sleep(0.1)
                continue
            raise Unavailable(_explain(section, host, port, name, error, key))


def _explain(section: str, host: str, port: int, name: str, error: OSError, key: str = "port") -> str:
    match error.errno:
        case errno.EADDRINUSE:
            flag = "u" if name == "UDP" else "t"
            return say("start.port_used", name=name, port=port, section=section, key=key, flag=flag)
        case errno.EACCES:
            return say("start.port_forbidden", name=name, port=port, section=section, key=key)
        case errno.EADDRNOTAVAIL:
            return say("start.no_own_address", section=section, host=host)
    return say("start.port_unusable", section=section, host=host, port=port, why=reason_of(error))


def _bind(host: str, port: int, kind: socket.SocketKind) -> OSError | None:
    """Why nobody can listen there now; None when somebody can."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host or None, port, type=kind, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
    except OSError as error:
        return error
    return None


def _media(settings: Settings) -> None:
    """One free port is enough to begin: others may be held for a while by whatever came before."""
    ports, host = settings.media.port_range, settings.media.host
    for port in range(ports.start + ports.start % 2, ports.stop, 2):
        error = _bind(host, port, socket.SOCK_DGRAM)
        if error is None:
            return
        if error.errno != errno.EADDRINUSE:
            raise Unavailable(_explain("media", host, port, "UDP", error))
    raise Unavailable(say("start.media_ports_used", ports=settings.media.ports))


def _volumes(roots: Sequence[Path], instance: str) -> None:
    """One volume that works is enough: what is wrong with the others is logged, and they are tried again while it runs."""
    faults = [fault for root in roots if (fault := _try_volume(root, instance)) is not None]
    for fault in faults:
        logger.error("a recording volume cannot be used", extra={"reason": str(fault)})
    if len(faults) == len(roots):
        raise faults[0]


def _try_volume(root: Path, instance: str) -> Gb28181Error | None:
    faults: list[Gb28181Error | None] = []

    def attempt() -> None:
        try:
            open_volume(root, instance)
        except Gb28181Error as error:
            faults.append(error)
        else:
            faults.append(None)

    # A thread of its own, because a call on a dead network disk never returns.
    thread = threading.Thread(target=attempt, daemon=True, name=f"check {root}")
    thread.start()
    thread.join(_VOLUME_PATIENCE_S)
    if not faults:
        return StorageError(say("start.volume_silent", root=root))
    return faults[0]
