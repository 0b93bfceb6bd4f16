from hypothesis import given
from hypothesis import strategies as st

from gb28181.storage.index import (
    DISCONTINUITY,
    END,
    HEADER,
    KEY,
    LOSS,
    MAGIC,
    NO_PTS,
    ROW_SIZE,
    Index,
    Row,
    pack_rows,
    parse_index,
    rows_of,
)

T0 = 1_772_323_200_000_000
U64 = st.integers(0, 2**64 - 1)


@st.composite
def sound_rows(draw):
    offsets = sorted(draw(st.lists(st.integers(0, 2**40), max_size=40)))
    return [
        Row(
            offset,
            draw(st.integers(1, 2**60)),
            draw(U64),
            draw(st.sampled_from([0, KEY, LOSS, KEY | LOSS, DISCONTINUITY])),
            draw(st.integers(0, 2**32 - 1)),
        )
        for offset in offsets
    ]


@given(sound_rows())
def test_what_is_packed_reads_back(rows):
    assert parse_index(HEADER + pack_rows(rows)).rows == tuple(rows)
    assert rows_of(pack_rows(rows)) == rows


@given(sound_rows(), st.data())
def test_a_torn_index_gives_its_whole_rows(rows, data):
    whole = HEADER + pack_rows(rows)
    cut = data.draw(st.integers(0, len(whole)))
    assert parse_index(whole[:cut]).rows == tuple(rows[: max(0, cut - len(HEADER)) // ROW_SIZE])


@given(st.binary(max_size=600) | st.binary(max_size=600).map(lambda tail: HEADER + tail))
def test_any_bytes_give_an_index_whose_offsets_never_fall(data):
    index = parse_index(data)
    offsets = [row.offset for row in index.rows]
    assert offsets == sorted(offsets)
    index.key_at_or_before(T0)
    index.up_to(1000)


def test_a_tail_of_zeros_after_a_power_cut_is_no_row():
    assert len(parse_index(HEADER + pack_rows([Row(0, T0, 0, KEY)]) + bytes(4096)).rows) == 1


def test_rows_after_an_end_are_not_read():
    rows = [Row(0, T0, 0, KEY), Row(9, T0 + 1, NO_PTS, END), Row(9, T0 + 2, 0, KEY)]
    assert parse_index(HEADER + pack_rows(rows)).end == rows[1]


def test_longer_rows_of_a_later_version_are_read_by_their_first_fields():
    row = Row(7, T0, 90_000, KEY, 0)
    later = MAGIC + (40).to_bytes(4, "little") + bytes(4) + pack_rows([row]) + bytes(8) + pack_rows([row]) + bytes(8)
    assert parse_index(later).rows == (row, row)


def test_key_at_or_before_finds_the_start_for_a_moment():
    index = Index([Row(0, T0, 0, KEY), Row(50, T0 + 1_000_000, 0, LOSS, 3), Row(100, T0 + 2_000_000, 0, KEY)])
    assert index.key_at_or_before(T0 - 1) is None
    assert index.key_at_or_before(T0).offset == 0
    assert index.key_at_or_before(T0 + 1_999_999).offset == 0
    assert index.key_at_or_before(T0 + 2_000_000).offset == 100
    assert index.last_key().offset == 100
    assert index.lost == 3


def test_a_clock_that_was_set_back_does_not_lose_the_rest_of_the_index():
    rows = [Row(0, T0, 0, KEY), Row(100, T0 - 5_000_000, 0, KEY), Row(200, T0 + 2_000_000, 0, KEY)]
    index = parse_index(HEADER + pack_rows(rows))
    assert index.rows == tuple(rows)
    assert index.key_at_or_before(T0 + 1_000_000).offset == 100
