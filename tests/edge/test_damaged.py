"""Segments that a disk or an operator damaged: what is whole is shown, what is not leaves a gap, and nothing else is lost."""

from __future__ import annotations

import errno
import io
import itertools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from gb28181.edge.export_movie import Movie
from gb28181.edge.export_original import Original
from gb28181.edge.export_worker import Progress, Task, make
from gb28181.edge.recorded import Recordings
from gb28181.edge.recorded_groups import Group
from gb28181.edge.recorded_pictures import pictures_of
from gb28181.storage.index import HEADER, ROW_SIZE
from tests.edge.footage import CHANNEL, DEVICE, T0, Footage, S


@pytest.fixture
def footage(tmp_path: Path) -> Iterator[Footage]:
    made = Footage(tmp_path / "volume")
    for number in range(3):
        made.segment(T0 + number * 6 * S, 6)
    yield made
    made.close()


def second(footage: Footage, suffix: str) -> Path:
    return footage.root / DEVICE / CHANNEL / "20260301" / f"000006.000{suffix}"


def groups(footage: Footage) -> list[Group]:
    return list(Recordings([footage.root]).groups(DEVICE, CHANNEL, T0, T0 + 60 * S))


def moments(found: list[Group]) -> list[float]:
    return [(group.utc_us - T0) / S for group in found]


def cut(file: Path, share: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])


def flip(file: Path, *places: int) -> None:
    data = bytearray(file.read_bytes())
    for place in places:
        data[place] ^= 0x80
    file.write_bytes(data)


def second_key_time(byte: int) -> int:
    """Place of a byte of the time in the row of the second key frame, little endian."""
    return len(HEADER) + ROW_SIZE + 8 + byte


INDEX_DAMAGES: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink,
    "empty": lambda file: file.write_bytes(b"") and None,
    "header only": lambda file: file.write_bytes(HEADER) and None,
    "torn": lambda file: cut(file, 0.45),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)) and None,
    "offset flipped": lambda file: flip(file, len(HEADER) + ROW_SIZE + 6),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGES.values(), ids=INDEX_DAMAGES)
def test_a_whole_stream_is_shown_without_its_index(footage: Footage, damage: Callable[[Path], None]) -> None:
    whole = groups(footage)
    damage(second(footage, ".idx"))
    found = groups(footage)
    assert [round(moment, 1) for moment in moments(found)] == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert not any(group.discontinuity_before for group in found)
    assert Original(found).size == Original(whole).size


def test_a_key_frame_of_the_far_future_hides_nothing_that_follows(footage: Footage) -> None:
    flip(second(footage, ".idx"), second_key_time(6))
    assert [round(moment) for moment in moments(groups(footage))][-3:] == [12, 14, 16]


def test_a_key_frame_some_hours_ahead_hides_no_other_segment(footage: Footage) -> None:
    flip(second(footage, ".idx"), second_key_time(3))
    assert [round(moment) for moment in moments(groups(footage))][-3:] == [12, 14, 16]


def test_a_stream_that_is_gone_leaves_a_gap(footage: Footage) -> None:
    second(footage, ".ps").unlink()
    found = groups(footage)
    assert moments(found) == [0, 2, 4, 12, 14, 16]
    assert [group.discontinuity_before for group in found] == [False, False, False, True, False, False]


def test_of_a_stream_cut_short_what_is_left_is_shown(footage: Footage) -> None:
    whole = groups(footage)
    keep = whole[4].extents[0].offset + whole[4].size // 2
    file = second(footage, ".ps")
    file.write_bytes(file.read_bytes()[:keep])
    found = groups(footage)
    assert moments(found) == [0, 2, 4, 6, 8, 12, 14, 16]
    assert found[5].discontinuity_before
    assert found[4].size == whole[4].size // 2
    assert found[4].duration_90k < 180_000
    original = Original(found)
    assert sum(map(len, original.pieces(0, original.size))) == original.size


def test_a_stream_of_no_bytes_leaves_a_gap(footage: Footage) -> None:
    second(footage, ".ps").write_bytes(b"")
    assert moments(groups(footage)) == [0, 2, 4, 12, 14, 16]


def test_flipped_bytes_spoil_pictures_and_nothing_else(footage: Footage) -> None:
    size = second(footage, ".ps").stat().st_size
    flip(second(footage, ".ps"), *range(0, size, 97))
    found = groups(footage)
    assert moments(found) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert all(pictures_of(group).pictures for group in found if not 6 <= (group.utc_us - T0) // S < 12)


def test_damage_is_said_once(footage: Footage, caplog: pytest.LogCaptureFixture) -> None:
    second(footage, ".ps").unlink()
    recordings = Recordings([footage.root])
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            list(recordings.groups(DEVICE, CHANNEL, T0, T0 + 60 * S))
    assert [record.getMessage() for record in caplog.records] == ["segment is damaged"]
    assert caplog.records[0].__dict__["path"] == f"{DEVICE}/{CHANNEL}/20260301/000006.000"


def exported(footage: Footage) -> Progress:
    said: list[Progress] = []
    out = io.BytesIO()
    make(Task((str(footage.root),), DEVICE, CHANNEL, T0, T0 + 60 * S), out, said.append, lambda: 0.0)
    assert len(out.getvalue()) == said[-1].size
    return said[-1]


@pytest.mark.parametrize("suffix", [".ps", ".idx"])
def test_an_export_over_a_segment_that_lost_a_file_is_made(footage: Footage, suffix: str) -> None:
    second(footage, suffix).unlink()
    made = exported(footage)
    assert made.done, made.error


def test_an_export_leaves_out_groups_that_the_disk_cannot_read(footage: Footage, monkeypatch: pytest.MonkeyPatch) -> None:
    _bad_sectors(monkeypatch, lambda path: path == str(second(footage, ".ps")))
    made = exported(footage)
    assert made.done, made.error
    assert made.left_out == 3


def test_an_export_that_can_read_nothing_tells_the_disk_s_reason(footage: Footage, monkeypatch: pytest.MonkeyPatch) -> None:
    _bad_sectors(monkeypatch, lambda path: path.endswith(".ps"))
    made = exported(footage)
    assert (made.done, made.code) == (False, "storage")


def _bad_sectors(monkeypatch: pytest.MonkeyPatch, is_bad: Callable[[str], bool]) -> None:
    pread = os.pread

    def failing(fd: int, size: int, offset: int) -> bytes:
        if is_bad(os.readlink(f"/proc/self/fd/{fd}")):
            raise OSError(errno.EIO, "Input/output error")
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", failing)


def test_a_run_that_begins_with_spoilt_pictures_begins_in_the_export_with_the_next_group(footage: Footage) -> None:
    for suffix in (".ps", ".idx"):
        second(footage, suffix).unlink()
    whole = exported(footage)
    third = groups(footage)[3].extents[0]
    assert third.offset == 0
    file = footage.root / f"{third.span.path}.ps"
    file.write_bytes(bytes(third.size) + file.read_bytes()[third.size :])
    out = io.BytesIO()
    movie = Movie(T0, T0 + 60 * S)
    for group in groups(footage):
        out.write(movie.add(group))
    out.write(movie.finish())
    assert whole.done
    assert movie.left_out == 1
    with av.open(io.BytesIO(out.getvalue())) as container:
        times = [float(packet.pts * packet.time_base) for packet in container.demux(video=0) if packet.pts is not None]
    assert max(after - before for before, after in itertools.pairwise(times)) < 0.2
    assert times[-1] == pytest.approx(9.9, abs=0.2)
