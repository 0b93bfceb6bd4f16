"""Session descriptions: our offer byte for byte, and the answers of devices (quirks Q80-Q90)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gb28181.errors import MisuseError, WireError
from gb28181.ids import Ssrc
from gb28181.sip.parser import parse_datagram
from gb28181.sip.sdp import SessionDescription, Transport, build_offer, parse

from .vectors import PLATFORM, needs_vectors, vectors

ANSWER = """v=0
o=34020000001320000001 0 0 IN IP4 192.0.2.20
s=Play
c=IN IP4 192.0.2.20
t=0 0
m=video 15060 RTP/AVP 96
a=sendonly
a=rtpmap:96 PS/90000
y=0200000001
f=v/2/6/25/1/4096a///
"""


def answer(*changes: tuple[str, str]) -> SessionDescription:
    text = ANSWER
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse(text.encode())


def test_an_offer_of_live_video_over_udp() -> None:
    offer = build_offer(owner=PLATFORM, host="192.0.2.11", port=30000, transport="udp", ssrc=Ssrc(200000001))
    assert offer == (
        b"v=0\r\no=34020000002000000001 0 0 IN IP4 192.0.2.11\r\ns=Play\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\n"
        b"m=video 30000 RTP/AVP 96 98 97 100\r\na=recvonly\r\na=rtpmap:96 PS/90000\r\na=rtpmap:98 H264/90000\r\n"
        b"a=rtpmap:97 MPEG4/90000\r\na=rtpmap:100 H265/90000\r\ny=0200000001\r\n"
    )


def test_an_offer_over_tcp_has_the_device_connect_to_us() -> None:
    lines = build_offer(owner=PLATFORM, host="2001:db8::1", port=30000, transport="tcp", ssrc=Ssrc(1)).split(b"\r\n")
    assert b"m=video 30000 TCP/RTP/AVP 96 98 97 100" in lines
    assert b"c=IN IP6 2001:db8::1" in lines
    assert lines[-4:] == [b"a=setup:passive", b"a=connection:new", b"y=0000000001", b""]


def test_an_offer_cannot_be_made_of_a_host_with_a_line_break() -> None:
    with pytest.raises(MisuseError):
        build_offer(owner=PLATFORM, host="1.2.3.4\r\na=x", port=1, transport="udp", ssrc=Ssrc(1))


def test_an_answer_is_read() -> None:
    found = answer()
    assert (found.host, found.port, found.transport, found.setup) == ("192.0.2.20", 15060, "udp", "")
    assert found.ssrc == Ssrc(200000001)
    assert (found.payloads, found.rtpmap, found.direction) == ((96,), {96: "PS"}, "sendonly")
    assert found.format == "v/2/6/25/1/4096a///"


# quirk Q80 ★, Q83
@pytest.mark.parametrize(
    ("line", "ssrc"),
    [
        pytest.param("", None, id="missing"),
        pytest.param("y=100000001", Ssrc(100000001), id="nine-digits"),
        pytest.param("y= 0200000001 ", Ssrc(200000001), id="blanks"),
        pytest.param("y=9999999999", Ssrc(9999999999 & 0xFFFFFFFF), id="beyond-32-bits"),
        pytest.param("y=abc", None, id="no-number"),
        pytest.param("y=", None, id="empty"),
    ],
)
def test_the_ssrc_never_makes_an_answer_fail(line: str, ssrc: Ssrc | None) -> None:
    assert answer(("y=0200000001", line)).ssrc == ssrc


# quirk Q82
def test_y_and_f_may_stand_before_the_media_line() -> None:
    lines = ANSWER.splitlines()
    moved = [lines[0], *lines[-2:], *lines[1:-2], "q=unknown", "not a line"]
    assert parse("\n".join(moved).encode()) == answer()


# quirk Q87 ★
@pytest.mark.parametrize(
    ("media", "payloads"),
    [("RTP/AVP 98", (98,)), ("RTP/AVP 96 98 97 40 108", (96, 98, 97, 40, 108)), ("RTP/AVP", ()), ("RTP/AVP x 999 96", (96,))],
)
def test_any_payload_list_is_accepted(media: str, payloads: tuple[int, ...]) -> None:
    assert answer(("RTP/AVP 96", media)).payloads == payloads


def test_rtpmaps_of_vendors_are_kept() -> None:
    assert answer(("96 PS/90000", "96 HIKVISION/90000")).rtpmap == {96: "HIKVISION"}


# quirk Q88
@pytest.mark.parametrize(
    ("changes", "host"),
    [
        pytest.param([("c=IN IP4 192.0.2.20", "c=IN IP4 192.0.2.30")], "192.0.2.30", id="session-c-not-o"),
        pytest.param([("a=sendonly", "c=IN IP4 192.0.2.40/127\na=sendonly")], "192.0.2.40", id="media-c-wins"),
        pytest.param([("c=IN IP4 192.0.2.20\n", "")], "192.0.2.20", id="o-when-there-is-no-c"),
        pytest.param([("c=IN IP4 192.0.2.20", "c=IN IP6 2001:DB8::1")], "2001:db8::1", id="ipv6"),
        pytest.param([("IN IP4 192.0.2.20", "IN IP4 0.0.0.0")], "", id="unspecified"),
        pytest.param([("IN IP4 192.0.2.20", "IN IP4")], "", id="none"),
    ],
)
def test_media_comes_from_the_connection_line(changes: list[tuple[str, str]], host: str) -> None:
    assert answer(*changes).host == host


# quirk Q89
@pytest.mark.parametrize(
    ("line", "setup"),
    [
        ("a=setup:active", "active"),
        ("a=SETUP: ACTPASS", "actpass"),
        ("a=setup:Passive", "passive"),
        ("a=setup:?", ""),
        ("a=x", ""),
    ],
)
def test_setup_is_read_in_any_case(line: str, setup: str) -> None:
    found = answer(("RTP/AVP", "TCP/RTP/AVP"), ("a=sendonly", line))
    assert (found.transport, found.setup) == ("tcp", setup)


def test_a_refused_medium_is_passed_over_for_one_with_a_port() -> None:
    both = answer(("m=video 15060", "m=video 0 RTP/AVP 96\nm=video 15060"))
    assert both.port == 15060
    assert answer(("m=video 15060", "m=video 0")).port == 0
    audio = answer(("m=video 15060 RTP/AVP 96", "m=audio 8000 RTP/AVP 8\nm=video 15060 RTP/AVP 96"))
    assert (audio.media, audio.port) == ("video", 15060)


def test_history_has_its_times_and_source() -> None:
    found = answer(("t=0 0", "u=34020000001320000001:0\nt=1288625085 1288625871\nb=AS:4096"), ("s=Play", "s=Playback"))
    assert (found.name, found.uri, found.start, found.stop) == ("Playback", "34020000001320000001:0", 1288625085, 1288625871)


@pytest.mark.parametrize("body", [b"", b"v=0\r\n", b"m=video\r\n", b"m=video 99999 RTP/AVP 96", b"\xff\xfe", b"m" * 70_000])
def test_an_sdp_without_media_is_refused(body: bytes) -> None:
    with pytest.raises(WireError) as refused:
        parse(body)
    assert refused.value.status == 488


@needs_vectors
def test_every_sdp_of_the_vectors_is_read() -> None:
    bodies = [message.body for one in vectors() if (message := parse_datagram(one.data)).content_type == "application/sdp"]
    assert len(bodies) >= 15
    for body in bodies:
        found = parse(body)
        assert found.host
        assert found.port
        assert found.payloads


@given(body=st.one_of(st.binary(max_size=300), st.text(alphabet="moctyfau=: /0196\nxIPN4", max_size=200).map(str.encode)))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        found = parse(b"m=video 1 RTP/AVP 96\n" + body)
    except WireError:
        return
    assert 0 <= found.port < 65536


@given(
    host=st.ip_addresses().filter(lambda found: not found.is_unspecified).map(str),
    port=st.integers(1, 65535),
    transport=st.sampled_from(["udp", "tcp"]),
    ssrc=st.integers(0, 1_999_999_999),
    payloads=st.lists(
        st.tuples(st.integers(0, 127), st.sampled_from(["PS/90000", "H264/90000", "H265/90000"])), min_size=1
    ).map(lambda found: tuple(dict(found).items())),
    session_id=st.integers(0, 2**32 - 1),
)
def test_every_offer_that_can_be_built_is_read_as_it_was_meant(
    host: str, port: int, transport: Transport, ssrc: int, payloads: tuple[tuple[int, str], ...], session_id: int
) -> None:
    found = parse(
        build_offer(
            owner=PLATFORM, host=host, port=port, transport=transport, ssrc=Ssrc(ssrc), payloads=payloads, session_id=session_id
        )
    )
    assert (found.host, found.port, found.transport, found.ssrc) == (host, port, transport, Ssrc(ssrc))
    assert found.payloads == tuple(number for number, _ in payloads)
    assert found.rtpmap == {number: name.partition("/")[0] for number, name in payloads}


@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(ANSWER)), st.sampled_from(["", "\n", "m=", "=", "\0", " ", "9", "ÿ"])), max_size=8
    )
)
def test_what_is_read_of_a_mutated_answer_can_be_offered_again(changes: list[tuple[int, str]]) -> None:
    text = ANSWER
    for at, piece in changes:
        text = text[:at] + piece + text[at + 1 :]
    try:
        found = parse(text.encode())
    except WireError:
        return
    try:
        offer = build_offer(
            owner=PLATFORM,
            host=found.host,
            port=found.port,
            transport=found.transport,
            ssrc=found.ssrc or Ssrc(1),
            payloads=tuple((number, f"{found.rtpmap.get(number, 'PS')}/90000") for number in found.payloads)
            or ((96, "PS/90000"),),
        )
    except MisuseError:
        return  # its host is no address: it is never offered
    again = parse(offer)
    assert (again.port, again.transport) == (found.port, found.transport)
