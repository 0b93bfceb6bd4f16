"""What a device reads from the network: examples of the standard, and anything else."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.errors import MediaRefused, SipSyntaxError, WireError
from gb28181.sim import manscdp, sdp, sip

REQUEST = (
    b"MESSAGE sip:34020000001110000001@192.0.2.20:5060 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK000012\r\n"
    b"From: <sip:34020000002000000001@3402000000>;tag=p0003\r\n"
    b"To: <sip:34020000001110000001@3402000000>\r\n"
    b"i: m0003@192.0.2.10\r\nCSeq: 1 Message\r\nContent-Length: 4\r\n\r\nbody"
)
OFFER = b"v=0\r\ns=Play\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\nm=video 30000 RTP/AVP 96\r\ny=0200000001\r\n"
PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\r\n\r\n",
        b":",
        b"=",
        b" ",
        b";",
        b"SIP/2.0",
        b"Content-Length: ",
        b"9" * 30,
        b"-1",
        b"m=video ",
        b"a=setup:",
        b"y=",
    ]
)
HOSTILE = st.one_of(
    st.binary(max_size=300),
    st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=40).map(b"".join),
    st.tuples(st.integers(0, len(REQUEST)), st.binary(max_size=20)).map(
        lambda cut: REQUEST[: cut[0]] + cut[1] + REQUEST[cut[0] :]
    ),
)


def test_compact_names_and_blanks_are_understood() -> None:
    message = sip.parse(b"\r\n\r\n" + REQUEST + b"behind the body")
    assert (message.call_id, message.cseq, message.branch, message.body) == ("m0003@192.0.2.10", 1, "z9hG4bK000012", b"body")


def test_a_body_shorter_than_it_says_is_refused() -> None:
    with pytest.raises(SipSyntaxError):
        sip.parse(REQUEST[:-1])


@pytest.mark.parametrize("length", [b"x", b"-1", b"99999999", b"0000000000000000000099999999"])
def test_a_connection_with_a_senseless_length_is_given_up(length: bytes) -> None:
    with pytest.raises(SipSyntaxError):
        sip.StreamReader().feed(REQUEST.replace(b"Content-Length: 4", b"Content-Length: " + length))


def test_headers_without_end_are_given_up() -> None:
    with pytest.raises(SipSyntaxError):
        sip.StreamReader().feed(b"x" * 20_000)


@given(st.lists(st.integers(1, 80), max_size=20))
def test_chunking_never_changes_the_messages(sizes: list[int]) -> None:
    wire, reader, found = b"\r\n\r\n" + REQUEST * 3, sip.StreamReader(), []
    for size in [*sizes, len(wire)]:
        found += reader.feed(wire[:size])
        wire = wire[size:]
    assert [message.body for message in found] == [b"body"] * 3


@given(HOSTILE)
def test_any_datagram_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(SipSyntaxError):
        message = sip.parse(data)
        assert message.cseq >= 0
        assert isinstance(message.to_bytes(), bytes)


@given(HOSTILE)
def test_any_stream_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(SipSyntaxError):
        sip.StreamReader().feed(data)


@given(
    st.one_of(
        HOSTILE, st.tuples(st.integers(0, len(OFFER)), HOSTILE).map(lambda cut: OFFER[: cut[0]] + cut[1] + OFFER[cut[0] :])
    )
)
def test_any_offer_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert 0 < sdp.parse_offer(data).port < 65_536


@given(st.one_of(HOSTILE, st.text(alphabet="<>/!&;ab \"'=?QueryCmdType", max_size=80).map(str.encode)))
def test_any_body_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert manscdp.parse(data).command


@pytest.mark.parametrize(
    ("lines", "transport", "address", "port"),
    [
        ("m=video 30000 RTP/AVP 96", "udp", "192.0.2.11", 30000),
        ("m=video 30000 TCP/RTP/AVP 96\r\na=setup:passive", "tcp-active", "192.0.2.11", 30000),
        ("m=video 30000 TCP/RTP/AVP 96\r\na=setup:ACTIVE", "tcp-passive", "192.0.2.11", 30000),
        ("m=video 30000 TCP/RTP/AVP 96", "tcp-active", "192.0.2.11", 30000),
        ("m=video 30000 RTP/AVP 96\r\nc=IN IP4 192.0.2.12", "udp", "192.0.2.12", 30000),
        ("m=audio 8 RTP/AVP 8\r\nc=IN IP4 192.0.2.13\r\nm=video 9 RTP/AVP 96", "udp", "192.0.2.11", 9),
    ],
)
def test_an_offer_says_who_connects_and_where(lines: str, transport: str, address: str, port: int) -> None:
    offer = sdp.parse_offer(f"v=0\r\ns=Play\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\n{lines}\r\ny=0200000001\r\n".encode())
    assert (offer.transport, offer.address, offer.port, offer.ssrc_text) == (transport, address, port, "0200000001")


@pytest.mark.parametrize("port", ["0", "65536", "-1", "²", "9" * 5000])
def test_an_offer_without_a_port_is_refused(port: str) -> None:
    with pytest.raises(MediaRefused):
        sdp.parse_offer(f"v=0\r\nc=IN IP4 192.0.2.11\r\nm=video {port} RTP/AVP 96\r\n".encode())


@pytest.mark.parametrize(
    ("challenge", "response"),
    [
        (
            'Digest realm="3402000000",nonce="a1b2c3d4e5f60718293a4b5c6d7e8f90",algorithm=MD5',
            "572cb704b75a3adfefc11f1756c8b8d0",
        ),
        ('Digest nonce="a1b2c3d4e5f60718293a4b5c6d7e8f90", realm="3402000000"', "572cb704b75a3adfefc11f1756c8b8d0"),
        (
            'Digest realm="3402000000",nonce="a1b2c3d4e5f60718293a4b5c6d7e8f90",algorithm=SHA-256',
            "f55cdc846240d9b0116fbaabc2c82e3afd36ff609265b9fe212477a968e5d5ac",
        ),
    ],
)
def test_digest_is_that_of_the_examples(challenge: str, response: str) -> None:
    value = sip.authorization(
        challenge,
        username="34020000001110000001",
        password="12345678",
        method="REGISTER",
        uri="sip:34020000002000000001@3402000000",
    )
    assert value is not None
    assert f'response="{response}"' in value


@pytest.mark.parametrize("challenge", ["", "Basic realm=x", 'Digest realm="x"', 'Digest nonce="x",algorithm=SM3'])
def test_a_challenge_that_cannot_be_answered_is_told(challenge: str) -> None:
    assert sip.authorization(challenge, username="a", password="b", method="REGISTER", uri="sip:c") is None


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_a_query_is_read_in_either_charset_whatever_its_label(encoding: str) -> None:
    text = '<?xml version="1.0" encoding="GB2312"?><Query><CmdType>Catalog</CmdType><SN> 7 </SN><Name>东门</Name></Query>'
    request = manscdp.parse(text.encode(encoding))
    assert (request.command, request.sn, request.fields["name"]) == ("Catalog", "7", "东门")
