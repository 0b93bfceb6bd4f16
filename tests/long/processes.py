"""What a process holds: memory, threads, and open files by kind."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

#: How much more than at the beginning is no leftover: pools of worker threads and of database connections fill up late.
#: Media sockets and recordings have no such excuse.
SPARE = {"threads": 6, "database": 8, "unix": 6, "tcp": 2, "other": 4}


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory in MiB (`anonymous`: without files that are mapped), threads, open files, CPU seconds."""

    resident: float
    anonymous: float
    threads: int
    files: int
    cpu_s: float


def usage(pid: int) -> Usage | None:
    """None when the process has ended."""
    try:
        status = dict(re.findall(r"^(\w+):\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M))
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        files = len(os.listdir(f"/proc/{pid}/fd"))
        resident, anonymous, threads = int(status["VmRSS"]) / 1024, int(status["RssAnon"]) / 1024, int(status["Threads"])
    except (OSError, KeyError):
        return None
    return Usage(resident, anonymous, threads, files, (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"))


def holdings(pid: int, recordings: Path) -> Counter[str]:
    """Threads, and open files by kind: udp, tcp, unix, recording, database, other.

    Raises:
        OSError: The process has ended.
    """
    kinds = _socket_kinds(pid)
    held: Counter[str] = Counter(threads=len(os.listdir(f"/proc/{pid}/task")))
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue  # closed between the two looks
        if target.startswith("socket:["):
            held[kinds.get(target[8:-1], "unix")] += 1
        elif target.startswith(str(recordings)) and (".ps" in target or ".idx" in target):
            held["recording"] += 1
        elif ".db" in target:
            held["database"] += 1
        else:
            held["other"] += 1
    return held


def leftovers(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    """What is held beyond the beginning and beyond what a pool may keep."""
    return {kind: count - before[kind] for kind, count in after.items() if count > before[kind] + SPARE.get(kind, 0)}


def _socket_kinds(pid: int) -> dict[str, str]:
    kinds = {}
    for table in ("udp", "udp6", "tcp", "tcp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            kinds[line.split()[9]] = table[:3]
    return kinds
