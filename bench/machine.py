"""The machine in words: figures without it say nothing."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path


def words() -> str:
    """Cores, processor, virtualisation, memory, kernel, Python."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    try:
        kind = subprocess.run(["systemd-detect-virt", "--vm"], capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        kind = ""
    if not kind:
        kind = "virtual" if " hypervisor " in Path("/proc/cpuinfo").read_text() else ""
    parts = [
        f"{os.cpu_count()} cores of {cpu[1] if cpu else platform.machine()}",
        kind,
        f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "",
        f"Linux {platform.release()}",
        f"Python {platform.python_version()}",
    ]
    return ", ".join(part for part in parts if part and part != "none")


def commit() -> str:
    """The commit that was measured, "+" when files were changed since."""
    here = Path(__file__).parent
    said = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=here, capture_output=True, text=True, check=False)
    return said.stdout.strip()
