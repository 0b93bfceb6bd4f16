"""Calls with devices that count strictly, repeat themselves and answer late, their messages as bytes (Q149b, Q177, W1-W4)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gb28181.ports import Answered
from gb28181.sip import sdp
from gb28181.sip.message import Request
from gb28181.sip.parser import parse_datagram

from .serving import PATIENCE, Peer, answer_to, device, eventually, invited, serving

FOLDER = Path(__file__).parents[1] / "vectors" / "sip"


def packet(name: str) -> bytes:
    return (FOLDER / f"{name}.sip").read_bytes()


def reply(name: str, to: Request) -> bytes:
    """A response of the vectors, to this request."""
    data = packet(name)
    fields = {"VIA": "via", "FROM": "from", "TO": "to", "CALL": "call-id", "CSEQ": "cseq"}
    for key, header in fields.items():
        data = data.replace(f"%{key}%".encode(), to.header(header).encode())
    return data


class StrictDevice:
    """Does not answer a request whose CSeq does not rise."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.last = 0

    async def answers(self, method: str) -> None:
        while True:
            asked = await self.peer.next_request(method)
            assert asked.cseq is not None
            if asked.cseq.number > self.last:
                break
        self.last = asked.cseq.number
        if method == "INVITE":
            self.peer.send(reply("w2-200-to-invite", asked))
        elif method == "INFO":
            self.peer.send(reply("q149b-hikvision-200-to-info", asked))
        else:
            self.peer.send(answer_to(asked, 200))


async def test_q149b_requests_of_a_call_rise_over_invite_info_and_bye() -> None:
    async with serving() as (server, _), device(server) as peer:
        strict = StrictDevice(peer)
        call = asyncio.ensure_future(invited(server, peer))
        await strict.answers("INVITE")
        answered = await call
        assert isinstance(answered, Answered)
        dialog = answered.dialog
        server.ack(dialog)
        for _ in range(2):  # in the dialog as it was stored: nobody writes it anew for an INFO
            told = asyncio.ensure_future(server.info(dialog, body=b"PLAY", content_type="Application/MANSRTSP"))
            await strict.answers("INFO")
            assert b"RTP-Info" in (await told).body
        ended = asyncio.ensure_future(server.bye(dialog))
        await asyncio.wait_for(strict.answers("BYE"), PATIENCE)
        assert (await ended).status == 200


async def test_q149b_a_bye_that_is_lost_is_sent_again() -> None:
    async with serving() as (server, _), device(server) as peer:
        call = asyncio.ensure_future(invited(server, peer))
        await StrictDevice(peer).answers("INVITE")
        answered = await call
        assert isinstance(answered, Answered)
        ended = asyncio.ensure_future(server.bye(answered.dialog))
        lost, again = await peer.next_request("BYE"), await peer.next_request("BYE")
        assert lost.header("via") == again.header("via")
        peer.send(answer_to(again, 200))
        assert (await ended).status == 200


async def test_w1_an_alarm_that_arrives_three_times_is_handed_up_once_and_answered_each_time() -> None:
    async with serving() as (server, services), device(server) as peer:
        for _ in range(3):
            peer.send(packet("w1-alarm"))
            assert await peer.next_status() == 200
        assert services.requests.qsize() == 1


async def test_w2_a_200_that_comes_again_after_its_ack_is_acknowledged_again() -> None:
    async with serving() as (server, _), device(server) as peer:
        call = asyncio.ensure_future(invited(server, peer))
        invite = await peer.next_request("INVITE")
        peer.send(reply("w2-200-to-invite", invite))
        answered = await call
        assert isinstance(answered, Answered)
        server.ack(answered.dialog)
        first = await peer.next_request("ACK")
        peer.send(reply("w2-200-to-invite", invite))
        assert (await peer.next_request("ACK")).header("via") == first.header("via")


async def test_w3_a_method_that_we_do_not_serve_is_405_with_what_we_do() -> None:
    async with serving() as (server, _), device(server) as peer:
        peer.send(packet("w3-hikvision-publish"))
        answer = await peer.next()
        assert getattr(answer, "status", 0) == 405
        assert "MESSAGE" in answer.values("allow")


async def test_w4_a_call_nobody_waits_for_is_cancelled_and_its_late_200_acknowledged_and_ended() -> None:
    async with serving() as (server, _), device(server) as peer:
        call = asyncio.ensure_future(invited(server, peer))
        invite = await peer.next_request("INVITE")
        peer.send(answer_to(invite, 100, tag=""))
        await eventually(lambda: server.metrics().get("responses_received") == 1)
        call.cancel()
        peer.send(answer_to(await peer.next_request("CANCEL"), 200))
        peer.send(reply("w2-200-to-invite", invite))
        await peer.next_request("ACK")
        bye = await peer.next_request("BYE")
        assert bye.to_tag == "91144"
        peer.send(answer_to(bye, 200))
        await eventually(lambda: server.metrics().get("late_answers_ended") == 1)


@pytest.mark.parametrize(
    ("name", "transport", "setup", "uri"),
    [
        pytest.param("q177-hikvision-broadcast-invite", "udp", "", "", id="udp"),
        pytest.param("q177-kedacom-broadcast-invite-tcp", "tcp", "active", "34020000001320000001:0", id="tcp"),
    ],
)
def test_q177_the_offer_of_a_broadcast_is_read_without_y_and_without_video(
    name: str, transport: str, setup: str, uri: str
) -> None:
    offer = sdp.parse(parse_datagram(packet(name)).body)
    assert (offer.media, offer.payloads, offer.direction, offer.ssrc) == ("audio", (8,), "recvonly", None)
    assert (offer.transport, offer.setup, offer.uri, offer.host) == (transport, setup, uri, "10.9.9.9")
