"""What the endpoint answers by itself, what it drops and counts, and that nothing stops it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gb28181.sip.endpoint import SipEndpoint
from gb28181.sip.limits import FloodLimits
from gb28181.sip.message import Response
from gb28181.sip.parser import parse_datagram
from gb28181.sip.transaction import Flow, RequestArrived

from .link import endpoint
from .vectors import CHANNEL, DEVICE, DOMAIN, KEEPALIVE_XML, PLATFORM, needs_torture, request, torture, vectors

FROM = Flow("udp", "203.0.113.7", 6000)


def answers(one: SipEndpoint) -> list[Response]:
    found = [parse_datagram(data) for _, data in one.packets_to_send()]
    assert all(isinstance(message, Response) for message in found)
    return found  # type: ignore[return-value]


def ask(one: SipEndpoint, data: bytes, now: float = 0.0, flow: Flow = FROM) -> list[Response]:
    one.receive_datagram(data, flow, now)
    return answers(one)


def arrived(one: SipEndpoint) -> list[RequestArrived]:
    events = []
    while (event := one.next_event()) is not None:
        assert isinstance(event, RequestArrived)
        events.append(event)
    return events


def alive(one: SipEndpoint, now: float) -> bool:
    (answer,) = ask(one, request("OPTIONS", branch="z9hG4bKalive", call_id="alive"), now)
    return answer.status == 200


# quirk Q36, W3
def test_options_is_answered_with_what_we_allow() -> None:
    one = endpoint(PLATFORM)
    (answer,) = ask(one, request("OPTIONS"))
    assert answer.status == 200
    assert {"INVITE", "ACK", "INFO", "CANCEL", "BYE", "OPTIONS", "MESSAGE"} <= set(answer.values("allow"))
    assert arrived(one) == []


# W3
@pytest.mark.parametrize(("method", "status"), [("PUBLISH", 405), ("REFER", 405), ("UPDATE", 405), ("NEWMETHOD", 501)])
def test_a_method_that_is_not_served_is_refused_and_told_what_is(method: str, status: int) -> None:
    (answer,) = ask(endpoint(PLATFORM), request(method))
    assert answer.status == status
    assert "MESSAGE" in answer.values("allow")


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"hello", 415),
        ("multipart/mixed;boundary=x", b"--x\r\n", 415),
        ("text/plain", b" <?xml version='1.0'?><Notify/>", 0),  # called wrongly, and readable
        ("", b"hello", 0),
        ("APPLICATION/MANSCDP+XML", b"hello", 0),
        ("application/sdp", b"v=0", 0),
        ("text/plain", b"v=0\r\n", 0),
    ],
)
def test_a_body_that_nobody_reads_is_refused_with_what_is_read(kind: str, body: bytes, status: int) -> None:
    one = endpoint(PLATFORM)
    data = request(body=body).replace(b"Content-Type: Application/MANSCDP+xml\r\n", b"")
    named = f"Content-Type: {kind}\r\n".encode() if kind else b""
    found = ask(one, data.replace(b"Max-Forwards", named + b"Max-Forwards"))
    assert [answer.status for answer in found] == ([status] if status else [])
    assert len(arrived(one)) == (0 if status else 1)
    if status:
        assert "Application/MANSCDP+xml" in found[0].header("accept")


def test_a_compressed_body_is_refused_with_what_is_read() -> None:
    (answer,) = ask(endpoint(PLATFORM), request(body=KEEPALIVE_XML, extra="Content-Encoding: gzip"))
    assert (answer.status, answer.header("accept-encoding")) == (415, "identity")


def test_a_body_that_need_not_be_understood_is_no_reason_to_refuse() -> None:
    one = endpoint(PLATFORM)
    data = request(body=b"x", extra="Content-Disposition: render;handling=optional")
    assert ask(one, data.replace(b"Application/MANSCDP+xml", b"text/plain")) == []
    assert len(arrived(one)) == 1


def test_what_went_in_a_circle_is_refused_and_what_is_ours_is_served() -> None:
    one = endpoint(PLATFORM)
    beyond = request("INVITE", uri=f"sip:{CHANNEL}@{DOMAIN}").replace(b"Max-Forwards: 70", b"Max-Forwards: 0")
    assert [answer.status for answer in ask(one, beyond)] == [483]
    ours = request("INVITE", call_id="2").replace(b"Max-Forwards: 70", b"Max-Forwards: 0")
    assert [answer.status for answer in ask(one, ours)] == [100]


def test_an_invite_that_comes_by_two_ways_is_served_once() -> None:
    one = endpoint(PLATFORM)
    assert [answer.status for answer in ask(one, request("INVITE"))] == [100]
    assert [answer.status for answer in ask(one, request("INVITE", branch="z9hG4bKother"))] == [482]
    assert len(arrived(one)) == 1


# firmware that makes a new branch for each copy
def test_a_register_repeated_with_another_branch_is_answered_all_the_same() -> None:
    one = endpoint(PLATFORM)
    for branch in ("z9hG4bK1", "z9hG4bK2"):
        one.receive_datagram(request("REGISTER", branch=branch), FROM, 0.0)
    assert len(arrived(one)) == 2


def test_a_re_invite_is_refused_and_the_session_stays() -> None:
    one = endpoint(PLATFORM)
    one.receive_datagram(request("INVITE"), FROM, 0.0)
    ((transaction, _),) = arrived(one)
    dialog = one.accept(transaction, (), b"v=0", "application/sdp", local=("192.0.2.10", 5060), now=0.0)
    assert dialog is not None
    assert [answer.status for answer in answers(one)] == [100, 200]
    to = f"To: <sip:{PLATFORM}@{DOMAIN}>".encode()
    tagged = to + b";tag=" + dialog.local_tag.encode()
    again = request("INVITE", branch="z9hG4bK0002", cseq=2).replace(to, tagged)
    assert [answer.status for answer in ask(one, again)] == [488]
    one.receive_datagram(request("BYE", branch="z9hG4bK0003", cseq=3).replace(to, tagged), FROM, 0.0)
    ((_, message),) = arrived(one)
    assert (message.method, message.to_tag) == ("BYE", dialog.local_tag)


def test_a_dialog_of_a_peer_that_asks_by_sips_has_a_sips_contact() -> None:
    one = endpoint(PLATFORM)
    flow = Flow("tls", "203.0.113.7", 6000, 3)
    extra = f"Contact: <sips:{DEVICE}@203.0.113.7>"
    data = request("SUBSCRIBE", uri=f"sips:{PLATFORM}@{DOMAIN}", transport="TLS", extra=extra)
    one.receive_framed(data.removesuffix(b"\r\n\r\n"), b"", (), flow, 0.0)
    ((transaction, _),) = arrived(one)
    dialog = one.accept(transaction, (), b"", "", local=("192.0.2.10", 5061), now=0.0)
    assert dialog is not None
    (answer,) = answers(one)
    assert answer.header("contact") == f"<sips:{PLATFORM}@192.0.2.10:5061>"
    one.request_in(dialog.numbered(1), "NOTIFY", flow, local=("192.0.2.10", 5061), now=0.0)
    ((_, packet),) = one.packets_to_send()
    notify = parse_datagram(packet)
    assert packet.startswith(f"NOTIFY sips:{DEVICE}@203.0.113.7 SIP/2.0".encode())
    assert notify.header("via").startswith("SIP/2.0/TLS 192.0.2.10:5061;")
    assert notify.header("contact") == f"<sips:{PLATFORM}@192.0.2.10:5061>"


# quirk Q7 ★
def test_an_answer_goes_to_the_source_of_the_packet_and_says_so_in_via() -> None:
    one = endpoint(PLATFORM)
    one.receive_datagram(request("OPTIONS"), FROM, 0.0)
    ((flow, data),) = one.packets_to_send()
    assert flow == FROM
    via = parse_datagram(data).header("via")
    assert via == "SIP/2.0/UDP 192.168.1.64:5060;rport=6000;received=203.0.113.7;branch=z9hG4bK0001"


@pytest.mark.parametrize("method", ["REGISTER", "MESSAGE", "NOTIFY", "SUBSCRIBE", "INFO", "BYE", "INVITE"])
def test_requests_for_services_go_up_once(method: str) -> None:
    one = endpoint(PLATFORM)
    for _ in range(3):
        one.receive_datagram(request(method), FROM, 0.0)
    ((_, message),) = arrived(one)
    assert message.method == method


def test_an_answer_has_a_to_tag_and_the_given_headers() -> None:
    one = endpoint(PLATFORM)
    one.receive_datagram(request("REGISTER"), FROM, 0.0)
    ((transaction, _),) = arrived(one)
    assert one.respond(transaction, 401, "", [("WWW-Authenticate", 'Digest realm="x"')], b"", "", 0.0)
    (answer,) = answers(one)
    assert (answer.status, answer.reason, answer.header("www-authenticate")) == (401, "Unauthorized", 'Digest realm="x"')
    assert answer.to_tag
    assert answer.header("content-length") == "0"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"branch": ""}, id="no-branch"),
        pytest.param({"branch": "1"}, id="rfc-2543-branch"),
        pytest.param({"from_tag": ""}, id="no-from-tag"),
    ],
)
def test_old_and_sloppy_devices_are_served_and_their_copies_recognised(change: dict[str, str]) -> None:
    one = endpoint(PLATFORM)
    data = request(**change)  # type: ignore[arg-type]
    one.receive_datagram(data, FROM, 0.0)
    ((transaction, message),) = arrived(one)
    one.respond(transaction, 200, "", (), b"", "", 0.0)
    one.receive_datagram(data, FROM, 1.0)
    first, second = answers(one)
    assert first.to_tag == second.to_tag
    assert arrived(one) == []
    if change != {"branch": "1"}:
        assert message.faults


def test_devices_with_the_same_factory_settings_behind_one_address_are_kept_apart() -> None:
    one = endpoint(PLATFORM)
    one.receive_datagram(request(user="34020000001110000001", call_id="1"), FROM, 0.0)
    one.receive_datagram(request(user="34020000001110000002", call_id="1"), FROM, 0.0)
    one.receive_datagram(request(user="34020000001110000001", call_id="2"), FROM, 0.0)
    one.receive_datagram(request(user="34020000001110000001", call_id="1", cseq=2), FROM, 0.0)
    assert len(arrived(one)) == 4


def test_a_copy_from_a_new_port_is_answered_there() -> None:
    one = endpoint(PLATFORM)
    one.receive_datagram(request("OPTIONS"), FROM, 0.0)
    list(one.packets_to_send())
    moved = FROM._replace(port=7000)
    one.receive_datagram(request("OPTIONS"), moved, 0.5)
    assert [flow for flow, _ in one.packets_to_send()] == [moved]


def test_cancel_is_answered_and_ends_the_invite_with_487() -> None:
    one = endpoint(PLATFORM)
    one.receive_datagram(request("INVITE"), FROM, 0.0)
    ((transaction, _),) = arrived(one)
    assert [answer.status for answer in answers(one)] == [100]
    assert [answer.status for answer in ask(one, request("CANCEL"))] == [200, 487]
    assert not one.respond(transaction, 200, "", (), b"", "", 0.0)
    assert ask(one, request("ACK")) == []
    one.expire(100.0)
    assert one.gauges()["server_transactions"] == 0


def test_cancel_of_nothing_is_answered_481() -> None:
    assert [answer.status for answer in ask(endpoint(PLATFORM), request("CANCEL"))] == [481]


def _without(name: str) -> bytes:
    lines = request("REGISTER").split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(name.encode()))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(_without("call-id"), 400, id="no-call-id"),
        pytest.param(_without("from"), 400, id="no-from"),
        pytest.param(_without("to"), 400, id="no-to"),
        pytest.param(_without("cseq"), 400, id="no-cseq"),
        pytest.param(_without("via"), 400, id="no-via"),
        pytest.param(request().replace(b"Via: SIP/2.0/UDP 192.168.1.64:5060", b"Via: x"), 400, id="unreadable-via"),
        pytest.param(request().replace(b"1 MESSAGE", b"x MESSAGE"), 400, id="unreadable-cseq"),
        pytest.param(request().replace(b"1 MESSAGE", b"4294967296 MESSAGE"), 400, id="cseq-too-big"),
        pytest.param(request().replace(b"1 MESSAGE", b"1 INVITE"), 400, id="cseq-of-another-method"),
        pytest.param(request(extra="Call-ID: other"), 400, id="two-call-ids"),
        pytest.param(request(extra="Content-Length: 77"), 400, id="two-content-lengths"),
        pytest.param(request().replace(b" SIP/2.0\r\n", b" SIP/7.0\r\n", 1), 505, id="version"),
        pytest.param(request(extra="Require: nothing, more"), 420, id="extension"),
        pytest.param(request(uri="soap.beep://192.0.2.103:3002"), 416, id="scheme"),
        pytest.param(request(uri="tel:+861234"), 416, id="telephone"),
    ],
)
def test_a_malformed_request_is_answered_with_what_it_had(data: bytes, status: int) -> None:
    one = endpoint(PLATFORM)
    (answer,) = ask(one, data)
    assert answer.status == status
    sent = parse_datagram(data)
    for name in ("from", "call-id", "cseq"):
        assert answer.header(name) == sent.header(name)
    assert answer.values("unsupported") == (["nothing, more"] if status == 420 else [])
    assert arrived(one) == []


def test_a_malformed_ack_is_never_answered() -> None:
    one = endpoint(PLATFORM)
    assert ask(one, request("ACK").replace(b"Call-ID", b"X-ID")) == []
    assert ask(one, request("ACK")) == []
    assert one.counters["refused_malformed"] == one.counters["dropped_stray_ack"] == 1


def test_stray_answers_and_junk_are_counted_and_dropped() -> None:
    one = endpoint(PLATFORM)
    assert ask(one, b"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n") == []
    assert ask(one, b"\xffjunk") == []
    assert ask(one, b"\r\n\r\n") == []
    assert (one.counters["dropped_stray_response"], one.counters["dropped_not_sip"], one.counters["keep_alives"]) == (1, 1, 1)


def test_tolerated_faults_are_counted_by_name() -> None:
    one = endpoint(PLATFORM)
    one.receive_datagram(request(body=KEEPALIVE_XML, length=0, branch=""), FROM, 0.0)
    ((_, message),) = arrived(one)
    assert message.faults == ("wrong-content-length", "missing-branch")
    assert one.counters["fault_wrong-content-length"] == one.counters["fault_missing-branch"] == 1


# --- overload


def limited(**options: float) -> SipEndpoint:
    limits = FloodLimits(per_source=options.get("per_source", 1e6), unauthenticated=options.get("unauthenticated", 1e6))
    maximum = int(options.get("transactions", 1000))
    return SipEndpoint(server_id=PLATFORM, domain=DOMAIN, limits=limits, max_transactions=maximum)


# W7
def test_beyond_the_limit_of_transactions_new_requests_get_503_and_old_ones_go_on() -> None:
    one = limited(transactions=100)
    for number in range(100):
        one.receive_datagram(request(call_id=str(number)), FROM, 0.0)
    held = arrived(one)
    (answer,) = ask(one, request(call_id="more"))
    assert (answer.status, answer.header("retry-after")) == (503, "5")
    assert one.respond(held[0].transaction, 200, "", (), b"", "", 0.0)
    assert answers(one)[0].status == 200
    one.expire(1000.0)
    assert one.gauges()["server_transactions"] == 99  # they got 500 and wait for copies
    one.expire(2000.0)
    assert one.gauges()["server_transactions"] == 0
    list(one.packets_to_send())
    assert alive(one, 2000.0)


def test_one_source_that_floods_is_dropped_and_the_others_are_served() -> None:
    one = limited(per_source=10)
    for number in range(100):
        one.receive_datagram(request(call_id=str(number)), FROM, 0.0)
    assert len(arrived(one)) == 20
    assert one.counters["dropped_source_flood"] == 80
    other = FROM._replace(host="203.0.113.8")
    one.receive_datagram(request(call_id="other"), other, 0.0)
    assert len(arrived(one)) == 1
    one.receive_datagram(request(call_id="later"), FROM, 1.0)
    assert len(arrived(one)) == 1


def test_unknown_sources_share_a_limit_and_known_ones_do_not_count() -> None:
    one = limited(unauthenticated=10)
    known = FROM._replace(host="203.0.113.9")
    one.receive_datagram(request("REGISTER", call_id="known"), known, 0.0)
    ((transaction, _),) = arrived(one)
    one.respond(transaction, 200, "", (), b"", "", 0.0)
    for number in range(100):
        one.receive_datagram(request(call_id=str(number)), FROM._replace(host=f"198.51.100.{number}"), 0.0)
    assert len(arrived(one)) == 19
    for number in range(50):
        one.receive_datagram(request(call_id=f"k{number}"), known, 0.0)
    assert len(arrived(one)) == 50


def test_a_flood_without_credentials_keeps_nobody_out_who_has_answered_a_challenge() -> None:
    one = limited(unauthenticated=10)
    for number in range(100):
        one.receive_datagram(request("REGISTER", call_id=str(number)), FROM, 0.0)
    assert len(arrived(one)) == 20
    proof = request("REGISTER", call_id="proof").replace(b"\r\n\r\n", b"\r\nAuthorization: Digest username=x\r\n\r\n", 1)
    one.receive_datagram(proof, FROM, 0.0)
    assert len(arrived(one)) == 1


# quirk Q18
def test_a_device_is_limited_by_itself_and_nobody_can_use_up_what_is_another_s() -> None:
    limits = FloodLimits(per_source=1e9, unauthenticated=1e9, per_device=5)
    assert [limits.admits_device(DEVICE, "198.51.100.1", 0.0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert limits.admits_device(DEVICE, "203.0.113.7", 0.0)  # the same name from elsewhere
    assert limits.admits_device(CHANNEL, "198.51.100.1", 0.0)
    assert limits.admits_device(DEVICE, "198.51.100.1", 0.3)


def test_a_long_body_counts_as_many_requests_of_its_device() -> None:
    limits = FloodLimits(per_source=1e9, unauthenticated=1e9, per_device=500)
    assert limits.admits_device(DEVICE, "198.51.100.1", 0.0, octets=8 << 20)  # 2049 requests' worth, of 1000 that are there
    assert not limits.admits_device(DEVICE, "198.51.100.1", 2.0)
    assert limits.admits_device(DEVICE, "198.51.100.1", 2.2)
    assert limits.admits_device(DEVICE, "198.51.100.1", 9.0, octets=4095)
    assert limits.admits_device(DEVICE, "198.51.100.1", 9.0)
    assert limits.admits_device(CHANNEL, "198.51.100.1", 0.0)


def test_a_flood_over_tcp_is_told_503_because_nobody_repeats_there() -> None:
    one = limited(per_source=1)
    flow = Flow("tcp", "203.0.113.7", 6000, 3)
    for number in range(4):
        head = request(call_id=str(number), transport="TCP").removesuffix(b"\r\n\r\n")
        one.receive_framed(head, b"", (), flow, 0.0)
    assert [answer.status for answer in answers(one)] == [503, 503]


def test_spoofed_sources_fill_no_memory() -> None:
    limits = FloodLimits(per_source=10, unauthenticated=1e9)
    for number in range(200_000):
        limits.admits_packet(f"s{number}", number / 1000)
        limits.admits_device(DEVICE, f"s{number}", number / 1000)
        limits.proved(f"s{number}")
    assert len(limits._sources) + len(limits._devices) <= 2 * 65_536
    assert len(limits._known) <= 262_144


def test_answered_requests_are_forgotten_after_their_time() -> None:
    one = endpoint(PLATFORM)
    for number in range(500):
        one.receive_datagram(request("OPTIONS", call_id=str(number)), FROM, number / 100)
    list(one.packets_to_send())
    assert one.gauges()["server_transactions"] == 500
    one.expire(34.495)
    assert one.gauges()["server_transactions"] == 250
    one.expire(40.0)
    assert one.gauges()["server_transactions"] == 0
    assert one.next_deadline() is None


# --- torture


@needs_torture
@pytest.mark.parametrize("path", [pytest.param(one, id=one.stem) for one in torture()])
def test_the_messages_of_rfc_4475_leave_the_endpoint_alive(path: Path) -> None:
    one = endpoint(PLATFORM)
    one.receive_datagram(path.read_bytes(), FROM, 0.0)
    one.expire(1000.0)
    list(one.packets_to_send())
    assert alive(one, 1000.0)


@needs_torture
@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("badvers", 505),
        ("bext01", 420),
        ("insuf", 400),
        ("mcl01", 400),
        ("mismatch01", 400),
        ("mismatch02", 400),
        ("multi01", 400),
        ("novelsc", 416),
        ("unkscm", 416),
        ("scalar02", 400),
        ("zeromf", 200),
        ("intmeth", 501),
    ],
)
def test_messages_of_rfc_4475_are_answered_as_it_asks(name: str, status: int) -> None:
    (path,) = [path for path in torture() if path.stem == name]
    assert [answer.status for answer in ask(endpoint(PLATFORM), path.read_bytes())] == [status]


_SEEDS = [one.data for one in vectors()[::3]] + [path.read_bytes() for path in torture()] + [request("INVITE"), request("ACK")]


@settings(max_examples=150, deadline=None)
@given(
    messages=st.lists(
        st.tuples(
            st.sampled_from(_SEEDS),
            st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
            st.sampled_from([200, 401, 500, 180, 0]),
        ),
        max_size=8,
    )
)
def test_mutated_traffic_never_stops_the_endpoint(messages: list[tuple[bytes, list[tuple[int, int]], int]]) -> None:
    one = endpoint(PLATFORM)
    one.request("INVITE", FROM, to=CHANNEL, local=("192.0.2.10", 5060), now=0.0)
    now = 0.0
    for seed, changes, status in messages:
        data = bytearray(seed)
        for position, value in changes:
            data[position % len(data)] = value
        one.receive_datagram(bytes(data), FROM, now)
        while (event := one.next_event()) is not None:
            if isinstance(event, RequestArrived) and status:
                one.respond(event.transaction, status, "", (), b"", "", now)
        now += 1.0
        one.expire(now)
    list(one.packets_to_send())
    one.expire(now + 2000)
    one.expire(now + 4000)
    list(one.packets_to_send())
    assert one.gauges()["server_transactions"] == one.gauges()["client_transactions"] == 0
    assert alive(one, now + 4000)
