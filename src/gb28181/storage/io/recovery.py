"""Adopts what a crash left: cuts open segments to their last whole group of pictures and closes them."""

from __future__ import annotations

from collections.abc import Sequence

from gb28181.storage.io.volume import Volume
from gb28181.storage.manifest import ManifestRow


def leftover(volume: Volume, writer_name: str) -> list[str]:
    """Markers of segments that were open when the process of this name died. Ask before its new writer starts."""
    raise NotImplementedError


def recover(
    volume: Volume, writer_name: str, *, markers: Sequence[str] | None = None, hashing: bool = True
) -> list[ManifestRow]:
    """Closes leftover segments; returns those adopted.

    Args:
        markers: From `leftover`; with them it may run in a thread beside the new writer. None: whatever is there.
    """
    raise NotImplementedError
