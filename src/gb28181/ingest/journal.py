"""What control has not acknowledged: `SegmentClosed` messages, on disk until they are in the database.

One JSON line each: a message, `{"ack": seq}`, or `{"seq": n}` where everything up to n was acknowledged and the file began
anew. A thread of its own writes, syncs and reads, several lines at once, so that the receiving thread never waits for a disk.
The manifests on the volumes hold the same truth: what a power cut takes from the journal is found there.

Memory is bounded while control is away for long: the oldest entries are kept, those behind them are on disk alone and come
back when there is room. The file begins anew when everything is acknowledged, and, where something always waits, when it has
become long; without control it grows for as long as the ingest records without it (`media.orphan_s`).
"""

from __future__ import annotations

import bisect
import json
import logging
import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from gb28181.errors import WireError
from gb28181.frames import decode
from gb28181.messages import SegmentClosed

logger = logging.getLogger(__name__)

_STOP_S: Final = 10.0
_LONGEST: Final = 65_536
"""Lines after which the file begins anew with what waits."""


class _Fetch(NamedTuple):
    """Asks the thread for the entries behind a number."""

    seq: int


class Journal:
    """Entries in the order of their numbers, which rise over restarts too.

    Args:
        keep: Most entries in memory.
        longest: Lines after which the file begins anew; more than `keep`.
    """

    def __init__(self, path: Path, *, keep: int = 4096, longest: int = _LONGEST) -> None:
        self._path = path
        self._keep = keep
        self._longest = longest
        self._length = 0
        # Receiving thread only. Behind the last of `_entries` there are more on disk while its number is less than `_last`.
        self._entries: list[SegmentClosed] = []
        self._last = self._acknowledged = self._given_up = 0
        self._fetching = False
        # Both.
        self._lines: queue.SimpleQueue[bytes | _Fetch | None] = queue.SimpleQueue()
        self._fetched: queue.SimpleQueue[list[SegmentClosed]] = queue.SimpleQueue()
        self._load()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        # Writing thread only: where in the file the entries begin that were not read yet.
        self._read_at = 0

    def start(self) -> None:
        if self._has_more:
            self._lines.put(b"\n")  # a torn last line must not swallow the next one
        else:
            self._begin_anew()
        self._thread.start()

    def append(self, entry: SegmentClosed) -> SegmentClosed:
        """Numbers an entry and keeps it."""
        in_memory = not self._has_more and len(self._entries) < self._keep
        self._last += 1
        entry = replace(entry, seq=self._last)
        if in_memory:
            self._entries.append(entry)
        self._lines.put(_line(entry))
        self._length += 1
        return entry

    def acknowledge(self, seq: int) -> None:
        """Forgets entries up to and including `seq`."""
        self._take_fetched()
        seq = min(seq, self._last)
        place = bisect.bisect_right(self._entries, seq, key=_seq)
        if place:
            del self._entries[:place]
            self._acknowledged = seq
            if not self._has_more and (not self._entries or self._length >= self._longest):
                self._begin_anew()
            else:
                self._lines.put(b'{"ack":%d}\n' % seq)
                self._length += 1

    def after(self, seq: int, limit: int) -> list[SegmentClosed]:
        """The next entries behind a number, as far as they are in memory; the others follow when these are acknowledged."""
        self._take_fetched()
        place = bisect.bisect_right(self._entries, seq, key=_seq)
        return self._entries[place : place + limit]

    def stop(self) -> None:
        """Writes what is left."""
        self._lines.put(None)
        self._thread.join(_STOP_S)

    def _begin_anew(self) -> None:
        """With what is left, all of which is in memory. The number goes on, or control would take new entries for old ones."""
        begin = _begin(self._entries[0].seq - 1 if self._entries else self._last)
        self._lines.put(b"".join((begin, *map(_line, self._entries))))
        self._length = 1 + len(self._entries)

    @property
    def _held_to(self) -> int:
        """Number up to which nothing has to be read from disk."""
        return max(self._entries[-1].seq if self._entries else self._acknowledged, self._given_up)

    @property
    def _has_more(self) -> bool:
        return self._held_to < self._last

    def _take_fetched(self) -> None:
        while not self._fetched.empty():
            self._fetching = False
            fetched = self._fetched.get()
            self._entries += fetched
            if not fetched:
                self._given_up = self._last  # damaged on disk: the manifests have them
        if self._has_more and not self._fetching and len(self._entries) <= self._keep // 2:
            self._fetching = True
            self._lines.put(_Fetch(self._held_to))

    def _load(self) -> None:
        acknowledged, damaged = 0, 0
        for line, entry in self._read(0):
            if entry is not None:
                self._last = max(self._last, entry.seq)
            elif (seq := _acknowledged_by(line)) is not None:
                acknowledged = max(acknowledged, seq)
            else:
                damaged += 1
        if damaged:
            logger.warning("journal has damaged lines, left out", extra={"path": str(self._path), "lines": damaged})
        self._acknowledged = acknowledged
        self._last = max(self._last, acknowledged)
        self._entries = self._collect_behind(acknowledged, 0)[0]

    def _read(self, position: int) -> Iterator[tuple[bytes, SegmentClosed | None]]:
        """Lines from a place in the file on, and the entries that they are."""
        try:
            with self._path.open("rb") as file:
                file.seek(position)
                for line in file:
                    if line.strip():
                        yield line, _entry(line)
        except FileNotFoundError:
            return

    def _collect_behind(self, seq: int, position: int) -> tuple[list[SegmentClosed], int]:
        """The next entries behind a number, at most half of what is kept; and where in the file to go on."""
        found: list[SegmentClosed] = []
        for line, entry in self._read(position):
            if entry is not None and entry.seq > seq:
                if len(found) >= self._keep // 2:
                    break
                found.append(entry)
                seq = entry.seq
            position += len(line)
        return found, position

    # --- writing thread ----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        running = True
        while running:
            lines, fetches, running = self._collect()
            try:
                if lines:
                    self._store(lines)
            except OSError as error:
                logger.error("journal cannot be written", extra={"path": str(self._path), "error": str(error)})
            for fetch in fetches:
                self._fetched.put(self._fetch(fetch.seq))

    def _fetch(self, seq: int) -> list[SegmentClosed]:
        try:
            found, self._read_at = self._collect_behind(seq, self._read_at)
        except OSError as error:
            logger.error("journal cannot be read", extra={"path": str(self._path), "error": str(error)})
            return []
        return found

    def _collect(self) -> tuple[list[bytes], list[_Fetch], bool]:
        """Waits for something to do and takes all that is there; False at the end."""
        lines: list[bytes] = []
        fetches: list[_Fetch] = []
        while (order := self._lines.get()) is not None:
            if isinstance(order, _Fetch):
                fetches.append(order)
            else:
                lines.append(order)
            if self._lines.empty():
                return lines, fetches, True
        return lines, fetches, False

    def _store(self, lines: list[bytes]) -> None:
        start = max((place for place, line in enumerate(lines) if line.startswith(_BEGIN)), default=-1)
        if start < 0:
            self._put(self._path, lines, os.O_APPEND)
            return
        fresh = self._path.with_suffix(".new")
        self._put(fresh, lines[start:], os.O_TRUNC)
        os.replace(fresh, self._path)
        self._read_at = 0

    @staticmethod
    def _put(path: Path, lines: list[bytes], flag: int) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flag, 0o600)
        try:
            data = memoryview(b"".join(lines))
            while data:
                data = data[os.write(fd, data) :]
            os.fsync(fd)
        finally:
            os.close(fd)


_BEGIN: Final = b'{"seq":'


def _begin(seq: int) -> bytes:
    return _BEGIN + b"%d}\n" % seq


def _entry(line: bytes) -> SegmentClosed | None:
    try:
        entry = decode(line)
    except WireError:
        return None
    return entry if isinstance(entry, SegmentClosed) and type(entry.seq) is int and entry.seq > 0 else None


def _acknowledged_by(line: bytes) -> int | None:
    """Up to which number a line says that everything was acknowledged."""
    try:
        fields: Any = json.loads(line)
        return int(fields.get("ack", fields.get("seq")))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _seq(entry: SegmentClosed) -> int:
    return entry.seq


def _line(entry: SegmentClosed) -> bytes:
    return json.dumps({"is": "SegmentClosed", **asdict(entry)}, separators=(",", ":")).encode() + b"\n"
