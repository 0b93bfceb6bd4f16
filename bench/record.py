#!/usr/bin/env python3
"""Records N real-time streams through a whole platform and prints loss and the CPU of each process.

    make -C bench && .venv/bin/python bench/record.py --streams 100 --kbps 2000 --seconds 30 --transport udp

The sender is C on the last core; the platform has the others. A sender that ran late voids the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).parent))
import clip
import devices

HERE = Path(__file__).parent
PASSWORD = "bench-password"
SERVER_ID = "34020000002000000001"
LATE_MS = 500
TICKS = os.sysconf("SC_CLK_TCK")


class Platform:
    """A `scripts/serve` of its own in a temporary folder."""

    def __init__(self, folder: Path, transport: str) -> None:
        environ = {
            **os.environ,
            "GB28181__SIP__HOST": "127.0.0.1", "GB28181__SIP__PORT": "0", "GB28181__SIP__PASSWORD": PASSWORD,
            "GB28181__HTTP__HOST": "127.0.0.1", "GB28181__HTTP__PORT": "0", "GB28181__ADMIN__PASSWORD": PASSWORD,
            "GB28181__MEDIA__HOST": "127.0.0.1", "GB28181__MEDIA__INGESTS": "1", "GB28181__MEDIA__TRANSPORT": transport,
            "GB28181__RECORDING__DEFAULT_MODE": "always",
        }  # fmt: skip
        self.folder = folder
        self.output = folder / "out"
        self.data = folder / "data"
        with self.output.open("wb") as out, (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [HERE.parent / "scripts" / "serve", "--data", str(self.data)], env=environ, stdin=subprocess.DEVNULL,
                stdout=out, stderr=log,
            )  # fmt: skip
        end = time.monotonic() + 300
        while not (found := re.search(r"SIP port.*?(\d+) \(", self.output.read_text())):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit((folder / "log").read_text()[-3000:])
            time.sleep(0.1)
        self.sip_port = int(found[1])
        http = re.search(r"Console.*?:(\d+)/", self.output.read_text())
        assert http
        self.url = f"http://127.0.0.1:{http[1]}"

    def pid(self, part: str) -> int:
        return int((self.data / "run" / f"{part}.pid").read_text())

    def usage(self, part: str) -> tuple[float, float]:
        """CPU seconds and resident MiB of a process."""
        fields = Path(f"/proc/{self.pid(part)}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{self.pid(part)}/statm").read_text().split()[1])
        return (int(fields[11]) + int(fields[12])) / TICKS, pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


async def figures(platform: Platform) -> tuple[int, int, float]:
    """Packets received and lost of all streams, and the late ticks."""
    async with aiohttp.ClientSession() as client, client.get(f"{platform.url}/metrics") as response:
        text = await response.text()
    read = {name: sum(map(float, re.findall(rf"^gb28181_{name}{{.*?}} (\S+)", text, re.M))) for name in (
        "media_packets_total", "media_lost_total", "tick_late_total")}  # fmt: skip
    return int(read["media_packets_total"]), int(read["media_lost_total"]), read["tick_late_total"]


async def run(options: argparse.Namespace) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="gb28181-bench-", dir=options.folder))
    media = clip.make(HERE / "build", options.kbps)
    platform = Platform(folder, options.transport)
    cores = os.cpu_count() or 1
    try:
        queue = await devices.start(options.streams, sip_port=platform.sip_port, server_id=SERVER_ID, password=PASSWORD)
        for part in ("control", "ingest-0", "edge"):
            for thread in Path(f"/proc/{platform.pid(part)}/task").iterdir():
                os.sched_setaffinity(int(thread.name), set(range(max(1, cores - 1))))
        sender = await asyncio.create_subprocess_exec(
            "taskset", "-c", str(cores - 1), str(HERE / "build" / "ps_send"),
            str(media), str(options.seconds), options.transport,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert sender.stdin is not None
        async with asyncio.timeout(120):
            for _ in range(options.streams):
                want = await queue.get()
                sender.stdin.write(f"{want.host} {want.port} {want.ssrc}\n".encode())
                await sender.stdin.drain()
        before = {part: platform.usage(part) for part in ("control", "ingest-0", "edge")}
        said, _ = await sender.communicate(b"")
        after = {part: platform.usage(part) for part in before}
        sent = json.loads(said)
        await asyncio.sleep(6)  # the figures of an ingest come every 5 s
        received, lost, late = await figures(platform)
        gbit = sent["window_bytes"] * 8 / 1e9
        return {
            "streams": options.streams, "kbps": options.kbps, "transport": options.transport, "seconds": options.seconds,
            "gbit": round(gbit, 3), "sent_packets": sent["packets"], "received_packets": received, "lost_packets": lost,
            "sender_late_ms": sent["late_ms"], "sender_errors": sent["errors"], "void": sent["late_ms"] > LATE_MS,
            "tick_late": late,
            "cpu_s_per_gbit": {part: round((after[part][0] - before[part][0]) / gbit, 3) for part in before},
            "resident_mib": {part: round(after[part][1], 1) for part in before},
        }  # fmt: skip
    finally:
        platform.stop()
        if not options.keep:
            shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--kbps", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--transport", choices=("udp", "tcp"), default="udp")
    parser.add_argument("--folder", type=Path, help="where recordings go (default: the system's temporary folder)")
    parser.add_argument("--keep", action="store_true", help="leave data and log behind")
    print(json.dumps(asyncio.run(run(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
