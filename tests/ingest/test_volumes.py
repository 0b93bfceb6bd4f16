"""A volume in use whose disk goes away and comes back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gb28181.errors import StorageError
from gb28181.ingest.known_volumes import KnownVolumes
from gb28181.ingest.volumes import Slot, Strays
from gb28181.storage.io.volume import open_volume

OTHER_DISK = Path("/dev/shm")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A path that leads to another file system."""
    if not OTHER_DISK.is_dir() or OTHER_DISK.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system to stand for a disk")
    with tempfile.TemporaryDirectory(dir=OTHER_DISK) as disk:
        path = tmp_path / "mount"
        path.symlink_to(disk)
        yield path


def slot_of(root: Path, data: Path) -> Slot:
    made = Slot(
        root,
        name="ingest-0",
        instance="one",
        settings=None,  # type: ignore[arg-type]
        known=KnownVolumes(data),
        strays=Strays((), data),
        closed=lambda *_: None,
        deleted=lambda *_: None,
    )
    made.error = ""  # taken into use
    return made


@pytest.mark.parametrize("left", ["a bare folder", "nothing"])
def test_a_volume_whose_disk_was_taken_away_is_not_in_use_until_it_is_back(tmp_path: Path, mount: Path, left: str) -> None:
    slot = slot_of(mount, tmp_path)
    volume, disk = open_volume(mount, "one"), os.stat(mount).st_dev
    slot._look_after(volume, disk)
    size = slot.state().total_bytes
    there = mount.readlink()
    mount.unlink()
    if left == "a bare folder":
        mount.mkdir()
    with pytest.raises((StorageError, OSError)):
        slot._look_after(volume, disk)
    assert str(mount) in slot.state().error
    assert slot.state().total_bytes == size  # not that of the disk below
    if left == "a bare folder":
        mount.rmdir()
    mount.symlink_to(there)
    slot._look_after(volume, disk)
    assert slot.state().error == ""
