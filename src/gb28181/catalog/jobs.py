"""Catalogue queries as operators see them; the last ones are kept."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal

from gb28181.catalog.model import Job
from gb28181.errors import NotFound
from gb28181.ids import DeviceId
from gb28181.texts.text import say

_MAX_JOBS: Final = 2000


class Jobs:
    """The newest jobs; the oldest is forgotten."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def start(self, device_id: DeviceId, now: datetime) -> Job:
        job = Job(secrets.token_hex(8), "catalog", device_id, "running", 0, 0, "", now)
        self._jobs[job.job_id] = job
        if len(self._jobs) > _MAX_JOBS:
            self._jobs.popitem(last=False)
        return job

    def get(self, job_id: str) -> Job:
        """Raises:
        NotFound: There is none, or it was long ago.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise NotFound(say("catalog.no_job", job_id=job_id[:32]))
        return job

    def progress(self, job_id: str, *, received: int, announced: int | None) -> None:
        job = self._jobs.get(job_id)
        if job is not None:
            self._jobs[job_id] = replace(job, received=received, announced=announced or 0)

    def end(self, job_id: str, state: Literal["done", "partial", "failed"], message: str, now: datetime) -> None:
        job = self._jobs.get(job_id)
        if job is not None:
            self._jobs[job_id] = replace(job, state=state, message=message, finished_at=now)
