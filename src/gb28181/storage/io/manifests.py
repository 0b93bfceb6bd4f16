"""Reads the manifests of a volume for an event loop: `ports.Manifests`. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from gb28181.storage.io.reader import rebuild
from gb28181.storage.io.volume import Volume
from gb28181.storage.manifest import ManifestRow

_BATCH: Final = 500


class ManifestThreads:
    """Each batch is read in a thread; between two of them nothing is held but the names of folders."""

    async def rows(self, volume: str, *, since_us: int) -> AsyncIterator[list[ManifestRow]]:
        rows: Iterator[ManifestRow] = rebuild(Volume(Path(volume)), since_us=since_us)
        while batch := await asyncio.to_thread(lambda: list(islice(rows, _BATCH))):
            yield batch
