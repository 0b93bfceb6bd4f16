"""The server over real sockets on loopback: raw clients and scripted devices, UDP and TCP, both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gb28181.config import SipSettings
from gb28181.device.model import Address, Route
from gb28181.errors import MediaRefused, MisuseError, PeerTimeout, Unavailable, Unreachable
from gb28181.ports import Signalling, SipPacket, SipRequest
from gb28181.sip.digest import DigestServer, Verdict, digest_response
from gb28181.sip.io.server import SipServer
from gb28181.sip.message import Request, Response
from gb28181.sip.parser import parse_datagram
from gb28181.sip.timers import Timers

from .vectors import CHANNEL, DEVICE, DOMAIN, KEEPALIVE_XML, PLATFORM, request

PATIENCE = 10.0
FAST = Timers(t1=0.02, t2=0.08, t4=0.1)


class Services:
    """Takes requests as the router would; keeps them for the test."""

    def __init__(self) -> None:
        self.server: SipServer
        self.requests: asyncio.Queue[SipRequest] = asyncio.Queue()
        self.answer: Callable[[SipRequest], None] | None = lambda one: self.server.respond(one, 200)

    def __call__(self, one: SipRequest) -> None:
        self.requests.put_nowait(one)
        if self.answer is not None:
            self.answer(one)

    async def next(self) -> SipRequest:
        return await asyncio.wait_for(self.requests.get(), PATIENCE)


class Peer(asyncio.DatagramProtocol):
    """A scripted device on a UDP socket of its own."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[Request | Response] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport
        self.server: tuple[str, int]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.put_nowait(parse_datagram(data))

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])

    def send(self, data: bytes) -> None:
        self.transport.sendto(data, self.server)

    async def next(self) -> Request | Response:
        return await asyncio.wait_for(self.received.get(), PATIENCE)

    async def next_request(self, method: str) -> Request:
        """The next request of this method; copies of others are passed over."""
        while True:
            message = await self.next()
            if isinstance(message, Request) and message.method == method:
                return message

    async def next_status(self) -> int:
        message = await self.next()
        assert isinstance(message, Response)
        return message.status


def answer_to(message: Request, status: int, *, tag: str = "dev", extra: str = "", body: bytes = b"") -> bytes:
    lines = [f"SIP/2.0 {status} Whatever", f"Via: {message.header('via')}", f"From: {message.header('from')}"]
    lines.append(f"To: {message.header('to')}" + (f";tag={tag}" if tag and not message.to_tag else ""))
    lines += [f"Call-ID: {message.call_id}", f"CSeq: {message.header('cseq')}"]
    if extra:
        lines.append(extra)
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def settings(**changes: object) -> SipSettings:
    return SipSettings.model_validate({"host": "127.0.0.1", "port": 0, "server_id": PLATFORM, **changes})


@contextlib.asynccontextmanager
async def serving(timers: Timers | None = None, **changes: object) -> AsyncIterator[tuple[SipServer, Services]]:
    services = Services()
    server = services.server = SipServer(settings(**changes), handler=services, timers=timers)
    await server.start()
    try:
        yield server, services
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def device(server: SipServer) -> AsyncIterator[Peer]:
    _, peer = await asyncio.get_running_loop().create_datagram_endpoint(Peer, local_addr=("127.0.0.1", 0))
    peer.server = ("127.0.0.1", server.port)
    try:
        yield peer
    finally:
        peer.transport.close()


def route_to(peer: Peer) -> Route:
    return Route("udp", Address("127.0.0.1", peer.port), Address("127.0.0.1", 0))


async def eventually(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not claim():
            await asyncio.sleep(0.005)


def invited(server: SipServer, peer: Peer, timeout_s: float = PATIENCE, **more: object) -> Awaitable[object]:
    offer = server.invite(
        route_to(peer),
        to=CHANNEL,
        sdp=b"v=0\r\n",
        subject=f"{CHANNEL}:0200000001,{PLATFORM}:0",
        timeout_s=timeout_s,
        **more,  # type: ignore[arg-type]
    )
    return asyncio.ensure_future(offer)


def test_the_server_is_the_signalling_port() -> None:
    port: Signalling = SipServer(settings(), handler=lambda one: None)
    assert port is not None


# --- registration


def _registrar(server: SipServer) -> Callable[[SipRequest], None]:
    digest = DigestServer(b"secret", DOMAIN, 300)

    def register(one: SipRequest) -> None:
        source = one.route.remote.host
        result = digest.verify(
            one.headers.get("authorization", ""),
            method=one.method,
            uri=one.uri,
            device_id=one.user,
            source=source,
            password="12345678",
            now=1e9,
        )
        if result.verdict is Verdict.OK:
            server.respond(one, 200, headers=[("Expires", one.headers["expires"])])
        else:
            challenge = digest.challenge(1e9, source=source, stale=result.verdict is Verdict.STALE)
            server.respond(one, 401, headers=[("WWW-Authenticate", challenge)])

    return register


def _authorization(challenge: str) -> str:
    nonce = challenge.partition('nonce="')[2].partition('"')[0]
    uri = f"sip:{PLATFORM}@{DOMAIN}"
    response = digest_response(
        "MD5", username=DEVICE, realm=DOMAIN, password="12345678", method="REGISTER", uri=uri, nonce=nonce
    )
    return f'Authorization: Digest username="{DEVICE}",realm="{DOMAIN}",nonce="{nonce}",uri="{uri}",response="{response}"'


async def test_a_device_registers_over_udp_with_a_challenge() -> None:
    async with serving() as (server, services), device(server) as peer:
        services.answer = _registrar(server)
        peer.send(request("REGISTER", extra="Expires: 3600"))
        refused = await peer.next()
        assert isinstance(refused, Response)
        assert refused.status == 401
        proof = _authorization(refused.header("www-authenticate"))
        peer.send(request("REGISTER", branch="z9hG4bK0002", cseq=2, extra=f"Expires: 3600\r\n{proof}"))
        accepted = await peer.next()
        assert isinstance(accepted, Response)
        assert (accepted.status, accepted.header("expires")) == (200, "3600")
        assert f"rport={peer.port};received=127.0.0.1" in accepted.header("via")
        one = await services.next()
        assert (one.user, one.uri_user, one.to_user, one.cseq) == (DEVICE, PLATFORM, DEVICE, 1)
        assert one.route == Route("udp", Address("127.0.0.1", peer.port), Address("127.0.0.1", server.port))


async def test_a_device_registers_over_tcp_on_the_same_port_and_is_asked_over_that_connection() -> None:
    async with serving() as (server, services):
        services.answer = _registrar(server)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\r\n\r\n" + request("REGISTER", transport="TCP", extra="Expires: 3600"))
        assert await asyncio.wait_for(reader.readexactly(2), PATIENCE) == b"\r\n"  # the answer to the ping
        refused = parse_datagram(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE))
        proof = _authorization(refused.header("www-authenticate"))
        data = request("REGISTER", transport="TCP", branch="z9hG4bK0002", cseq=2, extra=f"Expires: 3600\r\n{proof}")
        for octet in data:  # dribbled
            writer.write(bytes([octet]))
        accepted = parse_datagram(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE))
        assert isinstance(accepted, Response)
        assert accepted.status == 200
        route = (await services.next()).route
        assert (route.transport, route.local.host, server.is_connected(route)) == ("tcp", "127.0.0.1", True)

        asked = asyncio.ensure_future(server.message(route, to=DEVICE, body=KEEPALIVE_XML))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        query = parse_datagram(head + await reader.readexactly(len(KEEPALIVE_XML)))
        assert isinstance(query, Request)
        assert query.header("via").startswith(f"SIP/2.0/TCP 127.0.0.1:{server.port};rport;branch=z9hG4bK")
        writer.write(answer_to(query, 200))
        assert (await asked).status == 200

        writer.close()
        await eventually(lambda: not server.is_connected(route))
        with pytest.raises(Unreachable):
            await server.message(route, to=DEVICE, body=KEEPALIVE_XML)


# --- messages


async def test_a_message_of_ours_has_every_header_it_needs() -> None:
    async with serving() as (server, _), device(server) as peer:
        asked = asyncio.ensure_future(server.message(route_to(peer), to=DEVICE, body=KEEPALIVE_XML))
        query = await peer.next_request("MESSAGE")
        assert query.uri == f"sip:{DEVICE}@127.0.0.1:{peer.port}"
        assert query.header("from").startswith(f"<sip:{PLATFORM}@{DOMAIN}>;tag=")
        assert query.header("to") == f"<sip:{DEVICE}@{DOMAIN}>"
        assert query.header("contact") == f"<sip:{PLATFORM}@127.0.0.1:{server.port}>"
        assert query.header("max-forwards") == "70"
        assert query.header("user-agent") == "gb28181"
        assert query.header("content-type") == "Application/MANSCDP+xml"
        assert query.header("content-length") == str(len(query.body))
        assert query.body == KEEPALIVE_XML
        peer.send(answer_to(query, 403))
        answered = await asked
        assert (answered.status, answered.reason) == (403, "Whatever")


# quirk Q27
async def test_each_request_has_its_own_branch_tag_and_call_id() -> None:
    async with serving() as (server, _), device(server) as peer:
        seen = set()
        for _ in range(3):
            asked = asyncio.ensure_future(server.message(route_to(peer), to=DEVICE, body=b"<Query/>"))
            query = await peer.next_request("MESSAGE")
            seen |= {query.header("via"), query.from_tag, query.call_id}
            peer.send(answer_to(query, 200))
            await asked
        assert len(seen) == 9


async def test_a_message_larger_than_a_packet_is_sent_over_udp_all_the_same() -> None:
    async with serving() as (server, _), device(server) as peer:
        body = b"<Query>" + b"x" * 20_000 + b"</Query>"
        asked = asyncio.ensure_future(server.message(route_to(peer), to=DEVICE, body=body))
        query = await peer.next_request("MESSAGE")
        assert query.body == body
        peer.send(answer_to(query, 200))
        assert (await asked).status == 200


async def test_a_message_that_no_datagram_holds_is_unreachable_at_once() -> None:
    async with serving() as (server, _), device(server) as peer:
        with pytest.raises(Unreachable, match="65400 bytes"):
            await server.message(route_to(peer), to=DEVICE, body=b"x" * 65_400)


async def test_a_peer_that_is_silent_is_a_timeout() -> None:
    async with serving(FAST) as (server, _), device(server) as peer:
        with pytest.raises(PeerTimeout):
            await server.message(route_to(peer), to=DEVICE, body=b"<Query/>")
        with pytest.raises(PeerTimeout):
            await server.message(route_to(peer), to=DEVICE, body=b"<Query/>", timeout_s=0.05)
        assert server.gauges()["client_transactions"] == server.gauges()["waiting_callers"] == 0


async def test_a_nat_is_kept_open_by_an_empty_line_from_our_sip_port() -> None:
    async with serving() as (server, _):
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
            hole.setblocking(False)
            hole.bind(("127.0.0.1", 0))
            local = Address("127.0.0.1", 0)
            server.keep_open(Route("tcp", Address("127.0.0.1", hole.getsockname()[1]), local, 3))
            server.keep_open(Route("udp", Address("camera.example", 5060), local))
            server.keep_open(Route("udp", Address("127.0.0.1", hole.getsockname()[1]), local))
            data, source = await asyncio.wait_for(loop.sock_recvfrom(hole, 100), PATIENCE)
    assert (data, source) == (b"\r\n\r\n", ("127.0.0.1", server.port))


@pytest.mark.parametrize("host", ["not-an-address.example", "", "127.0.0.1:5060"])
async def test_a_route_without_an_address_is_unreachable(host: str) -> None:
    async with serving() as (server, _):
        route = Route("udp", Address(host, 5060), Address("127.0.0.1", 0))
        with pytest.raises(Unreachable):
            await server.message(route, to=DEVICE, body=b"")


async def test_a_closed_tcp_port_is_unreachable() -> None:
    async with serving() as (server, _), device(server) as peer:
        route = Route("tcp", Address("127.0.0.1", peer.port), Address("127.0.0.1", 0), connection=77)
        assert not server.is_connected(route)
        with pytest.raises(Unreachable):
            await server.message(route, to=DEVICE, body=b"")


async def test_a_device_that_closes_its_connections_is_called_on_a_new_one() -> None:
    """Quirk Q34."""
    taken: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    listener = await asyncio.start_server(lambda reader, writer: taken.put_nowait((reader, writer)), "127.0.0.1", 0)
    async with serving() as (server, _):
        route = Route("tcp", Address("127.0.0.1", listener.sockets[0].getsockname()[1]), Address("127.0.0.1", 0), 5)
        asked = [asyncio.ensure_future(server.message(route, to=DEVICE, body=b"")) for _ in range(2)]
        reader, writer = await asyncio.wait_for(taken.get(), PATIENCE)
        for _ in asked:
            query = parse_datagram(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE))
            assert isinstance(query, Request)
            writer.write(answer_to(query, 200))
        assert [(await one).status for one in asked] == [200, 200]
        assert taken.empty()
        writer.close()
    listener.close()


# --- calls


async def test_a_call_is_made_acknowledged_and_ended() -> None:
    async with serving() as (server, _), device(server) as peer:
        provisional: list[int] = []
        call = invited(server, peer, on_provisional=provisional.append)
        invite = await peer.next_request("INVITE")
        assert invite.header("subject") == f"{CHANNEL}:0200000001,{PLATFORM}:0"
        assert invite.header("content-type") == "application/sdp"
        peer.send(answer_to(invite, 100, tag=""))
        peer.send(answer_to(invite, 183))
        contact = "Contact: <sip:34020000001320000001@10.9.9.9:5060>\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>"
        peer.send(answer_to(invite, 200, extra=contact, body=b"v=0\r\nm=video 1 RTP/AVP 96\r\n"))
        answered = await call
        assert answered.response.status == 200  # type: ignore[attr-defined]
        assert answered.response.body.startswith(b"v=0")  # type: ignore[attr-defined]
        assert provisional == [100, 183]
        dialog = answered.dialog  # type: ignore[attr-defined]
        assert (dialog.remote_tag, dialog.target) == ("dev", "sip:34020000001320000001@10.9.9.9:5060")
        assert dialog.route_set == ("<sip:p2;lr>", "<sip:p1;lr>")
        server.ack(dialog)
        ack = await peer.next_request("ACK")
        assert ack.uri == dialog.target
        assert ack.values("route") == ["<sip:p2;lr>", "<sip:p1;lr>"]
        assert ack.cseq is not None
        assert ack.cseq.number == dialog.cseq

        ended = asyncio.ensure_future(server.bye(dialog))
        bye = await peer.next_request("BYE")
        assert (bye.uri, bye.to_tag, bye.from_tag, bye.call_id) == (dialog.target, "dev", dialog.local_tag, dialog.call_id)
        assert bye.cseq is not None
        assert bye.cseq.number == dialog.cseq + 1
        peer.send(answer_to(bye, 481))
        assert (await ended).status == 481  # quirk Q37

        again = asyncio.ensure_future(server.bye(dialog))
        second = await peer.next_request("BYE")
        assert second.cseq is not None
        assert second.cseq.number == dialog.cseq + 2  # quirk Q149b
        peer.send(answer_to(second, 200))
        await again


# W2
async def test_a_repeated_200_is_acknowledged_again_by_a_new_process_too() -> None:
    async with serving() as (server, _), device(server) as peer:
        call = invited(server, peer)
        invite = await peer.next_request("INVITE")
        peer.send(answer_to(invite, 200))
        dialog = (await call).dialog  # type: ignore[attr-defined]
        peer.send(answer_to(invite, 200))  # a copy before the ACK: not a second call
        server.ack(dialog)
        first = await peer.next_request("ACK")
        peer.send(answer_to(invite, 200))
        assert (await peer.next_request("ACK")).header("via") == first.header("via")
    async with serving() as (server, _), device(server) as peer:
        server.ack(type(dialog)(**{name: getattr(dialog, name) for name in dialog.__slots__[:-1]}, route=route_to(peer)))
        await peer.next_request("ACK")
        peer.send(answer_to(invite, 200))
        await peer.next_request("ACK")


async def test_a_lost_200_and_a_lost_invite_are_made_up_for() -> None:
    async with serving() as (server, _), device(server) as peer:
        call = invited(server, peer)
        await peer.next_request("INVITE")  # as if lost
        invite = await peer.next_request("INVITE")
        peer.send(answer_to(invite, 200))
        server.ack((await call).dialog)  # type: ignore[attr-defined]
        await peer.next_request("ACK")


async def test_a_refused_call_says_with_which_status() -> None:
    async with serving() as (server, _), device(server) as peer:
        call = invited(server, peer)
        invite = await peer.next_request("INVITE")
        peer.send(answer_to(invite, 486))
        with pytest.raises(MediaRefused, match="486 Whatever") as refused:
            await call
        assert refused.value.status == 486
        ack = await peer.next_request("ACK")
        assert ack.to_tag == "dev"


# W4, quirk Q97 ★
async def test_a_call_nobody_waits_for_is_cancelled_and_its_late_200_ended() -> None:
    async with serving() as (server, _), device(server) as peer:
        call = invited(server, peer)
        invite = await peer.next_request("INVITE")
        peer.send(answer_to(invite, 100, tag=""))
        await eventually(lambda: server.metrics().get("responses_received") == 1)
        call.cancel()  # type: ignore[attr-defined]
        with pytest.raises(asyncio.CancelledError):
            await call
        cancel = await peer.next_request("CANCEL")
        assert cancel.header("via") == invite.header("via")
        peer.send(answer_to(cancel, 200))
        peer.send(answer_to(invite, 200, extra="Contact: <sip:late@10.9.9.9>"))
        ack, bye = await peer.next_request("ACK"), await peer.next_request("BYE")
        assert ack.uri == bye.uri == "sip:late@10.9.9.9"
        peer.send(answer_to(bye, 200))
        await eventually(lambda: server.metrics().get("late_answers_ended") == 1)


async def test_a_call_that_times_out_ends_a_late_200() -> None:
    async with serving() as (server, _), device(server) as peer:
        call = invited(server, peer, timeout_s=0.05)
        invite = await peer.next_request("INVITE")
        with pytest.raises(PeerTimeout, match=r"0\.05 s"):
            await call
        peer.send(answer_to(invite, 200))
        await peer.next_request("ACK")
        bye = await peer.next_request("BYE")
        assert bye.to_tag == "dev"
        peer.send(answer_to(bye, 200))


async def test_a_ringing_camera_is_given_its_time_anew() -> None:
    """Quirk Q38."""
    async with serving() as (server, _), device(server) as peer:
        heard = asyncio.Event()
        loop = asyncio.get_running_loop()
        call = invited(server, peer, timeout_s=0.6, on_provisional=lambda status: heard.set())
        invite = await peer.next_request("INVITE")
        began = loop.time()
        loop.call_at(began + 0.4, peer.send, answer_to(invite, 180))
        loop.call_at(began + 0.8, peer.send, answer_to(invite, 200))
        server.ack((await call).dialog)  # type: ignore[attr-defined]
        assert heard.is_set()


async def test_stopping_fails_whoever_waits() -> None:
    async with serving() as (server, _), device(server) as peer:
        call = invited(server, peer)
        await peer.next_request("INVITE")
    with pytest.raises(Unreachable):
        await call


# --- borders


async def test_a_handler_that_fails_is_answered_500_and_the_next_request_served(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as (server, services), device(server) as peer:

        def fail(one: SipRequest) -> None:
            raise RuntimeError("bug")

        services.answer = fail
        with caplog.at_level(logging.ERROR):
            peer.send(request(call_id="1", extra="Authorization: Digest response=verysecret"))
            assert await peer.next_status() == 500
        assert server.metrics()["failures"] == 1
        assert "bug" in caplog.text
        assert "verysecret" not in caplog.text
        services.answer = lambda one: server.respond(one, 200)
        peer.send(request(call_id="2"))
        assert await peer.next_status() == 200


async def test_a_request_answered_later_by_a_task_is_answered_once() -> None:
    async with serving() as (server, services), device(server) as peer:
        services.answer = None
        peer.send(request())
        one = await services.next()
        server.respond(one, 202, headers=[("X-GB-Ver", "3.0")], body=b"<a/>", content_type="Application/MANSCDP+xml")
        server.respond(one, 403)
        answer = await peer.next()
        assert isinstance(answer, Response)
        assert (answer.status, answer.header("x-gb-ver"), answer.body) == (202, "3.0", b"<a/>")
        assert server.metrics()["answers_too_late"] == 1
        with pytest.raises(MisuseError):
            server.respond(SipRequest(*["x"] * 8, 1, {}, "", b"", one.route), 200)  # type: ignore[arg-type]


async def test_junk_on_one_connection_leaves_the_others_alone() -> None:
    async with serving() as (server, _):
        good_reader, good = await asyncio.open_connection("127.0.0.1", server.port)
        bad_reader, bad = await asyncio.open_connection("127.0.0.1", server.port)
        bad.write(b"\x16\x03\x01" * 100_000)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(bad_reader.read(), PATIENCE) == b""
        good.write(request("OPTIONS", transport="TCP"))
        assert (await asyncio.wait_for(good_reader.readline(), PATIENCE)) == b"SIP/2.0 200 OK\r\n"
        await eventually(lambda: server.gauges()["tcp_connections"] == 1)
        assert server.metrics()["tcp_closed_junk"] == 1
        assert server.gauges()["tcp_held_bytes"] == 0
        good.close()
        bad.close()


async def test_a_stranger_may_not_send_as_much_as_a_known_device() -> None:
    body = b"<Response>" + b"<Item>x</Item>" * 30_000 + b"</Response>"
    async with serving() as (server, services):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(transport="TCP", body=body))
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request("REGISTER", transport="TCP"))
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        await services.next()
        writer.write(request(transport="TCP", body=body, call_id="big"))
        assert (await services.next()).body == body
        writer.close()


async def test_beyond_the_cap_silent_connections_give_way_and_speaking_ones_stay() -> None:
    async with serving(max_tcp_connections=2) as (server, _):
        first_reader, first = await asyncio.open_connection("127.0.0.1", server.port)
        first.write(request("OPTIONS", transport="TCP"))
        await asyncio.wait_for(first_reader.readuntil(b"\r\n\r\n"), PATIENCE)
        silent_reader, silent = await asyncio.open_connection("127.0.0.1", server.port)
        third_reader, third = await asyncio.open_connection("127.0.0.1", server.port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(silent_reader.read(), PATIENCE) == b""
        third.write(request("OPTIONS", transport="TCP", call_id="3"))
        await asyncio.wait_for(third_reader.readuntil(b"\r\n\r\n"), PATIENCE)
        fourth_reader, fourth = await asyncio.open_connection("127.0.0.1", server.port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(fourth_reader.read(), PATIENCE) == b""
        assert server.gauges()["tcp_connections"] == 2
        for one in (first, silent, third, fourth):
            one.close()


async def test_an_idle_connection_is_closed() -> None:
    async with serving(tcp_idle_s=0.2) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request("OPTIONS", transport="TCP"))
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        assert server.metrics()["tcp_closed_idle"] == 1
        writer.close()


async def test_a_peer_that_takes_no_answers_is_disconnected_and_nobody_waits_for_it() -> None:
    async with serving(per_source_per_s=1e9, unauthenticated_per_s=1e9) as (server, _), device(server) as peer:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        number = 0
        async with asyncio.timeout(60):
            while not server.metrics().get("tcp_closed_slow"):
                for _ in range(500):
                    number += 1
                    writer.write(request("OPTIONS", transport="TCP", call_id=str(number), extra="X-Pad: " + "p" * 400))
                await asyncio.sleep(0)
                peer.send(request("OPTIONS", call_id=f"u{number}"))
                assert await peer.next_status() == 200
        await eventually(lambda: server.gauges()["tcp_connections"] == 0)
        writer.close()


async def test_a_port_in_use_is_said_so() -> None:
    async with serving() as (server, _):
        second = SipServer(settings(port=server.port), handler=lambda one: None)
        with pytest.raises(Unavailable, match=f"127.0.0.1:{server.port}"):
            await second.start()


# --- addresses


async def test_the_address_told_is_that_of_the_route_to_the_peer() -> None:
    async with serving(host="0.0.0.0") as (server, _):
        assert server.local_for(Address("127.0.0.1", 5060), "udp") == Address("127.0.0.1", server.port)
        assert server.local_for(Address("127.0.0.9", 5060), "tcp") == Address("127.0.0.1", server.port)


async def test_peers_of_different_networks_are_told_different_addresses() -> None:
    rules = ["127.0.0.0/8 = 10.1.2.3", "203.0.113.5:15060"]
    async with serving(advertise=rules) as (server, services), device(server) as peer:
        assert server.local_for(Address("127.0.0.1", 5060), "udp") == Address("10.1.2.3", server.port)
        assert server.local_for(Address("198.51.100.9", 5060), "tcp") == Address("203.0.113.5", 15060)
        peer.send(request())
        assert (await services.next()).route.local.host == "10.1.2.3"


@pytest.mark.parametrize(
    ("advertise", "expected"),
    [
        ("198.51.100.1", ("198.51.100.1", 0)),
        ("198.51.100.1:15060", ("198.51.100.1", 15060)),
        ("[2001:db8::1]:7", ("2001:db8::1", 7)),
    ],
)
async def test_a_configured_address_is_told_to_everybody(advertise: str, expected: tuple[str, int]) -> None:
    async with serving(advertise=advertise) as (server, services), device(server) as peer:
        host, port = expected
        told = Address(host, port or server.port)
        assert server.local_for(Address("127.0.0.1", 5060), "udp") == told
        asked = asyncio.ensure_future(server.message(route_to(peer), to=DEVICE, body=b""))
        query = await peer.next_request("MESSAGE")
        assert str(told) in query.header("via")
        assert str(told) in query.header("contact")
        peer.send(answer_to(query, 200))
        await asked
        peer.send(request())
        assert (await services.next()).route.local == told


async def test_ipv6_and_ipv4_peers_share_a_dual_stack_socket() -> None:
    try:
        async with serving(host="::") as (server, services), device(server) as peer:
            peer.send(request())
            assert (await services.next()).route.remote == Address("127.0.0.1", peer.port)
            assert await peer.next_status() == 200
            _, six = await asyncio.get_running_loop().create_datagram_endpoint(Peer, local_addr=("::1", 0))
            six.server = ("::1", server.port)
            six.send(request(call_id="six"))
            assert (await services.next()).route.local == Address("::1", server.port)
            assert await six.next_status() == 200
            six.transport.close()
    except (Unavailable, OSError) as error:
        pytest.skip(f"no IPv6 here: {error}")


@pytest.mark.parametrize("listening", ["0.0.0.0", "::"])
async def test_a_server_with_several_addresses_answers_from_the_one_that_was_written_to(listening: str) -> None:
    try:
        async with serving(host=listening) as (server, services):
            loop = asyncio.get_running_loop()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as camera:
                camera.setblocking(False)
                camera.bind(("127.0.0.1", 0))
                camera.connect(("127.0.0.9", server.port))  # takes answers from nowhere else
                await loop.sock_sendall(camera, request())
                answer = parse_datagram(await asyncio.wait_for(loop.sock_recv(camera, 65536), PATIENCE))
                assert isinstance(answer, Response)
                route = (await services.next()).route
                assert route.local == Address("127.0.0.9", server.port)
                assert server.local_for(route.remote, "udp") == route.local
                asked = asyncio.ensure_future(server.message(route, to=DEVICE, body=b"<Query/>"))
                query = parse_datagram(await asyncio.wait_for(loop.sock_recv(camera, 65536), PATIENCE))
                assert isinstance(query, Request)
                assert query.header("contact") == f"<sip:{PLATFORM}@127.0.0.9:{server.port}>"
                await loop.sock_sendall(camera, answer_to(query, 200))
                assert (await asked).status == 200
                camera.connect(("127.0.0.1", server.port))  # it was set to another address of ours
                await loop.sock_sendall(camera, request(call_id="2"))
                await asyncio.wait_for(loop.sock_recv(camera, 65536), PATIENCE)
                assert (await services.next()).route.local == Address("127.0.0.1", server.port)
    except Unavailable as error:
        pytest.skip(f"no IPv6 here: {error}")


# W9
async def test_a_device_on_ipv6_registers_over_tcp_and_is_called() -> None:
    try:
        listening = serving(host="::1")
        async with listening as (server, services):
            reader, writer = await asyncio.open_connection("::1", server.port)
            writer.write(request("REGISTER", transport="TCP").replace(b"192.168.1.64:5060", b"[2001:db8::64]:5060"))
            answer = parse_datagram(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE))
            assert "SIP/2.0/TCP [2001:db8::64]:5060;" in answer.header("via")
            assert "received=::1" in answer.header("via")
            route = (await services.next()).route
            assert str(route.local) == f"[::1]:{server.port}"
            call = asyncio.ensure_future(
                server.invite(route, to=CHANNEL, sdp=b"v=0\r\n", subject=f"{CHANNEL}:1,{PLATFORM}:0", timeout_s=PATIENCE)
            )
            invite = parse_datagram(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE))
            await reader.readexactly(int(invite.header("content-length")))
            assert isinstance(invite, Request)
            assert invite.uri == f"sip:{CHANNEL}@{route.remote}"
            assert invite.header("via").startswith(f"SIP/2.0/TCP [::1]:{server.port};")
            assert invite.header("contact") == f"<sip:{PLATFORM}@[::1]:{server.port};transport=tcp>"
            assert invite.call_id.endswith("@[::1]")
            writer.write(answer_to(invite, 200, extra=f"Contact: <sip:{CHANNEL}@[2001:db8::64]:5060>"))
            dialog = (await call).dialog
            assert dialog.target == f"sip:{CHANNEL}@[2001:db8::64]:5060"
            server.ack(dialog)
            ack = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            assert ack.startswith(f"ACK sip:{CHANNEL}@[2001:db8::64]:5060 SIP/2.0\r\n".encode())
            writer.close()
    except (Unavailable, OSError) as error:
        pytest.skip(f"no IPv6 here: {error}")


# --- which way a request goes


# quirk Q33
async def test_a_large_request_takes_the_tcp_connection_of_its_device_and_a_small_one_its_udp_address() -> None:
    large = b"<Query>" + b"x" * 1300 + b"</Query>"
    async with serving() as (server, services), device(server) as peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(transport="TCP", call_id="foreign", user="34020000001110000099"))  # proves nothing
        writer.write(request("REGISTER", transport="TCP", call_id="tcp"))
        for _ in range(2):
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        small = asyncio.ensure_future(server.message(route_to(peer), to=DEVICE, body=b"<Query/>"))
        peer.send(answer_to(await peer.next_request("MESSAGE"), 200))
        await small
        asked = asyncio.ensure_future(server.message(route_to(peer), to=DEVICE, body=large))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        query = parse_datagram(head + await reader.readexactly(len(large)))
        assert isinstance(query, Request)
        assert query.header("via").startswith("SIP/2.0/TCP ")
        assert query.body == large
        writer.write(answer_to(query, 200))
        assert (await asked).status == 200
        other = asyncio.ensure_future(server.message(route_to(peer), to="34020000001110000099", body=large))
        query = await peer.next_request("MESSAGE")
        assert query.body == large  # another device behind the same address
        peer.send(answer_to(query, 200))
        await other
        writer.close()
        assert (await services.next()).route.transport == "tcp"
        await eventually(lambda: server.gauges()["tcp_connections"] == 0)
        gone = asyncio.ensure_future(server.message(route_to(peer), to=DEVICE, body=large))
        peer.send(answer_to(await peer.next_request("MESSAGE"), 200))
        assert (await gone).status == 200


# quirk Q35
@pytest.mark.parametrize("contact", ["udp", "tcp"])
async def test_what_the_register_came_over_counts_and_not_what_contact_says(contact: str) -> None:
    extra = f"Contact: <sip:{DEVICE}@127.0.0.1:5060;transport={contact}>"
    async with serving() as (server, services), device(server) as peer:
        peer.send(request("REGISTER", extra=extra))
        assert (await services.next()).route.transport == "udp"
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request("REGISTER", transport="TCP", extra=extra, call_id="2"))
        assert (await services.next()).route.transport == "tcp"
        writer.close()


# --- flood limits


# quirk Q18
async def test_a_device_that_floods_is_told_to_wait_and_its_neighbours_are_served() -> None:
    async with serving(per_device_per_s=2) as (server, _), device(server) as peer:
        status, number = 200, 0
        while status == 200 and number < 1000:
            number += 1
            peer.send(request(call_id=f"c{number}"))
            answer = await peer.next()
            assert isinstance(answer, Response)
            status = answer.status
        assert (status, answer.header("retry-after")) == (503, "5")
        assert number > 4
        peer.send(request(user="34020000001110000002", call_id="neighbour"))
        assert await peer.next_status() == 200
        assert server.metrics()["refused_device_flood"] == 1


async def test_a_connection_that_sends_too_fast_is_read_more_slowly_and_loses_nothing() -> None:
    async with serving(per_connection_per_s=200) as (server, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for number in range(410):
            writer.write(request("OPTIONS", transport="TCP", call_id=str(number)))
        for _ in range(410):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            assert head.startswith(b"SIP/2.0 200 ")
        writer.write(request("OPTIONS", transport="TCP", call_id="last"))
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).startswith(b"SIP/2.0 200 ")
        assert server.metrics()["tcp_slowed"] >= 1
        writer.close()


# --- trace


async def test_a_tap_sees_every_message_as_it_is_on_the_wire() -> None:
    seen: list[SipPacket] = []
    async with serving() as (server, _), device(server) as peer:
        server.tap(seen.append)
        told = Address("127.0.0.1", server.port)
        sent = request(body=KEEPALIVE_XML, length=0)
        peer.send(sent)
        await peer.next()
        one, two = seen
        assert one[1:] == ("in", "udp", told, Address("127.0.0.1", peer.port), sent)
        assert (two.direction, two.remote, two.data[:15]) == ("out", one.remote, b"SIP/2.0 200 OK\r")
        assert 0 <= two.at_us - one.at_us < 60_000_000
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        over_tcp = request(transport="TCP", body=KEEPALIVE_XML.rstrip(), call_id="2")
        writer.write(b"\r\n\r\n" + over_tcp)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert [(packet.direction, packet.transport) for packet in seen[2:]] == [("in", "tcp"), ("out", "tcp")]
        assert seen[2].data == over_tcp
        server.tap(None)
        peer.send(request("OPTIONS", call_id="3"))
        await peer.next()
        assert len(seen) == 4
        writer.close()


async def test_a_tap_that_fails_is_taken_off_and_nobody_notices(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: SipPacket) -> None:
        raise ValueError

    async with serving() as (server, _), device(server) as peer:
        server.tap(broken)
        for number in range(2):
            peer.send(request("OPTIONS", call_id=str(number)))
            assert await peer.next_status() == 200
        assert server.metrics()["failures"] == 1


def test_everything_works_on_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop")
    failures: list[dict[str, object]] = []

    async def watched(scenario: Callable[[], Awaitable[None]]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        await scenario()

    for scenario in (
        test_a_device_registers_over_udp_with_a_challenge,
        test_a_device_registers_over_tcp_on_the_same_port_and_is_asked_over_that_connection,
        test_a_call_is_made_acknowledged_and_ended,
        test_a_peer_that_is_silent_is_a_timeout,
        lambda: test_a_server_with_several_addresses_answers_from_the_one_that_was_written_to("0.0.0.0"),
        test_junk_on_one_connection_leaves_the_others_alone,
    ):
        uvloop.run(watched(scenario))
    assert failures == []
