"""Malformed messages as real firmware sends them: each is read, handed up once and answered, over UDP and over TCP."""

from __future__ import annotations

from pathlib import Path

import pytest

from gb28181.sip.endpoint import SipEndpoint
from gb28181.sip.framing import StreamFramer
from gb28181.sip.message import Request, Response
from gb28181.sip.parser import parse_datagram
from gb28181.sip.transaction import Flow, RequestArrived

from .link import endpoint
from .vectors import DEVICE, DOMAIN, PLATFORM

FOLDER = Path(__file__).parents[1] / "vectors" / "sip"
OVER = {"udp": Flow("udp", "203.0.113.7", 40_000), "tcp": Flow("tcp", "203.0.113.7", 40_001, 5)}


def packet(name: str) -> bytes:
    (path,) = FOLDER.glob(f"{name}.*")
    return path.read_bytes()


def read(name: str, transport: str, one: SipEndpoint) -> list[Request]:
    """What is handed up of a file; over TCP nothing may be left waiting for more than the deadline of a body."""
    data, flow = packet(name), OVER[transport]
    if transport == "udp":
        one.receive_datagram(data, flow, 0.0)
    else:
        framer = StreamFramer(max_message=1 << 20)
        for at, framed in [(0.0, framer.feed(data, 0.0)), (2.0, framer.expire(2.0))]:
            for message in framed:
                one.receive_framed(*message, flow, at)
    arrived = []
    while (event := one.next_event()) is not None:
        assert isinstance(event, RequestArrived)
        assert one.respond(event.transaction, 200, "", (), b"", "", 0.0)
        arrived.append(event.request)
    return arrived


def answers(one: SipEndpoint) -> list[tuple[Flow, Response]]:
    found = []
    for flow, data in one.packets_to_send():
        message = parse_datagram(data)
        assert isinstance(message, Response)
        found.append((flow, message))
    return found


LENGTH = "wrong-content-length"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("name", "faults"),
    [
        pytest.param("q1-hikvision-content-length-zero", (LENGTH,), id="Q1"),
        pytest.param("q1-dahua-content-length-zero-catalog", (LENGTH,), id="Q1-catalogue"),
        pytest.param("q2-hikvision-content-length-in-characters", (LENGTH,), id="Q2-characters"),
        pytest.param("q2-content-length-counts-line-ends-not-sent", (LENGTH,), id="Q2-line-ends"),
        pytest.param("q3-no-content-length", ("missing-content-length",), id="Q3"),
        pytest.param("q5-compact-lower-case-line-feeds", ("bare-line-feed",), id="Q5"),
        pytest.param("q7-private-via", (), id="Q7"),
        pytest.param("q29-no-from-tag-no-branch", ("missing-branch", "missing-from-tag"), id="Q29"),
        pytest.param("message-called-text", (), id="called-text"),
        pytest.param("method-in-lower-case", ("lower-case-start-line", "cseq-method-case"), id="lower-case"),
    ],
)
def test_a_message_with_this_fault_is_whole_and_answered(name: str, faults: tuple[str, ...], transport: str) -> None:
    one = endpoint(PLATFORM)
    (message,) = read(name, transport, one)
    assert message.method == "MESSAGE"
    assert f"sip:{DEVICE}@{DOMAIN}" in message.header("from")
    root = b"</Response>" if b"<Response>" in packet(name) else b"</Notify>"
    assert message.body.startswith(b"<?xml")
    assert message.body.rstrip().endswith(root)
    assert packet(name).count(message.body.rstrip()) == 1
    assert message.faults == faults
    # Q7: whatever Via says, the answer goes to where the packet came from, and says so.
    ((flow, answer),) = answers(one)
    assert (flow, answer.status) == (OVER[transport], 200)
    via = answer.header("via")
    assert f"rport={flow.port}" in via
    assert "received=203.0.113.7" in via
    assert via.count("received=") == 1


def test_q4_keep_alives_between_messages_are_answered_and_passed_over() -> None:
    framer = StreamFramer(max_message=1 << 20)
    messages = framer.feed(packet("q4-keep-alives-between-messages"), 0.0)
    assert [message.faults for message in messages] == [(), ()]
    assert framer.pings == 2
    assert framer.junk_bytes == 0
    for datagram in (b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0"):
        one = endpoint(PLATFORM)
        one.receive_datagram(datagram, OVER["udp"], 0.0)
        assert one.counters["keep_alives"] == 1


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_q6_a_route_to_us_and_unknown_headers_are_no_reason_to_refuse(transport: str) -> None:
    (message,) = read("q6-hikvision-route-to-us-unknown-headers", transport, endpoint(PLATFORM))
    assert (message.method, message.header("expires"), message.faults) == ("REGISTER", "3600", ())
    assert message.first["x-vendor-serial"] == "DS-2CD3T46"
    assert message.first["x-vendor-flags"] == ""


def test_q35_a_register_over_tcp_whose_contact_says_udp_belongs_to_its_connection() -> None:
    one = endpoint(PLATFORM)
    (message,) = read("q35-dahua-tcp-register-contact-udp", "tcp", one)
    assert "transport=udp" in message.header("contact")
    ((flow, _),) = answers(one)
    assert flow == OVER["tcp"]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_q36_a_probe_for_life_is_answered_with_what_we_allow(transport: str) -> None:
    one = endpoint(PLATFORM)
    assert read("q36-hikvision-options-probe", transport, one) == []
    ((_, answer),) = answers(one)
    assert answer.status == 200
    assert "MESSAGE" in answer.values("allow")


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_w6_a_subscription_without_a_time_is_read(transport: str) -> None:
    (message,) = read("w6-huawei-subscribe-without-expires", transport, endpoint(PLATFORM))
    assert message.header("expires") == ""
    assert message.header("event") == "Catalog;id=1"
