"""A whole platform in a temporary folder, its processes on the cores that are not the sender's."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from gb28181 import tokens

HERE = Path(__file__).parent
PROGRAMS = HERE / "build"
PASSWORD = "bench-password"
SERVER_ID = "34020000002000000001"
PARTS = ("control", "ingest-0", "edge")
TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1
#: The load has the last core to itself, everything that is measured shares the others.
LOAD_CORE = str(CORES - 1)
OWN_CORES = set(range(max(1, CORES - 1)))


class Platform:
    """One `gb28181 serve`."""

    def __init__(self, folder: Path, **settings: str) -> None:
        environ = {
            **os.environ,
            "GB28181__SIP__HOST": "127.0.0.1", "GB28181__SIP__PORT": "0", "GB28181__SIP__PASSWORD": PASSWORD,
            "GB28181__HTTP__HOST": "127.0.0.1", "GB28181__HTTP__PORT": "0", "GB28181__ADMIN__PASSWORD": PASSWORD,
            "GB28181__MEDIA__HOST": "127.0.0.1", "GB28181__MEDIA__INGESTS": "1", "GB28181__MEDIA__PORTS": _free_ports(2400),
            **{f"GB28181__{name}": value for name, value in settings.items()},
        }  # fmt: skip
        self.folder = folder
        self.data = folder / "data"
        self.output = folder / "out"
        with self.output.open("wb") as out, (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gb28181", "serve", "--data", str(self.data)], env=environ, stdin=subprocess.DEVNULL,
                stdout=out, stderr=log,
            )  # fmt: skip
        try:
            self._meet()
        except BaseException:
            self.stop()
            raise

    def _meet(self) -> None:
        """Waits until every part runs, and signs in."""
        wait(lambda: self._banner() is not None, "the banner of serve", 60)
        banner = self._banner()
        assert banner is not None
        self.http_port, self.sip_port = banner
        self.url = f"http://127.0.0.1:{self.http_port}"
        wait(lambda: all((self.data / "run" / f"{part}.pid").exists() for part in PARTS), "every part of serve", 60)
        self.pin()
        self.key = tokens.derive((self.data / "secret.key").read_bytes(), "link")
        self._token = self.call("POST", "/login", {"username": "admin", "password": PASSWORD})["token"]

    def _banner(self) -> tuple[int, int] | None:
        if self.process.poll() is not None:
            raise SystemExit((self.folder / "log").read_text()[-3000:])
        said = self.output.read_text()
        http, sip = re.search(r"Console.*?https?://[^/\s]+:(\d+)/", said), re.search(r"SIP port.*?(\d+) \(", said)
        return (int(http[1]), int(sip[1])) if http and sip else None

    def pin(self) -> None:
        for part in PARTS:
            for thread in Path(f"/proc/{self.pid(part)}/task").iterdir():
                os.sched_setaffinity(int(thread.name), OWN_CORES)

    def pid(self, part: str) -> int:
        return int((self.data / "run" / f"{part}.pid").read_text())

    def usage(self, part: str) -> tuple[float, float]:
        """CPU seconds and resident MiB of a process."""
        return cpu_s(self.pid(part)), resident_mib(self.pid(part))

    def cpu(self) -> dict[str, float]:
        return {part: self.usage(part)[0] for part in PARTS}

    def memory(self) -> dict[str, float]:
        return {part: round(self.usage(part)[1], 1) for part in PARTS}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if hasattr(self, "_token"):
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
        return json.loads(text) if text else None

    def figures(self) -> dict[str, float]:
        """Prometheus figures of control without prefix; rows of one name are added up, events stand apart."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as response:
            text = response.read().decode()
        read: dict[str, float] = {}
        for name, event, value in re.findall(r'^gb28181_(\w+)(?:\{(?:event="(\w+)"|[^}]*)\})? (\S+)', text, re.M):
            key = f"{name} {event}" if event else name
            read[key] = read.get(key, 0.0) + float(value)
        return read

    def live_path(self, device: str) -> str:
        """Link to the live picture of a light camera, as the API gives it."""
        token = tokens.sign(self.key, "live", f"{device}/{device}", int(time.time()) + 3600)
        return f"/media/live/{device}/{device}.flv?token={token}"

    def stop(self) -> None:
        """Ends it with all its parts; by force what does not end in order."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()  # control and edge die with it, an ingest does not
            self.process.wait()
            with suppress(OSError, ValueError):
                os.kill(self.pid("ingest-0"), signal.SIGKILL)


def end_in_order() -> None:
    """From now on SIGTERM ends this program as an exception does, so that what it started ends too."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)


def _end(number: int, _frame: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # `timeout` tells the whole group: a second one would stop the tidying
    raise SystemExit(128 + number)


@contextmanager
def platform(folder: Path | None = None, **settings: str) -> Iterator[Platform]:
    """A platform that runs; its data are gone afterwards."""
    end_in_order()
    place = Path(tempfile.mkdtemp(prefix="gb28181-bench-", dir=folder))
    made = None
    try:
        made = Platform(place, **settings)
        yield made
    finally:
        if made is not None:
            made.stop()
        shutil.rmtree(place, ignore_errors=True)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def wait(claim: Callable[[], bool], what: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > end:
            raise SystemExit(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


def _free_ports(count: int) -> str:
    """A range below the ephemeral ports of which every twentieth can be bound now."""
    chance = random.SystemRandom()
    while True:
        low = chance.randrange(10_000, 32_000 - count, 2)
        try:
            for port in range(low, low + count, 20):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return f"{low}-{low + count - 1}"
