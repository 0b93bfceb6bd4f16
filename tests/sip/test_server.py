"""The server over real sockets on loopback: registration, messages and calls of scripted devices, UDP and TCP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from gb28181.device.model import Address, Route
from gb28181.errors import MediaRefused, PeerTimeout, Unreachable
from gb28181.ports import Signalling, SipRequest
from gb28181.sip.digest import DigestServer, Verdict, digest_response
from gb28181.sip.io.server import SipServer
from gb28181.sip.message import Request, Response
from gb28181.sip.parser import parse_datagram

from .serving import FAST, PATIENCE, answer_to, device, eventually, invited, route_to, serving, settings
from .vectors import CHANNEL, DEVICE, DOMAIN, KEEPALIVE_XML, PLATFORM, request


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
        assert not query.header("contact"), "RFC 3428 §4"
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
        assert invite.header("contact") == f"<sip:{PLATFORM}@127.0.0.1:{server.port}>"
        # §4: "Allow" of messages about calls.
        assert set(invite.values("allow")) >= {"INVITE", "ACK", "INFO", "CANCEL", "BYE", "OPTIONS", "MESSAGE"}
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
        assert not bye.header("contact"), "RFC 3261 table 2"
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
