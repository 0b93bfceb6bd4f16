import hashlib
import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.messages import SegmentClosed
from gb28181.storage.manifest import ManifestRow, Tombstone, chained, line_of, parse_manifest

ROW = ManifestRow(
    device_id="34020000001320000001",
    channel_id="34020000001310000001",
    path="34020000001320000001/34020000001310000001/20260301/080000.000",
    start=1_772_352_000_000_000,
    end=1_772_352_300_000_000,
    bytes=75_000_000,
    end_cause="rotated",
    sha256="ab" * 32,
    chain=chained("", "ab" * 32),
    number=1,
    key_frames=150,
)
OTHER = replace(
    ROW, path=ROW.path.replace("080000", "080500"), start=ROW.end, end=2 * ROW.end - ROW.start, number=2, previous=ROW.chain
)


@pytest.mark.parametrize("entry", [ROW, OTHER, Tombstone(ROW.path, 5)])
def test_a_line_reads_back(entry):
    assert parse_manifest(line_of(entry)).entries == (entry,)


def test_a_torn_last_line_is_left_out_and_named():
    data = line_of(ROW) + line_of(OTHER)
    for cut in range(len(line_of(ROW)) + 1, len(data)):
        manifest = parse_manifest(data[:cut])
        assert manifest.rows == (ROW,)
        assert manifest.damaged == (2,)


def test_a_torn_line_in_the_middle_costs_only_itself():
    manifest = parse_manifest(line_of(ROW)[:40] + b"\n" + line_of(OTHER))
    assert manifest.rows == (OTHER,)
    assert manifest.damaged == (1,)


def test_a_tombstone_hides_the_rows_above_it_only():
    lines = [line_of(ROW), line_of(OTHER), line_of(Tombstone(ROW.path, 1))]
    assert parse_manifest(b"".join(lines)).rows == (OTHER,)
    assert parse_manifest(b"".join([*lines, line_of(ROW)])).rows == (OTHER, ROW)


def test_a_deleted_row_still_ends_the_chain():
    assert parse_manifest(line_of(ROW) + line_of(OTHER) + line_of(Tombstone(OTHER.path, 1))).last_chained == OTHER


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../../etc/passwd"},
        {"bytes": -1},
        {"bytes": "5"},
        {"bytes": True},
        {"start": 1 << 70},
        {"start": ROW.start + 1_000},
        {"start": ROW.start - 1_000_000},
        {"end": 1 << 62},
        {"device_id": "34020000001320000002"},
        {"path": ROW.path.replace("131", "132")},
        {"end_cause": "bored"},
        {"sha256": "XY" * 32},
        {"sha256": "ab"},
        {"adopted": 1},
        {"device_id": None},
    ],
)
def test_a_row_with_a_wrong_value_is_damaged(change):
    assert parse_manifest(json.dumps(asdict(ROW) | change).encode() + b"\n").damaged == (1,)


def test_a_segment_that_took_the_name_of_a_later_millisecond_is_whole():
    row = replace(ROW, start=ROW.start - 3_000)
    assert parse_manifest(line_of(row)).rows == (row,)


def test_fields_of_a_later_version_are_ignored():
    assert parse_manifest(json.dumps(asdict(ROW) | {"colour": "green"}).encode() + b"\n").rows == (ROW,)


def test_the_chain_is_the_hash_of_the_value_before_and_the_segments_hash():
    assert chained("aa" * 32, "bb" * 32) == hashlib.sha256(b"aa" * 32 + b"bb" * 32).hexdigest()


def test_a_row_fills_a_segment_closed_message():
    values = asdict(ROW)
    del values["previous"], values["number"]
    assert SegmentClosed(seq=1, stream_id="s", volume="/v", **values).sha256 == ROW.sha256


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["deleted", "at", *asdict(ROW)]), inner, max_size=14)
    ),
    max_leaves=15,
)


@given(st.binary(max_size=300) | st.lists(json_values, max_size=4).map(lambda vs: "\n".join(map(json.dumps, vs)).encode()))
def test_any_bytes_give_a_manifest(data):
    manifest = parse_manifest(data)
    assert parse_manifest(b"".join(map(line_of, manifest.entries))).entries == manifest.entries
    assert len(manifest.rows) <= len(manifest.entries)


@given(st.data())
def test_a_flipped_byte_costs_at_most_one_line(data):
    lines = bytearray(line_of(ROW) + line_of(OTHER))
    place = data.draw(st.integers(0, len(line_of(ROW)) - 2))
    lines[place] ^= data.draw(st.integers(1, 255))
    assert OTHER in parse_manifest(bytes(lines)).rows


def test_deeply_nested_json_is_damage_not_an_error():
    assert parse_manifest(b"[" * 100_000 + b"\n").damaged == (1,)
