"""SUBSCRIBE, NOTIFY, INFO and OPTIONS of ours over real sockets, and the dialogs that peers make with us."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gb28181.errors import SubscriptionRefused, Unreachable
from gb28181.ports import Subscribed
from gb28181.sip.message import Response

from .serving import PATIENCE, answer_to, device, route_to, serving
from .vectors import DEVICE, DOMAIN, KEEPALIVE_XML, PLATFORM, request

QUERY = b"<Query><CmdType>Catalog</CmdType></Query>"
CONTACT = f"Contact: <sip:{DEVICE}@10.9.9.9:5060>"


async def test_a_subscription_is_made_refreshed_and_ended_in_one_dialog() -> None:
    async with serving() as (server, _), device(server) as peer:
        asked = asyncio.ensure_future(
            server.subscribe(route_to(peer), to=DEVICE, event="Catalog;id=7", body=QUERY, expires_s=600)
        )
        first = await peer.next_request("SUBSCRIBE")
        assert (first.header("event"), first.header("expires"), first.body) == ("Catalog;id=7", "600", QUERY)
        assert first.header("content-type") == "Application/MANSCDP+xml"
        assert first.header("contact")
        peer.send(answer_to(first, 200, extra=f"{CONTACT}\r\nExpires: 300"))
        made = await asked
        assert isinstance(made, Subscribed)
        assert made.expires_s == 300
        assert (made.dialog.remote_tag, made.dialog.target) == ("dev", f"sip:{DEVICE}@10.9.9.9:5060")

        again = asyncio.ensure_future(server.resubscribe(made.dialog, event="Catalog;id=7", body=QUERY, expires_s=600))
        second = await peer.next_request("SUBSCRIBE")
        assert (second.call_id, second.from_tag, second.to_tag) == (first.call_id, first.from_tag, "dev")
        assert second.uri == made.dialog.target
        assert second.cseq is not None
        assert second.cseq.number == made.dialog.cseq + 1
        peer.send(answer_to(second, 200, extra="Expires: 9999"))
        refreshed = await again
        assert refreshed.expires_s == 600  # never more than asked for
        assert refreshed.dialog == replace(made.dialog, cseq=made.dialog.cseq + 1)

        end = asyncio.ensure_future(server.resubscribe(refreshed.dialog, event="Catalog;id=7", body=QUERY, expires_s=0))
        third = await peer.next_request("SUBSCRIBE")
        assert third.header("expires") == "0"
        peer.send(answer_to(third, 200))
        assert (await end).expires_s == 0


# quirk Q29, W6
async def test_an_answer_without_tag_contact_and_expires_makes_a_subscription_all_the_same() -> None:
    async with serving() as (server, _), device(server) as peer:
        asked = asyncio.ensure_future(server.subscribe(route_to(peer), to=DEVICE, event="presence", body=QUERY, expires_s=600))
        first = await peer.next_request("SUBSCRIBE")
        peer.send(answer_to(first, 200, tag=""))
        made = await asked
        assert (made.expires_s, made.dialog.remote_tag, made.dialog.target) == (600, "", first.uri)


async def test_an_interval_that_is_too_brief_is_asked_for_once_more_as_the_peer_wants_it() -> None:
    async with serving() as (server, _), device(server) as peer:
        asked = asyncio.ensure_future(server.subscribe(route_to(peer), to=DEVICE, event="presence", body=QUERY, expires_s=60))
        peer.send(answer_to(await peer.next_request("SUBSCRIBE"), 423, extra="Min-Expires: 3600"))
        second = await peer.next_request("SUBSCRIBE")
        assert second.header("expires") == "3600"
        peer.send(answer_to(second, 423, extra="Min-Expires: 7200"))
        with pytest.raises(SubscriptionRefused) as refusal:
            await asked
        assert (refusal.value.status, refusal.value.min_expires_s) == (423, 7200)


async def test_a_refused_subscription_says_when_to_come_again() -> None:
    async with serving() as (server, _), device(server) as peer:
        asked = asyncio.ensure_future(server.subscribe(route_to(peer), to=DEVICE, event="presence", body=QUERY, expires_s=60))
        peer.send(answer_to(await peer.next_request("SUBSCRIBE"), 503, extra="Retry-After: 30 (busy);duration=5"))
        with pytest.raises(SubscriptionRefused) as refusal:
            await asked
        assert (refusal.value.status, refusal.value.retry_after_s) == (503, 30)


async def test_a_peer_subscribes_and_is_notified_in_the_dialog_it_made() -> None:
    async with serving() as (server, services), device(server) as peer:
        services.answer = None
        peer.send(request("SUBSCRIBE", extra=f"Event: Catalog;id=7\r\nExpires: 600\r\n{CONTACT}", body=QUERY))
        dialog = server.accept_subscription(await services.next(), expires_s=300)
        answer = await peer.next()
        assert isinstance(answer, Response)
        assert (answer.status, answer.header("expires"), answer.to_tag) == (200, "300", dialog.local_tag)
        assert answer.header("contact") == f"<sip:{PLATFORM}@127.0.0.1:{server.port}>"

        told = asyncio.ensure_future(
            server.notify(dialog, event="Catalog;id=7", state="active;expires=299", body=KEEPALIVE_XML)
        )
        notify = await peer.next_request("NOTIFY")
        assert notify.uri == f"sip:{DEVICE}@10.9.9.9:5060"
        assert (notify.call_id, notify.from_tag, notify.to_tag) == ("c1@192.0.2.20", dialog.local_tag, "d1")
        assert notify.header("event") == "Catalog;id=7"
        assert notify.header("subscription-state") == "active;expires=299"
        assert (notify.header("from"), notify.body) == (f"<sip:{PLATFORM}@{DOMAIN}>;tag={dialog.local_tag}", KEEPALIVE_XML)
        peer.send(answer_to(notify, 481))
        assert (await told).status == 481

        to = f"To: <sip:{PLATFORM}@{DOMAIN}>"
        refresh = request("SUBSCRIBE", branch="z9hG4bK0002", cseq=2, extra="Event: Catalog;id=7\r\nExpires: 600")
        peer.send(refresh.replace(to.encode(), f"{to};tag={dialog.local_tag}".encode()))
        again = server.accept_subscription(await services.next(), expires_s=600, dialog=dialog)
        assert (again.local_tag, again.remote_tag) == (dialog.local_tag, dialog.remote_tag)
        told = asyncio.ensure_future(server.notify(again, event="Catalog;id=7", state="terminated;reason=timeout", body=b""))
        last = await peer.next_request("NOTIFY")
        assert last.cseq is not None
        assert notify.cseq is not None
        assert last.cseq.number == notify.cseq.number + 1
        assert (last.header("content-type"), last.body) == ("", b"")
        peer.send(answer_to(last, 200))
        await told


async def test_a_subscription_that_was_answered_already_makes_no_dialog() -> None:
    async with serving() as (server, services), device(server) as peer:
        peer.send(request("SUBSCRIBE", extra="Event: presence"))
        one = await services.next()
        with pytest.raises(Unreachable):
            server.accept_subscription(one, expires_s=300)


async def test_options_asks_for_a_sign_of_life() -> None:
    async with serving() as (server, _), device(server) as peer:
        asked = asyncio.ensure_future(server.options(route_to(peer), to=DEVICE))
        peer.send(answer_to(await peer.next_request("OPTIONS"), 405))
        assert (await asked).status == 405


# quirk Q149b
async def test_requests_in_a_dialog_are_numbered_upwards_over_a_restart_too() -> None:
    async with serving() as (server, services), device(server) as peer:
        services.answer = None
        peer.send(request("SUBSCRIBE", extra=f"Event: presence\r\n{CONTACT}"))
        dialog = server.accept_subscription(await services.next(), expires_s=300)
        numbers = []
        for _ in range(3):
            told = asyncio.ensure_future(server.info(dialog, body=b"PAUSE", content_type="Application/MANSRTSP"))
            info = await peer.next_request("INFO")
            assert (info.header("content-type"), info.body) == ("Application/MANSRTSP", b"PAUSE")
            assert info.cseq is not None
            numbers.append(info.cseq.number)
            peer.send(answer_to(info, 200))
            await told
    async with serving() as (server, _), device(server) as peer:
        told = asyncio.ensure_future(server.bye(dialog, route=route_to(peer)))
        bye = await peer.next_request("BYE")
        assert bye.cseq is not None
        numbers.append(bye.cseq.number)
        peer.send(answer_to(bye, 200))
        await asyncio.wait_for(told, PATIENCE)
    assert numbers == sorted(set(numbers))
    assert numbers[-1] < 1 << 31
