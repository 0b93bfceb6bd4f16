from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gb28181.media.keyframe import KeyFrameCutter, Piece

FOOTAGE = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "ps" / "ipc-d1-h264.ps"

PACK = bytes.fromhex("000001ba440016fc8401013883f8")
SYSTEM = bytes.fromhex("000001bb000c809c4105e17fe0e800c0c200")
MAP = bytes.fromhex("000001bc0012e0ff000000081be0000090c00000fedfb1d7")
SPS, PPS = bytes.fromhex("0000000167 42c01e"), bytes.fromhex("00000001 68ce3c80")
IDR, SLICE = bytes.fromhex("0000000165 88843a"), bytes.fromhex("0000000161 e0088e")
H265_SPS, H265_IDR = bytes.fromhex("000000014201 0101"), bytes.fromhex("000000012601 af09")
H265_CRA, H265_SLICE = bytes.fromhex("000000012a01 af09"), bytes.fromhex("000000010201 d009")
MPEG4_I, MPEG4_P = bytes.fromhex("000001b610c0"), bytes.fromhex("000001b650c0")


def pes(payload: bytes, *, stream: int = 0xE0, pts: bool = True) -> bytes:
    head = bytes.fromhex("8480052100 05bf21") if pts else bytes.fromhex("840000")
    return b"\x00\x00\x01" + bytes([stream]) + (len(head) + len(payload)).to_bytes(2, "big") + head + payload


def cut(*chunks: bytes) -> list[Piece]:
    cutter = KeyFrameCutter()
    out = [piece for chunk in chunks for piece in cutter.feed(chunk, 1)]
    return out + cutter.flush()


def keys(*chunks: bytes) -> list[int]:
    return [piece.offset for piece in cut(*chunks) if piece.is_key]


KEY = PACK + SYSTEM + MAP + pes(SPS + PPS + IDR)
OTHER = PACK + pes(SLICE)


def test_key_frame_begins_at_its_pack_and_tells_its_pts() -> None:
    pieces = cut(OTHER + KEY + OTHER)
    assert [(piece.offset, piece.is_key, piece.pts) for piece in pieces] == [(0, False, None), (len(OTHER), True, 90000)]
    assert b"".join(piece.data for piece in pieces) == OTHER + KEY + OTHER


@pytest.mark.parametrize(
    ("pack", "is_key"),
    [
        pytest.param(PACK + pes(SPS + PPS + IDR), True, id="without-system-header"),
        pytest.param(PACK + SYSTEM + MAP + pes(SPS + PPS + SLICE), False, id="sps-alone-is-none"),
        pytest.param(PACK + SYSTEM + pes(SLICE), False, id="system-header-alone-is-none"),
        pytest.param(PACK + pes(SPS) + pes(PPS, pts=False) + pes(IDR, pts=False), True, id="each-nal-in-its-own-pes"),
        pytest.param(PACK + pes(H265_SPS + H265_IDR), True, id="h265-idr"),
        pytest.param(PACK + pes(H265_CRA), True, id="h265-cra"),
        pytest.param(PACK + pes(H265_SPS + H265_SLICE), False, id="h265-slice"),
        pytest.param(PACK + pes(bytes.fromhex("0000000106 0511") + IDR), True, id="sei-before"),
        pytest.param(PACK + pes(bytes.fromhex("0000000109 10") + IDR), True, id="aud-before"),
        pytest.param(PACK + pes(b"\x00\x00\x01\x65" * 5, stream=0xBD) + pes(SLICE), False, id="private-data-like-an-idr"),
        pytest.param(PACK + pes(b"\x00\x00\x01\x65" * 5, stream=0xC0) + pes(SLICE), False, id="audio-like-an-idr"),
        pytest.param(PACK + pes(b"meta", stream=0xBD) + pes(IDR), True, id="private-data-first"),
        pytest.param(PACK + b"\x00\x00\x00\x01" + pes(IDR), True, id="extra-start-code"),
        pytest.param(PACK[:13] + b"\xfe" + bytes.fromhex("ffff000001af") + SYSTEM + pes(IDR), True, id="stuffing-af"),
        pytest.param(PACK[:13] + b"\xfe" + bytes.fromhex("ffff000001ba") + SYSTEM + pes(IDR), True, id="stuffing-ba"),
        pytest.param(PACK + b"\x00\x00\x01\xe0\x00\x00\x84\x00\x00" + IDR + bytes(8), True, id="pes-length-zero"),
        pytest.param(PACK + pes(MPEG4_I), True, id="mpeg4-i-vop"),
        pytest.param(PACK + pes(MPEG4_P), False, id="mpeg4-p-vop"),
    ],
)
def test_pack_is_a_key_frame_by_its_first_slice(pack: bytes, is_key: bool) -> None:
    assert keys(OTHER + pack + OTHER) == ([len(OTHER)] if is_key else [])


@pytest.mark.parametrize("stream", [0xBD, 0xBF])
@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("size", [1, 7, 60, 5000])
def test_pack_header_inside_a_private_packet_begins_nothing(stream: int, count: int, size: int) -> None:
    """Q136."""
    private = pes(b"\x01HIKPRIV" + PACK[:4] * count + bytes(range(100)), stream=stream)
    group = PACK + SYSTEM + MAP + private + pes(SPS + PPS + IDR) + (PACK + pes(SLICE) + private) * 3
    data = group * 3
    pieces = cut(*[data[n : n + size] for n in range(0, len(data), size)])
    assert [piece.offset for piece in pieces if piece.is_key] == [0, len(group), 2 * len(group)]
    assert b"".join(piece.data for piece in pieces) == data


def test_packet_that_lies_about_its_length_hides_no_key_frame() -> None:
    """Q138."""
    liar = b"\x00\x00\x01\xbd\x00\x40" + b"four"
    assert keys(PACK + liar + KEY + OTHER) == [len(PACK + liar)]
    assert keys(PACK + pes(SLICE)[:4] + b"\x02\x00" + pes(SLICE)[6:] + KEY + OTHER) == [len(OTHER)]


def test_undecided_pack_is_held_back_until_it_is_decided() -> None:
    cutter = KeyFrameCutter()
    begin = KEY[: len(PACK) + len(SYSTEM)]
    assert cutter.feed(begin, 1) == []
    (piece,) = cutter.feed(KEY[len(begin) :], 2)
    assert piece.is_key
    assert piece.at == 1
    assert piece.data == KEY


def test_loss_is_told_before_the_bytes_that_follow_it() -> None:
    cutter = KeyFrameCutter()
    first = cutter.feed(KEY, 1)
    second = cutter.feed(OTHER, 2, lost=3)
    assert [piece.lost for piece in first + second] == [0, 3]


def test_loss_behind_a_pack_header_ends_the_holding() -> None:
    cutter = KeyFrameCutter()
    assert cutter.feed(PACK, 1) == []
    pieces = cutter.feed(IDR, 2, lost=1)
    assert [(piece.data, piece.is_key, piece.lost) for piece in pieces] == [(PACK, False, 0), (IDR, False, 1)]


def test_packets_are_trusted_and_checked() -> None:
    cutter = KeyFrameCutter()
    for _ in range(40):
        assert all(piece.is_key for piece in cutter.feed(KEY, 1, [0]))
    hidden = OTHER + KEY  # this camera stops beginning its packs at packets
    found = sum(piece.is_key for _ in range(64) for piece in cutter.feed(hidden, 1, [0]))
    assert found >= 32


def test_key_frames_without_the_usual_system_header_are_found_again() -> None:
    cutter = KeyFrameCutter()
    for _ in range(40):
        cutter.feed(KEY, 1, [0])
    bare = PACK + pes(IDR)
    found = [any(piece.is_key for piece in cutter.feed(bare, 1, [0])) for _ in range(20)]
    assert found[8:] == [True] * 12


def test_system_headers_count_where_no_nal_can_be_recognised() -> None:
    opaque = pes(b"\x00\x00\x01\x8f\x11\x22" * 4)
    group = PACK + SYSTEM + opaque + (PACK + opaque) * 9
    found = keys(*[group] * 40)
    assert found[-1] == 39 * len(group)


def test_what_looks_like_a_slice_now_and_then_is_no_codec_that_is_known() -> None:
    """Q145, Q147: the bytes after a start code are anything; one pack in 37 has those of an H.265 slice."""
    opaque = [pes(bytes((0, 0, 1, 0x12, number * 7 & 0xFF)) + b"opaque") for number in range(256)]
    packs = [(PACK + SYSTEM if not number % 25 else PACK) + opaque[number % 256] for number in range(500)]
    offsets = [sum(map(len, packs[:number])) for number in range(0, 500, 25)]
    assert keys(*packs)[-10:] == offsets[-10:]


def test_sound_between_slices_makes_no_system_header_a_key_frame() -> None:
    sound = PACK + pes(b"\xd5" * 160, stream=0xC0)
    group = PACK + SYSTEM + pes(SLICE) + sound * 5
    assert not keys(*[group] * 100)


def test_nothing_is_held_for_ever() -> None:
    endless = PACK + b"\x00\x00\x01\xe0\x00\x00\x84\x00\x00" + bytes(range(2, 100)) * 2000
    cutter = KeyFrameCutter()
    size = sum(len(piece.data) for n in range(0, len(endless), 1400) for piece in cutter.feed(endless[n : n + 1400], 1))
    assert len(endless) - size <= 66_000


@settings(max_examples=150)
@given(
    st.lists(st.sampled_from([KEY, OTHER, PACK + pes(b"x" * 300, stream=0xC0), pes(SLICE), b"\x00\x00\x01"]), max_size=12),
    st.lists(st.integers(1, 90), max_size=80),
)
def test_chunking_never_changes_pieces_or_key_frames(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    chunks, position = [], 0
    for size in cuts:
        chunks.append(data[position : position + size])
        position += size
    chunks.append(data[position:])
    pieces = cut(*chunks)
    assert b"".join(piece.data for piece in pieces) == data
    assert keys(*chunks) == keys(data)
    offset = 0
    for piece in pieces:
        assert piece.offset == offset
        offset += len(piece.data)


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_any_bytes_pass_unchanged(chunks: list[bytes]) -> None:
    noisy = [chunk.replace(b"\x07", b"\x00\x00\x01\xba").replace(b"\x08", b"\x00\x00\x01\xe0") for chunk in chunks]
    assert b"".join(piece.data for piece in cut(*noisy)) == b"".join(noisy)


def test_real_footage_has_its_key_frames() -> None:
    if not FOOTAGE.exists():
        pytest.skip(f"real footage is absent: {FOOTAGE}")
    data = FOOTAGE.read_bytes()
    pieces = cut(*[data[n : n + 1400] for n in range(0, len(data), 1400)])
    found = [piece for piece in pieces if piece.is_key]
    assert len(found) == 54
    assert [found[n + 1].pts - found[n].pts for n in range(3)] == [90000] * 3  # type: ignore[operator]
    assert all(data[piece.offset : piece.offset + 4] == PACK[:4] for piece in found)
