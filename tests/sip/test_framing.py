"""Messages out of a TCP stream whose Content-Length cannot be trusted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gb28181.sip.framing import Framed, StreamFramer

from .vectors import KEEPALIVE_XML, request, vectors

XML = KEEPALIVE_XML.rstrip()
OK = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 192.0.2.10;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n"


def framer(**options: int) -> StreamFramer:
    return StreamFramer(max_message=options.pop("max_message", 1 << 20), **options)


def bodies(messages: list[Framed]) -> list[bytes]:
    return [message.body for message in messages]


def tcp(body: bytes, length: int | None) -> bytes:
    return request(transport="TCP", body=body, length=length)


# quirks Q1 ★, Q2 ★, Q3
@pytest.mark.parametrize(
    ("length", "faults"),
    [
        pytest.param(len(XML), (), id="true"),
        pytest.param(0, ("wrong-content-length",), id="zero"),
        pytest.param(None, ("missing-content-length",), id="missing"),
        pytest.param(len(XML) - 9, ("wrong-content-length",), id="counted-in-characters"),
        pytest.param(len(XML) + 2, (), id="counts-a-line-end-that-is-not-sent"),
        pytest.param(len(XML) + 500, ("wrong-content-length",), id="much-too-large"),
    ],
)
def test_an_xml_body_ends_at_its_root_whatever_the_length_says(length: int | None, faults: tuple[str, ...]) -> None:
    messages = framer().feed(tcp(XML, length) + OK, 0.0)
    assert bodies(messages) == [XML, b""]
    assert messages[0].faults == faults


def test_a_message_is_handed_up_before_the_next_one_comes() -> None:
    assert bodies(framer().feed(tcp(XML, len(XML) + 2), 0.0)) == [XML]


def test_xml_that_begins_in_a_later_segment_is_waited_for() -> None:
    stream = framer()
    data = tcp(XML, 0)
    head = len(data) - len(XML)
    assert stream.feed(data[:head], 0.0) == []
    assert stream.next_deadline() == 1.0
    assert bodies(stream.feed(data[head:], 0.5)) == [XML]
    assert stream.next_deadline() is None


def test_a_message_without_body_is_not_waited_for_longer_than_the_deadline() -> None:
    stream = framer()
    assert stream.feed(request(transport="TCP"), 0.0) == []
    assert stream.expire(0.9) == []
    assert bodies(stream.expire(1.0)) == [b""]


def test_a_request_that_has_no_body_as_a_rule_is_handed_up_at_once() -> None:
    assert bodies(framer().feed(request("REGISTER", transport="TCP"), 0.0)) == [b""]


def test_xml_cut_short_by_the_peer_ends_where_the_next_message_begins() -> None:
    cut = XML[:-5]
    messages = framer().feed(tcp(cut, len(cut)) + tcp(XML, len(XML)), 0.0)
    assert bodies(messages) == [cut, XML]
    assert messages[0].faults == ()


def test_xml_cut_short_and_then_silence_is_handed_up_after_the_deadline() -> None:
    stream = framer()
    assert stream.feed(tcp(XML[:-5], len(XML) - 5), 3.0) == []
    assert bodies(stream.expire(4.0)) == [XML[:-5]]


def test_a_slow_body_is_waited_for_as_long_as_its_length_says() -> None:
    stream = framer()
    data = tcp(XML, len(XML))
    stream.feed(data[:-20], 0.0)
    assert stream.next_deadline() is None
    assert bodies(stream.feed(data[-20:], 500.0)) == [XML]


def test_a_nested_element_of_the_same_name_does_not_end_the_root() -> None:
    nested = b"<Notify><Notify x='1'/><Notify>a</Notify></Notify>"
    assert bodies(framer().feed(tcp(nested, 0), 0.0)) == [nested]


# quirk Q4
def test_double_crlf_is_counted_as_a_ping_and_skipped() -> None:
    stream = framer()
    assert stream.feed(b"\r\n\r\n", 0.0) == []
    assert stream.pings == 1
    assert bodies(stream.feed(b"\0\0" + OK, 0.0)) == [b""]


def test_the_line_end_that_closes_a_body_is_no_keep_alive() -> None:
    stream = framer()
    data = tcp(KEEPALIVE_XML, len(KEEPALIVE_XML))
    for part in (data, data[:-1], data[-1:], b"\r\n" + data):
        stream.feed(part, 0.0)
    assert stream.pings == 0
    stream.feed(b"\r\n\r\n", 0.0)
    assert stream.pings == 1


def test_junk_is_passed_over_to_the_next_start_line() -> None:
    stream = framer()
    assert bodies(stream.feed(b"GET / HTTP/1.1\r\n\r\nxx\r\n" + OK, 0.0)) == [b""]
    assert stream.junk_bytes == 20
    assert not stream.is_broken


def test_too_much_junk_breaks_the_connection() -> None:
    stream = framer(max_junk=1000)
    stream.feed(b"\x16\x03\x01" * 5000, 0.0)
    assert stream.is_broken
    assert stream.feed(OK, 0.0) == []
    assert stream.buffered == 0


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(tcp(b"x" * 10, 2_000_000), id="announced"),
        pytest.param(tcp(b"<Notify>" + b"x" * 2_000_000, 0), id="xml-without-end"),
        pytest.param(b"MESSAGE sip:1@2 SIP/2.0\r\n" + b"A: b\r\n" * 20_000, id="head-without-end"),
    ],
)
def test_a_message_beyond_the_limit_breaks_the_connection(data: bytes) -> None:
    stream = framer(max_message=1_000_000)
    for start in range(0, len(data), 65_536):
        stream.feed(data[start : start + 65_536], 0.0)
    assert stream.is_broken
    assert stream.buffered == 0


_PIECES = st.sampled_from(
    [
        *(tcp(XML, length) for length in (len(XML), 0, None, len(XML) - 20, len(XML) + 2, 3)),
        *(OK, b"\r\n\r\n", b"\r\n", b"\0", b"junk\r\n", b"junk", XML, tcp(XML[:-4], len(XML) - 4), tcp(b"abc", 3), tcp(b"", 0)),
        request("REGISTER", transport="TCP"),
        *(vector.data for vector in vectors()[::20]),
    ]
)


@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(_PIECES, max_size=6), cuts=st.lists(st.integers(1, 90), min_size=1, max_size=20))
def test_chunking_never_changes_the_messages(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    whole, bytewise, chopped = framer(), framer(), framer()
    expected = whole.feed(stream, 0.0)
    assert [one for octet in stream for one in bytewise.feed(bytes([octet]), 0.0)] == expected
    at, found = 0, []
    for turn in range(len(stream)):
        size = cuts[turn % len(cuts)]
        found += chopped.feed(stream[at : at + size], 0.0)
        at += size
        if at >= len(stream):
            break
    assert found == expected
    assert whole.expire(9.0) == bytewise.expire(9.0)


@settings(max_examples=200, deadline=None)
@given(data=st.lists(st.binary(max_size=200), max_size=8), now=st.floats(0, 100))
def test_any_bytes_are_framed_without_an_error(data: list[bytes], now: float) -> None:
    stream = framer()
    for piece in data:
        stream.feed(piece, now)
        stream.expire(now + 2)
