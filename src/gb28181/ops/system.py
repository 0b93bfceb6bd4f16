"""Limits of the operating system that a video server runs into first."""

from __future__ import annotations

import logging
import resource

logger = logging.getLogger(__name__)


def raise_file_limit(wanted: int) -> int:
    """Raises RLIMIT_NOFILE as far as this user may; returns the limit in force and warns when it is below `wanted`.

    Each stream needs a media and an RTCP socket, two files and, over TCP, a connection.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _reaches(soft, wanted):
        return wanted if soft == resource.RLIM_INFINITY else soft
    for limit in ((wanted, hard if _reaches(hard, wanted) else wanted), (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            break
        except (ValueError, OSError):  # only root may raise the hard limit
            continue
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not _reaches(soft, wanted):
        logger.warning(
            "few open files are allowed: raise LimitNOFILE (systemd) or ulimit -n", extra={"allowed": soft, "wanted": wanted}
        )
    return soft


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _reaches(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
