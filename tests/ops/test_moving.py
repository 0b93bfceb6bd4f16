"""The file of cameras that move: read again as written, and no trouble when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from gb28181.catalog.model import ChannelKey
from gb28181.ops.moving import MovingFile
from tests.fakes import CAMERA, DEVICE

KEY = ChannelKey(DEVICE, CAMERA)


def test_what_was_noted_is_read_by_the_next_process(tmp_path: Path) -> None:
    MovingFile(tmp_path / "moving.json").save([KEY])
    assert MovingFile(tmp_path / "moving.json").load() == [KEY]
    MovingFile(tmp_path / "moving.json").save([])
    assert MovingFile(tmp_path / "moving.json").load() == []
    assert [path.name for path in tmp_path.iterdir()] == ["moving.json"]


def test_nothing_moves_where_nothing_was_noted(tmp_path: Path) -> None:
    assert MovingFile(tmp_path / "moving.json").load() == []


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}1", '[["a"]]', '[["", "x"]]', "\x00", '[["a/b", "c"]]'])
def test_a_damaged_file_is_no_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "moving.json").write_text(text)
    assert MovingFile(tmp_path / "moving.json").load() == []


def test_a_folder_that_is_gone_stops_nobody(tmp_path: Path) -> None:
    MovingFile(tmp_path / "gone" / "moving.json").save([KEY])
