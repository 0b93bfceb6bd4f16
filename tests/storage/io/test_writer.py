import fcntl
import hashlib
import os
import resource
import shutil
import subprocess
import threading
import time
from dataclasses import replace

import pytest

from gb28181.errors import MisuseError
from gb28181.storage.index import END, KEY, LOSS, Row, pack_rows, parse_index
from gb28181.storage.io import posix
from gb28181.storage.io.reader import read_manifest, rebuild, verify
from gb28181.storage.io.recovery import leftover
from gb28181.storage.io.writer import Closed, Deleted, Failed, Opened, VolumeWriter, Written
from gb28181.storage.manifest import chained, line_of
from tests.storage.io.disk import CHANNEL, DEVICE, FOLDER, FRAME_US, T0, Camera, Disk, killed_before_change, record, until


def test_a_closed_segment_is_byte_for_byte_what_was_appended(disk):
    camera = Camera()
    writer = disk.writer()
    ticket = writer.open(DEVICE, CHANNEL, T0)
    for _ in range(10):
        assert writer.append(ticket, *camera.frames(7))
    writer.close(ticket, end_us=T0 + 2_800_000, end_cause="rotated", lost=3, key_frames=len(camera.keys))
    events = until(writer, Closed)
    row = events[-1].row
    assert events[0] == Opened(ticket, f"{FOLDER}/000000.000")
    assert (disk.volume.root / f"{row.path}.ps").read_bytes() == camera.sent
    assert (row.bytes, row.sha256) == (len(camera.sent), hashlib.sha256(camera.sent).hexdigest())
    assert (row.start, row.end, row.end_cause, row.lost, row.key_frames) == (T0, T0 + 2_800_000, "rotated", 3, 14)
    assert (row.device_id, row.channel_id, row.adopted) == (DEVICE, CHANNEL, False)
    assert row.chain == chained("", row.sha256)
    assert disk.tree() == {f"{FOLDER}/000000.000.ps", f"{FOLDER}/000000.000.idx", f"{FOLDER}/manifest.jsonl", ".gb28181-volume"}
    assert read_manifest(disk.volume, DEVICE, CHANNEL, "20260301").rows == (row,)


def test_the_index_of_a_closed_segment_ends_with_its_size_and_time(disk):
    camera = Camera()
    row = record(disk.writer(), camera, 12).row
    index = parse_index((disk.volume.root / f"{row.path}.idx").read_bytes())
    assert [key.offset for key in index.keys] == camera.keys
    assert (index.end.offset, index.end.utc_us, index.end.flags) == (len(camera.sent), row.end, END)


def test_written_tells_what_a_reader_finds_in_the_part_file(disk):
    camera = Camera()
    writer = disk.writer()
    ticket = writer.open(DEVICE, CHANNEL, T0)
    path = until(writer, Opened)[0].path
    for _ in range(5):
        writer.append(ticket, *camera.frames(5))
        told = until(writer, Written)[-1].bytes_on_file
        assert (disk.volume.root / f"{path}.ps.part").stat().st_size >= told
    assert told == len(camera.sent)
    index = parse_index((disk.volume.root / f"{path}.idx.part").read_bytes())
    assert [key.offset for key in index.keys] == camera.keys


def test_written_is_coalesced_until_it_is_read(disk):
    camera = Camera()
    writer = disk.writer()
    ticket = writer.open(DEVICE, CHANNEL, T0)
    for _ in range(50):
        writer.append(ticket, *camera.frames(1))
    writer.close(ticket, end_us=T0, end_cause="closed", lost=0, key_frames=0)
    assert writer.stop(10)
    assert [type(event) for event in writer.poll()] == [Opened, Written, Closed]


def test_two_segments_of_one_millisecond_take_different_names(disk):
    writer = disk.writer()
    rows = [record(writer, Camera(), 3).row for _ in range(2)]
    tickets = [writer.open(DEVICE, CHANNEL, T0) for _ in range(2)]
    for ticket in tickets:
        writer.append(ticket, [b"x"])
    paths = [row.path for row in rows] + [event.path for event in until(writer, Opened, count=2) if isinstance(event, Opened)]
    assert paths == [f"{FOLDER}/000000.{n:03d}" for n in range(4)]
    assert [row.start for row in rows] == [T0, T0]


def test_two_writers_of_one_volume_never_take_the_same_name(disk):
    writers = [disk.writer(writer_name=f"ingest-{n}") for n in range(3)]
    for _ in range(20):
        for writer in writers:
            writer.append(writer.open(DEVICE, CHANNEL, T0), [b"x"])
    opened = [event.path for writer in writers for event in until(writer, Opened, count=20) if isinstance(event, Opened)]
    assert len(set(opened)) == 60


def test_a_segment_without_a_byte_leaves_nothing_behind(disk):
    writer = disk.writer()
    ticket = writer.open(DEVICE, CHANNEL, T0)
    writer.close(ticket, end_us=T0, end_cause="closed", lost=0, key_frames=0)
    assert until(writer, Closed)[-1] == Closed(ticket, None)
    assert disk.tree() == {".gb28181-volume"}


def test_the_chain_goes_on_over_days_writers_and_restarts(disk):
    rows = []
    for n in range(6):
        writer = disk.writer(writer_name=f"ingest-{n % 2}")
        rows.append(record(writer, Camera(start_us=T0 + n * 43_200_000_000), 4).row)
        writer.stop(10)
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.previous for row in rows] == ["", *(row.chain for row in rows[:-1])]
    assert list(rebuild(disk.volume)) == rows
    assert not list(verify(disk.volume))


@pytest.mark.parametrize("left", [b"", b"garbage", b"0" * 86, None], ids=["empty", "garbage", "zeros", "gone"])
def test_the_chain_goes_on_when_its_shortcut_was_lost(disk, left):
    writer = disk.writer()
    rows = [record(writer, Camera(start_us=T0 + n * 86_400_000_000), 4).row for n in range(2)]
    chain = disk.volume.root / DEVICE / CHANNEL / "chain"
    if left is None:
        chain.unlink()
    else:
        chain.write_bytes(left)
    later = record(writer, Camera(start_us=T0 + 1_000_000), 4).row
    assert (later.number, later.previous) == (3, rows[1].chain)
    assert not list(verify(disk.volume))


def test_a_shortcut_older_than_the_manifest_is_put_right(disk):
    writer = disk.writer()
    record(writer, Camera(), 4)
    chain = disk.volume.root / DEVICE / CHANNEL / "chain"
    old = chain.read_bytes()
    second = record(writer, Camera(start_us=T0 + 1_000_000), 4).row
    chain.write_bytes(old)
    assert record(writer, Camera(start_us=T0 + 2_000_000), 4).row.previous == second.chain


def test_without_hashing_a_segment_has_neither_hash_nor_chain(disk):
    row = record(disk.writer(hashing=False), Camera(), 4).row
    assert (row.sha256, row.chain, row.previous, row.number) == ("", "", "", 0)
    assert not list(verify(disk.volume))


def test_a_torn_manifest_line_is_ended_before_the_next_row(disk):
    writer = disk.writer()
    first = record(writer, Camera(), 4).row
    manifest = disk.volume.root / FOLDER / "manifest.jsonl"
    with manifest.open("ab") as file:
        file.write(b'{"device_id":"340200')
    second = record(writer, Camera(start_us=T0 + 1_000_000), 4).row
    read = read_manifest(disk.volume, DEVICE, CHANNEL, "20260301")
    assert read.rows == (first, second)
    assert read.damaged == (2,)


def test_a_full_stall_pool_refuses_and_takes_nothing(disk, tmp_path):
    writer = VolumeWriter(disk.volume, writer_name="ingest-0", stall_bytes=1000, sync_s=5, suspect_s=3)  # not started: stalled
    ticket = writer.open(DEVICE, CHANNEL, T0)
    assert writer.append(ticket, [b"a" * 600])
    assert not writer.append(ticket, [b"b" * 600])
    assert writer.append(ticket, [b"c" * 400])
    assert writer.pending_bytes == 1000
    disk.writers.append(writer)
    writer.start()
    writer.close(ticket, end_us=T0, end_cause="stalled", lost=0, key_frames=0)
    row = until(writer, Closed)[-1].row
    assert (disk.volume.root / f"{row.path}.ps").read_bytes() == b"a" * 600 + b"c" * 400
    assert writer.pending_bytes == 0


def test_a_call_that_hangs_is_seen_from_the_callers_thread(disk):
    """The channel's lock, held by another process for too long, stands for a disk that does not answer."""
    writer = disk.writer(suspect_s=0.05)
    record(writer, Camera(), 2)
    assert writer.suspect_since is None
    with (disk.volume.root / DEVICE / CHANNEL / "chain").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ticket = writer.open(DEVICE, CHANNEL, T0 + 5_000_000)
        writer.append(ticket, [b"x" * 100])
        writer.close(ticket, end_us=T0 + 6_000_000, end_cause="rotated", lost=0, key_frames=0)
        after = writer.open(DEVICE, CHANNEL, T0 + 6_000_000)
        assert writer.append(after, [b"y" * 100])
        deadline = time.monotonic() + 30
        while writer.suspect_since is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert writer.suspect_since < time.monotonic()
        assert writer.pending_bytes == 100
    until(writer, Closed)
    assert writer.suspect_since is None


def test_stop_closes_what_is_open(disk):
    writer = disk.writer()
    cameras = [Camera(start_us=T0 + n * 1000) for n in range(3)]
    for camera in cameras:
        writer.append(writer.open(DEVICE, CHANNEL, camera.start_us), *camera.frames(11))
    assert writer.stop(10)
    rows = [event.row for event in writer.poll() if isinstance(event, Closed)]
    assert [(row.end_cause, row.bytes, row.key_frames) for row in rows] == [("stopped", len(cameras[0].sent), 3)] * 3
    assert rows[0].end == T0 + 10 * FRAME_US
    assert leftover(disk.volume, "ingest-0") == []
    with pytest.raises(MisuseError):
        writer.open(DEVICE, CHANNEL, T0)


def test_a_ticket_that_is_not_open_is_misuse(disk):
    writer = disk.writer()
    with pytest.raises(MisuseError):
        writer.append(7, [b"x"])
    with pytest.raises(MisuseError):
        writer.close(7, end_us=0, end_cause="closed", lost=0, key_frames=0)


def test_wake_is_called_when_events_wait(disk):
    woken = threading.Event()
    writer = disk.writer(wake=woken.set)
    writer.open(DEVICE, CHANNEL, T0)
    assert woken.wait(30)
    assert isinstance(until(writer, Opened)[0], Opened)


def test_reserved_space_that_was_not_needed_is_given_back(disk):
    writer = disk.writer(preallocate_bytes=8 << 20)
    ticket = writer.open(DEVICE, CHANNEL, T0)
    path = disk.volume.root / until(writer, Opened)[0].path
    part = path.with_name(path.name + ".ps.part")
    assert part.stat().st_size == 0
    reserved = part.stat().st_blocks * 512
    writer.append(ticket, [b"x" * 5000])
    writer.close(ticket, end_us=T0, end_cause="rotated", lost=0, key_frames=0)
    until(writer, Closed)
    state = path.with_name(path.name + ".ps").stat()
    assert state.st_size == 5000
    assert state.st_blocks * 512 <= 64 << 10
    if reserved < 8 << 20:
        pytest.skip("this file system reserves nothing")


def test_large_files_pass_the_writeback_windows_unchanged(disk):
    writer = disk.writer(sync_s=0.01)
    ticket = writer.open(DEVICE, CHANNEL, T0)
    piece = os.urandom(1 << 20)
    for _ in range(40):
        assert writer.append(ticket, [piece[: 1 << 19], piece[1 << 19 :]])
    writer.close(ticket, end_us=T0, end_cause="rotated", lost=0, key_frames=0)
    row = until(writer, Closed)[-1].row
    assert row.bytes == 40 << 20
    assert not list(verify(disk.volume))


def test_a_folder_that_an_operator_removed_is_made_again_for_the_next_segment(disk):
    writer = disk.writer()
    open_then = writer.open(DEVICE, CHANNEL, T0)
    writer.append(open_then, [b"x"])
    until(writer, Written)
    shutil.rmtree(disk.volume.root)
    row = record(writer, Camera(start_us=T0 + 1_000_000), 4).row
    assert (disk.volume.root / f"{row.path}.ps").stat().st_size == row.bytes
    assert (disk.volume.root / ".gb28181-volume").read_text() == "instance-1\n"
    writer.close(open_then, end_us=T0, end_cause="rotated", lost=0, key_frames=0)
    assert until(writer, Failed)[-1].ticket == open_then


def test_deleting_removes_files_first_and_leaves_a_tombstone(disk):
    writer = disk.writer()
    rows = [record(writer, Camera(start_us=T0 + n * 1_000_000), 4).row for n in range(3)]
    writer.delete(7, [rows[0].path, rows[1].path])
    assert until(writer, Deleted)[-1] == Deleted(7, ())
    assert list(rebuild(disk.volume)) == [rows[2]]
    assert disk.tree() == {f"{rows[2].path}.ps", f"{rows[2].path}.idx", f"{FOLDER}/manifest.jsonl", ".gb28181-volume"}
    assert not list(verify(disk.volume))


def test_deleting_twice_and_what_never_was_counts_as_deleted(disk):
    writer = disk.writer()
    row = record(writer, Camera(), 4).row
    for request in (1, 2):
        writer.delete(request, [row.path, f"{FOLDER}/235959.000", f"{DEVICE}/{CHANNEL}/20200101/000000.000"])
        assert until(writer, Deleted)[-1] == Deleted(request, ())


def test_what_may_not_be_deleted_is_named(disk):
    writer = disk.writer()
    ticket = writer.open(DEVICE, CHANNEL, T0)
    writer.append(ticket, [b"x"])
    path = until(writer, Opened)[0].path
    outside = disk.volume.root.parent / "precious.ps"
    outside.write_bytes(b"keep")
    writer.delete(3, [path, "../precious", f"{DEVICE}/{CHANNEL}/../../precious"])
    assert until(writer, Deleted)[-1] == Deleted(3, (path, "../precious", f"{DEVICE}/{CHANNEL}/../../precious"))
    assert outside.exists()
    assert (disk.volume.root / f"{path}.ps.part").exists()


def test_a_day_whose_segments_are_all_deleted_goes_when_it_is_the_oldest(disk):
    writer = disk.writer()
    rows = [record(writer, Camera(start_us=T0 + n * 86_400_000_000), 4).row for n in range(3)]
    writer.delete(1, [rows[1].path])
    until(writer, Deleted)
    assert sorted(os.listdir(disk.volume.root / DEVICE / CHANNEL)) == ["20260301", "20260302", "20260303", "chain"]
    writer.delete(2, [rows[0].path])
    until(writer, Deleted)
    assert sorted(os.listdir(disk.volume.root / DEVICE / CHANNEL)) == ["20260303", "chain"]
    assert not list(verify(disk.volume))
    assert record(writer, Camera(start_us=T0 + 9 * 86_400_000_000), 4).row.previous == rows[2].chain


def test_deletions_do_not_hold_up_writes(disk):
    writer = VolumeWriter(disk.volume, writer_name="ingest-0", stall_bytes=1 << 20, sync_s=5, suspect_s=3)
    writer.delete(1, [f"{FOLDER}/{n:06d}.000" for n in range(100)])
    ticket = writer.open(DEVICE, CHANNEL, T0)
    writer.append(ticket, [b"x"])
    disk.writers.append(writer)
    writer.start()
    events = until(writer, Deleted)
    assert [type(event) for event in events] == [Opened, Written, Deleted]


@pytest.fixture
def small_disk(tmp_path):
    """A volume of 4 MiB that really runs full."""
    root = tmp_path / "small"
    root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(root)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    made = Disk(root)
    yield made
    for writer in made.writers:
        writer.stop(10)
    subprocess.run(["umount", str(root)], check=True)


def test_a_full_disk_fails_one_ticket_and_keeps_what_was_written(small_disk):
    writer = small_disk.writer(sync_s=0.05)
    keeps, fills = writer.open(DEVICE, CHANNEL, T0), writer.open(DEVICE, "34020000001310000002", T0)
    camera = Camera()
    writer.append(keeps, *camera.frames(20))
    for _ in range(8):
        writer.append(fills, [b"z" * (1 << 20)])
    failed = next(event for event in until(writer, Failed) if isinstance(event, Failed))
    assert failed.ticket == fills
    assert "No space left" in failed.message
    assert "No space left" in writer.error
    assert writer.append(fills, [b"dropped"])
    for ticket in (fills, keeps):
        writer.close(ticket, end_us=T0 + 1_000_000, end_cause="volume", lost=0, key_frames=0)
    # The write that failed is cut back, so that there is room for last rows and manifests.
    events = []
    deadline = time.monotonic() + 30
    while len([event for event in events if isinstance(event, Closed)]) < 2 and time.monotonic() < deadline:
        events += writer.poll()
        time.sleep(0.01)
    rows = {event.ticket: event.row for event in events if isinstance(event, Closed)}
    assert rows.keys() == {keeps, fills}
    assert (small_disk.volume.root / f"{rows[keeps].path}.ps").read_bytes() == camera.sent
    assert rows[fills].bytes % (1 << 20) == 0
    assert not list(verify(small_disk.volume))


def test_what_a_full_disk_said_stays_until_something_was_written_again(small_disk):
    writer = small_disk.writer(sync_s=0.2)
    fills, later = writer.open(DEVICE, CHANNEL, T0), writer.open(DEVICE, "34020000001310000002", T0)
    for _ in range(8):
        writer.append(fills, [b"z" * (1 << 20)])
    until(writer, Failed)
    deadline = time.monotonic() + 30
    while writer._is_dirty:  # what was written before the fault is synced after it
        assert time.monotonic() < deadline
        time.sleep(0.002)
    assert "No space left" in writer.error
    writer.close(fills, end_us=T0 + 1_000_000, end_cause="volume", lost=0, key_frames=0)
    (closed,) = [event for event in until(writer, Closed) if isinstance(event, Closed)]
    writer.delete(1, [closed.row.path])
    until(writer, Deleted)
    writer.append(later, [b"y" * 1000])
    while writer.error:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_what_could_not_be_closed_on_a_full_disk_is_closed_when_there_is_room(small_disk):
    writer = small_disk.writer(sync_s=0.05)
    camera = Camera()
    ticket = writer.open(DEVICE, CHANNEL, T0)
    writer.append(ticket, *camera.frames(12))
    until(writer, Written)
    ballast = small_disk.volume.root / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 4096, 1):
            try:
                while file.write(b"b" * size):
                    pass
            except OSError:
                pass
    writer.close(ticket, end_us=T0 + 480_000, end_cause="rotated", lost=0, key_frames=3)
    assert [event.ticket for event in until(writer, Failed) if isinstance(event, Failed)] == [ticket]
    ballast.unlink()
    row = until(writer, Closed)[-1].row
    assert (row.bytes, row.end, row.key_frames, row.end_cause) == (len(camera.sent), T0 + 480_000, 3, "rotated")
    assert row.sha256 == hashlib.sha256(camera.sent).hexdigest()
    assert not list(verify(small_disk.volume))
    assert leftover(small_disk.volume, "ingest-0") == []


def test_a_failed_write_is_cut_back_to_the_last_whole_append(disk):
    """A file size limit breaks a write in its middle, as a full disk does."""

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        writer = disk.writer()
        ticket = writer.open(DEVICE, CHANNEL, T0)
        for n in range(5):
            writer.append(ticket, [bytes([n]) * 30_000], pack_rows([Row(n * 30_000, T0 + n, 0, KEY | LOSS, 2)]))
        until(writer, Failed)
        writer.close(ticket, end_us=T0 + 1_000_000, end_cause="volume", lost=10, key_frames=5)
        writer.stop(10)

    assert not killed_before_change(-1, disk.volume.root, work)
    (row,) = rebuild(disk.volume)
    assert (disk.volume.root / f"{row.path}.ps").read_bytes() == b"".join(bytes([n]) * 30_000 for n in range(3))
    assert (row.lost, row.key_frames, row.end_cause) == (6, 3, "volume")
    assert T0 + 2 <= row.end < T0 + 1_000_000
    assert not list(verify(disk.volume))


def test_another_file_system_under_the_volumes_name_is_not_written(tmp_path, small_disk):
    writer = small_disk.writer()
    record(writer, Camera(), 2)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small_disk.volume.root)], check=True)
    try:
        ticket = writer.open(DEVICE, CHANNEL, T0 + 1_000_000)
        failed = until(writer, Failed)[-1]
        assert failed.ticket == ticket
        assert "mount" in failed.message
        assert os.listdir(small_disk.volume.root) == []
    finally:
        subprocess.run(["umount", str(small_disk.volume.root)], check=True)


def test_verify_names_what_was_altered_removed_or_put_in(disk):
    writer = disk.writer()
    rows = [record(writer, Camera(start_us=T0 + n * 1_000_000), 4).row for n in range(5)]
    root = disk.volume.root
    data = bytearray((root / f"{rows[0].path}.ps").read_bytes())
    data[100] ^= 1
    (root / f"{rows[0].path}.ps").write_bytes(data)
    (root / f"{rows[1].path}.ps").unlink()
    with (root / f"{rows[2].path}.ps").open("ab") as file:
        file.write(b"more")
    shutil.copy(root / f"{rows[4].path}.ps", root / FOLDER / "120000.000.ps")
    manifest = root / FOLDER / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:3] + lines[4:]))
    found = [(finding.kind, finding.path) for finding in verify(disk.volume, device_id=DEVICE, channel_id=CHANNEL)]
    assert found == [
        ("altered", rows[0].path),
        ("missing", rows[1].path),
        ("altered", rows[2].path),
        ("orphan", f"{rows[3].path}.ps"),
        ("orphan", f"{FOLDER}/120000.000.ps"),
        ("gap", rows[4].path),
    ]
    assert not list(verify(disk.volume, device_id="another"))


def test_a_row_made_to_fit_an_altered_file_breaks_the_chain(disk):
    writer = disk.writer()
    rows = [record(writer, Camera(start_us=T0 + n * 1_000_000), 4).row for n in range(3)]
    forged = b"x" * rows[1].bytes
    (disk.volume.root / f"{rows[1].path}.ps").write_bytes(forged)
    digest = hashlib.sha256(forged).hexdigest()
    false = replace(rows[1], sha256=digest, chain=chained(rows[1].previous, digest))
    (disk.volume.root / FOLDER / "manifest.jsonl").write_bytes(b"".join(map(line_of, (rows[0], false, rows[2]))))
    assert [(finding.kind, finding.path) for finding in verify(disk.volume)] == [("chain", rows[2].path)]


def test_missing_system_calls_fall_back_to_fsync(disk, monkeypatch):
    monkeypatch.setattr(posix, "_syncfs", None)
    writer = disk.writer(sync_s=0.01)
    record(writer, Camera(), 4)
    assert writer.error == ""
