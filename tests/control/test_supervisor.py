"""One server per data folder; what ends is started again; an ingest that runs is found."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from gb28181.config import Settings
from gb28181.control.paths import DataFolder
from gb28181.control.supervisor import Child, find_ingest, ingest_start, take_lock
from gb28181.errors import StorageError, Unavailable
from gb28181.frames import encode, from_json, to_json
from gb28181.ingest_start import IngestStart
from gb28181.messages import Hello


def test_a_data_folder_serves_one_server_and_the_second_is_told_which(tmp_path: Path) -> None:
    folder = DataFolder.at(tmp_path)
    held = take_lock(folder)
    with pytest.raises(StorageError, match=f"pid {os.getpid()}"):
        take_lock(folder)
    held.close()
    take_lock(folder).close()


async def test_a_part_that_ends_is_started_again() -> None:
    child = Child("part", ["--version"], b"")
    running = asyncio.create_task(child.run())
    async with asyncio.timeout(20):
        while child.restarts < 2:
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await child.wait(20)


async def test_a_part_whose_process_cannot_be_made_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    child = Child("part", ["--version"], b"")
    child.has_served = True
    with monkeypatch.context() as away:
        away.setattr("sys.executable", str(tmp_path / "python"))
        running = asyncio.create_task(child.run())
        async with asyncio.timeout(20):
            while child.restarts < 1:
                await asyncio.sleep(0.02)
        assert child.pid == 0
    async with asyncio.timeout(20):
        while not child.pid:
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await child.wait(20)


async def test_a_part_that_never_could_be_started_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr("gb28181.control.supervisor._FIRST_PAUSE_S", 0.001)
    with pytest.raises(Unavailable, match="part cannot be started as a process: No such file"):
        await Child("part", ["--version"], b"").run()


async def test_a_part_found_running_is_started_anew_when_it_ends() -> None:
    other = await asyncio.create_subprocess_exec("sleep", "60")
    child = Child("part", ["--version"], b"")
    running = asyncio.create_task(child.run(other.pid))
    await asyncio.sleep(0)
    assert child.pid == other.pid
    other.send_signal(signal.SIGKILL)
    await other.wait()
    async with asyncio.timeout(20):
        while child.pid == other.pid:
            await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await child.wait(20)


def test_an_ingest_is_found_by_its_greeting_and_nothing_else_is_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert find_ingest(path) == 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        for said, pid in ((encode(Hello("ingest-0", 1, 4711)), 4711), (b"SSH-2.0\r\n", 0), (b"", 0)):

            def greet(said: bytes = said) -> None:
                connection, _ = listener.accept()
                connection.sendall(said)
                connection.close()

            thread = threading.Thread(target=greet)
            thread.start()
            assert find_ingest(path) == pid
            thread.join()


def test_an_ingest_is_told_its_part_of_the_configuration_and_no_password(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "sip": {"password": "5-secrets"},
            "media": {"ingests": 2, "ports": "20000-20999", "tick_ms": 33, "silence_s": 7},
            "recording": {"volumes": ["/a", "/b"], "write_bytes": 5000, "hash": "none"},
            "log": {"format": "json"},
        }
    )
    text = to_json(ingest_start(settings, DataFolder.at(tmp_path), "ingest-1", instance="0" * 32))
    assert b"5-secrets" not in text
    start = from_json(IngestStart, text)
    assert start == ingest_start(settings, DataFolder.at(tmp_path), "ingest-1", instance="0" * 32)
    assert (start.ports, start.volumes, start.writers) == ((20500, 21000), ("/a", "/b"), ("ingest-0", "ingest-1"))
    assert (start.receiving.tick_ms, start.receiving.silence_s) == (33, 7)
    assert (start.writing.write_bytes, start.writing.hash) == (5000, "none")
    assert start.logging.format == "json"
