import os
import threading

import pytest

from gb28181.errors import StorageError
from gb28181.storage.io.reader import read_manifest, rebuild
from gb28181.storage.io.volume import OWNER, Volume, open_volume
from tests.storage.io.disk import CHANNEL, DEVICE, Camera, record


def test_a_volume_is_made_and_claimed(tmp_path):
    volume = open_volume(tmp_path / "a" / "b", "one")
    assert (volume.root / ".gb28181-volume").read_text() == "one\n"
    assert open_volume(volume.root, "one") == volume
    assert sorted(os.listdir(volume.root)) == [".gb28181-volume", ".open"]


def test_nothing_is_left_on_a_volume_of_another_server(tmp_path):
    (tmp_path / OWNER).write_text("other\n")
    with pytest.raises(StorageError):
        open_volume(tmp_path, "one")
    assert os.listdir(tmp_path) == [OWNER]


def test_a_volume_of_another_server_is_refused_with_the_remedy(tmp_path):
    open_volume(tmp_path, "one")
    with pytest.raises(StorageError, match=r"belongs to another server .*'one'.*recording\.volumes"):
        open_volume(tmp_path, "two")


def test_of_servers_that_start_together_one_gets_the_volume(tmp_path):
    refused = []

    def claim(name):
        try:
            open_volume(tmp_path, name)
        except StorageError:
            refused.append(name)

    threads = [threading.Thread(target=claim, args=(f"server-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7


def test_a_volume_that_cannot_be_written_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written: .*mounted"):
        open_volume(tmp_path / "file" / "volume", "one")


def test_space_is_what_the_file_system_says(tmp_path):
    space = Volume(tmp_path).space()
    assert 0 < space.free_bytes <= space.total_bytes
    with pytest.raises(StorageError):
        Volume(tmp_path / "gone").space()


def test_an_empty_volume_has_no_segments(disk):
    assert list(rebuild(disk.volume)) == []
    assert read_manifest(disk.volume, DEVICE, CHANNEL, "20260301").entries == ()


def test_rebuild_needs_no_segment_file(disk):
    writer = disk.writer()
    rows = [record(writer, Camera(start_us=86_400_000_000 * n), 4).row for n in range(3)]
    for row in rows:
        (disk.volume.root / f"{row.path}.ps").unlink()
    assert list(rebuild(disk.volume)) == rows
