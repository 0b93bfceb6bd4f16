"""Transactions and dialogs of two endpoints over a bad link (RFC 3261 §9, §12, §13, §17; RFC 6026; W1, W2, W4)."""

from __future__ import annotations

import pytest

from gb28181.sip import transitions as tables
from gb28181.sip.endpoint import Answered
from gb28181.sip.timers import Timers
from gb28181.sip.transaction import ClientTransaction, Flow, RequestArrived
from gb28181.sip.transitions import Transitions

from .link import DEVICE_AT, PLATFORM_AT, Fate, Pair, lossy
from .vectors import CHANNEL, KEEPALIVE_XML


def message(pair: Pair) -> None:
    pair.platform.request("MESSAGE", pair.flow("device"), to=CHANNEL, local=PLATFORM_AT, now=pair.now, body=KEEPALIVE_XML)


def invite(pair: Pair) -> ClientTransaction:
    return pair.platform.request("INVITE", pair.flow("device"), to=CHANNEL, local=PLATFORM_AT, now=pair.now, body=b"v=0\r\n")


def acknowledge(pair: Pair) -> None:
    (answered,) = pair.of(Answered)
    assert isinstance(answered, Answered)
    pair.platform.acknowledge(answered.dialog, pair.flow("device"), local=PLATFORM_AT, now=pair.now)


def silent(pair: Pair, event: RequestArrived) -> None:
    return


def dropping(*starts: str, times: int = 1 << 30) -> Fate:
    """A link that loses the first messages beginning so."""
    left = dict.fromkeys(starts, times)

    def fate(to: str, data: bytes, now: float) -> list[float]:
        for start in starts:
            if data.startswith(start.encode()) and left[start]:
                left[start] -= 1
                return []
        return [0.01]

    return fate


# --- non-INVITE


def test_a_request_is_answered_and_the_transactions_end() -> None:
    pair = Pair()
    message(pair)
    pair.run(40)
    assert pair.statuses == [200]
    assert len(pair.served) == 1
    assert pair.platform.gauges()["client_transactions"] == pair.device.gauges()["server_transactions"] == 0
    assert pair.platform.next_deadline() is None


# W1
def test_a_lost_request_is_sent_again_at_the_intervals_of_timer_e() -> None:
    pair = Pair(fate=dropping("MESSAGE"))
    message(pair)
    pair.run(60)
    assert pair.sent("MESSAGE") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert pair.failures == ["timeout"]


def test_a_provisional_answer_slows_retransmissions_to_t2() -> None:
    pair = Pair(answer=lambda one, event: one.respond(event, 183), timers=Timers(unanswered=1000))
    message(pair)
    pair.run(20)
    assert pair.sent("MESSAGE") == [0, 0.5, 4.5, 8.5, 12.5, 16.5]


# W1
def test_a_repeated_request_is_answered_from_the_transaction_and_handed_up_once() -> None:
    pair = Pair(fate=dropping("SIP/2.0 200", times=3))
    message(pair)
    pair.run(40)
    assert len(pair.served) == 1
    assert len(pair.sent("SIP/2.0 200")) == 4
    assert pair.statuses == [200]


def test_a_request_over_tcp_is_sent_once() -> None:
    pair = Pair(transport="tcp", answer=silent, timers=Timers(unanswered=1000))
    message(pair)
    pair.run(100)
    assert len(pair.sent("MESSAGE")) == 1
    assert pair.failures == ["timeout"]


def test_a_lost_connection_fails_what_waits_on_it() -> None:
    pair = Pair(transport="tcp", answer=silent)
    message(pair)
    pair.run(1)
    pair.platform.connection_lost(1, pair.now)
    pair.pump()
    assert pair.failures == ["transport"]
    assert pair.platform.gauges()["client_transactions"] == 0


def test_a_request_that_nobody_answers_gets_500() -> None:
    pair = Pair(answer=silent)
    message(pair)
    pair.run(40)
    assert pair.statuses == [500]
    assert pair.device.counters["unanswered"] == 1


def test_a_second_answer_is_not_sent() -> None:
    def twice(pair: Pair, event: RequestArrived) -> None:
        pair.respond(event, 200)
        pair.respond(event, 403)

    pair = Pair(answer=twice)
    message(pair)
    pair.run(40)
    assert pair.statuses == [200]


@pytest.mark.parametrize("seed", range(8))
def test_thirty_percent_loss_reordering_and_copies_never_double_or_lose_a_request(seed: int) -> None:
    pair = Pair(fate=lossy(seed, 0.3))
    for _ in range(20):
        message(pair)
    pair.run(120)
    assert pair.statuses.count(200) + pair.failures.count("timeout") == 20
    assert pair.statuses.count(200) >= 19
    assert len({event.request.call_id for event in pair.served}) == len(pair.served)
    assert pair.platform.gauges()["client_transactions"] == pair.device.gauges()["server_transactions"] == 0


# --- INVITE


def test_an_invite_makes_a_dialog_and_the_ack_goes_to_its_target() -> None:
    pair = Pair(answer=lambda one, event: one.respond(event, 200, b"v=0\r\n"))
    invite(pair)
    pair.run(1)
    acknowledge(pair)
    pair.run(100)
    (ack,) = [data for _, _, data in pair.wire if data.startswith(b"ACK")]
    assert ack.startswith(b"ACK sip:34020000001320000001@10.0.0.9:5060 SIP/2.0\r\n")
    assert len(pair.sent("SIP/2.0 200")) == 2  # one before the ACK came, one from the timer of the other side
    assert pair.platform.gauges()["client_transactions"] == pair.device.gauges()["server_transactions"] == 0


def test_a_lost_invite_is_sent_again_at_the_doubling_intervals_of_timer_a() -> None:
    pair = Pair(fate=dropping("INVITE"))
    invite(pair)
    pair.run(300)
    assert pair.sent("INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert pair.failures == ["timeout"]
    assert pair.platform.gauges()["client_transactions"] == 0


# W2
def test_every_copy_of_a_200_is_acknowledged_again() -> None:
    pair = Pair(fate=dropping("ACK", times=3), answer=lambda one, event: one.respond(event, 200, b"v=0\r\n"))
    invite(pair)
    pair.run(0.1)
    acknowledge(pair)
    pair.run(100)
    assert len(pair.of(Answered)) == 1
    assert len(pair.sent("ACK")) == 4
    acks = {data for _, _, data in pair.wire if data.startswith(b"ACK")}
    assert len(acks) == 1


def test_a_lost_200_is_repeated_by_the_device_until_the_ack() -> None:
    pair = Pair(fate=dropping("SIP/2.0 200", times=3), answer=lambda one, event: one.respond(event, 200, b"v=0\r\n"))
    invite(pair)
    pair.run(20)
    acknowledge(pair)
    pair.run(100)
    assert len(pair.of(Answered)) == 1
    assert pair.failures == []


def test_a_refusal_is_acknowledged_within_the_transaction() -> None:
    pair = Pair(fate=dropping("ACK", times=2), answer=lambda one, event: one.respond(event, 486))
    invite(pair)
    pair.run(100)
    assert pair.statuses == [100, 486]
    invites, acks = ([data for _, _, data in pair.wire if data.startswith(start)] for start in (b"INVITE", b"ACK"))
    assert len(acks) == 3
    branch = invites[0].partition(b"branch=")[2].partition(b"\r\n")[0]
    assert all(branch in ack for ack in acks)
    assert pair.device.gauges()["server_transactions"] == 0


# W4
def test_a_given_up_invite_is_cancelled_and_ends_with_487() -> None:
    pair = Pair(answer=silent)
    transaction = invite(pair)
    pair.run(1)
    assert pair.statuses == [100]
    pair.platform.give_up(transaction, pair.now)
    pair.run(60)
    assert len(pair.sent("CANCEL")) == 1
    assert len(pair.sent("SIP/2.0 487")) == 1
    assert len(pair.sent("ACK")) == 1
    assert pair.statuses == [100, 200]  # nobody waits for the 487; the 200 is that of the CANCEL
    assert pair.device.gauges()["server_transactions"] == 0


def test_an_invite_without_any_answer_is_not_repeated_once_given_up_and_cancelled_when_it_may_be() -> None:
    reachable = 10.0
    pair = Pair(fate=lambda to, data, now: [0.01] if now >= reachable or data.startswith(b"INVITE") else [], answer=silent)
    transaction = invite(pair)
    pair.run(1)
    pair.platform.give_up(transaction, pair.now)
    pair.run(9)
    assert pair.sent("CANCEL") == []  # RFC 3261 §9.1: not before a provisional answer
    assert len(pair.sent("INVITE")) == 2


# W4, quirk Q97 ★
@pytest.mark.parametrize("after", [0.2, 5.0, 31.0, 100.0])
def test_a_200_after_giving_up_is_ended_with_ack_and_bye(after: float) -> None:
    pair = Pair(answer=silent, fate=dropping("CANCEL"), timers=Timers(unanswered=1000))
    transaction = invite(pair)
    pair.run(1)
    pair.platform.give_up(transaction, pair.now)
    pair.run(1 + after)
    late = pair.served[0]
    pair.answer = lambda one, event: one.respond(event, 200)  # for the BYE
    pair.respond(late, 200, b"v=0\r\n")
    pair.run(300)
    assert pair.of(Answered) == []
    assert len(pair.sent("ACK")) >= 1
    assert len(pair.sent("BYE")) == 1
    assert [event.request.method for event in pair.served] == ["INVITE", "BYE"]
    bye = pair.served[1].request
    assert bye.cseq is not None
    assert late.request is not None
    assert late.request.cseq is not None
    assert bye.cseq.number == late.request.cseq.number + 1
    assert bye.to_tag
    assert pair.platform.gauges()["client_transactions"] == 0


def test_an_answer_nobody_took_over_is_ended_when_it_is_given_up() -> None:
    pair = Pair(answer=lambda one, event: one.respond(event, 200, b"v=0\r\n" if event.request.method == "INVITE" else b""))
    transaction = invite(pair)
    pair.run(0.1)
    assert len(pair.of(Answered)) == 1
    pair.platform.give_up(transaction, pair.now)
    pair.run(10)
    assert [event.request.method for event in pair.served] == ["INVITE", "BYE"]


def test_a_timed_out_invite_still_ends_a_late_200() -> None:
    pair = Pair(answer=silent, fate=dropping("SIP/2.0 100"), timers=Timers(unanswered=1000))
    invite(pair)
    pair.run(50)
    assert pair.failures == ["timeout"]
    pair.answer = lambda one, event: one.respond(event, 200)
    pair.respond(pair.served[0], 200, b"v=0\r\n")
    pair.run(100)
    assert [event.request.method for event in pair.served] == ["INVITE", "BYE"]


@pytest.mark.parametrize("seed", range(8))
def test_calls_over_a_bad_link_end_on_both_sides(seed: int) -> None:
    def serve(pair: Pair, event: RequestArrived) -> None:
        pair.respond(event, 200, b"v=0\r\n" if event.request.method == "INVITE" else b"")

    pair = Pair(fate=lossy(seed, 0.25), answer=serve)
    for _ in range(5):
        invite(pair)
    pair.run(60)
    for answered in pair.of(Answered):
        assert isinstance(answered, Answered)
        pair.platform.acknowledge(answered.dialog, pair.flow("device"), local=PLATFORM_AT, now=pair.now)
        ending = answered.dialog.numbered(answered.dialog.cseq + 1)
        pair.platform.request_in(ending, "BYE", pair.flow("device"), local=PLATFORM_AT, now=pair.now)
    pair.run(600)
    assert len(pair.of(Answered)) + len(pair.failures) >= 5
    assert pair.platform.gauges()["client_transactions"] == pair.device.gauges()["server_transactions"] == 0
    assert pair.platform.next_deadline() is None
    assert pair.device.next_deadline() is None


def test_a_200_without_contact_and_tag_makes_a_usable_dialog() -> None:
    """Quirk Q29: the dialog has an empty tag and its target is where the INVITE went."""
    pair = Pair(answer=silent)
    transaction = invite(pair)
    pair.run(0.1)
    sent = dict(transaction.headers)
    lines = ["SIP/2.0 200 OK", *(f"{name}: {sent[name]}" for name in ("via", "from", "to", "call-id", "cseq"))]
    pair.platform.receive_datagram("\r\n".join([*lines, "", ""]).encode(), pair.flow("device"), pair.now)
    pair.pump()
    (answered,) = pair.of(Answered)
    assert isinstance(answered, Answered)
    assert answered.dialog.remote_tag == ""
    assert answered.dialog.target == f"sip:{CHANNEL}@192.0.2.20:5060"


def test_an_answer_whose_branch_came_back_changed_is_recognised() -> None:
    pair = Pair(answer=silent)
    message(pair)
    pair.run(0.1)
    text = next(data for _, _, data in pair.wire if data.startswith(b"MESSAGE")).decode()
    headers = dict(line.split(": ", 1) for line in text.partition("\r\n\r\n")[0].split("\r\n")[1:])
    answer = (
        f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.10:5060\r\nFrom: {headers['From']}\r\nTo: {headers['To']}\r\n"
        f"Call-ID: {headers['Call-ID']}\r\nCSeq: {headers['CSeq']}\r\n\r\n"
    )
    pair.platform.receive_datagram(answer.encode(), Flow("udp", *DEVICE_AT), pair.now)
    pair.pump()
    assert pair.statuses == [200]


# --- the tables


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("INVITE_CLIENT", tables.CALLING),
        ("NON_INVITE_CLIENT", tables.TRYING),
        ("INVITE_SERVER", tables.PROCEEDING),
        ("NON_INVITE_SERVER", tables.TRYING),
    ],
)
def test_every_state_of_a_table_can_be_reached_and_left(name: str, start: str) -> None:
    table: Transitions = getattr(tables, name)
    reached = {start}
    for _ in table:
        reached |= {after for (before, _), (after, _) in table.items() if before in reached}
    assert {before for before, _ in table} == reached - {tables.TERMINATED}
    assert tables.TERMINATED in reached
    for state in reached - {tables.TERMINATED}:
        assert any(before == state and after != state for (before, _), (after, _) in table.items())
