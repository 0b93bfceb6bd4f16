"""Bytes to messages: the vectors, the vendor quirks and fuzz."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gb28181.errors import MisuseError, WireError
from gb28181.sip.headers import address_tag, address_uri, parse_via, split_list, stamped_via, without_tag
from gb28181.sip.message import Request, Response, message_bytes, reason_of, request_bytes
from gb28181.sip.parser import is_padding, parse_datagram
from gb28181.sip.uri import host_port, parse_uri, user_of, user_of_address

from .vectors import KEEPALIVE_XML, Vector, needs_vectors, request, torture, vectors


def _comparable(message: Request | Response) -> tuple[object, ...]:
    start = (
        (message.method, message.uri)
        if isinstance(message, Request)
        else (message.status, message.reason or reason_of(message.status))
    )
    return *start, [pair for pair in message.headers if pair[0] != "content-length"], message.body


@needs_vectors
@pytest.mark.parametrize("vector", [pytest.param(one, id=one.name) for one in vectors()])
def test_every_vector_parses_and_is_rebuilt_byte_for_byte(vector: Vector) -> None:
    message = parse_datagram(vector.data)
    assert len(message.body) == vector.body_bytes
    assert set(message.faults) <= {"header-not-utf-8"}
    assert message.via is not None
    assert message.cseq is not None
    assert message_bytes(message).lower() == vector.data.lower()  # names of headers that we do not know lose their capitals


@needs_vectors
def test_all_vectors_were_found() -> None:
    assert len(vectors()) == 151


# quirk Q1 ★
def test_content_length_zero_before_a_body_takes_the_rest_of_the_datagram() -> None:
    message = parse_datagram(request(body=KEEPALIVE_XML, length=0))
    assert message.body == KEEPALIVE_XML
    assert message.faults == ("wrong-content-length",)


# quirk Q2 ★
@pytest.mark.parametrize("length", [1, len(KEEPALIVE_XML) - 7, len(KEEPALIVE_XML) + 9, 99999, 2**40])
def test_wrong_content_length_takes_the_rest_of_the_datagram(length: int) -> None:
    message = parse_datagram(request(body=KEEPALIVE_XML, length=length))
    assert message.body == KEEPALIVE_XML
    assert message.faults == ("wrong-content-length",)


def test_missing_content_length_takes_the_rest_of_the_datagram() -> None:
    message = parse_datagram(request(body=KEEPALIVE_XML, length=None))
    assert message.body == KEEPALIVE_XML
    assert message.faults == ("missing-content-length",)


@pytest.mark.parametrize("padding", [b"\0", b"\0\0\0\0", b"\r\n", b"\r\n\0"])
def test_padding_behind_the_body_is_cut_off(padding: bytes) -> None:
    message = parse_datagram(request(body=KEEPALIVE_XML) + padding)
    assert message.body == KEEPALIVE_XML
    assert message.faults == ("trailing-bytes",)


def test_a_second_message_in_a_datagram_is_discarded() -> None:
    message = parse_datagram(request("REGISTER") + request("INVITE", body=b"v=0\r\n"))
    assert isinstance(message, Request)
    assert (message.method, message.body) == ("REGISTER", b"")


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"\0\0\0\0", b"\0", b" \r\n"])
def test_keep_alive_datagrams_are_padding(data: bytes) -> None:
    assert is_padding(data)
    with pytest.raises(WireError):
        parse_datagram(data)


# quirk Q5
def test_sloppy_spelling_is_understood() -> None:
    message = parse_datagram(
        b"\r\nmessage sip:34020000002000000001@3402000000 sip/2.0\n"
        b"v:SIP/2.0/UDP 10.0.0.9\n"
        b"f:<sip:34020000001110000001@3402000000>\n"
        b"t:<sip:34020000002000000001@3402000000>\n"
        b"i:abc\ncseq: 7 message\nSUBJECT : one\n\ttwo\n  three\nl:5\n\nhello"
    )
    assert isinstance(message, Request)
    assert message.method == "MESSAGE"
    assert message.call_id == "abc"
    assert message.header("subject") == "one two three"
    assert message.body == b"hello"
    assert message.via is not None
    assert (message.via.sent_by, message.via.branch, message.from_tag) == ("10.0.0.9", "", "")
    assert message.cseq is not None
    assert message.cseq.number == 7
    assert "bare-line-feed" in message.faults
    assert "lower-case-start-line" in message.faults


def test_gb18030_in_a_header_comes_out_as_it_came_in() -> None:
    name = "监控中心".encode("gb18030")
    data = request(extra="X-Name: @").replace(b"@\r\nContent", name + b"\r\nContent")
    message = parse_datagram(data)
    assert "header-not-utf-8" in message.faults
    assert name in message_bytes(message)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, id="http"),
        pytest.param(b"SIP/2.0 4294967301 better not\r\n\r\n", 400, id="status-too-big"),
        pytest.param(b"SIP/2.0 099 low\r\n\r\n", 400, id="status-too-small"),
        pytest.param(b"SIP/2.0\r\n\r\n", 400, id="no-status"),
        pytest.param(b"MESSAGE sip:x SIP/2.0\r\n" + b"a: b\r\n" * 300 + b"\r\n", 400, id="too-many-headers"),
        pytest.param(b"MESSAGE sip:x SIP/2.0\r\nSubject: " + b"x" * 20000 + b"\r\n\r\n", 400, id="line-too-long"),
        pytest.param(b"MESSAGE sip:x SIP/2.0\r\n" + b"Subject: x\r\n" * 7000, 413, id="head-too-long"),
        pytest.param(b"MESSAGE sip:x" + b"y" * 20000 + b" SIP/2.0\r\n\r\n", 400, id="uri-too-long"),
        pytest.param(bytes(range(256)), 400, id="junk"),
    ],
)
def test_what_is_no_sip_message_is_refused(data: bytes, status: int) -> None:
    with pytest.raises(WireError) as refused:
        parse_datagram(data)
    assert refused.value.status == status


def test_a_line_break_never_leaves_through_a_header_value() -> None:
    with pytest.raises(MisuseError):
        request_bytes("MESSAGE", "sip:x", [("subject", "a\r\nVia: evil")])


def test_via_of_an_answer_says_where_the_request_came_from() -> None:
    def stamped(line: str) -> str:
        via = parse_via(line)
        assert via is not None
        return stamped_via(via, "203.0.113.7", 6000)

    assert stamped("SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9") == (
        "SIP/2.0/UDP 10.0.0.1:5060;rport=6000;received=203.0.113.7;branch=z9"
    )
    assert (
        stamped("SIP/2.0/UDP 10.0.0.1:5060;branch=z9") == "SIP/2.0/UDP 10.0.0.1:5060;branch=z9;rport=6000;received=203.0.113.7"
    )
    assert stamped("SIP/2.0/UDP h;received=1.1.1.1;rport=9, SIP/2.0/TCP b;rport") == (
        "SIP/2.0/UDP h;rport=6000;received=203.0.113.7, SIP/2.0/TCP b;rport"
    )


@pytest.mark.parametrize(
    ("value", "uri", "tag"),
    [
        ('"A <b> c" <sip:1@2;x=y>;tag=T', "sip:1@2;x=y", "T"),
        ("sip:1@2;tag=T", "sip:1@2", "T"),
        ("<sip:1@2;tag=inside>", "sip:1@2;tag=inside", ""),
        ("<sip:1@2> ; TAG = T ;q=1", "sip:1@2", "T"),
        ("<sip:1@2", "sip:1@2", ""),
        ("", "", ""),
    ],
)
def test_addresses(value: str, uri: str, tag: str) -> None:
    assert address_uri(value) == uri
    assert address_tag(value) == tag


def test_dialog_uris_keep_their_brackets() -> None:
    assert without_tag("<sip:1@2>;tag=x") == "<sip:1@2>"
    assert without_tag("sip:1@2;tag=x") == "<sip:1@2>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sip:34020000001110000001@3402000000", ("sip", "34020000001110000001", "3402000000", 0)),
        ("sips:a:secret@[2001:db8::1]:5061;lr", ("sips", "a", "2001:db8::1", 5061)),
        ("34020000001110000001@10.0.0.1:5060", ("sip", "34020000001110000001", "10.0.0.1", 5060)),
        ("sip:192.0.2.1:5060", ("sip", "", "192.0.2.1", 5060)),
        ("tel:+861234", ("tel", "", "+861234", 0)),
        ("sip:%31@h:99999", ("sip", "1", "h", 0)),
    ],
)
def test_uris(text: str, expected: tuple[str, str, str, int]) -> None:
    uri = parse_uri(text)
    assert uri is not None
    assert (uri.scheme, uri.user, uri.host, uri.port) == expected
    assert user_of(text) == expected[1]


def test_route_uris_tell_loose_from_strict() -> None:
    loose, strict = parse_uri("sip:p@h;transport=udp;lr"), parse_uri("sip:p@h;transport=udp")
    assert loose is not None
    assert strict is not None
    assert loose.is_loose
    assert not strict.is_loose


def test_hosts_and_lists() -> None:
    assert host_port("2001:db8::1", 5060) == "[2001:db8::1]:5060"
    assert list(split_list('"a,b" <sip:1,2@h>;x, c ,, "\\",")')) == ['"a,b" <sip:1,2@h>;x', "c", '"\\",")']


_SEEDS = [one.data for one in vectors()[:40]] + [path.read_bytes() for path in torture()] + [request(body=KEEPALIVE_XML)]


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=400))
@example(data=b"SIP/2.0 200 \n\n")
def test_any_bytes_parse_or_raise_wire_error(data: bytes) -> None:
    _survives(data)


@settings(max_examples=300, deadline=None)
@given(
    seed=st.sampled_from(_SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255), st.sampled_from("rid")), max_size=12),
)
def test_mutated_messages_parse_or_raise_wire_error_and_can_be_built_again(
    seed: bytes, changes: list[tuple[int, int, str]]
) -> None:
    data = bytearray(seed)
    for position, value, kind in changes:
        position %= len(data) + 1
        if kind == "i":
            data.insert(position, value)
        elif position < len(data):
            data[position : position + 1] = bytes([value]) if kind == "r" else b""
    _survives(bytes(data))


def _survives(data: bytes) -> None:
    try:
        message = parse_datagram(data)
    except WireError:
        return
    again = parse_datagram(message_bytes(message))
    assert _comparable(again) == _comparable(message)
    _ = (message.via, message.cseq, message.from_tag, message.to_tag, message.content_type, message.values("contact"))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"A sip:x SIP/2.0\n" + b" " * 60000 + b"\n\n", id="blanks"),
        pytest.param(b"A " + b" " * 16000 + b"\n\n", id="blank-start"),
        pytest.param(b"A sip:a SIP/2.0\nVia: SIP/2.0/UDP x;rport" + b" ;" * 7000 + b"x\n\n", id="via"),
        pytest.param(b"A sip:a SIP/2.0\nFrom: " + b";tag " * 3000 + b"\nCSeq: 1" + b" " * 15000 + b"\n\n", id="tags"),
        pytest.param(b"A sip:a SIP/2.0\nContact: " + b'<",' * 5000 + b"\n\n", id="lists"),
        pytest.param(b"\n" * 60000, id="newlines"),
        pytest.param(b"MESSAGE sip:x SIP/2.0\n\n" + b"ABC sip:" * 7000, id="start-lines"),
    ],
)
def test_hostile_repetition_costs_linear_time(data: bytes) -> None:
    """Not a benchmark: a quadratic parser needs minutes for these."""
    began = time.process_time()
    _survives(data)
    assert time.process_time() - began < 20


_PART = st.text('aZ09.-;=:@<>, \t"%', max_size=12)


# What is written as nearly everybody writes it is read by a short way; it reads the same as the long one.
@given(
    st.lists(st.sampled_from(["rport", "branch=z9hG4bK1", "received=192.0.2.1", "BRANCH=x", "branch", "maddr=", "ttl=1"])),
    _PART,
)
def test_the_short_way_through_a_via_is_the_long_one(parameters: list[str], junk: str) -> None:
    line = ";".join(["SIP/2.0/UDP 192.168.1.64:5060", *parameters]) + junk
    short, long = parse_via(line), parse_via(" " + line)
    assert short is not None
    assert long is not None
    if sum(part.lower().startswith("branch") for part in parameters) <= 1 and "ranch" not in junk:
        assert short._replace(text=short.text.strip()) == long
    stamped = stamped_via(short, "203.0.113.7", 6000)
    assert "received=203.0.113.7" in stamped
    assert "rport=6000" in stamped
    assert stamped.endswith(short.rest)


@given(_PART, _PART)
def test_the_short_way_through_an_address_is_the_long_one(user: str, tail: str) -> None:
    value = f"<sip:{user}@3402000000>;tag={tail}"
    assert address_tag(value) == address_tag(value.replace(";tag=", "; tag="))
    assert user_of_address(value) == user_of(address_uri(value))
