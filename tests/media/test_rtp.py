from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.media import rtp


def packet(flags: int = 0x80, kind: int = 96, rest: bytes = b"payload") -> bytes:
    return struct.pack(">BBHII", flags, kind, 7, 90000, 200000001) + rest


def test_plain_packet() -> None:
    got = rtp.parse(packet())
    assert got == rtp.RtpPacket(96, 7, 90000, 200000001, 12, 19)


@pytest.mark.parametrize(
    ("wire", "payload"),
    [
        pytest.param(packet(0x82, rest=b"csrc" * 2 + b"payload"), b"payload", id="csrc-list"),
        pytest.param(packet(0x90, rest=bytes.fromhex("bede0002") + b"extendxx" + b"payload"), b"payload", id="extension"),
        pytest.param(packet(0xA0, rest=b"payload\x00\x00\x03"), b"payload", id="padding"),
        pytest.param(
            packet(0xB1, rest=b"csrc" + bytes.fromhex("00000001") + b"extn" + b"payload\x00\x02"), b"payload", id="all"
        ),
        pytest.param(packet(0xA0, rest=b"payload\xff"), b"payload\xff", id="padding-longer-than-the-packet-is-none"),
    ],
)
def test_payload_is_what_is_left_after_csrc_extension_and_padding(wire: bytes, payload: bytes) -> None:
    got = rtp.parse(wire)
    assert got is not None
    assert wire[got.begin : got.end] == payload


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(bytes.fromhex("80c90001") + b"\0" * 4, id="rtcp-rr"),
        pytest.param(bytes.fromhex("80c80006") + b"\0" * 24, id="rtcp-sr"),
        pytest.param(bytes.fromhex("81cc0002") + b"\0" * 8, id="rtcp-app"),
        pytest.param(packet(0x40), id="version-1"),
        pytest.param(packet(0x90, rest=bytes.fromhex("bedeffff")), id="extension-longer-than-the-packet"),
        pytest.param(b"\x80\x60", id="short"),
    ],
)
def test_what_is_no_media_is_refused(wire: bytes) -> None:
    assert rtp.parse(wire) is None


def test_rtcp_on_the_media_port_is_recognised() -> None:
    assert rtp.is_rtcp(bytes.fromhex("80c90001") + b"\0" * 4)
    assert not rtp.is_rtcp(packet())


def test_sip_on_the_media_port_is_recognised() -> None:
    assert rtp.is_sip(b"REGISTER sip:34020000002000000001@3402000000 SIP/2.0\r\n")
    assert not rtp.is_sip(packet())


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_nothing(data: bytes) -> None:
    got = rtp.parse(data)
    assert got is None or 12 <= got.begin <= got.end <= len(data)


@pytest.mark.parametrize(
    ("payload_type", "payload", "name"),
    [
        pytest.param(33, b"\x47" + b"\0" * 187, "ts", id="ts"),
        pytest.param(98, bytes.fromhex("7c85b800"), "es-h264", id="h264-fu-a"),
        pytest.param(98, bytes.fromhex("78001967"), "es-h264", id="h264-stap-a"),
        pytest.param(100, bytes.fromhex("62019326"), "es-h265", id="h265-fu"),
        pytest.param(96, bytes.fromhex("ffd8"), "", id="neither"),
    ],
)
def test_what_is_no_program_stream_is_named(payload_type: int, payload: bytes, name: str) -> None:
    probe = rtp.FormatProbe(enough=8)
    verdicts = [probe.feed(payload_type, payload) for _ in range(8)]
    assert verdicts[-1] == name
    assert not any(verdicts[:-1])
