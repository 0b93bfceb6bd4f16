"""Links to exports and snapshots: who gets one, for which range, and what it is signed for."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from gb28181 import tokens
from gb28181.errors import NoPicture
from gb28181.session.model import Stage
from tests.api.api_world import C1, D1, NOW, World

EXPORT = f"/devices/{D1}/channels/{C1}/recordings/export"
SNAPSHOT = f"/devices/{D1}/channels/{C1}/snapshot"
RANGE = {"start": "1970-01-01T00:00:10Z", "end": "1970-01-01T01:00:00.0005Z"}
AT = NOW.timestamp() + 1


async def place(world: World, path: str, **query: str) -> str:
    """Where a redirect leads."""
    headers = {"Authorization": f"Bearer {world.tokens['viewer']}"}
    async with world.client.get(f"/api/v1{path}", params=query, headers=headers, allow_redirects=False) as answer:
        assert answer.status == 307, await answer.text()
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.headers["Location"]


def check(world: World, url: str, action: str, resource: str) -> None:
    tokens.check(world.link_key, action, resource, parse_qs(urlsplit(url).query)["token"][0], AT)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mp4", "ps"])
async def test_export_redirects_to_a_signed_link_of_just_this_range(world: World, kind: str):
    url = await place(world, EXPORT, format=kind, **RANGE)
    # A started millisecond belongs to the range.
    resource = f"{D1}/{C1}/10000-3600001.{kind}"
    assert urlsplit(url).path == f"/media/export/{resource}"
    check(world, url, "export", resource)
    with pytest.raises(tokens.Denied):
        check(world, url, "export", f"{D1}/{C1}/10000-3600002.{kind}")


async def test_head_asks_before_a_download_as_get_does(world: World):
    """RFC 9110 §9.1: download programs ask so for the size of what they are to fetch."""
    known = {"Authorization": f"Bearer {world.tokens['viewer']}"}
    async with world.client.head(f"/api/v1{EXPORT}", params=RANGE, headers=known, allow_redirects=False) as answer:
        assert answer.status == 307
        assert urlsplit(answer.headers["Location"]).path.endswith(".mp4")
    async with world.client.head("/api/v1/devices", headers=known) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "application/json", b"")
    async with world.client.head("/api/v1/devices") as answer:
        assert answer.status == 401
    async with world.client.head("/api/v1/users", headers=known) as answer:
        assert answer.status == 403


async def test_the_audit_tells_the_range_as_every_time_is_told(world: World):
    east = {"start": "1970-01-01T08:00:10+08:00", "end": "1970-01-01T08:01:00+08:00"}
    await world.call("POST", EXPORT, json=east)
    told = world.users.details[-1]
    assert told == {"start": "1970-01-01T00:00:10.000Z", "end": "1970-01-01T00:01:00.000Z", "format": "mp4"}


async def test_plan_says_what_an_export_holds(world: World):
    plan = await world.call(
        "POST", EXPORT, user="viewer", json={"start": "1970-01-01T00:00:00Z", "end": "1970-01-01T01:00:00Z"}
    )
    assert plan["url"] == plan["job_url"]
    assert plan["segments"] > 0
    assert plan["bytes_estimate"] > 0
    assert [gap["cause"] for gap in plan["gaps"]] == ["no_media", "x"]
    original = await world.call("POST", EXPORT, json={**RANGE, "format": "ps"})
    assert original["job_url"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**RANGE, "format": "avi"},
        {"start": RANGE["end"], "end": RANGE["start"]},
        {"start": RANGE["start"], "end": RANGE["start"]},
        {"start": RANGE["start"], "end": "1970-01-02T00:00:11Z"},
        {"start": "yesterday", "end": RANGE["end"]},
        {**RANGE, "path": "/etc/passwd"},
    ],
)
async def test_export_of_no_range_is_400(world: World, body: dict):
    await world.call("POST", EXPORT, status=400, json=body)
    await world.call("GET", EXPORT, status=400, params=body)


async def test_nobody_exports_without_login(world: World):
    for path in (EXPORT, SNAPSHOT):
        await world.call("GET", path, user="", status=401, params=RANGE)


async def test_live_snapshot_opens_the_stream_and_leads_to_it(world: World):
    url = await place(world, SNAPSHOT)
    assert urlsplit(url).path == f"/media/snapshot/{D1}/{C1}.jpg"
    check(world, url, "snapshot", f"{D1}/{C1}")
    assert len(world.sessions.wishes) == 1


async def test_snapshot_of_a_moment_asks_nothing_of_the_camera(world: World):
    url = await place(world, SNAPSHOT, at="1970-01-01T00:00:10.250Z")
    assert urlsplit(url).path == f"/media/snapshot/{D1}/{C1}/10250.jpg"
    check(world, url, "snapshot", f"{D1}/{C1}/10250")
    assert not world.sessions.wishes


async def test_snapshot_without_picture_names_the_stage(world: World):
    world.sessions.failure = NoPicture("check the firewall", stage=Stage.ANSWERED, detail={"waited_s": 10.0})
    answer = await world.call("GET", SNAPSHOT, status=504)
    assert (answer["error"]["code"], answer["error"]["stage"]) == ("no_picture", "answered")
