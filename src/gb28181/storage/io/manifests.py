"""Reads the manifests of a volume for an event loop, and completes them: `ports.Manifests`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from gb28181.storage.io.orphans import orphans, take_in
from gb28181.storage.io.reader import rebuild
from gb28181.storage.io.volume import Volume
from gb28181.storage.manifest import ManifestRow

_BATCH: Final = 500
_SHARE: Final = 3
"""Looking for orphans rests so many times as long as it worked: writers and viewers come first."""


class ManifestThreads:
    """Each batch is read in a thread; between two of them nothing is held but the names of folders.

    Args:
        hashing: Whether rows that are missing get a hash.
    """

    def __init__(self, *, hashing: bool = True) -> None:
        self._hashing = hashing

    async def rows(self, volume: str, *, since_us: int) -> AsyncIterator[list[ManifestRow]]:
        rows: Iterator[ManifestRow] = rebuild(Volume(Path(volume)), since_us=since_us)
        while batch := await asyncio.to_thread(lambda: list(islice(rows, _BATCH))):
            yield batch

    async def orphans(self, volume: str) -> AsyncIterator[ManifestRow]:
        place = Volume(Path(volume))
        days = orphans(place)
        worked = time.monotonic()
        while (names := await asyncio.to_thread(next, days, None)) is not None:
            for name in names:
                row = await asyncio.to_thread(take_in, place, name, hashing=self._hashing)
                if row is not None:
                    yield row
                await asyncio.sleep((time.monotonic() - worked) * _SHARE)
                worked = time.monotonic()
            if not names:
                await asyncio.sleep((time.monotonic() - worked) * _SHARE)
                worked = time.monotonic()
