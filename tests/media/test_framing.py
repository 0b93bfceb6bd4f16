from __future__ import annotations

import struct

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
