"""A manifest that was lost leaves files that nobody knows: they get their rows again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gb28181.storage.io.orphans import orphans, take_in
from gb28181.storage.io.reader import read_manifest, rebuild, verify
from gb28181.storage.io.volume import OPEN
from gb28181.storage.manifest import MANIFEST, ManifestRow
from tests.storage.io.disk import CHANNEL, DEVICE, FOLDER, T0, Camera, Disk, disk, record

__all__ = ["disk"]
S = 1_000_000


@pytest.fixture
def three(disk: Disk) -> list[ManifestRow]:
    writer = disk.writer()
    for number in range(3):
        record(writer, Camera(start_us=T0 + number * 10 * S), 20)
    return list(rebuild(disk.volume))


def manifest(disk: Disk) -> Path:
    return disk.volume.root / FOLDER / MANIFEST


def adopted(disk: Disk) -> list[ManifestRow]:
    names = [name for day in orphans(disk.volume) for name in day]
    rows = [take_in(disk.volume, name, hashing=True) for name in names]
    return [row for row in rows if row is not None]


def told(row: ManifestRow) -> tuple[object, ...]:
    return row.device_id, row.channel_id, row.path, row.start, row.end, row.bytes, row.sha256, row.key_frames, row.lost


def test_nothing_is_found_on_a_sound_volume(disk: Disk, three: list[ManifestRow]) -> None:
    assert list(orphans(disk.volume)) == [[]]


def test_a_sound_manifest_takes_no_more_than_a_quick_look(
    disk: Disk, three: list[ManifestRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gb28181.storage.io.orphans.parse_manifest", None)
    assert list(orphans(disk.volume)) == [[]]


def test_a_lost_manifest_is_made_anew_from_the_files(disk: Disk, three: list[ManifestRow]) -> None:
    manifest(disk).unlink()
    rows = adopted(disk)
    assert [told(row) for row in rows] == [told(row) for row in three]
    assert all(row.adopted for row in rows)
    assert list(rebuild(disk.volume)) == rows
    assert adopted(disk) == []


DAMAGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "line gone": lambda lines: [lines[0], lines[2]],
    "line torn": lambda lines: [lines[0], lines[1][:80] + b"\n", lines[2]],
    "last line without its end": lambda lines: [lines[0], lines[2], lines[1][:-1]],
    "zeros": lambda lines: [lines[0], lines[2], bytes(len(lines[1]))],
    "start flipped": lambda lines: [lines[0], lines[1].replace(b'"start":17', b'"start":37'), lines[2]],
    "camera flipped": lambda lines: [lines[0], lines[1].replace(b'"device_id":"34', b'"device_id":"74'), lines[2]],
    "hash flipped": lambda lines: [lines[0], lines[1].replace(b'"sha256":"', b'"sha256":"\xe1'), lines[2]],
    "path flipped": lambda lines: [lines[0], lines[1].replace(b'"path":', b'"pbth":'), lines[2]],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_of_a_damaged_manifest_what_is_missing_comes_back(
    disk: Disk, three: list[ManifestRow], damage: Callable[[list[bytes]], list[bytes]]
) -> None:
    manifest(disk).write_bytes(b"".join(damage(manifest(disk).read_bytes().splitlines(keepends=True))))
    rows = adopted(disk)
    assert [told(row) for row in rows] == [told(three[1])]
    assert rows[0].number == 4
    assert {told(row) for row in read_manifest(disk.volume, DEVICE, CHANNEL, "20260301").rows} == {told(row) for row in three}
    assert "orphan" not in {finding.kind for finding in verify(disk.volume)}


def test_what_has_a_marker_is_left_to_its_owner(disk: Disk, three: list[ManifestRow]) -> None:
    manifest(disk).unlink()
    marker = disk.volume.root / OPEN / "ingest-7" / three[1].path.replace("/", ".")
    marker.parent.mkdir()
    marker.write_text("{}")
    assert [row.path for row in adopted(disk)] == [three[0].path, three[2].path]


@pytest.mark.parametrize("index", ["gone", "empty", "another's"])
def test_an_orphan_without_its_index_gets_one(disk: Disk, three: list[ManifestRow], index: str) -> None:
    manifest(disk).unlink()
    file = disk.volume.root / f"{three[1].path}.idx"
    if index == "gone":
        file.unlink()
    else:
        file.write_bytes(b"" if index == "empty" else file.read_bytes()[:-32] + bytes(8) + file.read_bytes()[-24:])
    row = adopted(disk)[1]
    assert (row.path, row.bytes, row.key_frames) == (three[1].path, three[1].bytes, three[1].key_frames)
    assert abs(row.end - three[1].end) < S


def test_folders_that_are_no_day_are_left_alone(disk: Disk, three: list[ManifestRow]) -> None:
    folder = disk.volume.root / DEVICE / CHANNEL / "20269999"
    folder.mkdir()
    (folder / "000000.000.ps").write_bytes(b"x")
    assert adopted(disk) == []


def test_a_manifest_in_another_spelling_is_read_whole(disk: Disk, three: list[ManifestRow]) -> None:
    lines = manifest(disk).read_bytes().splitlines()
    manifest(disk).write_bytes(b"".join(json.dumps(json.loads(line)).encode() + b"\n" for line in lines))
    assert adopted(disk) == []


def test_empty_files_and_foreign_names_are_left_alone(disk: Disk, three: list[ManifestRow]) -> None:
    folder = disk.volume.root / FOLDER
    (folder / "235959.000.ps").write_bytes(b"")
    (folder / "holiday.ps").write_bytes(b"x")
    (folder / "996060.000.ps").write_bytes(b"x")
    assert adopted(disk) == []


def test_identifiers_whose_folders_are_hashes_are_read_from_another_day(disk: Disk) -> None:
    writer = disk.writer()
    for start in (T0, T0 + 86_400 * S):
        camera = Camera(start_us=start)
        ticket = writer.open("camera / 1", "front door", start)
        data, rows = camera.frames(10)
        assert writer.append(ticket, data, rows)
        writer.close(ticket, end_us=start + S, end_cause="rotated", lost=0, key_frames=2)
    assert writer.stop(10)
    (first, second) = disk.volume.root.glob(f"*/*/*/{MANIFEST}")
    assert json.loads(first.read_text())["device_id"] == "camera / 1"
    second.unlink()
    assert [(row.device_id, row.channel_id) for row in adopted(disk)] == [("camera / 1", "front door")]
