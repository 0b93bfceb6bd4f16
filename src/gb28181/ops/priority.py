"""How a process stands against the others for the processor.

Linux shares the processors between *sessions* first where automatic grouping is on (`sched_autogroup_enabled`, the default of
most distributions); `nice` counts only inside one. An ingest lives in a session of its own, so both are set.
"""

from __future__ import annotations

import os
from pathlib import Path


def set_priority(nice: int) -> bool:
    """Sets niceness and, where there is one, that of the session's group; -20 is first, 19 last.

    A lower one than now needs the right to it (root, CAP_SYS_NICE); False when it was not given.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except PermissionError:
        return False
    group = Path("/proc/self/autogroup")
    if os.getsid(0) == os.getpid() and group.exists():
        try:
            group.write_text(str(nice))
        except OSError:  # the kernel takes one change in a while from who is not root
            return False
    return True
