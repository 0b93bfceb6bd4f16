#!/usr/bin/env python3
"""Records N real-time streams through a whole platform and prints loss and the CPU of each process.

    make -C bench && .venv/bin/python bench/record.py --streams 100 --kbps 2000 --seconds 30 --transport udp

The sender is C on the last core; the platform has the others. A sender that ran late voids the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import clip
import devices
from server import LOAD_CORE, OWN_CORES, PARTS, PASSWORD, PROGRAMS, SERVER_ID, Platform, cpu_s, platform

from gb28181.config import MediaSettings

LATE_MS = 500
#: The tick of streams that are only recorded, for floor and platform alike.
FLOOR_TICK_MS = MediaSettings().tick_ms
#: Seconds before the window: a camera has shown four key frames by then. Until it has, each chunk of it is examined.
WARM_S = 10


class Sender:
    """`ps_send` on a core of its own; its window begins with `finish`."""

    def __init__(self, media: Path, seconds: float, transport: str) -> None:
        self._process = subprocess.Popen(
            ["taskset", "-c", LOAD_CORE, PROGRAMS / "ps_send", media, str(seconds), transport],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def add(self, host: str, port: int, ssrc: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{host} {port} {ssrc}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """No more targets: the window begins now."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def result(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        said = self._process.stdout.read()
        self._process.wait()
        return dict(json.loads(said))

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def floor(streams: int, kbps: int, transport: str, seconds: float, folder: Path | None = None) -> dict[str, Any]:
    """CPU seconds per Gbit of the C receiver under the same load."""
    media = clip.make(PROGRAMS, kbps)
    place = Path(tempfile.mkdtemp(prefix="gb28181-floor-", dir=folder))
    receiver = subprocess.Popen(
        ["taskset", "-c", ",".join(map(str, sorted(OWN_CORES))),
         PROGRAMS / "ps_floor", str(streams), transport, str(FLOOR_TICK_MS), place],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    sender = Sender(media, seconds, transport)
    try:
        assert receiver.stdin is not None
        assert receiver.stdout is not None
        for _ in range(streams):
            host, port, ssrc = receiver.stdout.readline().split()
            sender.add(host, int(port), int(ssrc))
        time.sleep(WARM_S / 4)
        before = cpu_s(receiver.pid)
        sender.close()
        sent = sender.result()
        used = cpu_s(receiver.pid) - before
        receiver.stdin.close()
        got = json.loads(receiver.stdout.read())
    finally:
        sender.kill()
        receiver.kill()
        receiver.wait()
        shutil.rmtree(place, ignore_errors=True)
    gbit = sent["window_bytes"] * 8 / 1e9
    return {
        "cpu_s_per_gbit": used / gbit, "lost_packets": got["lost"], "sender_late_ms": sent["late_ms"],
        "void": sent["late_ms"] > LATE_MS or sent["errors"] > 0,
    }  # fmt: skip


async def invited(server: Platform, streams: int, sender: Sender) -> None:
    """Registers cameras that are all recorded, and sends to where each is told to send."""
    queue = await devices.start(streams, sip_port=server.sip_port, server_id=SERVER_ID, password=PASSWORD)
    async with asyncio.timeout(120):
        for _ in range(streams):
            want = await queue.get()
            sender.add(want.host, want.port, want.ssrc)


async def watch(server: Platform, number: int, seen: list[int]) -> None:
    """Watches the stream of a camera until cancelled, and counts the bytes in `seen[number]`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http_port)
    path = server.live_path(f"{devices.DOMAIN}1320{number + 1:06d}")
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    while block := await reader.read(1 << 18):
        seen[number] += len(block)


async def record(
    streams: int,
    kbps: int,
    transport: str,
    seconds: float,
    *,
    watched: int = 0,
    hashing: bool = True,
    folder: Path | None = None,
) -> dict[str, Any]:
    """The same load on a whole platform.

    Args:
        watched: How many of the streams have a viewer at the edge.
    """
    media = clip.make(PROGRAMS, kbps)
    settings = {
        "MEDIA__TRANSPORT": transport,
        "RECORDING__DEFAULT_MODE": "always",
        "RECORDING__HASH": "sha256" if hashing else "none",
    }
    with platform(folder, **settings) as server:
        sender = Sender(media, seconds, transport)
        viewers: list[asyncio.Task[None]] = []
        seen = [0] * watched
        try:
            empty = server.memory()
            await invited(server, streams, sender)
            viewers += [asyncio.create_task(watch(server, number, seen)) for number in range(watched)]
            await asyncio.sleep(WARM_S)
            server.pin()
            before, seen[:] = server.cpu(), [0] * watched
            sender.close()
            sent = await asyncio.to_thread(sender.result)
            after, memory = server.cpu(), server.memory()
        finally:
            sender.kill()
            for viewer in viewers:
                viewer.cancel()
        await asyncio.sleep(6)  # the figures of an ingest come every 5 s
        figures = server.figures()
        gbit = sent["window_bytes"] * 8 / 1e9
        return {
            "streams": streams, "kbps": kbps, "transport": transport, "seconds": seconds, "hashing": hashing,
            "gbit": round(gbit, 3), "sent_packets": sent["packets"],
            "received_packets": int(figures["media_packets_total"]), "lost_packets": int(figures["media_lost_total"]),
            "sender_late_ms": sent["late_ms"], "sender_errors": sent["errors"],
            "watched": watched, "least_seen_kbps": round(min(seen, default=0) * 8 / 1000 / seconds),
            "void": sent["late_ms"] > LATE_MS, "tick_late": figures["tick_late_total"],
            "cpu_s_per_gbit": {part: round((after[part] - before[part]) / gbit, 3) for part in PARTS},
            "cores": {part: round((after[part] - before[part]) / seconds, 3) for part in PARTS},
            "resident_mib": memory, "resident_mib_empty": empty,
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--kbps", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--transport", choices=("udp", "tcp"), default="udp")
    parser.add_argument("--watched", type=int, default=0, help="streams that have a viewer")
    parser.add_argument("--no-hash", action="store_true", help="without SHA-256 of the recordings")
    parser.add_argument("--floor", action="store_true", help="measure the C receiver as well")
    parser.add_argument("--folder", type=Path, help="where recordings go (default: the system's temporary folder)")
    options = parser.parse_args()
    load = (options.streams, options.kbps, options.transport, options.seconds)
    result: dict[str, Any] = {}
    if options.floor:
        result["floor"] = floor(*load, options.folder)
    result |= asyncio.run(record(*load, watched=options.watched, hashing=not options.no_hash, folder=options.folder))
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
