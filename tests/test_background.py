"""Tasks of an owner: what fails ends nothing else, what runs ends with the owner."""

from __future__ import annotations

import asyncio
import logging
import warnings

import pytest

from gb28181.background import Background
from gb28181.errors import Unreachable


async def failing(error: Exception) -> str:
    raise error


async def test_a_task_that_fails_ends_no_other_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    waiting = asyncio.Event()
    async with Background() as tasks:
        other = tasks.start(waiting.wait(), "other")
        with caplog.at_level(logging.WARNING):
            bug = tasks.start(failing(ValueError("bug")), "bug")
            foreseen = tasks.start(failing(Unreachable("offline")), "foreseen", otherwise="no way")
            assert bug is not None
            assert foreseen is not None
            assert (await bug, await foreseen) == (None, "no way")
        assert tasks.failures == 2
        assert [record.exc_info is not None for record in caplog.records] == [True, False]
        assert other is not None
        assert not other.done()
    assert other.cancelled()


async def test_what_is_to_run_forever_goes_on_after_a_failure() -> None:
    runs = asyncio.Queue[int]()

    async def run() -> None:
        runs.put_nowait(1)
        raise ValueError("bug")

    async with Background() as tasks:
        task = tasks.spawn(run, "loop", forever=True)
        await runs.get()
        await asyncio.sleep(0)
        assert tasks.failures == 1
        assert not task.done()


async def test_nothing_is_started_outside_the_life_of_the_owner_and_no_more_than_may_run() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = Background(most=1)
        assert tasks.start(asyncio.sleep(60), "before") is None
        async with tasks:
            assert tasks.start(asyncio.sleep(60), "first") is not None
            assert tasks.start(asyncio.sleep(60), "one too many") is None
        assert tasks.start(asyncio.sleep(60), "after") is None
