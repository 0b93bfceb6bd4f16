from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.storage.salvage import scan, whole_length
from tests.storage.io.disk import T0, Camera, frame, pack_header

FOOTAGE = Path(__file__).parents[3] / "shared" / "data" / "ps" / "ipc-d1-h264.ps"


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_key_frames_are_found_however_the_bytes_are_cut(cuts):
    camera = Camera(gop=4)
    camera.frames(13)
    pieces, place = [], 0
    for cut in [*cuts, len(camera.sent)]:
        pieces.append(camera.sent[place : place + cut])
        place += cut
    assert [row.offset for row in scan(pieces, offset=0, utc_us=T0).rows] == camera.keys


def test_times_are_counted_by_the_pack_headers_clock():
    camera = Camera(gop=5)
    camera.frames(11)
    assert [row.utc_us - T0 for row in scan([camera.sent], offset=0, utc_us=T0).rows] == [0, 200_000, 400_000]


def test_h265_key_frames_are_found():
    stream = b"".join(frame(n, key=n % 3 == 0, hevc=True) for n in range(7))
    size = len(frame(0, key=True, hevc=True)) + 2 * len(frame(1, key=False, hevc=True))
    assert [row.offset for row in scan([stream], offset=1000, utc_us=T0).rows] == [1000, 1000 + size, 1000 + 2 * size]


def test_a_key_frame_begins_at_the_pack_of_its_parameter_sets():
    parameters = pack_header(0) + b"\0\0\1\xe0\0\x0b\x80\0\0\0\0\0\1\x67\x4d\0\x1f"
    assert [row.offset for row in scan([parameters + frame(0, key=True)], offset=0, utc_us=T0).rows] == [0]


@pytest.mark.skipif(not FOOTAGE.exists(), reason="the real footage is not beside the checkout")
def test_key_frames_of_real_footage_start_at_pack_headers_with_system_headers():
    data = FOOTAGE.read_bytes()
    rows = scan([data], offset=0, utc_us=T0).rows
    assert len(rows) > 1
    for row in rows:
        assert data[row.offset : row.offset + 4] == b"\0\0\1\xba"
        stuffing = data[row.offset + 13] & 7
        assert data[row.offset + 14 + stuffing : row.offset + 18 + stuffing] == b"\0\0\1\xbb"
    assert data.count(b"\0\0\1\xbb") == len(rows)
    assert whole_length(data) <= len(data)


def test_a_torn_last_pack_is_left_out():
    whole = frame(0, key=True) + frame(1, key=False)
    for torn in range(len(frame(2, key=False)) - 1):
        assert whole_length(whole + frame(2, key=False)[:torn]) == len(whole)


def test_the_only_pack_is_kept_to_its_last_whole_packet():
    pes = frame(0, key=True)[14:]
    assert whole_length(pack_header(0) + pes + pes[:50]) == 14 + len(pes)
    assert whole_length(pack_header(0) + pes[:50]) == 0


def test_a_transport_stream_is_kept_to_its_last_whole_packet():
    packets = (b"\x47" + bytes(187)) * 5
    assert whole_length(packets + b"\x47" + bytes(50)) == len(packets)


@given(
    st.binary(max_size=400)
    | st.lists(st.sampled_from([b"\0\0\1", b"\0\0\1\xba", b"\0\0\1\xe0", b"\x65\x88", b"\x44", bytes(9)])).map(b"".join)
)
def test_any_bytes_can_be_looked_at(data):
    assert 0 <= whole_length(data) <= len(data)
    rows = scan([data[:7], data[7:]], offset=0, utc_us=T0).rows
    assert [row.offset for row in rows] == sorted({row.offset for row in rows})
    assert rows == scan([data], offset=0, utc_us=T0).rows
    assert all(data[row.offset : row.offset + 4] == b"\0\0\1\xba" for row in rows)
