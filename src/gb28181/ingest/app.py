"""Composition root of an ingest process: builds its parts, runs the loop, closes what is open."""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import threading
import time
from pathlib import Path
from typing import Final

from gb28181 import __version__
from gb28181.clock import Clock
from gb28181.errors import StorageError
from gb28181.ingest.journal import Journal
from gb28181.ingest.known_volumes import KnownVolumes
from gb28181.ingest.loop import Loop
from gb28181.ingest.server import Server
from gb28181.ingest.service import Ingest, Lateness
from gb28181.ingest.stream import Moment
from gb28181.ingest.volumes import Strays
from gb28181.ingest_start import IngestStart
from gb28181.messages import Done, Hello
from gb28181.ops.priority import set_priority
from gb28181.texts.text import say

logger = logging.getLogger(__name__)

_STOP_S: Final = 30.0
#: A tick makes a view of each packet and drops it: that many new objects say nothing about garbage, and looking costs a pass.
_GARBAGE: Final = 20_000
_VOLUMES_S: Final = 3.0
#: Two sockets a stream and two files a segment.
_PRIORITY: Final = -10
_WANTED_FILES: Final = 65536


def main(
    start: IngestStart,
    *,
    data: Path,
    name: str,
    socket_path: Path,
) -> int:
    """Runs one ingest until SIGTERM, `Stop`, or until no control has come for `media.orphan_s`; returns the exit status.

    Segments that a crash of the same `name` left open are adopted while it already listens.

    Args:
        data: The data folder; the journal lies in it.
        name: `ingest-0`, …: also the name of this writer on the volumes, so no two may run under one name.
        socket_path: Where control and edge connect; the pid file lies beside it.
    """
    clock, moment, lateness = Clock(), Moment(time.monotonic()), Lateness()
    moment.utc_us = clock.utc_us()
    _raise_file_limit()
    # A viewer or an export that waits 100 ms is served late, a camera is lost.
    if not set_priority(_PRIORITY):
        logger.debug("no right to a higher priority: give CAP_SYS_NICE, or Nice= in systemd")
    journal_path = data / "journal" / f"{name}.jsonl"
    journal_path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(journal_path)
    ingest = Ingest(
        start,
        name=name,
        known=KnownVolumes(data),
        strays=Strays(start.writers if name in start.writers[:1] else (), socket_path.parent),
        journal=journal,
        moment=moment,
        lateness=lateness,
    )
    hello = Hello(name, moment.utc_us, os.getpid(), __version__)
    server = Server(socket_path, hello, journal, ingest, attached=ingest.attached)
    loop = Loop(start.receiving, ingest=ingest, server=server, moment=moment, clock=clock, lateness=lateness)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.stop())
    pid_file = socket_path.with_suffix(".pid")
    journal.start()
    ingest.volumes.start(_VOLUMES_S)
    try:
        server.listen()
        pid_file.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise StorageError(say("start.ingest", name=name, error=error)) from None
    gc.collect()
    gc.freeze()  # what lives as long as the process is not looked at again
    gc.set_threshold(_GARBAGE)
    logger.info("ingest runs", extra={"ingest": name, "ports": f"{start.ports[0]}-{start.ports[1] - 1}"})
    try:
        loop.run()
    finally:
        _shut_down(ingest, server, journal)
        pid_file.unlink(missing_ok=True)
    return 0


def _shut_down(ingest: Ingest, server: Server, journal: Journal) -> None:
    order = ingest.stop_request
    ingest.shut_down("stopped" if order is not None else "restart", _STOP_S)
    server.flush()
    for event in ingest.events:
        server.tell_control(event)
    if order is not None:
        server.tell_control(Done(order.request_id))
    server.close()
    journal.stop()


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
