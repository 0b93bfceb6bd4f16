"""A process stands back from others, in its session and with its session."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os
from pathlib import Path
from gb28181.ops.priority import set_priority
os.setsid() if {own} else None
print(set_priority({nice}), os.getpriority(os.PRIO_PROCESS, 0))
print(Path("/proc/self/autogroup").read_text() if Path("/proc/self/autogroup").exists() else "")
"""


def run(nice: int, *, own: bool) -> tuple[str, str]:
    said = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(nice=nice, own=own)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return said[0], said[1]


def test_priority_counts_in_the_session_and_beyond_it() -> None:
    done, group = run(7, own=True)
    assert done == "True 7"
    if Path("/proc/self/autogroup").exists() and group:
        assert group.endswith("nice 7")


def test_the_group_of_another_session_is_left_alone() -> None:
    done, group = run(7, own=False)
    assert done == "True 7"
    assert not group.endswith("nice 7")


@pytest.mark.skipif(os.geteuid() == 0, reason="root has the right to any priority")
def test_without_the_right_nothing_changes() -> None:
    assert run(-5, own=True)[0].startswith("False")
