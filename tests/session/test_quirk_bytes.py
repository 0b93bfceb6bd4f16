"""What devices answer to an INVITE, and how they end a call, from the bytes (Q80, Q87, Q89, Q90, Q94, Q155)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gb28181.device.model import Address
from gb28181.errors import MediaRefused, NoPicture
from gb28181.ports import Receiver
from gb28181.session.model import StreamDown
from gb28181.sip.message import Request, Response
from gb28181.sip.parser import parse_datagram
from gb28181.sip.uri import user_of_address
from tests.fakes import request
from tests.session.world import KEY, World, service, until

FOLDER = Path(__file__).parents[1] / "vectors" / "session"


def answer(name: str) -> bytes | MediaRefused:
    """What an INVITE comes to when this is its final answer."""
    message = parse_datagram((FOLDER / name).read_bytes())
    assert isinstance(message, Response)
    return message.body if message.status < 300 else MediaRefused(f"{message.status} {message.reason}", status=message.status)


class Town(World):
    """Notes what the receiver was told to expect."""

    def __init__(self, *names: str) -> None:
        super().__init__(answers=[answer(name) for name in names])
        self.confirmed: list[tuple[int, Address]] = []

    def confirm(self, receiver: Receiver, *, ssrc: int, peer: Address) -> None:
        self.confirmed.append((ssrc, peer))
        super().confirm(receiver, ssrc=ssrc, peer=peer)


async def test_q80_an_answer_without_y_keeps_the_offered_one() -> None:
    town = Town("q80-hikvision-answer-without-y.sip")
    async with service(town) as sessions:
        await sessions.open_live(KEY, user="a")
    (offered,) = town.receivers.values()
    assert town.confirmed == [(offered, Address("192.0.2.20", 15060))]


async def test_q80_another_y_in_the_answer_is_taken_over() -> None:
    town = Town("q80-platform-answer-with-another-y.sip")
    async with service(town) as sessions:
        await sessions.open_live(KEY, user="a")
    assert [ssrc for ssrc, _ in town.confirmed] == [200009999]


@pytest.mark.parametrize("name", ["q87-isc-answer-h264-98.sip", "q87-dahua-platform-answer-100-40.sip"])
async def test_q87_an_answer_with_other_payload_types_than_ps_is_no_refusal(name: str) -> None:
    """What the payload is, the bytes tell (`tests/ingest/test_payload_types.py`)."""
    town = Town(name)
    async with service(town) as sessions:
        await sessions.open_live(KEY, user="a")
    (offer,) = town.offers
    assert b" RTP/AVP 96 98 97 100\r\n" in offer, "some refuse an offer of PS alone"


async def test_q94_two_who_watch_share_the_one_session_that_the_device_allows() -> None:
    town = Town("q80-hikvision-answer-without-y.sip", "q94-hikvision-486-second-session.sip")
    async with service(town) as sessions:
        await asyncio.gather(*(sessions.open_live(KEY, user=user) for user in "ab"))
        await sessions.open_live(KEY, user="c")
    assert town.log.count("INVITE udp") == 1


async def test_q94_the_next_invite_waits_for_the_bye_of_the_last_session() -> None:
    town = Town()
    async with service(town) as sessions:
        first = await sessions.open_live(KEY, user="a")
        closing = asyncio.create_task(sessions.close(first.session_id))
        await asyncio.sleep(0)
        await sessions.open_live(KEY, user="b")
        await closing
    said = [line for line in town.log if line.startswith(("INVITE", "BYE"))]
    assert said == ["INVITE udp", "BYE call-1", "INVITE udp"]


async def test_q94_a_refusal_because_of_a_session_whose_bye_was_lost_ends_that_one_and_asks_once_more() -> None:
    town = Town("q80-hikvision-answer-without-y.sip", "q94-hikvision-486-second-session.sip")
    async with service(town) as sessions:
        first = await sessions.open_live(KEY, user="a")
        town.bye_answered = False
        await sessions.close(first.session_id)
        town.bye_answered = True
        await sessions.open_live(KEY, user="a")
    said = [line for line in town.log if line.startswith(("INVITE", "BYE"))]
    assert said == ["INVITE udp", "BYE call-1", "INVITE udp", "BYE call-1", "INVITE udp"]


async def test_q94_a_refusal_that_no_session_of_ours_explains_is_told_at_once() -> None:
    town = Town("q94-hikvision-486-second-session.sip")
    async with service(town) as sessions:
        with pytest.raises(NoPicture, match="serves no more streams"):
            await sessions.open_live(KEY, user="a")
    assert town.log.count("INVITE udp") == 1


@pytest.mark.parametrize(
    ("name", "transport", "said"),
    [
        pytest.param("q90-answer-port-zero.sip", "udp", "port 0", id="Q90-port-zero"),
        pytest.param("q90-answer-sound-alone.sip", "udp", "sound alone", id="Q90-sound"),
        pytest.param("q90-answer-tcp-to-udp.sip", "udp", "TCP to an offer of UDP", id="Q90-transport"),
        pytest.param("q89-answer-passive-too.sip", "tcp", "both wait", id="Q89-both-passive"),
    ],
)
async def test_an_answer_that_promises_no_media_is_named_when_none_comes(name: str, transport: str, said: str) -> None:
    town = Town(name)
    town.reaches = ()
    async with service(town) as sessions:
        with pytest.raises(NoPicture, match=said):
            await sessions.open_live(KEY, user="a", transport=transport)


@pytest.mark.parametrize("name", ["q90-answer-port-zero.sip", "q90-answer-tcp-to-udp.sip"])
async def test_q90_media_that_come_all_the_same_are_taken(name: str) -> None:
    async with service(Town(name)) as sessions:
        await sessions.open_live(KEY, user="a", transport="udp")


async def test_q155_a_bye_alone_ends_the_stream() -> None:
    """Q155: instead of MediaStatus, or after it."""
    message = parse_datagram((FOLDER / "q155-bye-instead-of-media-status.sip").read_bytes())
    assert isinstance(message, Request)
    town = Town()
    ended: list[StreamDown] = []
    town.bus.subscribe(StreamDown, ended.append)
    async with service(town) as sessions:
        await sessions.open_live(KEY, user="a")
        await sessions.bye(request(message.method, user_of_address(message.header("from")), call_id="call-1"))
        await until(lambda: bool(ended))
        await sessions.bye(request(message.method, user_of_address(message.header("from")), call_id=message.call_id))
    assert town.responses == [200, 481]
    assert ended[0].cause == "device_bye"
