from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.media.framing import MAX_FRAME, Framing

SSRC = 200000001


def rtp(seq: int, size: int = 100, ssrc: int = SSRC, payload_type: int = 96) -> bytes:
    return struct.pack(">BBHII", 0x80, payload_type, seq, 1000, ssrc) + bytes([seq & 0x7F]) * size


RTCP = bytes.fromhex("80c90001000003e8")


def frame(packet: bytes) -> bytes:
    return struct.pack(">H", len(packet)) + packet


def interleaved(packet: bytes, channel: int = 0) -> bytes:
    return struct.pack(">BBH", 0x24, channel, len(packet)) + packet


def packets_of(chunks: list[bytes], framing: Framing | None = None) -> list[bytes]:
    framing = framing or Framing()
    rest, out = b"", []
    for chunk in chunks:
        data = memoryview(rest + chunk)
        offsets: list[int] = []
        lengths: list[int] = []
        used = framing.scan(data, 0, len(data), offsets, lengths)
        out += [bytes(data[o : o + n]) for o, n in zip(offsets, lengths, strict=True)]
        rest = bytes(data[used:])
        assert len(rest) <= MAX_FRAME
    return out


def chop(data: bytes, cuts: list[int]) -> list[bytes]:
    out, position = [], 0
    for cut in cuts:
        out.append(data[position : position + cut])
        position += cut
    return [*out, data[position:]]


WIRES = st.lists(
    st.one_of(
        st.builds(lambda seq, size: frame(rtp(seq, size)), st.integers(0, 65535), st.integers(1, 3000)),
        st.just(frame(RTCP)),
        st.just(b"\x00\x00"),
    ),
    max_size=12,
)


@given(WIRES, st.lists(st.integers(1, 400), max_size=60))
def test_chunking_never_changes_the_packets(wire: list[bytes], cuts: list[int]) -> None:
    data = b"".join(wire)
    wanted = [one[2:] for one in wire if len(one) > 2]
    assert packets_of([data]) == wanted
    assert packets_of(chop(data, cuts)) == wanted


def test_complete_packet_does_not_wait_for_the_next() -> None:
    assert packets_of([frame(rtp(1))]) == [rtp(1)]
    assert packets_of([frame(RTCP)]) == [RTCP]


def test_first_packet_may_be_rtcp() -> None:
    assert packets_of([frame(RTCP) + frame(rtp(1)) + frame(rtp(2))]) == [RTCP, rtp(1), rtp(2)]


@given(st.lists(st.integers(1, 300), max_size=20))
def test_interleaved_framing_is_understood(cuts: list[int]) -> None:
    data = b"".join(interleaved(rtp(n)) for n in range(5)) + interleaved(RTCP, 1) + interleaved(rtp(9))
    framing = Framing()
    assert packets_of(chop(data, cuts), framing) == [*(rtp(n) for n in range(5)), RTCP, rtp(9)]
    assert framing.is_interleaved


def test_packet_of_the_longest_length() -> None:
    longest = rtp(1, 65535 - 12)
    assert packets_of(chop(frame(longest) + frame(rtp(2)), [1, 30000, 30000])) == [longest, rtp(2)]


def test_partial_write_loses_the_damaged_packet_only() -> None:
    data = frame(rtp(1)) + frame(rtp(2, 500))[:200] + frame(rtp(3)) + frame(rtp(4)) + frame(rtp(5))
    framing = Framing()
    assert packets_of([data], framing) == [rtp(1), rtp(3), rtp(4), rtp(5)]
    assert framing.resyncs == 1


def test_framing_is_found_again_after_garbage() -> None:
    garbage = bytes(range(1, 256)) * 4
    framing = Framing()
    got = packets_of([frame(rtp(1)), garbage + frame(rtp(2)), frame(rtp(3))], framing)
    assert got[0] == rtp(1)
    assert got[-2:] == [rtp(2), rtp(3)]
    assert framing.resyncs >= 1


def test_garbage_before_anything_is_known_ends_at_a_pack() -> None:
    pack = struct.pack(">BBHII", 0x80, 96, 5, 0, SSRC) + b"\x00\x00\x01\xba" + bytes(60)
    assert packets_of([b"\x17\x99" * 300 + frame(pack) + frame(rtp(6))])[-2:] == [pack, rtp(6)]


def test_restarted_encoder_changes_its_ssrc() -> None:
    assert packets_of([frame(rtp(1)) + frame(rtp(9, ssrc=77)) + frame(rtp(10, ssrc=77))])[1:] == [
        rtp(9, ssrc=77),
        rtp(10, ssrc=77),
    ]


def test_sip_on_a_media_connection_is_noticed() -> None:
    framing = Framing()
    assert packets_of([b"REGISTER sip:34020000002000000001@3402000000 SIP/2.0\r\nVia: x\r\n\r\n"], framing) == []
    assert framing.saw_sip


@given(st.lists(st.binary(max_size=400), max_size=20))
def test_any_bytes_are_survived(chunks: list[bytes]) -> None:
    for packet in packets_of(chunks):
        assert len(packet) >= 8


@given(st.binary(min_size=1, max_size=300), st.integers(0, 40))
def test_stream_recovers_from_inserted_bytes(noise: bytes, place: int) -> None:
    first = [frame(rtp(n)) for n in range(5)]
    data = b"".join(first)[: 200 + place] + noise + b"".join(frame(rtp(n)) for n in range(10, 1400))
    assert packets_of([data[n : n + 1500] for n in range(0, len(data), 1500)])[-1] == rtp(1399)


REQUEST = b"\xde\xad\xbe\xef GET / HTTP/1.1\r\n\r\n" + bytes(range(256))


@pytest.mark.parametrize("size", [1, 7, 100, 1500, 100_000])
@pytest.mark.parametrize("garbage", [REQUEST, b"\xff\xf0\x80\x60" + bytes(20), b"\x00\x20\x80\x60" + bytes(400)])
def test_garbage_that_looks_like_a_length_swallows_nothing(garbage: bytes, size: int) -> None:
    wanted = [rtp(n, 1400) for n in range(200)]
    data = garbage + b"".join(frame(one) for one in wanted)
    framing = Framing()
    got = packets_of([data[n : n + size] for n in range(0, len(data), size)], framing)
    assert [one for one in got if one[8:12] == SSRC.to_bytes(4, "big")] == wanted
    assert len(got) <= len(wanted) + 1
    assert framing.resyncs <= 2


@pytest.mark.parametrize("size", [900, 1500, 100_000])
def test_garbage_in_the_middle_that_looks_like_a_frame_swallows_nothing(size: int) -> None:
    before, after = [rtp(n, 1400) for n in range(20)], [rtp(n, 1400) for n in range(20, 200)]
    data = b"".join(map(frame, before)) + REQUEST + b"".join(map(frame, after))
    assert packets_of([data[n : n + size] for n in range(0, len(data), size)]) == before + after


def test_header_that_stands_in_a_payload_by_chance_begins_no_frame() -> None:
    """An SSRC of 0 is found in any payload."""
    wanted = [rtp(n, 600, ssrc=0) for n in range(60)]
    inside = b"\xf0\x00\x80\x60" + bytes(200)
    data = b"".join(map(frame, wanted[:9])) + b"\xff" * 20 + inside * 3 + b"".join(map(frame, wanted[9:]))
    assert packets_of([data[n : n + 700] for n in range(0, len(data), 700)]) == wanted


def test_first_frames_of_a_camera_that_counts_nothing_are_taken() -> None:
    wanted = [rtp(7, 300) for _ in range(9)]
    data = b"".join(map(frame, wanted))
    assert packets_of([data[n : n + 100] for n in range(0, len(data), 100)]) == wanted


def test_sound_with_an_ssrc_of_its_own_comes_first() -> None:
    wanted = [rtp(n, 160, ssrc=5 + n % 2, payload_type=8 if n % 2 else 96) for n in range(9)]
    data = b"".join(map(frame, wanted))
    assert packets_of([data[n : n + 100] for n in range(0, len(data), 100)]) == wanted


@given(st.lists(st.binary(max_size=3000), max_size=30))
def test_nothing_found_keeps_no_more_than_a_frame(chunks: list[bytes]) -> None:
    packets_of([b"\x17", *(chunk * 20 for chunk in chunks)])
