"""Addresses that peers are told, the way that a request takes, and who sees it pass."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gb28181.device.model import Address
from gb28181.errors import Unavailable, Unreachable
from gb28181.sip.message import Request, Response
from gb28181.sip.parser import parse_datagram
from gb28181.sip.trace import TracedMessage

from .serving import PATIENCE, Peer, answer_to, device, eventually, route_to, serving
from .vectors import CHANNEL, DEVICE, KEEPALIVE_XML, PLATFORM, request


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
        asked = asyncio.ensure_future(server.options(route_to(peer), to=DEVICE))
        query = await peer.next_request("OPTIONS")
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
                asked = asyncio.ensure_future(server.options(route, to=DEVICE))
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


# quirk Q34
async def test_in_a_dialog_a_peer_that_closed_its_connection_is_called_where_its_contact_says_it_listens() -> None:
    taken: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    listener = await asyncio.start_server(lambda *pair: taken.put_nowait(pair), "127.0.0.1", 0)
    contact = f"Contact: <sip:{DEVICE}@127.0.0.1:{listener.sockets[0].getsockname()[1]};transport=tcp>"
    async with listener, serving() as (server, services):
        services.answer = None
        dialogs = []
        for call, says in (("1", contact), ("2", contact.replace("127.0.0.1", "10.9.9.9"))):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request("SUBSCRIBE", transport="TCP", call_id=call, extra=f"Event: presence\r\n{says}"))
            dialogs.append(server.accept_subscription(await services.next(), expires_s=600))
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            writer.close()
        await eventually(lambda: server.gauges()["tcp_connections"] == 0)
        told = asyncio.ensure_future(server.notify(dialogs[0], event="presence", state="active;expires=9", body=b""))
        reader, writer = await asyncio.wait_for(taken.get(), PATIENCE)
        notify = parse_datagram(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE))
        assert isinstance(notify, Request)
        assert (notify.method, notify.call_id) == ("NOTIFY", "1")
        writer.write(answer_to(notify, 200))
        assert (await told).status == 200
        with pytest.raises(Unreachable):  # a private address that is not where it came from: nobody is called there
            await server.notify(dialogs[1], event="presence", state="active;expires=9", body=b"")
        writer.close()


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


# --- trace


async def test_a_tap_sees_every_message_as_it_is_on_the_wire() -> None:
    seen: list[TracedMessage] = []
    async with serving() as (server, _), device(server) as peer:
        server.tap(seen.append)
        sent = request(body=KEEPALIVE_XML, length=0)
        peer.send(sent)
        await peer.next()
        one, two = seen
        assert one[1:] == (True, "udp", "127.0.0.1", peer.port, sent)
        assert (two.is_inbound, two.remote, two.data[:15]) == (False, one.remote, b"SIP/2.0 200 OK\r")
        assert 0 <= two.at_us - one.at_us < 60_000_000
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        over_tcp = request(transport="TCP", body=KEEPALIVE_XML.rstrip(), call_id="2")
        writer.write(b"\r\n\r\n" + over_tcp)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert [(message.is_inbound, message.transport) for message in seen[2:]] == [(True, "tcp"), (False, "tcp")]
        assert seen[2].data == over_tcp
        server.tap(None)
        peer.send(request("OPTIONS", call_id="3"))
        await peer.next()
        assert len(seen) == 4
        writer.close()


async def test_a_tap_that_fails_is_taken_off_and_nobody_notices(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: TracedMessage) -> None:
        raise ValueError

    async with serving() as (server, _), device(server) as peer:
        server.tap(broken)
        for number in range(2):
            peer.send(request("OPTIONS", call_id=str(number)))
            assert await peer.next_status() == 200
        assert server.metrics()["failures"] == 1
