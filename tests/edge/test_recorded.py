"""What is recorded, read from real volumes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from gb28181.edge.recorded import Recordings
from gb28181.errors import Invalid
from tests.edge.footage import CHANNEL, DEVICE, T0, Footage, S, camera_pts


@pytest.fixture
def footage(tmp_path: Path) -> Iterator[Footage]:
    made = Footage(tmp_path / "volume")
    yield made
    made.close()


@pytest.fixture
def recordings(footage: Footage) -> Recordings:
    return Recordings([footage.root])


def starts(recordings: Recordings, start: int, end: int) -> list[float]:
    return [(group.utc_us - T0) / S for group in recordings.groups(DEVICE, CHANNEL, start, end)]


def test_groups_cross_a_segment_border_without_a_seam(footage: Footage, recordings: Recordings) -> None:
    first = footage.segment(T0, 6)
    second = footage.segment(T0 + 6 * S, 6)
    groups = list(recordings.groups(DEVICE, CHANNEL, T0, T0 + 60 * S))
    assert [group.media_90k for group in groups] == [0, 180_000, 360_000, 540_000, 720_000, 900_000]
    assert all(a.media_90k + a.duration_90k == b.media_90k for a, b in itertools.pairwise(groups))
    assert not any(group.discontinuity_before for group in groups)
    assert b"".join(group.read() for group in groups) == first + second


def test_the_group_that_shows_the_moment_comes_first(footage: Footage, recordings: Recordings) -> None:
    footage.segment(T0, 6)
    assert starts(recordings, T0 + 3 * S, T0 + 5 * S) == [2, 4]
    assert starts(recordings, T0 + 4 * S, T0 + 4 * S + 1) == [4]


def test_a_moment_in_a_gap_begins_with_what_follows(footage: Footage, recordings: Recordings) -> None:
    footage.segment(T0, 4)
    footage.segment(T0 + 20 * S, 4)
    groups = list(recordings.groups(DEVICE, CHANNEL, T0 + 10 * S, T0 + 60 * S))
    assert [(group.utc_us - T0) // S for group in groups] == [20, 22]
    assert (groups[0].media_90k, groups[0].discontinuity_before) == (0, False)


def test_a_gap_begins_a_new_run(footage: Footage, recordings: Recordings) -> None:
    footage.segment(T0, 4)
    footage.segment(T0 + 20 * S, 4)
    groups = list(recordings.groups(DEVICE, CHANNEL, T0, T0 + 60 * S))
    assert [(group.media_90k, group.discontinuity_before) for group in groups] == [
        (0, False), (180_000, False), (0, True), (180_000, False),
    ]  # fmt: skip


def test_of_the_segment_being_written_whole_groups_are_shown(footage: Footage, recordings: Recordings) -> None:
    footage.segment(T0, 4)
    written = footage.segment(T0 + 4 * S, 5, stays_open=True)
    groups = list(recordings.groups(DEVICE, CHANNEL, T0, T0 + 60 * S))
    assert [(group.utc_us - T0) // S for group in groups] == [0, 2, 4, 6]
    assert groups[2].span.is_open
    assert written.startswith(groups[2].read() + groups[3].read())


def test_two_recordings_of_one_time_are_shown_once(tmp_path: Path) -> None:
    one, two = Footage(tmp_path / "one"), Footage(tmp_path / "two", name="ingest-1")
    one.segment(T0, 8)
    two.segment(T0 + 4 * S, 8)
    two.segment(T0 + 2 * S, 2)
    both = Recordings([one.root, two.root])
    assert starts(both, T0, T0 + 60 * S) == [0, 2, 4, 6, 8, 10]
    one.close()
    two.close()


def test_a_volume_that_is_not_there_leaves_the_others(footage: Footage, tmp_path: Path) -> None:
    footage.segment(T0, 4)
    (tmp_path / "file").write_text("no folder")
    volumes = Recordings([tmp_path / "absent", tmp_path / "file", footage.root])
    assert starts(volumes, T0, T0 + 60 * S) == [0, 2]


def test_a_deleted_file_leaves_a_gap(footage: Footage, recordings: Recordings) -> None:
    for number in range(3):
        footage.segment(T0 + number * 4 * S, 4)
    for file in (footage.root / DEVICE / CHANNEL / "20260301").glob("000004.000.*"):
        file.unlink()
    groups = list(recordings.groups(DEVICE, CHANNEL, T0, T0 + 60 * S))
    assert [(group.utc_us - T0) // S for group in groups] == [0, 2, 8, 10]
    assert [group.discontinuity_before for group in groups] == [False, False, True, False]


# quirks Q119, Q121, Q148c
@pytest.mark.parametrize(
    "pts",
    [
        pytest.param(lambda utc: 0, id="always-zero"),
        pytest.param(lambda utc: (utc - T0) // 1000, id="milliseconds"),
        pytest.param(lambda utc: camera_pts(utc) + (0 if utc < T0 + 10 * S else 1 << 31), id="jumps-ahead"),
        pytest.param(lambda utc: camera_pts(utc) - (0 if utc < T0 + 10 * S else 90_000 * 3600), id="jumps-back"),
        pytest.param(lambda utc: camera_pts(utc) if utc < T0 + 10 * S else 77, id="stands-still"),
    ],
)
def test_a_wrong_clock_of_the_camera_leaves_the_wall_clock(footage: Footage, recordings: Recordings, pts: object) -> None:
    footage.segment(T0, 20, pts=pts)  # type: ignore[arg-type]
    groups = list(recordings.groups(DEVICE, CHANNEL, T0, T0 + 60 * S))
    assert [group.media_90k for group in groups] == [number * 180_000 for number in range(10)]


def test_a_network_that_holds_pictures_back_does_not_shake_the_line(footage: Footage, recordings: Recordings) -> None:
    def late(utc: int) -> int:
        return max(utc, T0 + 9 * S) if utc >= T0 + 8 * S else utc + utc // S % 3 * 40_000

    footage.segment(T0, 20, arrival=late)
    groups = list(recordings.groups(DEVICE, CHANNEL, T0, T0 + 60 * S))
    assert {b.media_90k - a.media_90k for a, b in itertools.pairwise(groups)} == {180_000}


def test_bytes_are_cut_where_packets_are_missing(footage: Footage, recordings: Recordings) -> None:
    footage.segment(T0, 4, lost={5: 3})
    first = next(iter(recordings.groups(DEVICE, CHANNEL, T0, T0 + S)))
    parts = list(first.parts())
    assert [lost for _, lost in parts] == [False, True]
    assert b"".join(part for part, _ in parts) == first.read()


def test_a_group_goes_on_in_the_segment_after_a_hard_cut(footage: Footage, recordings: Recordings) -> None:
    first = footage.segment(T0, 7)
    second = footage.segment(T0 + 7 * S, 5)  # key pictures are due at even seconds
    groups = list(recordings.groups(DEVICE, CHANNEL, T0 + 7_500_000, T0 + 60 * S))
    assert [(group.utc_us - T0) // S for group in groups] == [6, 8, 10]
    assert [len(group.extents) for group in groups] == [2, 1, 1]
    assert groups[0].duration_90k == 180_000
    assert (first + second).endswith(b"".join(group.read() for group in groups))


def test_a_segment_that_begins_without_a_key_frame_after_a_gap_is_shown_from_its_first(
    footage: Footage, recordings: Recordings
) -> None:
    footage.segment(T0, 4)
    footage.segment(T0 + 21 * S, 5)
    groups = list(recordings.groups(DEVICE, CHANNEL, T0, T0 + 60 * S))
    assert [(group.utc_us - T0) // S for group in groups] == [0, 2, 22, 24]
    assert [group.discontinuity_before for group in groups] == [False, False, True, False]


def test_a_range_that_is_none_is_refused(recordings: Recordings) -> None:
    for start, end in ((5, 5), (6, 5), (-1, 5), (0, 1 << 62)):
        with pytest.raises(Invalid):
            recordings.spans(DEVICE, CHANNEL, start, end)


def test_identifiers_never_lead_out_of_the_volume(recordings: Recordings) -> None:
    assert recordings.spans("../..", "../../etc", T0, T0 + S) == []
