"""Where things lie in the data folder, and how media ports are shared out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gb28181.config import Settings, load
from gb28181.control.paths import DataFolder, ingest_names, port_share
from gb28181.errors import StorageError


def test_everything_lies_in_the_data_folder_and_is_private(tmp_path: Path) -> None:
    folder = DataFolder.at(tmp_path / "data")
    assert folder.control_socket.is_relative_to(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_a_long_path_puts_the_sockets_into_a_private_folder_that_is_always_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    folder = DataFolder.at(deep)
    try:
        assert len(os.fsencode(folder.ingest_socket("ingest-63"))) < 108
        assert DataFolder.at(deep).run == folder.run
        assert folder.run.stat().st_mode & 0o077 == 0
    finally:
        folder.run.rmdir()


def test_a_folder_that_cannot_be_made_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--data"):
        DataFolder.at(tmp_path / "file" / "data")


def test_the_default_volume_lies_in_the_data_folder(tmp_path: Path) -> None:
    folder = DataFolder.at(tmp_path)
    assert folder.volumes(Settings()) == [tmp_path / "recordings"]
    assert folder.volumes(load(None, {"GB28181__RECORDING__VOLUMES": "/a,/b"})) == [Path("/a"), Path("/b")]


def test_each_ingest_has_ports_of_its_own_that_begin_even() -> None:
    settings = load(None, {"GB28181__MEDIA__PORTS": "20001-20999", "GB28181__MEDIA__INGESTS": "3"})
    names = ingest_names(settings)
    shares = [port_share(settings, number, len(names)) for number in range(3)]
    assert all(share.start % 2 == 0 and len(share) > 300 for share in shares)
    assert not set(shares[0]) & set(shares[1])
    assert not set(shares[1]) & set(shares[2])
    assert max(shares[2]) <= 20999
