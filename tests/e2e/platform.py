"""A whole platform as a user starts it, and what a test asks of it over its public doors."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

ADMIN_PASSWORD = "console-password-1"
SIP_PASSWORD = "camera-password-1"
SERVER_ID = "34020000002000000001"

#: Quicker than a real installation where only waiting would be tested.
QUICK = {
    "GB28181__SIP__HOST": "127.0.0.1",
    "GB28181__SIP__PORT": "0",
    "GB28181__SIP__PASSWORD": SIP_PASSWORD,
    "GB28181__HTTP__HOST": "127.0.0.1",
    "GB28181__HTTP__PORT": "0",
    "GB28181__MEDIA__HOST": "127.0.0.1",
    "GB28181__MEDIA__INGESTS": "1",
    "GB28181__ADMIN__PASSWORD": ADMIN_PASSWORD,
}


@dataclass
class Platform:
    """One `gb28181 serve` in a data folder of its own."""

    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    http_port: int = 0
    sip_port: int = 0
    token: str = ""
    client: aiohttp.ClientSession | None = None
    ports: str = field(default_factory=lambda: free_ports(400))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    @property
    def output(self) -> Path:
        return self.data.with_suffix(".out")

    async def start(self, *, seconds: float = 60) -> None:
        """Starts it and logs in; with the same data folder again it is a restart."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GB28181__")}
        environ |= QUICK | {"GB28181__MEDIA__PORTS": self.ports} | self.settings
        if self.sip_port:  # the cameras know where it was
            environ["GB28181__SIP__PORT"] = str(self.sip_port)
            environ["GB28181__HTTP__PORT"] = str(self.http_port)
        self.output.unlink(missing_ok=True)
        with self.log.open("ab") as log, self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gb28181", "serve", "--data", str(self.data)],
                env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=log, cwd=self.data.parent,
            )  # fmt: skip
        said = await poll(self._banner, seconds=seconds, what="the banner of serve", log=self.log)
        self.http_port, self.sip_port = said
        if self.client is None:
            self.client = aiohttp.ClientSession()
        answer = await self.call("POST", "/login", {"username": "admin", "password": ADMIN_PASSWORD}, token="")
        self.token = answer["token"]

    async def _banner(self) -> tuple[int, int] | None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"serve ended with {self.process.returncode}:\n{self.log.read_text()[-4000:]}")
        text = self.output.read_text()
        http = re.search(r"Console.*?https?://[^/\s]+:(\d+)/", text)
        sip = re.search(r"SIP port.*?(\d+) \(", text)
        return (int(http[1]), int(sip[1])) if http and sip else None

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, status: int | None = None, **query: Any
    ) -> Any:
        """An API call; anything but 2xx (or the status asked for) fails the test with the answer."""
        assert self.client is not None
        bearer = self.token if token is None else token
        async with self.client.request(
            method, f"{self.url}/api/v1{path}", json=body, params=query or None,
            headers={"Authorization": f"Bearer {bearer}"} if bearer else {},
        ) as response:  # fmt: skip
            text = await response.text()
            good = response.status == status if status else response.status < 300
            assert good, f"{method} {path}: {response.status} {text[:500]}"
            return json.loads(text) if text else None

    async def channels(self, **query: Any) -> list[dict[str, Any]]:
        return list((await self.call("GET", "/channels", limit=500, **query))["items"])

    async def online(self, count: int, *, seconds: float = 60) -> list[dict[str, Any]]:
        """Waits until so many playable channels are online."""

        async def enough() -> list[dict[str, Any]] | None:
            found = [c for c in await self.channels(online="true") if c["playable"]]
            return found if len(found) >= count else None

        return await poll(enough, seconds=seconds, what=f"{count} channels online", log=self.log)

    async def record(self, channel: dict[str, Any], mode: str = "always", **more: Any) -> None:
        await self.call("PUT", f"{path_of(channel)}/recording", {"mode": mode, **more})

    async def recordings(self, channel: dict[str, Any]) -> dict[str, Any]:
        now = time.time()
        return dict(
            await self.call(
                "GET", f"{path_of(channel)}/recordings", start=rfc3339(now - 7200), end=rfc3339(now + 60), limit=1000
            )
        )

    def pid(self, part: str) -> int:
        """Of `control`, `edge`, `ingest-0`."""
        return int((self.data / "run" / f"{part}.pid").read_text())

    def kill(self, part: str) -> None:
        os.kill(self.pid(part), signal.SIGKILL)

    def kill_everything(self) -> None:
        """As a power cut: no part gets to say a word."""
        assert self.process is not None
        self.process.kill()
        for part in ("control", "edge", "ingest-0"):
            try:
                self.kill(part)
            except (ProcessLookupError, FileNotFoundError):
                pass
        self.process.wait(10)

    async def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self.process.wait, 30)
            except subprocess.TimeoutExpired:
                self.kill_everything()
                raise
        if self.client is not None:
            await self.client.close()


@asynccontextmanager
async def platform(folder: Path, **settings: str) -> AsyncIterator[Platform]:
    """A running platform; `SECTION__KEY="value"` sets what the test needs."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    made = Platform(data, {f"GB28181__{name}": value for name, value in settings.items()})
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def poll(
    claim: Callable[[], Awaitable[Any]], *, seconds: float, what: str, log: Path | None = None, pause: float = 0.1
) -> Any:
    """The claim's value as soon as it has one."""
    end = time.monotonic() + seconds
    while True:
        if (value := await claim()) not in (None, False):
            return value
        if time.monotonic() > end:
            tail = log.read_text()[-6000:] if log and log.exists() else ""
            raise AssertionError(f"not within {seconds:.0f} s: {what}\n{tail}")
        await asyncio.sleep(pause)


def free_ports(count: int) -> str:
    """A range of media ports that nobody listens on now, below the ephemeral ones."""
    chance = random.SystemRandom()
    while True:
        low = chance.randrange(12_000, 32_000 - count, 2)
        if all(_is_free(port) for port in range(low, low + count, 20)):
            return f"{low}-{low + count - 1}"


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def path_of(channel: dict[str, Any]) -> str:
    return f"/devices/{channel['device_id']}/channels/{channel['channel_id']}"


def rfc3339(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
