"""The program stream parser against the vectors of the standard and what devices make of it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gb28181.media import nal
from gb28181.media.ps import PsParser
from gb28181.media.ps_pictures import MAX_UNIT_BYTES, AccessUnit

SHARED = Path(__file__).parents[3] / "shared" / "data" / "ps"

PACK = bytes.fromhex("000001ba440016fc8401013883f8")
SYSTEM = bytes.fromhex("000001bb000c809c4105e17fe0e800c0c200")
MAP_H264 = bytes.fromhex("000001bc0012e0ff000000081be0000090c00000fedfb1d7")
MAP_H265_AAC = bytes.fromhex("000001bc0012e0ff0000000824e000000fc00000eac5e41d")
MAP_SVAC = bytes.fromhex("000001bc0012e0ff0000000880e000009bc000008bf4d12b")
MINI_KEY_FRAME = bytes.fromhex(
    "000001ba440016fc8401013883f8000001bb000c809c4105e17fe0e800c0c200000001bc0012e0ff000000081be0000090c00000fedfb1d7"
    "000001e00020848005210005bf21000000016742c01e0000000168ce3c80000000016588843a"
)

SPS = bytes.fromhex("000000016742c01e")
PPS = bytes.fromhex("0000000168ce3c80")
IDR = bytes.fromhex("000000016588843a")
AUD = bytes.fromhex("0000000109f0")
SEI = bytes.fromhex("000000010605abcdef80")
H265_SETS = bytes.fromhex("0000000140010c01ffff00000001420101016000000000014401c1725312")
H265_IDR = bytes.fromhex("000000012601af1234567890")
H265_P = bytes.fromhex("000000010201d0aabbccdd")
H265_P_NEXT = bytes.fromhex("000000010201500abbccdd")


def p_slice(number: int, *, first: bool = True, size: int = 12) -> bytes:
    """A slice of type 1; the bit after its header says whether it is the first of its picture."""
    return b"\x00\x00\x00\x01\x41" + bytes((0x9A if first else 0x4A, number + 1)) + b"\x77" * size


def time_bytes(prefix: int, value: int) -> bytes:
    value %= 1 << 33
    parts = (prefix << 4 | value >> 29 & 0x0E | 1, value >> 22 & 0xFF, value >> 14 & 0xFE | 1, value >> 7 & 0xFF)
    return bytes((*parts, value << 1 & 0xFE | 1))


def pes(
    payload: bytes, pts: int | None = None, *, dts: int | None = None, stream: int = 0xE0, length: int | None = None
) -> bytes:
    if pts is None:
        header = b"\x80\x00\x00"
    elif dts is None:
        header = b"\x80\x80\x05" + time_bytes(2, pts)
    else:
        header = b"\x80\xc0\x0a" + time_bytes(3, pts) + time_bytes(1, dts)
    size = len(header) + len(payload) if length is None else length
    return b"\x00\x00\x01" + bytes((stream,)) + size.to_bytes(2, "big") + header + payload


def units_of(*parts: bytes, at_us: int = 1_000_000) -> list[AccessUnit]:
    parser = PsParser()
    out: list[AccessUnit] = []
    for part in parts:
        out += parser.feed(part, at_us)
    return out + parser.flush()


def video(units: list[AccessUnit]) -> list[bytes]:
    return [unit.data for unit in units if unit.is_video]


KEY = SPS + PPS + IDR


def test_vectors_of_the_standard_say_what_they_say():
    [unit] = units_of(MINI_KEY_FRAME)
    assert unit == AccessUnit("h264", 90_000, 90_000, True, KEY, 1_000_000)
    assert pes(KEY, 90_000).startswith(bytes.fromhex("000001e000208080 05210005bf21".replace(" ", "")))
    [maximum] = units_of(PACK + pes(KEY, 8_589_934_591))
    assert maximum.pts_90k == 8_589_934_591


def test_pictures_are_cut_where_the_next_one_begins():
    parser = PsParser()
    assert parser.feed(PACK + pes(KEY, 0), 1) == []
    [first] = parser.feed(PACK + pes(p_slice(1), 3600), 2)
    assert (first.data, first.is_key, first.at_us) == (KEY, True, 1)
    [second] = parser.flush()
    assert (second.pts_90k, second.is_key, second.at_us) == (3600, False, 2)


@pytest.mark.parametrize("map_", [b"", SYSTEM, SYSTEM + MAP_H264])
def test_codec_is_found_without_a_map(map_):
    assert [unit.codec for unit in units_of(PACK + map_ + pes(KEY, 0), PACK + pes(p_slice(1), 3600))] == ["h264", "h264"]
    h265 = units_of(PACK + pes(H265_SETS + H265_IDR, 0), PACK + pes(H265_P, 3600))
    assert [(unit.codec, unit.is_key) for unit in h265] == [("h265", True), ("h265", False)]


def test_nothing_is_shown_before_the_codec_is_known():
    assert units_of(PACK + pes(p_slice(1), 0) + PACK + pes(p_slice(2), 3600)) == []


def test_map_alone_names_the_codec_until_parameter_sets_come():
    [unit] = units_of(PACK + MAP_H264 + pes(p_slice(1), 0))
    assert unit.codec == "h264"


def test_lengths_inside_the_map_may_lie():
    """Quirk Q131: the length of the stream's descriptors points beyond the map."""
    body = bytes.fromhex("e0ff000000141be0003090c0001200000000")
    map_ = b"\x00\x00\x01\xbc" + len(body).to_bytes(2, "big") + body
    parser = PsParser()
    parser.feed(PACK + map_ + pes(p_slice(1), 0), 1)
    assert parser.declared == {0xE0: "h264"}
    # The length of all descriptors is wrong as well: the pairs are found all the same.
    body = bytes.fromhex("e0ff4000000824e000000fc00000eac5e41d")
    parser = PsParser()
    parser.feed(PACK + b"\x00\x00\x01\xbc" + len(body).to_bytes(2, "big") + body + pes(H265_P, 0), 1)
    assert parser.declared == {0xE0: "h265", 0xC0: "aac"}
    assert parser.faults["map-lengths-wrong"] == 1


def test_length_of_the_map_may_lie():
    for length in (0x30, 0x08):
        map_ = MAP_H264[:4] + length.to_bytes(2, "big") + MAP_H264[6:]
        units = units_of(PACK + map_ + pes(KEY, 0), PACK + pes(p_slice(1), 3600))
        assert video(units) == [KEY, p_slice(1)]


def test_checksum_of_the_map_is_not_checked():
    [unit] = units_of(PACK + MAP_H264[:-4] + b"\0\0\0\0" + pes(p_slice(1), 0))
    assert unit.codec == "h264"


def test_probing_wins_over_the_map():
    """Quirk Q133."""
    parser = PsParser()
    units = (
        parser.feed(PACK + MAP_H264 + pes(H265_SETS + H265_IDR, 0) + PACK + MAP_H264 + pes(H265_P, 3600), 1) + parser.flush()
    )
    assert [(unit.codec, unit.data) for unit in units] == [("h265", H265_SETS + H265_IDR), ("h265", H265_P)]
    assert parser.faults["map-says-other-codec"] >= 1
    reverse = units_of(PACK + MAP_H265_AAC + pes(KEY, 0), PACK + pes(p_slice(1), 3600))
    assert [unit.codec for unit in reverse] == ["h264", "h264"]


def test_announced_audio_that_never_comes_holds_nothing_back():
    """Quirk Q134."""
    parser = PsParser()
    units = parser.feed(PACK + SYSTEM + MAP_H264 + pes(KEY, 0) + PACK + pes(p_slice(1), 3600), 1)
    assert video(units) == [KEY]


@pytest.mark.parametrize(
    ("kind", "payload", "codec"),
    [
        pytest.param(0x90, b"\xd5" * 8, "g711a", id="g711a"),
        pytest.param(0x91, b"\xd5" * 8, "g711u", id="g711u"),
        pytest.param(0x92, b"\xd5" * 8, "g722.1", id="g722.1"),
        pytest.param(0x93, b"\xd5" * 8, "g723.1", id="g723.1"),
        pytest.param(0x99, b"\xd5" * 8, "g729", id="g729"),
        pytest.param(0x0F, b"\xff\xf1\x6c\x40", "aac", id="aac"),
        pytest.param(0x90, b"\xff\xf1\x6c\x40", "aac", id="aac-said-to-be-g711a"),
        pytest.param(0x90, b"\xff\xf9\x6c\x40", "aac", id="mpeg2-aac-said-to-be-g711a"),
        pytest.param(None, b"\xd5" * 8, "g711a", id="no-map"),
    ],
)
def test_codec_of_audio_by_table_then_by_probe(kind, payload, codec):
    """Quirk Q135."""
    map_ = (
        b""
        if kind is None
        else bytes.fromhex("000001bc0012e0ff000000081be00000") + bytes((kind,)) + bytes.fromhex("c0000000000000")
    )
    [unit] = units_of(PACK + map_ + pes(payload, 90_000, stream=0xC0))
    assert (unit.codec, unit.data, unit.pts_90k, unit.is_video) == (codec, payload, 90_000, False)


@pytest.mark.parametrize(("kind", "codec"), [(0x80, "svac"), (0x10, "mpeg4")])
def test_codec_that_is_not_looked_into_is_cut_by_time_stamps(kind, codec):
    map_ = bytes.fromhex("000001bc000ee0ff00000004") + bytes((kind,)) + bytes.fromhex("e0000000000000")
    units = units_of(PACK + map_ + pes(b"\x11" * 50, 0) + pes(b"\x22" * 50), PACK + pes(b"\x33" * 9, 3600))
    assert [(unit.codec, len(unit.data)) for unit in units] == [(codec, 100), (codec, 9)]


@pytest.mark.parametrize("stream", [0xBD, 0xBF, 0xBE, 0xF0, 0xFF])
def test_private_streams_are_skipped_by_their_length(stream):
    """Quirk Q136: what is inside may look like anything."""
    inside = PACK + pes(p_slice(9), 7) + b"\x00\x00\x01\xba"
    private = b"\x00\x00\x01" + bytes((stream,)) + len(inside).to_bytes(2, "big") + inside
    units = units_of(PACK + private + pes(KEY, 0) + private, PACK + private + pes(p_slice(1), 3600) + private)
    assert video(units) == [KEY, p_slice(1)]


def test_stray_start_code_before_the_pack():
    """Quirk Q137."""
    stray = b"\x00\x00\x00\x01"
    units = units_of(stray + PACK + pes(KEY, 0), stray + PACK + pes(p_slice(1), 3600) + stray)
    assert video(units) == [KEY, p_slice(1)]


def test_pictures_without_packs():
    """Quirk Q137: P frames without a pack header."""
    units = units_of(PACK + pes(KEY, 0) + pes(p_slice(1), 3600) + pes(p_slice(2), 7200))
    assert [unit.pts_90k for unit in units] == [0, 3600, 7200]


def test_pes_length_zero_lasts_to_the_next_start_code():
    """Quirk Q138."""
    units = units_of(PACK + pes(KEY, 0, length=0) + PACK + pes(p_slice(1), 3600, length=0) + pes(p_slice(2), 7200, length=0))
    assert video(units) == [KEY, p_slice(1), p_slice(2)]


def test_picture_of_many_pes_with_one_time_stamp():
    """Quirk Q138."""
    big = KEY + b"\x55" * 200_000
    pieces = [big[at : at + 65_000] for at in range(0, len(big), 65_000)]
    body = pes(pieces[0], 90_000) + b"".join(pes(piece) for piece in pieces[1:])
    units = units_of(PACK + body, PACK + pes(p_slice(1), 93_600))
    assert video(units) == [big, p_slice(1)]
    assert [unit.pts_90k for unit in units] == [90_000, 93_600]


def test_length_that_is_too_small_or_wrapped_keeps_the_bytes():
    """Quirk Q138: a picture longer than 65,535 bytes whose length is written modulo 65,536."""
    big = KEY + b"\x55" * 100_000
    units = units_of(PACK + pes(big, 0, length=(len(big) + 8) & 0xFFFF), PACK + pes(p_slice(1), 3600))
    assert video(units) == [big, p_slice(1)]


def test_length_that_is_too_large_ends_at_the_next_pack():
    units = units_of(PACK + pes(KEY, 0, length=60_000), PACK + pes(p_slice(1), 3600), PACK + pes(p_slice(2), 7200))
    assert video(units) == [KEY, p_slice(1), p_slice(2)]


@pytest.mark.parametrize("with_pack", [True, False])
@pytest.mark.parametrize("with_stamps", [True, False])
def test_slices_in_packets_of_their_own_make_one_picture(with_pack, with_stamps):
    """Quirk Q142."""
    wire, expected = b"", []
    for number in range(3):
        slices = [p_slice(number), p_slice(number, first=False), p_slice(number, first=False)]
        if number == 0:
            slices[0] = KEY
            slices[1:] = [b"\x00\x00\x00\x01\x65\x44aa", b"\x00\x00\x00\x01\x65\x22bb"]
        for place, part in enumerate(slices):
            stamp = 90_000 + number * 3600 + place * 10 if with_stamps or place == 0 else None
            wire += (PACK if with_pack or place == 0 else b"") + pes(part, stamp)
        expected.append((90_000 + number * 3600, b"".join(slices)))
    units = units_of(wire)
    assert [(unit.pts_90k, unit.data) for unit in units] == expected
    assert [unit.is_key for unit in units] == [True, False, False]


def test_slices_of_h265_make_one_picture():
    units = units_of(
        PACK + pes(H265_SETS + H265_IDR, 0), PACK + pes(H265_P, 3600) + pes(H265_P_NEXT, 3600), PACK + pes(H265_P, 7200)
    )
    assert video(units) == [H265_SETS + H265_IDR, H265_P + H265_P_NEXT, H265_P]


def test_two_fields_make_one_frame():
    # Main profile, 720x576: ids and counters, 45 x 18 macroblocks of fields, frame_mbs_only_flag 0, no cropping, no VUI.
    bits = "11011010000000101101000010010001001".ljust(40, "0")
    interlaced = b"\x00\x00\x00\x01\x67\x4d\x00\x1e" + int(bits, 2).to_bytes(5, "big")
    info = nal.sequence_info("h264", interlaced[4:])
    assert info is not None
    assert (info.width, info.height, info.interlaced) == (720, 576, True)
    fields = p_slice(1) + p_slice(2)
    apart = pes(p_slice(1), 7200) + pes(p_slice(2), 7200)
    units = units_of(PACK + pes(interlaced + PPS + IDR, 0), PACK + pes(fields, 3600), PACK + apart, PACK + pes(fields, 10_800))
    assert video(units)[1:] == [fields, fields, fields]


def test_two_progressive_pictures_in_one_packet_are_two():
    units = units_of(PACK + pes(KEY, 0), PACK + pes(p_slice(1) + p_slice(2), 3600))
    assert video(units) == [KEY, p_slice(1), p_slice(2)]


def test_stuffing_of_the_pack_may_look_like_a_start_code():
    """Quirk Q148b."""
    pack = PACK[:13] + b"\xfe" + b"\xff\xff" + b"\x00\x00\x01\xaf"
    tricky = PACK[:13] + b"\xfe" + b"\xff\xff" + b"\x00\x00\x01\xe0"
    units = units_of(pack + SYSTEM + MAP_H264 + pes(KEY, 0), tricky + pes(p_slice(1), 3600))
    assert video(units) == [KEY, p_slice(1)]


def test_clock_that_never_runs_gives_way_to_the_arrival():
    """Quirk Q148c."""
    parser = PsParser()
    units = []
    for number in range(5):
        units += parser.feed(PACK + pes(KEY if number == 0 else p_slice(number), 0), 1_000_000 + number * 40_000)
    units += parser.flush()
    assert [unit.pts_90k for unit in units[1:]] == [90_000 + number * 3600 for number in range(1, 5)]


def test_pictures_without_time_stamps_get_their_arrival():
    parser = PsParser()
    units = parser.feed(PACK + pes(KEY), 1_000_000) + parser.feed(PACK + pes(p_slice(1)), 1_040_000) + parser.flush()
    assert [unit.dts_90k for unit in units] == [90_000, 93_600]


@pytest.mark.parametrize("before", [p_slice(1), SEI + p_slice(1), AUD + p_slice(1)])
def test_parameter_sets_make_no_key_frame(before):
    """Quirk Q148d: sets before each P frame."""
    units = units_of(PACK + pes(KEY, 0), PACK + pes(SPS + PPS + before, 3600), PACK + pes(SPS + PPS + before, 7200))
    assert [unit.is_key for unit in units] == [True, False, False]


def test_parameter_sets_before_each_slice_do_not_cut_the_picture():
    """Quirk Q148d."""
    picture = PPS + p_slice(1) + PPS + p_slice(1, first=False)
    units = units_of(PACK + pes(KEY, 0), PACK + pes(picture, 3600), PACK + pes(picture, 7200))
    assert video(units) == [KEY, picture, picture]


def test_packet_goes_on_over_chunks():
    """Quirk Q148e: a group of RTP packets that begins inside a PES packet."""
    wire = PACK + pes(KEY + b"\x55" * 3000, 0) + PACK + pes(p_slice(1), 3600)
    assert video(units_of(wire[:1000], wire[1000:2000], wire[2000:])) == [KEY + b"\x55" * 3000, p_slice(1)]


def test_time_runs_on_when_33_bits_are_full():
    top = 1 << 33
    units = units_of(PACK + pes(KEY, top - 3600), PACK + pes(p_slice(1), 0), PACK + pes(p_slice(2), 3600))
    assert [unit.pts_90k for unit in units] == [top - 3600, top, top + 3600]


def test_decoding_time_stands_beside_presentation_time():
    units = units_of(PACK + pes(KEY, 7200, dts=0), PACK + pes(p_slice(1), 14_400, dts=3600))
    assert [(unit.pts_90k, unit.dts_90k) for unit in units] == [(7200, 0), (14_400, 3600)]


def test_loss_drops_what_is_not_whole_and_nothing_else():
    """Quirk Q118."""
    parser = PsParser()
    parts = [
        PACK + pes(KEY, 0),
        PACK + pes(p_slice(1, size=3000), 3600),
        PACK + pes(p_slice(2), 7200),
        PACK + pes(p_slice(3), 10_800),
    ]
    units = parser.feed(parts[0], 1) + parser.feed(parts[1][:1000], 2)
    units += parser.feed(parts[1][2000:] + parts[2], 3, lost=True) + parser.feed(parts[3], 4) + parser.flush()
    assert video(units) == [KEY, p_slice(2), p_slice(3)]


def test_beginning_in_the_middle_of_a_picture_shows_no_half_of_one():
    slices = p_slice(0, first=False) + p_slice(0, first=False)
    units = units_of(b"\x55" * 100 + PACK + pes(slices, 0), PACK + pes(SPS + PPS + p_slice(1), 3600))
    assert video(units) == [SPS + PPS + p_slice(1)]


def test_memory_is_bounded_by_the_largest_picture():
    parser = PsParser()
    parser.feed(PACK + pes(KEY, 0), 1)
    for _ in range(400):
        parser.feed(pes(b"\x55" * 60_000), 2)
    assert len(parser._pictures._es) <= MAX_UNIT_BYTES + 60_000
    parser = PsParser()
    parser.feed(PACK + pes(KEY, 0, length=0), 1)
    for _ in range(400):
        parser.feed(b"\x55" * 60_000, 2)
    assert len(parser._buffer) <= MAX_UNIT_BYTES + 60_000
    assert parser.faults["oversized"] >= 1


# --- settle --------------------------------------------------------------------------------------------------------


def test_picture_goes_out_at_once_when_its_packets_have_shown_to_end_it():
    parser = PsParser()
    for number in range(12):
        units = parser.feed(PACK + pes(p_slice(number) if number else KEY, number * 3600), 1) + parser.settle()
    assert video(units) == [p_slice(11)]
    assert parser.flush() == []


def test_first_picture_goes_out_when_nothing_follows():
    parser = PsParser()
    assert parser.feed(PACK + pes(KEY, 0), 1) + parser.settle() == []
    [unit] = parser.settle(idle=True)
    assert unit.data == KEY
    [following] = parser.feed(PACK + pes(p_slice(1), 3600), 2) + parser.settle(idle=True)
    assert following.data == p_slice(1)


def test_half_a_packet_is_never_taken_for_a_picture():
    parser = PsParser()
    wire = PACK + pes(KEY + b"\x55" * 500, 0)
    assert parser.feed(wire[:300], 1) + parser.settle(idle=True) == []
    full = PACK + pes(KEY + b"\x55" * 65_400, 0)
    assert PsParser().feed(full, 1) == []
    parser = PsParser()
    parser.feed(full, 1)
    assert parser.settle(idle=True) == []  # so full a packet is followed by another one


def test_stream_of_slices_is_never_guessed_again_after_a_wrong_guess():
    parser = PsParser()
    parser.feed(PACK + pes(KEY, 0), 1)
    assert len(parser.settle(idle=True)) == 1
    parser.feed(pes(b"\x00\x00\x00\x01\x65\x44" + b"a" * 50), 1)
    assert parser.faults["picture-cut-by-guess"] == 1
    for number in range(1, 20):
        first, second = p_slice(number, size=100), p_slice(number, first=False, size=20)
        parser.feed(PACK + pes(first, number * 3600), 1)
        assert parser.settle(idle=True) == []
        parser.feed(pes(second), 1)


# --- the real thing ------------------------------------------------------------------------------------------------


def test_real_footage_gives_its_elementary_stream():
    """The stream file ends earlier than the elementary file does (1,347 pictures of 1,375); as far as it goes every NAL unit
    is the same, SEI included, there are no AUDs in either, and the private stream of each key frame is left out."""
    if not SHARED.is_dir():
        pytest.skip("the footage of ../shared/data/ps is not here")
    parser = PsParser()
    data = (SHARED / "ipc-d1-h264.ps").read_bytes()
    units = []
    for at in range(0, len(data), 1400):
        units += parser.feed(data[at : at + 1400], at) + parser.settle()
    units += parser.flush()
    assert len(units) == 1347
    assert sum(unit.is_key for unit in units) == 54
    assert {b.dts_90k - a.dts_90k for a, b in pairwise(units)} == {3600}
    expected = list(nal.split((SHARED / "ipc-d1-h264.264").read_bytes()))
    got = [unit for picture in units for unit in nal.split(picture.data)]
    assert got == expected[: len(got)]
    assert len(got) == 1509
    assert parser.faults["picture-cut-by-guess"] == 0


# --- fuzz ----------------------------------------------------------------------------------------------------------

PARTS = st.sampled_from(
    [
        PACK,
        PACK[:13] + b"\xfe" + b"\xff\xff\x00\x00\x01\xaf",
        SYSTEM,
        MAP_H264,
        MAP_H265_AAC,
        MAP_SVAC,
        pes(KEY, 90_000),
        pes(KEY, 90_000, length=0),
        pes(KEY, 90_000, length=9999),
        pes(KEY, 90_000, length=12),
        pes(SPS + PPS, 1),
        pes(IDR),
        pes(p_slice(1), 93_600),
        pes(p_slice(2, first=False)),
        pes(p_slice(3) + p_slice(4, first=False) + p_slice(5), 97_200),
        pes(H265_SETS + H265_IDR, 5),
        pes(H265_P, 6),
        pes(b"\xd5" * 20, 7, stream=0xC0),
        b"\x00\x00\x01\xbd\x00\x04\x00\x00\x01\xba",
        b"\x00\x00\x00\x01",
        b"\x00",
        b"\x55" * 9,
        b"\x00\x00\x01",
        b"\x00\x00\x01\xe0",
        b"\x00\x00\x01\xe0\xff\xff",
        b"\x00\x00\x01\xb9",
        b"\x00\x00\x01\xbc\x00\x50",
    ]
)


@given(parts=st.lists(PARTS, max_size=25), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=10))
@settings(max_examples=400, deadline=None)
def test_chunking_never_changes_the_access_units(parts, cuts):
    wire = b"".join(parts)
    chunks, at = [], 0
    while at < len(wire):
        size = cuts[len(chunks) % len(cuts)]
        chunks.append(wire[at : at + size])
        at += size
    whole = [(unit.codec, unit.pts_90k, unit.is_key, unit.data) for unit in units_of(wire)]
    assert [(unit.codec, unit.pts_90k, unit.is_key, unit.data) for unit in units_of(*chunks)] == whole


@given(chunks=st.lists(st.tuples(st.one_of(st.binary(max_size=80), PARTS), st.booleans(), st.booleans()), max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise(chunks):
    parser = PsParser()
    for data, lost, idle in chunks:
        for unit in parser.feed(data, 1, lost=lost) + parser.settle(idle=idle):
            assert unit.data
    parser.flush()
