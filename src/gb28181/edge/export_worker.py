"""The process that makes one MP4: a codec that fails, or hours of work, touch nobody who watches.

Its argument is a JSON object (`Task`); the file goes to standard output, and a JSON line of progress to standard error a few
times a second, the last one with `done` or `error`. It runs with low priority: viewers and recording come first.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final

from gb28181.edge.export_movie import CannotExport, Movie
from gb28181.edge.recorded import Recordings
from gb28181.errors import Gb28181Error, StorageError
from gb28181.ops.priority import set_priority
from gb28181.texts import text as texts
from gb28181.texts.text import packed, unpacked

_EVERY_S: Final = 0.25
_NICE: Final = 10
#: The most that Linux lets anybody have: the reader wakes 16 times less than with the usual 64 KiB.
_PIPE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Task:
    """What is exported; times are UTC microseconds."""

    volumes: tuple[str, ...]
    device_id: str
    channel_id: str
    start_us: int
    end_us: int

    def argument(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Progress:
    """Args:
    share: Of the recorded bytes, 0 to 1.
    size: Bytes of the file so far.
    left_out: Groups of pictures that could not be read or shown; told at the end.
    """

    share: float
    size: int
    error: str = ""
    code: str = ""
    done: bool = False
    left_out: int = 0

    @classmethod
    def parse(cls, line: bytes) -> Progress | None:
        """The progress of a line of the worker; None for anything else, such as a traceback."""
        try:
            fields = json.loads(line)
            return cls(**{**fields, "error": unpacked(fields["error"])})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


def make(task: Task, out: BinaryIO, say: Callable[[Progress], None], clock: Callable[[], float]) -> None:
    """Writes the file; says how far it is.

    Raises:
        BrokenPipeError: Nobody wants it any more.
    """
    movie = Movie(task.start_us, task.end_us)
    said = clock()
    length = task.end_us - task.start_us
    code = ""
    unread: StorageError | None = None
    try:
        recordings = Recordings([Path(volume) for volume in task.volumes])
        for group in recordings.groups(task.device_id, task.channel_id, task.start_us, task.end_us):
            try:
                out.write(movie.add(group))
            except StorageError as error:
                unread = error  # a bad sector: the rest is wanted all the same
                continue
            if clock() - said > _EVERY_S:
                said = clock()
                say(Progress(min(1.0, max(0.0, (group.end_us - task.start_us) / length)), movie.size))
        if unread is not None and not movie.pictures:
            raise unread
        out.write(movie.finish())
        out.flush()
    except CannotExport as error:
        code, message = "cannot_export", str(error)
    except Gb28181Error as error:
        code, message = "storage", str(error)
    else:
        say(Progress(1.0, movie.size, done=True, left_out=movie.left_out))
        return
    say(Progress(0.0, movie.size, error=message, code=code))


def main() -> int:
    os.setsid()  # a session of its own, so that its priority counts against others' sessions too
    set_priority(_NICE)
    gc.disable()  # nothing here makes cycles, and millions of small objects pass
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a file, or the user's share of pipe memory is used up
            fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, _PIPE)
    fields = json.loads(sys.argv[1])
    task = Task(**{**fields, "volumes": tuple(fields["volumes"])})

    def say(progress: Progress) -> None:
        sys.stderr.write(json.dumps({**asdict(progress), "error": packed(progress.error)}) + "\n")
        sys.stderr.flush()

    try:
        with os.fdopen(os.dup(1), "wb", buffering=1 << 18) as out:
            make(task, out, say, time.monotonic)
    except BrokenPipeError:
        return 1
    except OSError as error:
        unwritable = texts.say("export.unwritable", strerror=texts.reason_of(error))
        say(Progress(0.0, 0, error=unwritable, code="storage"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
