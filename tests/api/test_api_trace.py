"""The trace of a device over the API."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from gb28181.sip.trace import TracedMessage
from tests.api.api_world import D1, D2

PATH = f"/devices/{D1}/trace"


def said(world, sender=D1, secret="c0ffee") -> None:
    register = (
        f"REGISTER sip:s SIP/2.0\r\nFrom: <sip:{sender}@d>\r\nCSeq: 1 REGISTER\r\n"
        f'Authorization: Digest response="{secret}"\r\n\r\n'
    ).encode()
    world.trace.take(TracedMessage(1_000_000, True, "udp", "192.0.2.9", 5060, register))
    world.trace.take(TracedMessage(1_002_000, False, "udp", "192.0.2.9", 5060, b"SIP/2.0 403 Forbidden\r\n\r\n"))


async def test_messages_are_told_in_order_without_secrets(world):
    said(world)
    answer = await world.call("GET", PATH)
    first, second = answer["messages"]
    assert (first["direction"], first["summary"], first["status"]) == ("in", "REGISTER", None)
    assert (second["direction"], second["summary"], second["status"]) == ("out", "403 Forbidden", 403)
    assert first["at"] == "1970-01-01T00:00:01Z"
    assert "c0ffee" not in first["text"]
    assert len((await world.call("GET", PATH + "?limit=1"))["messages"]) == 1
    assert (await world.call("GET", f"/devices/{D2}/trace"))["messages"] == []


async def test_ladder_and_dump_are_files(world):
    said(world)
    headers = {"Authorization": f"Bearer {world.tokens['operator']}"}
    async with world.client.get(f"/api/v1{PATH}.svg", headers=headers) as answer:
        assert answer.content_type == "image/svg+xml"
        assert f"{D1}.svg" in answer.headers["Content-Disposition"]
        ElementTree.fromstring(await answer.text())
    async with world.client.get(f"/api/v1{PATH}.txt", headers=headers) as answer:
        text = await answer.text()
        assert "I 1970-01-01T00:00:01.000Z" in text
        assert b"c0ffee".hex(" ") not in text


async def test_who_may_only_watch_sees_no_signalling(world):
    await world.call("GET", PATH, user="viewer", status=403)
    await world.call("GET", PATH + ".svg", user="viewer", status=403)
    await world.call("GET", "/devices/34020000001320000099/trace", status=404)
