"""Export jobs: a worker process each, a bounded number at once, files that are kept for an hour.

Files lie in `.exports/` of the volume with the most room, which no segment's path can name. They are removed when the edge
starts, an hour after they were finished, when their job is cancelled, and oldest first where all together grow too large.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from gb28181.background import Background
from gb28181.edge.export_worker import Progress, Task
from gb28181.errors import Gb28181Error, Invalid, StorageError, Unavailable
from gb28181.texts.text import reason_of, say

AT_ONCE: Final = 2
"""Workers that run at once."""
_WAITING: Final = 32
_KEPT_S: Final = 3600.0
_MOST_BYTES: Final = 16 << 30
#: Nothing is exported into the last part of a disk: it belongs to what is being recorded.
_LEFT_FREE: Final = 0.05
_READ: Final = 1 << 20
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FOLDER: Final = ".exports"
#: A worker allocates megabytes per group of pictures; glibc would give each back to the system at once, and take the page
#: faults of the next one: an eighth of the whole work. Other libraries ignore these. Numpy's threads have nothing to do.
_TUNED: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(256 << 20), "MALLOC_TRIM_THRESHOLD_": str(512 << 20), "OPENBLAS_NUM_THREADS": "1",
}  # fmt: skip


class Worker:
    """One worker process, killed when its user has had enough."""

    def __init__(self, task: Task, path: Path | None = None) -> None:
        self._task = task
        self._path = path
        self._in: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self.progress = Progress(0.0, 0)

    @property
    def is_done(self) -> bool:
        return self.progress.done

    async def __aenter__(self) -> Worker:
        out = await asyncio.to_thread(os.open, self._path, _NEW_FILE, 0o666) if self._path is not None else self._pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gb28181.edge.export_worker", self._task.argument(),
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=asyncio.subprocess.PIPE, env=os.environ | _TUNED,
            )  # fmt: skip
        except BaseException:
            self._close()
            raise
        finally:
            os.close(out)
        self._listening = asyncio.create_task(self._listen(self._process))
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._process is not None
        assert self._listening is not None
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        self._listening.cancel()
        self._close()
        # Shielded: a worker must be gone when its user is.
        await asyncio.shield(self._process.wait())

    async def read(self) -> bytes:
        """More of the file; b"" at its end. Not asyncio's stream: it would copy every byte twice more."""
        assert self._in is not None
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(BlockingIOError):
                return os.read(self._in, _READ)
            readable = asyncio.Event()
            loop.add_reader(self._in, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(self._in)

    def _pipe(self) -> int:
        """Its writing end."""
        self._in, out = os.pipe()
        os.set_blocking(self._in, False)
        return out

    def _close(self) -> None:
        if self._in is not None:
            os.close(self._in)
            self._in = None

    async def finished(self) -> None:
        """Until the process has said its last."""
        assert self._listening is not None
        await self._listening

    def failure(self) -> Gb28181Error | None:
        """Why there is no file, in words for whoever asked."""
        if not self.progress.error:
            return None
        return Invalid(self.progress.error) if self.progress.code == "cannot_export" else StorageError(self.progress.error)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:
                continue  # no line of ours is so long
            if not line:
                break
            self.progress = Progress.parse(line) or self.progress
        await process.wait()


@dataclass(slots=True)
class Job:
    """One export into a file.

    Args:
        estimate: Bytes that it will have, about.
        share: How far it is, 0 to 1.
        speed: Seconds of recording a second.
        left_out: Groups of pictures that could not be read or shown; known when it is done.
    """

    job_id: str
    task: Task
    name: str
    path: Path
    estimate: int
    begun: float
    state: Literal["waiting", "running", "done", "failed"] = "waiting"
    share: float = 0.0
    size: int = 0
    speed: float = 0.0
    left_out: int = 0
    error: str = ""
    code: str = ""
    ended: float = 0.0
    work: asyncio.Task[None] | None = field(default=None, repr=False)


class Jobs:
    """All exports of this edge; owns their tasks and files."""

    def __init__(self, volumes: Sequence[Path]) -> None:
        self._volumes = tuple(volumes)
        self._jobs: dict[str, Job] = {}
        self._running = asyncio.Semaphore(AT_ONCE)
        self._streams = 0
        self._background = Background()

    async def __aenter__(self) -> Jobs:
        for volume in self._volumes:
            await asyncio.to_thread(shutil.rmtree, volume / _FOLDER, ignore_errors=True)
        await self._background.__aenter__()
        self._background.spawn(self._tidy, "exports", forever=True)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._background.__aexit__(*exc)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The right to run a worker.

        Raises:
            Unavailable: Too many wait already.
        """
        if self._streams >= _WAITING:
            raise Unavailable(say("export.waiting", waiting=self._streams))
        self._streams += 1
        try:
            async with self._running:
                yield
        finally:
            self._streams -= 1

    def find(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    async def begin(self, task: Task, name: str, estimate: int) -> Job:
        """Puts a job into the queue.

        Raises:
            Unavailable: There is no room for it.
            StorageError: No folder can be made.
        """
        if sum(job.ended == 0 for job in self._jobs.values()) >= _WAITING:
            raise Unavailable(say("export.waiting", waiting=_WAITING))
        if estimate > _MOST_BYTES:
            raise Unavailable(say("export.too_large", gib=estimate >> 30))
        await self._make_room(estimate)
        folder = await asyncio.to_thread(_folder, self._volumes, estimate)
        job_id = secrets.token_urlsafe(16)
        now = asyncio.get_running_loop().time()
        job = self._jobs[job_id] = Job(job_id, task, name, folder / f"{job_id}.mp4", estimate, now)
        job.work = self._background.spawn(lambda: self._run(job), f"export {name}")
        return job

    async def remove(self, job: Job) -> None:
        """Ends the job, removes its file."""
        self._jobs.pop(job.job_id, None)
        if job.work is not None:
            job.work.cancel()
            await asyncio.wait([job.work])
        await asyncio.to_thread(job.path.unlink, missing_ok=True)

    async def _run(self, job: Job) -> None:
        loop = asyncio.get_running_loop()
        async with self._running:
            job.state, begun = "running", loop.time()
            try:
                async with Worker(job.task, job.path) as worker:
                    finished = asyncio.ensure_future(worker.finished())
                    while not finished.done():
                        await asyncio.wait([finished], timeout=0.25)
                        self._note(job, worker.progress, loop.time() - begun)
                    if not worker.is_done and not job.error:
                        job.error, job.code = (
                            say("export.process_died"),
                            "internal",
                        )
            except OSError as error:
                job.error, job.code = say("export.unmakeable", strerror=reason_of(error)), "storage"
        job.state, job.ended = "failed" if job.error else "done", loop.time()
        if job.error:
            await asyncio.to_thread(job.path.unlink, missing_ok=True)

    def _note(self, job: Job, progress: Progress, took: float) -> None:
        job.share, job.size, job.error, job.code = progress.share, progress.size, progress.error, progress.code
        job.left_out = progress.left_out
        job.speed = progress.share * (job.task.end_us - job.task.start_us) / 1_000_000 / max(took, 0.05)

    async def _make_room(self, wanted: int) -> None:
        kept = sorted((job for job in self._jobs.values() if job.ended), key=lambda job: job.ended)
        total = sum(max(job.size, job.estimate if not job.ended else 0) for job in self._jobs.values())
        while kept and total + wanted > _MOST_BYTES:
            job = kept.pop(0)
            total -= job.size
            await self.remove(job)
        if total + wanted > _MOST_BYTES:
            raise Unavailable(say("export.room_taken"))

    async def _tidy(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(60.0)
            for job in tuple(self._jobs.values()):
                if job.ended and loop.time() - job.ended > _KEPT_S:
                    await self.remove(job)


def _folder(volumes: Sequence[Path], wanted: int) -> Path:
    """The folder for exports on the volume with the most room.

    Raises:
        Unavailable: None has enough.
        StorageError: It cannot be made.
    """
    room: list[tuple[int, Path]] = []
    for volume in volumes:
        with contextlib.suppress(OSError):
            usage = shutil.disk_usage(volume)
            room.append((usage.free - int(usage.total * _LEFT_FREE), volume))
    free, volume = max(room, default=(0, Path()))
    if free < wanted:
        raise Unavailable(say("export.no_room", mib=wanted >> 20))
    folder = volume / _FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(say("storage.file", path=folder, fault=reason_of(error))) from None
    return folder
