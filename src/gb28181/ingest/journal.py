"""What control has not acknowledged: `SegmentClosed` messages, on disk until they are in the database.

One JSON line each: a message, `{"ack": seq}`, or `{"seq": n}` where everything up to n was acknowledged and the file began
anew. A thread of its own writes and syncs, several lines at once, so that the receiving thread never waits for a disk. The
manifests on the volumes hold the same truth: what a power cut takes from the journal is found there.
"""

from __future__ import annotations

import bisect
import json
import logging
import os
import queue
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from gb28181.errors import WireError
from gb28181.messages import SegmentClosed, decode

logger = logging.getLogger(__name__)

_STOP_S: Final = 10.0


class Journal:
    """Entries in the order of their numbers, which rise over restarts too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: list[SegmentClosed] = []
        self._last = 0
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._load()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)

    def start(self) -> None:
        # Begins anew with what is left: a torn last line must not swallow the next one.
        first = self._entries[0].seq - 1 if self._entries else self._last
        self._lines.put(_begin(first))
        for entry in self._entries:
            self._lines.put(_line(entry))
        self._thread.start()

    def append(self, entry: SegmentClosed) -> SegmentClosed:
        """Numbers an entry and keeps it."""
        self._last += 1
        entry = replace(entry, seq=self._last)
        self._entries.append(entry)
        self._lines.put(_line(entry))
        return entry

    def acknowledge(self, seq: int) -> None:
        """Forgets entries up to and including `seq`."""
        seq = min(seq, self._last)
        place = bisect.bisect_right(self._entries, seq, key=_seq)
        if place:
            del self._entries[:place]
            # Empty: the file begins anew. The number goes on, or control would take new entries for old ones.
            self._lines.put(_begin(self._last) if not self._entries else b'{"ack":%d}\n' % seq)

    def after(self, seq: int, limit: int) -> list[SegmentClosed]:
        """The next entries behind a number."""
        place = bisect.bisect_right(self._entries, seq, key=_seq)
        return self._entries[place : place + limit]

    def stop(self) -> None:
        """Writes what is left."""
        self._lines.put(None)
        self._thread.join(_STOP_S)

    def _load(self) -> None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return
        damaged = 0
        for line in data.split(b"\n"):
            damaged += not self._take(line)
        if damaged:
            logger.warning("journal has damaged lines, left out", extra={"path": str(self._path), "lines": damaged})

    def _take(self, line: bytes) -> bool:
        """Takes one line; False where it is damaged."""
        if not line:
            return True
        try:
            fields: Any = json.loads(line)
            if "is" not in fields:
                seq = int(fields.get("ack", fields.get("seq")))
                self._entries = [entry for entry in self._entries if entry.seq > seq]
                self._last = max(self._last, seq)
                return True
            entry = decode(line)
        except (ValueError, TypeError, AttributeError, RecursionError, WireError):
            return False
        if not isinstance(entry, SegmentClosed) or type(entry.seq) is not int or entry.seq <= self._last:
            return False
        self._entries.append(entry)
        self._last = entry.seq
        return True

    # --- writing thread ----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        running = True
        while running:
            lines, running = self._collect()
            try:
                if lines:
                    self._store(lines)
            except OSError as error:
                logger.error("journal cannot be written", extra={"path": str(self._path), "error": str(error)})

    def _collect(self) -> tuple[list[bytes], bool]:
        """Waits for a line and takes all that are there; False at the end."""
        lines: list[bytes] = []
        line = self._lines.get()
        while line is not None:
            lines.append(line)
            if self._lines.empty():
                return lines, True
            line = self._lines.get()
        return lines, False

    def _store(self, lines: list[bytes]) -> None:
        start = max((place for place, line in enumerate(lines) if line.startswith(_BEGIN)), default=-1)
        if start < 0:
            self._put(self._path, lines, os.O_APPEND)
            return
        fresh = self._path.with_suffix(".new")
        self._put(fresh, lines[start:], os.O_TRUNC)
        os.replace(fresh, self._path)

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


def _seq(entry: SegmentClosed) -> int:
    return entry.seq


def _line(entry: SegmentClosed) -> bytes:
    return json.dumps({"is": "SegmentClosed", **asdict(entry)}, separators=(",", ":")).encode() + b"\n"
