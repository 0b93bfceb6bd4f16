"""Simulated cameras as a process of their own, and what they say they did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.platform import SERVER_ID, SIP_PASSWORD

CACHE = Path(os.environ.get("GB28181_TEST_CACHE", Path(__file__).parents[2] / ".venv" / "sim-cache"))
SHARED = Path(__file__).parents[3] / "shared" / "data"


class Cameras:
    """A `gb28181 sim` that runs."""

    def __init__(self, sip_port: int, folder: Path, name: str, options: tuple[str, ...], password: str) -> None:
        self._stats = folder / f"{name}.stats"
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "gb28181", "sim", "--server", f"127.0.0.1:{sip_port}", "--server-id", SERVER_ID,
                    "--cache", str(CACHE), "--stats", str(self._stats), *options,
                ],
                env={**os.environ, "GB28181_SIM_PASSWORD": password}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        """What the devices did so far, of one kind or all, in order."""
        lines = self._stats.read_text().splitlines(keepends=True) if self._stats.exists() else []
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        return [row for row in rows if not kind or row["event"] == kind]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def cameras(
    sip_port: int, folder: Path, *options: str, name: str = "cameras", password: str = SIP_PASSWORD
) -> Iterator[Cameras]:
    made = Cameras(sip_port, folder, name, options, password)
    try:
        yield made
    finally:
        made.stop()
