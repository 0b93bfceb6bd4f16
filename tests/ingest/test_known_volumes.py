"""A volume that had a disk of its own is not begun anew on the system's disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gb28181.errors import StorageError
from gb28181.ingest.known_volumes import KnownVolumes
from gb28181.storage.io.volume import open_volume

OTHER_DISK = Path("/dev/shm")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A path that leads to another file system, until it is made to lead nowhere."""
    if not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev in (tmp_path.stat().st_dev, Path("/").stat().st_dev):
        pytest.skip("no second file system to stand for a disk")
    with tempfile.TemporaryDirectory(dir=OTHER_DISK) as disk:
        path = tmp_path / "mount"
        path.symlink_to(disk)
        yield path


def test_volume_whose_disk_is_not_mounted_is_refused_until_it_is(tmp_path: Path, mount: Path) -> None:
    known, root = KnownVolumes(tmp_path), mount / "recordings"
    known.check(root)
    open_volume(root, "one")
    known.remember(root)
    disk = mount.readlink()
    mount.unlink()
    mount.mkdir()
    with pytest.raises(StorageError, match="is not mounted"):
        KnownVolumes(tmp_path).check(root)
    assert not root.exists()
    mount.rmdir()
    mount.symlink_to(disk)
    KnownVolumes(tmp_path).check(root)


def test_recordings_that_were_moved_to_this_disk_are_taken(tmp_path: Path, mount: Path) -> None:
    known, root = KnownVolumes(tmp_path), mount / "recordings"
    open_volume(root, "one")
    known.remember(root)
    mount.unlink()
    open_volume(root, "one")
    known.check(root)


def test_volume_on_the_disk_of_the_data_folder_may_be_removed_and_begins_anew(tmp_path: Path) -> None:
    known, root = KnownVolumes(tmp_path), tmp_path / "recordings"
    open_volume(root, "one")
    known.remember(root)
    (root / ".gb28181-volume").unlink()
    known.check(root)
    assert not (tmp_path / "volumes.json").exists()


def test_damaged_memory_is_begun_anew(tmp_path: Path, mount: Path) -> None:
    (tmp_path / "volumes.json").write_text("[{")
    known, root = KnownVolumes(tmp_path), mount / "recordings"
    known.check(root)
    open_volume(root, "one")
    known.remember(root)
    assert str(root) in (tmp_path / "volumes.json").read_text()
