"""`gb28181 serve`: starts control, ingests and edge, and starts again whatever ends.

An ingest lives in a session of its own and outlives everybody: a new `serve` finds it by its socket and goes on with it.
Control and edge die with this process (parent-death signal), by SIGKILL, so that no camera is told to stop.
"""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from gb28181.config import Settings, dump
from gb28181.control.paths import DataFolder, ingest_names, port_share
from gb28181.errors import StorageError, Unavailable, WireError
from gb28181.frames import FrameReader, to_json
from gb28181.ingest_start import IngestStart, Logging, Receiving, Writing
from gb28181.messages import Hello
from gb28181.texts.text import reason_of, say, unpacked

logger = logging.getLogger(__name__)

T = TypeVar("T", Receiving, Writing, Logging)

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_STABLE_S: Final = 30.0
_STOP_S: Final = 12.0
#: Exit status of a part that said why it cannot start; trying again by itself would not help.
_CANNOT_START: Final = 2
_FIRST_TRIES: Final = 5
#: numpy would start a thread for each core, with its memory, for products of matrices that an ingest never makes.
_INGEST_ENVIRON: Final = {"OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Started:
    """What the start printed: the ports really bound and a password made just now."""

    http_port: int
    sip_port: int
    admin_password: str | None


class Child:
    """One process, started again when it ends.

    Attributes:
        has_served: It was ready once; from then on it is never given up.
        is_adopted: It was found running and is not of this `serve`.
    """

    def __init__(
        self,
        name: str,
        arguments: list[str],
        config: bytes,
        *,
        environ: Mapping[str, str] | None = None,
        detached: bool = False,
    ) -> None:
        self.name = name
        self.restarts = 0
        self.has_served = False
        self.is_adopted = False
        self.pid = 0
        self._arguments = arguments
        self._environ = environ
        self.config = config
        self._detached = detached
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, adopted: int = 0) -> None:
        """Keeps it running.

        Raises:
            Unavailable: It cannot start, and it never served before.
        """
        pause = _FIRST_PAUSE_S
        if adopted:
            self.pid = adopted
            self.has_served = self.is_adopted = True
            logger.info("found running", extra={"part": self.name, "pid": adopted})
            await _gone(adopted)
            self.is_adopted = False
            logger.warning("ended", extra={"part": self.name, "pid": adopted})
        while True:
            began = time.monotonic()
            status = None
            try:
                status = await self._once()
                why = say("start.part_ended", name=self.name, status=status)
            except OSError as error:  # no process to be had: memory, processes or open files have run out
                why = say("start.part_unstartable", name=self.name, fault=reason_of(error))
            pause = _FIRST_PAUSE_S if time.monotonic() - began > _STABLE_S else min(_LONGEST_PAUSE_S, pause * 2)
            self.restarts += 1
            if not self.has_served and (status == _CANNOT_START or self.restarts >= _FIRST_TRIES):
                raise Unavailable(why)
            if status is None:
                logger.error("cannot be started, tried again", extra={"part": self.name, "reason": str(why)})
            else:
                logger.error(
                    "ended, starting it again", extra={"part": self.name, "status": status, "pause_s": round(pause, 1)}
                )
            await asyncio.sleep(pause)

    async def _once(self) -> int:
        self.pid, self._process = 0, None
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gb28181", *self._arguments,
            stdin=asyncio.subprocess.PIPE, start_new_session=self._detached, env={**os.environ, **(self._environ or {})},
        )  # fmt: skip
        self._process = process
        self.pid = process.pid
        assert process.stdin is not None
        try:
            process.stdin.write(self.config)
            await process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it ended at once; its status says so
        finally:
            process.stdin.close()
        return await process.wait()

    def signal(self, number: int) -> None:
        if self.pid:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    async def wait(self, timeout_s: float) -> None:
        """Returns when the process has ended; kills it after the time."""
        if not self.pid:
            return
        try:
            async with asyncio.timeout(timeout_s):
                if self._process is not None and self._process.pid == self.pid:
                    await self._process.wait()
                else:
                    await _gone(self.pid)
        except TimeoutError:
            logger.error("did not end in time, killed", extra={"part": self.name})
            self.signal(signal.SIGKILL)


async def _gone(pid: int) -> None:
    """Waits for a process that is not our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def find_ingest(path: Path) -> int:
    """Pid of the ingest that answers at a socket, 0 when none does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2.0)
        try:
            connection.connect(str(path))
            frames = FrameReader()
            while True:
                for message in frames.feed(connection.recv(65536) or b"\xff\xff\xff\xff"):
                    if isinstance(message, Hello):
                        return message.pid
        except (OSError, WireError):
            return 0


def take_lock(folder: DataFolder) -> IO[str]:
    """Takes the data folder for this server; the lock ends with the process.

    Raises:
        StorageError: Another server uses it.
    """
    handle = folder.lock.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.seek(0)
        pid = handle.read().strip() or "unknown"
        handle.close()
        raise StorageError(say("start.data_locked", pid=pid, root=folder.root)) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


class Supervisor:
    """Runs the parts of one server."""

    def __init__(self, settings: Settings, folder: DataFolder, *, instance: str) -> None:
        self._settings = settings
        self._folder = folder
        self.ingests = [
            Child(
                name,
                ["_ingest", "--name", name],
                _config(to_json(ingest_start(settings, folder, name, instance=instance)).decode(), folder),
                environ=_INGEST_ENVIRON,
                detached=True,
            )
            for name in ingest_names(settings)
        ]
        config = _config(dump(settings), folder)
        self.control = Child("control", ["_control"], config)
        self.edge = Child("edge", ["_edge"], config)
        self._failure: Unavailable | None = None

    async def run(self, on_ready: Callable[[Started], Any]) -> None:
        """Starts everything and keeps it running until SIGTERM or SIGINT; a terminal that is closed (SIGHUP) ends nothing.

        Raises:
            Unavailable: A part could not start at all; says why, in the words of that part.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        # Whoever closes the terminal does not mean to stop recording; the children inherit it.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for name in ("control.ready", "edge.port"):
            (self._folder.run / name).unlink(missing_ok=True)
        tasks = [
            asyncio.create_task(self._keep(child, stop, find_ingest(self._folder.ingest_socket(child.name))))
            for child in self.ingests
        ]
        tasks += [asyncio.create_task(self._keep(child, stop)) for child in (self.control, self.edge)]
        tasks.append(asyncio.create_task(self._announce(on_ready)))
        await stop.wait()
        logger.info("stopping")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stop()
        if self._failure is not None:
            raise self._failure

    async def _keep(self, child: Child, stop: asyncio.Event, adopted: int = 0) -> None:
        try:
            await child.run(adopted)
        except Unavailable as error:
            said = self._folder.failure_note(child.name)
            why = unpacked(said.read_text(encoding="utf-8")) if said.exists() else str(error)
            self._failure = self._failure or Unavailable(why)
            stop.set()

    async def _announce(self, on_ready: Callable[[Started], Any]) -> None:
        control = await _appears(self._folder.run / "control.ready")
        edge = await _appears(self._folder.run / "edge.port")
        ready = json.loads(control)
        for child in (*self.ingests, self.control, self.edge):
            child.has_served = True
        self._pin(int(edge), ready["sip_port"])
        (self._folder.run / "control.ready").unlink(missing_ok=True)
        on_ready(Started(int(edge), ready["sip_port"], ready["admin_password"]))

    def _pin(self, http_port: int, sip_port: int) -> None:
        """A port that was taken free (0) stays the same for a part that is started again: cameras and links know it."""
        settings = self._settings.model_copy(
            update={
                "sip": self._settings.sip.model_copy(update={"port": sip_port}),
                "http": self._settings.http.model_copy(update={"port": http_port}),
            }
        )
        self.control.config = self.edge.config = _config(dump(settings), self._folder)

    async def _stop(self) -> None:
        """Viewers first, then control with its BYEs, then the ingests with their last segments."""
        self.edge.signal(signal.SIGTERM)
        self.control.signal(signal.SIGTERM)
        await asyncio.gather(self.edge.wait(_STOP_S), self.control.wait(_STOP_S))
        # When the server could not start, an ingest that goes on recording from before is left alone.
        ingests = [child for child in self.ingests if not (self._failure and child.is_adopted)]
        for child in ingests:
            child.signal(signal.SIGTERM)
        await asyncio.gather(*(child.wait(_STOP_S) for child in ingests))


def _config(settings: str, folder: DataFolder) -> bytes:
    """What a part reads from its standard input; passwords are in it.

    Args:
        settings: JSON that the part understands.
    """
    return json.dumps({"settings": settings, "data": str(folder.root)}).encode()


def ingest_start(settings: Settings, folder: DataFolder, name: str, *, instance: str) -> IngestStart:
    """What an ingest of this name is to know.

    Args:
        instance: Id of this server.
    """
    names = ingest_names(settings)
    ports = port_share(settings, names.index(name), len(names))
    return IngestStart(
        instance=instance,
        ports=(ports.start, ports.stop),
        volumes=tuple(str(volume) for volume in folder.volumes(settings)),
        writers=tuple(names),
        receiving=_keys_of(Receiving, settings.media),
        writing=_keys_of(Writing, settings.recording),
        logging=_keys_of(Logging, settings.log),
    )


def _keys_of(kind: type[T], section: object) -> T:
    """The keys of a section that an ingest reads; they have the same names."""
    return kind(**{field.name: getattr(section, field.name) for field in dataclasses.fields(kind)})


async def _appears(path: Path) -> str:
    """Contents of a file that a child writes once it serves."""
    while True:
        try:
            if text := path.read_text():
                return text
        except FileNotFoundError:
            pass
        await asyncio.sleep(0.05)
