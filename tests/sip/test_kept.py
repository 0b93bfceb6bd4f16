"""What is left of a transaction that has its final answer, and what is not even that (RFC 3261 §8.2.7, §17.2.2)."""

from __future__ import annotations

import pytest

from gb28181.sip.endpoint import SipEndpoint
from gb28181.sip.kept import Kept
from gb28181.sip.parser import parse_datagram
from gb28181.sip.timers import TimerQueue
from gb28181.sip.transaction import RequestArrived

from .link import endpoint
from .test_endpoint import FROM
from .vectors import KEEPALIVE_XML, PLATFORM, request

CHALLENGE = [("WWW-Authenticate", 'Digest realm="3402000000",nonce="0"')]


def arrived(one: SipEndpoint) -> RequestArrived:
    event = one.next_event()
    assert isinstance(event, RequestArrived)
    assert one.next_event() is None
    return event


def test_a_copy_of_an_answered_request_gets_the_same_bytes_though_they_are_not_kept() -> None:
    one = endpoint(PLATFORM)
    data = request(body=KEEPALIVE_XML)
    one.receive_datagram(data, FROM, 0.0)
    transaction, _ = arrived(one)
    assert one.respond(transaction, 200, "", (), b"", "", 0.0)
    ((_, first),) = one.packets_to_send()
    one.receive_datagram(data, FROM, 31.0)
    assert one.next_event() is None
    assert list(one.packets_to_send()) == [(FROM, first)]
    assert one.metrics()["retransmissions_received"] == one.metrics()["retransmissions_sent"] == 1


@pytest.mark.parametrize("headers", [(), (("x-note", "7"),)], ids=["plain", "with a header"])
def test_an_answer_follows_a_copy_to_the_port_it_came_from(headers: tuple[tuple[str, str], ...]) -> None:
    one = endpoint(PLATFORM)
    one.receive_datagram(request(), FROM, 0.0)
    one.respond(arrived(one).transaction, 200, "", headers, b"", "", 0.0)
    list(one.packets_to_send())
    moved = FROM._replace(port=FROM.port + 1)
    one.receive_datagram(request(), moved, 1.0)
    ((flow, packet),) = one.packets_to_send()
    assert flow == moved
    assert (b"X-Note: 7" in packet) is bool(headers)


def test_a_challenge_leaves_nothing_behind_and_a_copy_is_challenged_under_the_same_tag() -> None:
    one = endpoint(PLATFORM)
    tags = []
    for now in (0.0, 0.5):
        one.receive_datagram(request("REGISTER"), FROM, now)
        transaction, _ = arrived(one)
        assert one.respond(transaction, 401, "", CHALLENGE, b"", "", now)
        assert not one.respond(transaction, 200, "", (), b"", "", now)
        ((_, packet),) = one.packets_to_send()
        answer = parse_datagram(packet)
        tags.append(answer.to_tag)
        assert one.gauges()["server_transactions"] == 0
    assert tags[0] == tags[1] != ""
    assert one.next_deadline() is None


def test_a_refused_password_is_judged_once() -> None:
    one = endpoint(PLATFORM)
    data = request("REGISTER").replace(b"\r\n\r\n", b"\r\nAuthorization: Digest username=x\r\n\r\n", 1)
    one.receive_datagram(data, FROM, 0.0)
    one.respond(arrived(one).transaction, 401, "", CHALLENGE, b"", "", 0.0)
    one.receive_datagram(data, FROM, 0.5)
    assert one.next_event() is None
    assert len(list(one.packets_to_send())) == 2


def test_batches_end_with_their_last_entry() -> None:
    kept = Kept(32.0)
    for number in range(100):
        kept.keep(str(number), "", number / 100)
    assert kept.next_deadline() == 0.49 + 32
    kept.expire(0.49 + 32)
    assert len(kept) == 50
    assert kept.find("49") is None
    assert kept.find("50") == ""
    kept.expire(40.0)
    assert len(kept) == 0
    assert kept.next_deadline() is None


class Owner:
    def __init__(self) -> None:
        self.armed: dict[str, int] = {}


def test_timers_that_were_disarmed_are_swept_out() -> None:
    queue = TimerQueue()
    stays = Owner()
    queue.arm(stays, "F", 100.0)
    for _ in range(10_000):
        owner = Owner()
        queue.arm(owner, "E", 50.0)
        queue.disarm(owner)
    assert len(queue) < 2000
    assert [name for _, name in queue.due(200.0)] == ["F"]
