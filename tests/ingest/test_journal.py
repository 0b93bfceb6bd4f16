"""The journal alone: what it keeps in memory, what only on disk, and what a restart finds."""

from __future__ import annotations

import time
from pathlib import Path

from gb28181.ingest.journal import Journal
from gb28181.messages import SegmentClosed


def segment(number: int) -> SegmentClosed:
    return SegmentClosed(
        seq=0, stream_id="s", device_id="d", channel_id="c", volume="/v", path=f"d/c/20260301/{number:06d}.000", start=number,
        end=number + 1, bytes=1, sha256="", chain="", end_cause="rotated", lost=0, key_frames=1, adopted=False,
    )  # fmt: skip


def drained(journal: Journal, count: int) -> list[int]:
    """What control hears until it has heard `count` entries, acknowledging all the way."""
    heard: list[int] = []
    deadline = time.monotonic() + 20
    while len(heard) < count and time.monotonic() < deadline:
        for entry in journal.after(heard[-1] if heard else 0, 7):
            assert entry.start == entry.seq
            heard.append(entry.seq)
            journal.acknowledge(entry.seq)
    return heard


def started(path: Path, keep: int = 10) -> Journal:
    journal = Journal(path, keep=keep)
    journal.start()
    return journal


def test_memory_is_bounded_while_nobody_acknowledges_and_nothing_is_lost(tmp_path: Path) -> None:
    journal = started(tmp_path / "j")
    for number in range(1, 101):
        journal.append(segment(number))
    assert len(journal.after(0, 1000)) == 10
    assert drained(journal, 100) == list(range(1, 101))
    journal.append(segment(101))
    assert drained(journal, 1)[-1:] == [101]
    journal.stop()


def test_restart_finds_more_than_it_keeps_in_memory(tmp_path: Path) -> None:
    journal = started(tmp_path / "j")
    for number in range(1, 51):
        journal.append(segment(number))
    journal.acknowledge(3)
    journal.stop()
    with (tmp_path / "j").open("ab") as file:
        file.write(b'{"is":"SegmentClosed","seq":51,"stream_')  # torn
    again = started(tmp_path / "j")
    again.append(segment(51))
    assert drained(again, 48) == list(range(4, 52))
    again.stop()
    assert Journal(tmp_path / "j").append(segment(52)).seq == 52


def test_everything_acknowledged_begins_the_file_anew(tmp_path: Path) -> None:
    journal = started(tmp_path / "j")
    for number in range(1, 31):
        journal.append(segment(number))
    assert drained(journal, 30) == list(range(1, 31))
    journal.stop()
    assert (tmp_path / "j").read_bytes() == b'{"seq":30}\n'


def test_a_file_in_which_something_always_waits_begins_anew_when_it_is_long(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path, longest=50)
    journal.start()
    journal.append(segment(1))
    for number in range(2, 1001):
        journal.append(segment(number))
        journal.acknowledge(number - 1)
    journal.stop()
    assert len(path.read_bytes().splitlines()) <= 50
    again = Journal(path)
    assert [entry.seq for entry in again.after(0, 10)] == [1000]
    assert again.append(segment(1001)).seq == 1001
