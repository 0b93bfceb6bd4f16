"""The encoded loop on disk, and the names and clocks that are put into it.

The loop is encoded once for each `Picture` and kept in a cache folder, so that the next start is immediate; it is read through
a memory map that all cameras of all processes share.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import mmap
import os
import tempfile
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Final

import av
import numpy as np
import numpy.typing as npt

from gb28181.errors import Invalid
from gb28181.sim.encoder import LOOP_SECONDS, ClockEncoder, Parts, Picture, name_slices, scene

#: Raised whenever the drawing, the slices or the file change.
_VERSION: Final = 1
_MAGIC: Final = b"gb28181-sim-loop\n"
#: Groups of clock slices kept: the present one, those a camera that starts needs, and the next.
_GROUPS_KEPT: Final = 16


def default_cache() -> Path:
    """The user's cache folder (`XDG_CACHE_HOME`, else `~/.cache`)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "gb28181-sim"


class Loop:
    """One encoded minute.

    The file is a magic line, a line of JSON, a table of five little-endian uint32 a picture (bytes of lead, top, body and
    bottom, and 1 for a key picture), and the pictures.

    Raises:
        Invalid: The file is not a loop of this version and picture, or is cut short.
    """

    def __init__(self, path: Path, picture: Picture) -> None:
        self.picture = picture
        with path.open("rb") as file:
            if file.readline(64) != _MAGIC or file.readline(4096) != _describe(picture):
                raise Invalid(f"{path} is not an encoded loop of {picture}")
            start = file.tell() + picture.loop_frames * 20
            table = np.frombuffer(file.read(picture.loop_frames * 20), dtype="<u4")
            if table.size != picture.loop_frames * 5:
                raise Invalid(f"{path} is cut short")
            self._rows: list[list[int]] = table.reshape(-1, 5).tolist()
            sizes = np.concatenate([[0], table.reshape(-1, 5)[:, :4].sum(axis=1, dtype=np.int64)])
            self._starts: list[int] = (np.cumsum(sizes) + start).tolist()
            if os.fstat(file.fileno()).st_size != self._starts[-1]:
                raise Invalid(f"{path} is cut short")
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def parts(self, index: int) -> Parts:
        """Picture number `index` of the minute."""
        lead, top, body, bottom, is_key = self._rows[index]
        a = self._starts[index]
        b, c, d, e = a + lead, a + lead + top, a + lead + top + body, a + lead + top + body + bottom
        return Parts(self._bytes[a:b], self._bytes[b:c], self._bytes[c:d], self._bytes[d:e], bool(is_key))


def _describe(picture: Picture) -> bytes:
    encoder = {"pyav": av.__version__, **{name: list(version) for name, version in sorted(av.library_versions.items())}}
    return json.dumps({"version": _VERSION, **asdict(picture), "encoder": encoder}, sort_keys=True).encode() + b"\n"


def open_loop(picture: Picture, cache: Path) -> Loop:
    """The loop from the cache folder, encoded now if it is not there; takes seconds to half a minute then.

    Raises:
        OSError: The folder cannot be written.
    """
    path = cache / f"{picture.codec}-{hashlib.sha256(_describe(picture)).hexdigest()[:20]}.loop"
    try:
        return Loop(path, picture)
    except (FileNotFoundError, Invalid):
        pass
    cache.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=cache, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            _write(file, picture)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Loop(path, picture)


def _write(file: BinaryIO, picture: Picture) -> None:
    rows: list[tuple[int, ...]] = []
    pictures: list[bytes] = []
    for parts in scene(picture):
        pieces = (parts.lead, parts.top, parts.body, parts.bottom)
        rows.append((*(len(piece) for piece in pieces), int(parts.is_key)))
        pictures.append(b"".join(pieces))
    table: npt.NDArray[np.uint32] = np.array(rows, dtype="<u4")
    file.writelines([_MAGIC, _describe(picture), table.tobytes(), *pictures])


class Film:
    """A loop together with names and the time of day: `frame()` gives the picture that a camera takes now.

    Picture numbers are counted from the Unix epoch, `loop_frames` a minute, so that a number stands for a moment of UTC.
    """

    def __init__(self, loop: Loop, worker: ThreadPoolExecutor) -> None:
        self.picture = loop.picture
        self._loop = loop
        self._worker = worker
        self._clock = ClockEncoder(loop.picture)
        self._groups: OrderedDict[int, Future[list[bytes]]] = OrderedDict()
        self._names: dict[str, tuple[bytes, bytes]] = {}

    async def prepare(self, name: str) -> None:
        """Encodes a camera's name; `frame()` may use it then."""
        if name not in self._names:
            future = self._worker.submit(name_slices, self.picture, name)
            self._names[name] = await asyncio.wrap_future(future)

    def number_at(self, utc: float) -> int:
        """Number of the picture that is shown at this UTC second."""
        return int(utc * self.picture.fps)

    def time_of(self, number: int) -> float:
        """UTC second at which a picture is taken."""
        return number / self.picture.fps

    def key_at_or_before(self, number: int) -> int:
        """Number of the key picture that this picture needs."""
        index = number % self.picture.loop_frames
        return number - index % self.picture.gop_frames

    def frame(self, number: int, name: str) -> tuple[bytes, bool]:
        """One picture in Annex B form, and whether it is a key picture."""
        picture = self.picture
        minute, index = divmod(number, picture.loop_frames)
        group, position = divmod(index, picture.gop_frames)
        serial = minute * picture.gops + group
        clocks = self._clocks(serial)
        if position == 0:
            self._prefetch(serial + 1)
        parts = self._loop.parts(index)
        top = self._names[name][group % 2] if parts.is_key else parts.top
        bottom = clocks[position] if position < len(clocks) else parts.bottom
        return b"".join((parts.lead, top, parts.body, bottom)), parts.is_key

    def _clocks(self, serial: int) -> list[bytes]:
        # Waits for the encoder where the group was not asked for ahead: at the first picture of a stream, about a millisecond.
        return self._prefetch(serial).result()

    def _prefetch(self, serial: int) -> Future[list[bytes]]:
        future = self._groups.get(serial)
        if future is None:
            future = self._groups[serial] = self._worker.submit(self._encode_clocks, serial)
            while len(self._groups) > _GROUPS_KEPT:
                self._groups.popitem(last=False)
        return future

    def _encode_clocks(self, serial: int) -> list[bytes]:
        minute, group = divmod(serial, self.picture.gops)
        fps, first = self.picture.fps, group * self.picture.gop_frames
        last = min(first + self.picture.gop_frames, self.picture.loop_frames) - 1
        # After the last change of the second the band stands still, and the loop's own slices say just that.
        changed = max(first, last // fps * fps)
        texts = [_clock(minute * LOOP_SECONDS + index // fps) for index in range(first, changed + 1)]
        return self._clock.group(texts, is_odd=bool(group % 2))


def _clock(utc_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(utc_s))


class Studio:
    """Opens each film once; cameras of one process share it.

    Args:
        cache: Folder of the encoded loops.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache or default_cache()
        self._films: dict[Picture, asyncio.Task[Film]] = {}
        self._workers: list[ThreadPoolExecutor] = []

    async def film(self, picture: Picture, name: str) -> Film:
        """The film of this picture, ready for a camera of this name."""
        if picture not in self._films:
            self._films[picture] = asyncio.create_task(self._open(picture))
        film = await asyncio.shield(self._films[picture])
        await film.prepare(name)
        return film

    async def _open(self, picture: Picture) -> Film:
        loop = await asyncio.to_thread(open_loop, picture, self._cache)
        # One thread a film: an encoder must not be used by two, and the clock of one film must not wait for another's.
        worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sim-clock")
        self._workers.append(worker)
        return Film(loop, worker)

    def close(self) -> None:
        """Ends the encoders' threads; films opened here must not be used any more."""
        for task in self._films.values():
            task.cancel()
        for worker in self._workers:
            worker.shutdown(wait=False, cancel_futures=True)
