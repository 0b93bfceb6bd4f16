from __future__ import annotations

import struct

from aiortp.packet import RtcpPacket, RtcpRrPacket, RtcpSdesPacket
from hypothesis import given
from hypothesis import strategies as st

from gb28181.media import rtcp

SR = struct.pack(">BBHIQIII", 0x80, 200, 6, 77, 0x0102030405060708, 9000, 10, 1000)


def block(reception: rtcp.Reception, now: float = 100.0):  # type: ignore[no-untyped-def]
    report, names = RtcpPacket.parse(reception.report(5, now))
    assert isinstance(report, RtcpRrPacket)
    assert isinstance(names, RtcpSdesPacket)
    assert report.ssrc == 5
    return report.reports[0]


def test_report_before_any_packet_has_no_block() -> None:
    report = RtcpPacket.parse(rtcp.Reception().report(5, 1.0))[0]
    assert isinstance(report, RtcpRrPacket)
    assert report.reports == []


def test_report_counts_what_is_missing_by_sequence_numbers() -> None:
    reception = rtcp.Reception()
    reception.received(77, 99, 100, 0, 1.0)
    reception.received(77, 199, 75, 3600, 1.04)
    got = block(reception)
    assert (got.ssrc, got.highest_sequence, got.packets_lost) == (77, 199, 25)
    assert got.fraction_lost == 25 * 256 // 200


def test_fraction_is_of_the_last_interval_and_the_sum_of_all() -> None:
    reception = rtcp.Reception()
    reception.received(77, 99, 50, 0, 1.0)
    reception.received(77, 199, 90, 0, 1.0)
    block(reception)
    reception.received(77, 299, 100, 0, 2.0)
    got = block(reception)
    assert (got.fraction_lost, got.packets_lost) == (0, 10)


def test_highest_sequence_counts_cycles() -> None:
    reception = rtcp.Reception()
    reception.received(77, 65535, 10, 0, 1.0)
    reception.received(77, 9, 10, 0, 1.0)
    got = block(reception)
    assert got.highest_sequence == 65536 + 9
    assert got.packets_lost == 0


def test_duplicates_make_the_sum_smaller_as_the_rfc_says() -> None:
    reception = rtcp.Reception()
    reception.received(77, 9, 10, 0, 1.0)
    reception.received(77, 9, 2, 0, 1.0)
    got = block(reception)
    assert (got.packets_lost, got.fraction_lost) == (-2, 0)


def test_new_ssrc_begins_anew() -> None:
    reception = rtcp.Reception()
    reception.received(77, 99, 50, 0, 1.0)
    reception.received(78, 5000, 1, 0, 2.0)
    got = block(reception)
    assert (got.ssrc, got.packets_lost, got.highest_sequence) == (78, 0, 5000)


def test_restarted_sequence_is_no_loss() -> None:
    reception = rtcp.Reception()
    reception.received(77, 99, 100, 0, 1.0)
    reception.received(77, 40000, 1, 0, 2.0)
    assert block(reception).packets_lost == 0


def test_jitter_is_that_of_rfc_3550() -> None:
    reception = rtcp.Reception()
    for n in range(50):
        late = 0.01 if n % 2 else 0.0
        reception.received(77, n, 1, 3600 * n, 1 + n * 0.04 + late)
    assert 8 < reception.jitter_ms < 10.5
    assert block(reception).jitter == int(reception.jitter)


def test_sender_report_is_named_with_its_delay() -> None:
    reception = rtcp.Reception()
    reception.received(77, 1, 1, 0, 1.0)
    (report,) = rtcp.parse(SR)
    assert isinstance(report, rtcp.SenderReport)
    reception.heard(report, 98.0)
    got = block(reception, 100.0)
    assert got.lsr == 0x03040506
    assert got.dlsr == 2 * 65536


def test_sender_report_counts_although_the_rest_of_the_compound_is_cut_short() -> None:
    assert rtcp.parse(SR + bytes.fromhex("81ca00ff0000004d"))[0] == rtcp.SenderReport(77, 0x0102030405060708, 9000)


@given(st.binary(max_size=100))
def test_any_bytes_are_survived(data: bytes) -> None:
    rtcp.parse(data)
    rtcp.parse(SR + data)
