import itertools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gb28181.storage.index import END, HEADER, KEY, Row, pack_rows, parse_index
from gb28181.storage.io.reader import read_manifest, rebuild, verify
from gb28181.storage.io.recovery import leftover, recover
from gb28181.storage.io.writer import Closed
from tests.storage.io.disk import CHANNEL, DEVICE, FOLDER, FRAME_US, T0, Camera, killed_before_change, record, until

PATH = f"{FOLDER}/000000.000"
MARKER = f".open/ingest-0/{DEVICE}.{CHANNEL}.20260301.000000.000"
CONTENT = f'{{"device_id":"{DEVICE}","channel_id":"{CHANNEL}","start":{T0}}}'


def leave(disk, ps, rows=b"", *, touched_us, marker=CONTENT):
    """What a killed writer leaves: an open segment with its marker."""
    root = disk.volume.root
    (root / FOLDER).mkdir(parents=True)
    (root / MARKER).parent.mkdir(parents=True)
    (root / MARKER).write_text(marker)
    (root / f"{PATH}.ps.part").write_bytes(ps)
    if rows is not None:
        (root / f"{PATH}.idx.part").write_bytes(HEADER + rows)
    os.utime(root / f"{PATH}.ps.part", ns=(touched_us * 1000, touched_us * 1000))


def closed(disk):
    """The one segment of the volume, and proof that the volume is sound."""
    (row,) = rebuild(disk.volume)
    assert not list(verify(disk.volume))
    assert leftover(disk.volume, "ingest-0") == []
    assert not [name for name in disk.tree() if name.endswith((".part", ".new"))]
    index = parse_index((disk.volume.root / f"{row.path}.idx").read_bytes())
    assert (index.end.offset, index.end.utc_us) == (row.bytes, row.end)
    return row, (disk.volume.root / f"{row.path}.ps").read_bytes()


def test_an_open_segment_is_cut_to_its_last_whole_gop(disk):
    camera = Camera(gop=5)
    _, rows = camera.frames(13)
    leave(disk, camera.sent, rows, touched_us=T0 + 13 * FRAME_US)
    (row,) = recover(disk.volume, "ingest-0")
    found, ps = closed(disk)
    assert found == row
    assert ps == camera.sent[: camera.keys[-1]]
    assert (row.start, row.end, row.end_cause, row.adopted) == (T0, T0 + 10 * FRAME_US, "crash", True)
    assert (row.key_frames, row.device_id, row.channel_id) == (2, DEVICE, CHANNEL)


def test_the_only_gop_is_kept_to_its_last_whole_pack(disk):
    camera = Camera(gop=100)
    data, rows = camera.frames(9)
    leave(disk, camera.sent[:-10], rows, touched_us=T0 + 9 * FRAME_US)
    (row,) = recover(disk.volume, "ingest-0")
    assert closed(disk)[1] == b"".join(data[:8])
    assert row.end == T0 + 8 * FRAME_US


def test_a_gop_of_more_than_ten_seconds_is_not_given_up(disk):
    camera = Camera(gop=300)
    data, rows = camera.frames(580)
    leave(disk, camera.sent[:-10], rows, touched_us=T0 + 580 * FRAME_US)
    (row,) = recover(disk.volume, "ingest-0")
    assert closed(disk)[1] == b"".join(data[:579])
    assert row.key_frames == 2


def test_a_segment_that_was_being_closed_is_kept_whole(disk):
    camera = Camera(gop=5)
    _, rows = camera.frames(13)
    end = Row(len(camera.sent), T0 + 13 * FRAME_US, 0, END)
    leave(disk, camera.sent, rows + pack_rows([end]), touched_us=T0 + 14 * FRAME_US)
    (row,) = recover(disk.volume, "ingest-0")
    assert closed(disk) == (row, camera.sent)
    assert (row.end, row.key_frames) == (T0 + 13 * FRAME_US, 3)


def test_losses_before_the_cut_are_counted(disk):
    camera = Camera(gop=5)
    camera.frames(12)
    rows = [
        Row(camera.keys[0], T0, 0, KEY),
        Row(camera.keys[1], T0 + 200_000, 0, KEY | 2, 4),
        Row(camera.keys[2], T0 + 400_000, 0, KEY | 2, 9),
    ]
    leave(disk, camera.sent, pack_rows(rows), touched_us=T0 + 480_000)
    assert recover(disk.volume, "ingest-0")[0].lost == 4


@pytest.mark.parametrize("kept", [0, 1, 7, 16, 17, 47, 48, 49, 79, 80, 100])
def test_a_torn_index_is_made_whole_from_the_stream(disk, kept):
    camera = Camera(gop=5)
    _, rows = camera.frames(23)
    leave(disk, camera.sent, rows, touched_us=T0 + 23 * FRAME_US)
    idx = disk.volume.root / f"{PATH}.idx.part"
    idx.write_bytes(idx.read_bytes()[:kept])
    recover(disk.volume, "ingest-0")
    row, ps = closed(disk)
    assert ps == camera.sent[: camera.keys[-1]]
    assert [key.offset for key in parse_index((disk.volume.root / f"{PATH}.idx").read_bytes()).keys] == camera.keys[:-1]
    assert (row.end, row.key_frames) == (T0 + 20 * FRAME_US, 4)


def test_a_missing_index_is_made_from_the_stream(disk):
    camera = Camera(gop=5)
    camera.frames(23)
    leave(disk, camera.sent, None, touched_us=T0 + 23 * FRAME_US)
    recover(disk.volume, "ingest-0")
    assert closed(disk)[1] == camera.sent[: camera.keys[-1]]


def test_rows_that_point_behind_the_end_of_the_file_are_dropped(disk):
    camera = Camera(gop=5)
    _, rows = camera.frames(23)
    leave(disk, camera.sent[: camera.keys[3] + 10], rows, touched_us=T0 + 23 * FRAME_US)
    recover(disk.volume, "ingest-0")
    assert closed(disk)[1] == camera.sent[: camera.keys[3]]


def test_a_tail_of_zeros_is_cut_off(disk):
    camera = Camera(gop=5)
    _, rows = camera.frames(23)
    zeroed = camera.sent[: camera.keys[3] - 50] + bytes(len(camera.sent) - camera.keys[3] + 50)
    leave(disk, zeroed, rows, touched_us=T0 + 23 * FRAME_US)
    recover(disk.volume, "ingest-0")
    assert closed(disk)[1] == camera.sent[: camera.keys[2]]


def test_a_marker_that_a_power_cut_emptied_says_enough_by_its_name(disk):
    camera = Camera(gop=5)
    _, rows = camera.frames(13)
    leave(disk, camera.sent, rows, touched_us=T0 + 13 * FRAME_US, marker="")
    recover(disk.volume, "ingest-0")
    row, _ = closed(disk)
    assert (row.device_id, row.channel_id, row.start) == (DEVICE, CHANNEL, T0)


def test_a_segment_with_nothing_usable_is_removed_and_reported(disk, caplog):
    leave(disk, b"\xaa" * 5000, touched_us=T0)
    assert recover(disk.volume, "ingest-0") == []
    assert disk.tree() == {".gb28181-volume"}
    assert "nothing usable" in caplog.text


def test_a_marker_without_files_is_dropped(disk):
    leave(disk, b"", touched_us=T0)
    shutil.rmtree(disk.volume.root / DEVICE)
    assert recover(disk.volume, "ingest-0") == []
    assert leftover(disk.volume, "ingest-0") == []


def test_a_closed_segment_whose_marker_stayed_is_not_touched(disk):
    record(disk.writer(), Camera(), 12)
    before = {name: (disk.volume.root / name).read_bytes() for name in disk.tree()}
    (disk.volume.root / MARKER).write_text(CONTENT)
    assert recover(disk.volume, "ingest-0") == []
    assert {name: (disk.volume.root / name).read_bytes() for name in disk.tree()} == before


def test_a_renamed_segment_without_a_manifest_row_is_entered_whole(disk):
    camera = Camera(gop=5)
    record(disk.writer(), camera, 13)
    (disk.volume.root / FOLDER / "manifest.jsonl").unlink()
    (disk.volume.root / DEVICE / CHANNEL / "chain").unlink()
    (disk.volume.root / MARKER).write_text(CONTENT)
    (row,) = recover(disk.volume, "ingest-0")
    assert closed(disk) == (row, camera.sent)
    assert (row.end, row.key_frames, row.end_cause) == (T0 + 13 * FRAME_US, 3, "crash")


def test_other_writers_segments_and_strange_files_are_left_alone(disk):
    writer = disk.writer(writer_name="ingest-1")
    ticket = writer.open(DEVICE, CHANNEL, T0)
    (disk.volume.root / ".open" / "ingest-0").mkdir(parents=True)
    (disk.volume.root / ".open" / "ingest-0" / "README").write_text("hello")
    writer.append(ticket, *Camera().frames(12))
    assert recover(disk.volume, "ingest-0") == []
    writer.close(ticket, end_us=T0, end_cause="closed", lost=0, key_frames=3)
    assert until(writer, Closed)[-1].row.bytes > 0
    assert leftover(disk.volume, "ingest-0") == ["README"]


def test_recovery_beside_the_new_writer_takes_only_what_was_left_before(disk):
    camera = Camera(gop=5)
    _, rows = camera.frames(13)
    leave(disk, camera.sent, rows, touched_us=T0 + 13 * FRAME_US)
    markers = leftover(disk.volume, "ingest-0")
    writer = disk.writer()
    ticket = writer.open(DEVICE, CHANNEL, T0 + 60_000_000)
    writer.append(ticket, *Camera(start_us=T0 + 60_000_000).frames(6))
    (adopted,) = recover(disk.volume, "ingest-0", markers=markers)
    writer.close(ticket, end_us=T0 + 61_000_000, end_cause="rotated", lost=0, key_frames=2)
    row = until(writer, Closed)[-1].row
    assert row.previous == adopted.chain
    assert not list(verify(disk.volume))


def test_recovery_killed_before_any_change_of_the_disk_and_asked_again_gives_the_same(disk, tmp_path):
    camera = Camera(gop=5)
    _, rows = camera.frames(23)
    leave(disk, camera.sent, rows, touched_us=T0 + 23 * FRAME_US)
    pristine = tmp_path / "pristine"
    shutil.copytree(disk.volume.root, pristine)
    (expected,) = recover(disk.volume, "ingest-0")
    number = 1
    while True:
        shutil.rmtree(disk.volume.root)
        shutil.copytree(pristine, disk.volume.root)
        killed = killed_before_change(number, disk.volume.root, lambda: recover(disk.volume, "ingest-0"))
        recover(disk.volume, "ingest-0")
        assert closed(disk) == (expected, camera.sent[: camera.keys[-1]]), f"killed before change {number}"
        if not killed:
            break
        number += 1
    assert number > 10


def test_a_writer_killed_before_any_change_of_the_disk_loses_no_whole_gop(disk):
    camera = Camera(gop=5)
    pieces = [camera.frames(7) for _ in range(4)]

    def work():
        writer = disk.writer()
        ticket = writer.open(DEVICE, CHANNEL, T0)
        for piece in pieces:
            writer.append(ticket, *piece)
        writer.close(ticket, end_us=T0 + 28 * FRAME_US, end_cause="rotated", lost=0, key_frames=6)
        writer.stop(30)

    number = 1
    while killed_before_change(number, disk.volume.root, work):
        recover(disk.volume, "ingest-0")
        assert leftover(disk.volume, "ingest-0") == []
        rows = list(rebuild(disk.volume))
        # No change of a name happens between the first write and the first rename of the close: all bytes are there.
        if rows:
            row, ps = closed(disk)
            assert ps in (camera.sent, camera.sent[: camera.keys[-1]])
            assert (row.end == T0 + 28 * FRAME_US) == (ps == camera.sent)
        shutil.rmtree(disk.volume.root / DEVICE, ignore_errors=True)
        number += 1
    assert number > 8
    (row,) = rebuild(disk.volume)
    assert not row.adopted


RECORDER = """
import sys, time
from pathlib import Path
from tests.storage.io.disk import Camera, Disk, T0
disk = Disk(Path(sys.argv[1]))
writer = disk.writer(sync_s=0.05)
cameras = [Camera(gop=5, start_us=T0 + n) for n in range(4)]
tickets = [writer.open("34020000001320000001", f"3402000000131000000{n}", T0 + n) for n in range(4)]
while True:
    for n, camera in enumerate(cameras):
        writer.append(tickets[n], *camera.frames(3))
        if camera.count >= 60:
            writer.close(tickets[n], end_us=camera.start_us + 2_400_000, end_cause="rotated", lost=0, key_frames=12)
            cameras[n] = Camera(gop=5, start_us=camera.start_us + 2_400_000)
            tickets[n] = writer.open("34020000001320000001", f"3402000000131000000{n}", cameras[n].start_us)
    for event in writer.poll():
        if type(event).__name__ == "Closed":
            print(event.row.path, event.row.sha256, flush=True)
    while writer.pending_bytes:
        time.sleep(0.001)
"""


@pytest.mark.parametrize("segments", [1, 5, 40])
def test_a_recorder_that_is_killed_loses_no_closed_segment_and_at_most_a_gop_of_an_open_one(disk, segments):
    checkout = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(disk.volume.root)], cwd=checkout, stdout=subprocess.PIPE, text=True
    )
    told = dict(process.stdout.readline().split() for _ in range(segments))
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    told |= dict(line.split() for line in rest.splitlines() if len(line.split()[-1]) == 64)
    adopted = recover(disk.volume, "ingest-0")
    rows = {row.path: row for row in rebuild(disk.volume)}
    assert {path: rows[path].sha256 for path in told} == told
    assert not list(verify(disk.volume))
    assert leftover(disk.volume, "ingest-0") == []
    for row in adopted:
        ps = (disk.volume.root / f"{row.path}.ps").read_bytes()
        camera = Camera(gop=5)
        camera.frames(60)
        assert camera.sent.startswith(ps)
        assert len(ps) in (*camera.keys, len(camera.sent)) or len(ps) < camera.keys[1]
    for channel in range(4):
        spans = sorted((row.start, row.end) for row in rows.values() if row.channel_id.endswith(str(channel)))
        assert all(end == start for (_, end), (start, _) in itertools.pairwise(spans))
    assert recover(disk.volume, "ingest-0") == []


def test_a_torn_manifest_costs_nothing_that_recovery_cannot_enter_again(disk):
    camera = Camera(gop=5)
    first = record(disk.writer(), camera, 12).row
    manifest = disk.volume.root / FOLDER / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-20])
    (disk.volume.root / DEVICE / CHANNEL / "chain").unlink()
    (disk.volume.root / MARKER).write_text(CONTENT)
    (row,) = recover(disk.volume, "ingest-0")
    assert (row.sha256, row.bytes, row.end) == (first.sha256, first.bytes, first.end)
    assert read_manifest(disk.volume, DEVICE, CHANNEL, "20260301").damaged == (1,)
