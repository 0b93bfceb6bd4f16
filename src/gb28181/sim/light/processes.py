"""Sockets of light devices: a UDP port each, in as many processes as the limit of open files asks for."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import multiprocessing
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final

from gb28181.errors import Invalid, Unreachable
from gb28181.sim.light.crowd import SLOT_S, Crowd, Plan
from gb28181.sim.light.figures import Figures

#: Files that a process needs beside the sockets.
_SPARE_FILES: Final = 200
_REPORT_S: Final = 1.0
#: On loopback each device has an address of its own as in a real network, but every so many-th shares that of the one before.
_SHARED: Final = 10
_FIRST_LOOPBACK: Final = int(ipaddress.IPv4Address("127.16.0.1"))
_LARGEST: Final = 65_536
_END_S: Final = 10.0


def run(plan: Plan, server: tuple[str, int], local_ip: str, report: Path | None, tell: Callable[[Figures], None]) -> Figures:
    """Runs the devices until SIGINT or SIGTERM; returns what they did.

    Args:
        report: File that holds the figures as JSON, written anew every second.
        tell: Gets the figures every second.

    Raises:
        Invalid: The server's address cannot be used, or there are too few ports.
        Unreachable: A process of devices ended.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    try:
        family, _, _, _, address = socket.getaddrinfo(*server, type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        raise Invalid(f"no such server: {server[0]}: {error}") from error
    each = max(1, (soft if soft > 0 else 1 << 20) - _SPARE_FILES)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: stopped.append(number))
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    workers = []
    for start in range(0, plan.count, each):
        part = replace(
            plan,
            count=min(each, plan.count - start),
            first_id=f"{plan.first_id[:13]}{int(plan.first_id[13:]) + start:07d}",
        )
        mine, theirs = context.Pipe()
        worker = context.Process(target=_work, args=(part, start, family, address[:2], local_ip, theirs), daemon=True)
        worker.start()
        theirs.close()
        pipes.append(mine)
        workers.append(worker)
    try:
        return _collect(pipes, stopped, report, tell)
    finally:
        for worker in workers:
            worker.join(_END_S)
            if worker.is_alive():
                worker.terminate()


def _collect(pipes: list[Connection], stopped: list[int], report: Path | None, tell: Callable[[Figures], None]) -> Figures:
    for pipe in pipes:
        _received(pipe)  # every socket is bound
    for pipe in pipes:
        pipe.send("go")
    latest = [Figures() for _ in pipes]
    begun, is_first = time.monotonic(), True
    all_at: float | None = None
    open_pipes = dict(zip(pipes, range(len(pipes)), strict=True))
    total = Figures()
    while open_pipes:
        for ready in wait(list(open_pipes), timeout=_REPORT_S / 4):
            assert isinstance(ready, Connection)
            try:
                latest[open_pipes[ready]] = _received(ready)
            except Unreachable:
                del open_pipes[ready]
                if not stopped:
                    raise
        if stopped and is_first:
            is_first = False
            for pipe in open_pipes:
                with contextlib.suppress(OSError):
                    pipe.send("stop")
        total = Figures()
        for figures in latest:
            total.add(figures)
        elapsed = time.monotonic() - begun
        if all_at is None and total.devices and total.registered == total.devices:
            all_at = elapsed
        if report is not None:
            _write(report, {"elapsed_s": round(elapsed, 2), "all_registered_s": all_at and round(all_at, 2), **total.row()})
        tell(total)
    return total


def _received(pipe: Connection) -> Figures:
    try:
        said = pipe.recv()
    except (EOFError, OSError) as error:
        raise Unreachable("a process of light devices ended") from error
    if isinstance(said, str):
        raise Invalid(said)
    assert isinstance(said, Figures)
    return said


def _write(path: Path, row: dict[str, Any]) -> None:
    made = path.with_suffix(".new")
    made.write_text(json.dumps(row))
    made.replace(path)


# -- one process -------------------------------------------------------------------------------------------------------


def _work(plan: Plan, start: int, family: int, server: tuple[str, int], local_ip: str, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the first process says when it ends
    try:
        files = _bound(plan.count, start, family, server, local_ip)
    except OSError as error:
        pipe.send(f"no port for every light device: {error}")
        return
    pipe.send(Figures(devices=plan.count))
    if pipe.recv() == "go":
        _Loop(plan, files, pipe).run()


def _addresses(server: str, start: int, local_ip: str) -> Iterator[str]:
    """Where each device stands: its own loopback address, or the one that has a route to the server."""
    if local_ip or not server.startswith("127."):
        while True:
            yield local_ip
    index = start
    while True:
        # The tenth, twentieth … device stands behind the address of the one before it.
        yield str(ipaddress.IPv4Address(_FIRST_LOOPBACK + index - (index + 1) // _SHARED))
        index += 1


def _bound(count: int, start: int, family: int, server: tuple[str, int], local_ip: str) -> list[tuple[int, str]]:
    """File number and own `address:port` of a connected UDP socket for each device.

    Raises:
        OSError: There are too few ports or files.
    """
    made = []
    addresses = _addresses(server[0], start, local_ip)
    for _ in range(count):
        with contextlib.ExitStack() as stack:
            line = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            line.bind((next(addresses), 0))
            line.connect(server)
            line.setblocking(False)
            host, port = line.getsockname()[:2]
            made.append((line.detach(), f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
            stack.pop_all()
    return made


class _Loop:
    """Carries datagrams between the sockets and the crowd."""

    def __init__(self, plan: Plan, files: list[tuple[int, str]], pipe: Connection) -> None:
        self._files = [number for number, _ in files]
        self._index = {number: index for index, number in enumerate(self._files)}
        self._pipe = pipe
        self._crowd = Crowd(plan, [own for _, own in files], time.monotonic())
        self._poll = select.epoll()
        for number in self._files:
            self._poll.register(number, select.EPOLLIN)
        self._poll.register(pipe.fileno(), select.EPOLLIN)

    def run(self) -> None:
        """Until the first process says `stop` or is gone."""
        report_at = time.monotonic()
        control = self._pipe.fileno()
        crowd, index = self._crowd, self._index
        while True:
            now = time.monotonic()
            crowd.expire(now)
            self._flush()
            if now >= report_at:
                report_at = now + _REPORT_S
                self._report()
            for number, _ in self._poll.poll(min(max(0.0, crowd.next_deadline() - time.monotonic()), SLOT_S), 512):
                if number == control:
                    self._report()
                    return
                try:
                    data = os.read(number, _LARGEST)
                except OSError:  # nothing there after all, or ICMP: the server is not there now
                    continue
                crowd.receive(index[number], data, time.monotonic())
            self._flush()

    def _flush(self) -> None:
        for index, data in self._crowd.packets_to_send():
            with contextlib.suppress(OSError):  # lost, as on any network; repeated by its timer
                os.write(self._files[index], data)

    def _report(self) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        self._crowd.figures.cpu_s = used.ru_utime + used.ru_stime
        self._crowd.figures.resident_mib = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
        with contextlib.suppress(OSError):
            self._pipe.send(self._crowd.figures)
