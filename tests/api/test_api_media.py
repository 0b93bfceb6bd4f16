from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from gb28181 import tokens
from gb28181.errors import NoPicture
from gb28181.session.model import Stage
from tests.api.api_world import C1, D1, K1, NOW, US, World

LIVE = f"/devices/{D1}/channels/{C1}/live"
RECORDING = f"/devices/{D1}/channels/{C1}/recording"


def token_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["token"][0]


async def test_live_gives_signed_paths_and_stages(world: World):
    answer = await world.call("POST", LIVE, user="viewer", json={"transport": "tcp"})
    assert answer["stages"] == [
        {"stage": "reserved", "at": "2026-03-01T08:00:00.000Z"},
        {"stage": "first_key_frame", "at": "2026-03-01T08:00:00.000Z"},
    ]
    assert world.sessions.wishes == ["tcp"]
    assert answer["urls"]["ws_flv"] == answer["urls"]["flv"]
    for name, suffix in (("flv", "flv"), ("ts", "ts")):
        url = answer["urls"][name]
        assert urlsplit(url).path == f"/media/live/{D1}/{C1}.{suffix}"
        tokens.check(world.link_key, "live", f"{D1}/{C1}", token_of(url), NOW.timestamp() + 599)
        with pytest.raises(tokens.Denied):
            tokens.check(world.link_key, "live", f"{D1}/{C1}", token_of(url), NOW.timestamp() + 601)


@pytest.mark.parametrize("body", [None, {}, {"transport": None}, {"transport": "auto"}])
async def test_transport_is_chosen_unless_asked_for(world: World, body: object):
    await world.call("POST", LIVE, **({} if body is None else {"json": body}))
    assert world.sessions.wishes == [None]


@pytest.mark.parametrize(
    ("stage", "detail", "status", "code"),
    [
        (Stage.RESERVED, {"device": "offline"}, 503, "device_offline"),
        (Stage.TRYING, {"sip_status": 486}, 502, "refused_by_device"),
        (Stage.ANSWERED, {"waited_s": 10.0}, 504, "no_picture"),
    ],
)
async def test_missing_picture_says_how_far_it_came(world: World, stage: Stage, detail: dict, status: int, code: str):
    world.sessions.failure = NoPicture("check the firewall", stage=stage, detail=detail)
    answer = await world.call("POST", LIVE, status=status, json={})
    assert answer["error"] == {"code": code, "message": "check the firewall", "stage": stage.value, "detail": detail}


async def test_sessions_are_listed_and_closed(world: World):
    session = (await world.call("POST", LIVE, json={}))["session_id"]
    (shown,) = (await world.call("GET", "/sessions", user="viewer"))["items"]
    assert (shown["session_id"], shown["user"], shown["channel_id"]) == (session, "admin", C1)
    await world.call("DELETE", f"/sessions/{session}", status=204)
    await world.call("DELETE", f"/sessions/{session}", status=404)


async def test_viewer_closes_only_what_it_opened(world: World):
    others = (await world.call("POST", LIVE, json={}))["session_id"]
    own = (await world.call("POST", LIVE, user="viewer", json={}))["session_id"]
    await world.call("DELETE", f"/sessions/{others}", user="viewer", status=403)
    await world.call("DELETE", f"/sessions/{own}", user="viewer", status=204)
    await world.call("DELETE", f"/sessions/{others}", user="operator", status=204)


async def test_recording_is_set_and_shown(world: World):
    answer = await world.call("PUT", RECORDING, json={"mode": "always", "transport": "udp", "retention_hours": 24})
    assert answer["mode"] == "always"
    assert world.recordings.modes[K1] == ("always", "udp", 24)
    assert (await world.call("GET", RECORDING, user="viewer"))["message"] == "the device does not answer"
    await world.call("PUT", RECORDING, user="viewer", status=403, json={"mode": "off"})
    assert world.users.audit[-1] == ("admin", "recording.set", str(K1))
    assert world.users.details[-1] == {"mode": "always", "transport": "udp", "retention_hours": 24}


@pytest.mark.parametrize(
    "body", [{}, {"mode": "sometimes"}, {"mode": "always", "retention_hours": 0}, {"mode": "always", "x": 1}]
)
async def test_recording_that_cannot_be_is_400(world: World, body: dict):
    await world.call("PUT", RECORDING, status=400, json=body)
    assert not world.recordings.modes


async def test_recordings_come_with_links_gaps_and_coverage(world: World):
    answer = await world.call("GET", f"{RECORDING}s?start=1970-01-01T00:00:00Z&end=1970-01-01T01:00:00%2B00:00")
    assert world.recordings.asked == [(0, 3600 * US)]
    first = answer["segments"][0]
    assert (first["id"], first["start"], first["end"]) == (1, "1970-01-01T00:00:00.000Z", "1970-01-01T00:05:00.000Z")
    path = f"1/{D1}/{C1}/19700101/0"
    assert urlsplit(first["url"]).path == f"/media/segment/{path}.ps"
    tokens.check(world.link_key, "segment", path, token_of(first["url"]), NOW.timestamp())
    assert [gap["end"] for gap in answer["gaps"]] == ["1970-01-01T00:26:40.000Z", None]
    assert answer["coverage"] == 0.5
    assert answer["next"] is None


async def test_recordings_without_range_are_those_of_the_last_day(world: World):
    await world.call("GET", f"{RECORDING}s")
    ((start, end),) = world.recordings.asked
    assert end == world.clock.utc_us()
    assert end - start == 86400 * US


async def test_pages_of_recordings_join(world: World):
    seen, cursor = [], ""
    while True:
        page = await world.call("GET", f"{RECORDING}s?limit=2{cursor}")
        seen += [segment["id"] for segment in page["segments"]]
        if not page["next"]:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("query", ["start=yesterday", "start=2026-03-01T00:00:00", "end=1", "start=9999-12-31T23:59:59-23:59"])
async def test_time_without_zone_or_sense_is_400(world: World, query: str):
    answer = await world.call("GET", f"{RECORDING}s?{query}", status=400)
    assert answer["error"]["detail"]["errors"][0]["location"] == f"query.{query.partition('=')[0]}"


async def test_segment_on_a_volume_that_is_gone_has_no_link(world: World):
    from dataclasses import replace

    world.recordings.segments = [replace(world.recordings.segments[0], volume="/gone")]
    assert (await world.call("GET", f"{RECORDING}s"))["segments"][0]["url"] is None


async def test_a_calendar_shows_days_with_what_they_hold(world: World):
    path = f"/devices/{D1}/channels/{C1}/recordings/calendar"
    answer = await world.call("GET", f"{path}?month=2026-03&zone=%2B08:00", user="viewer")
    assert answer["days"] == [
        {"date": "2026-02-28", "recorded_s": 43200.0, "coverage": 0.5, "bytes": 9000},
        {"date": "2026-03-01", "recorded_s": 0.0, "coverage": 0.0, "bytes": 0},
    ]
    assert world.archive.asked == [(K1, "2026-03", "+08:00")]
    await world.call("GET", path, status=400)
    await world.call("GET", f"{path}?month=soon", status=400)


async def test_the_overview_says_what_is_kept_and_what_is_missing(world: World):
    answer = await world.call("GET", "/overview", user="viewer")
    assert answer["recording"] == {"due": 2, "recording": 1}
    assert [(disk["path"], disk["number"], disk["kept_h"]) for disk in answer["disks"]] == [
        ("/v1", 1, 48.0),
        ("/gone", None, 0.0),
    ]
    assert answer["kept"] == [{"retention_hours": 360.0, "channels": 2, "shortest_h": 24.0, "longest_h": 48.0}]
    (missing,) = answer["missing"]
    assert (missing["name"], missing["cause"], missing["since"]) == ("东大门", "no_picture", "2026-03-01T07:00:00.000Z")
    assert answer["missing_total"] == 7
    assert answer["gaps"] == [{"cause": "no_media", "gaps": 3, "channels": 2, "lasting": 1, "seconds": 90.0}]


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "recordings", ""),
        ("GET", "recordings/calendar", "?month=1970-01"),
        ("GET", "recordings/export", "?start=1970-01-01T00:00:00Z&end=1970-01-01T00:01:00Z"),
        ("POST", "recordings/export", ""),
        ("GET", "snapshot", "?at=1970-01-01T00:00:00Z"),
        ("POST", "playback", ""),
    ],
)
async def test_a_mistyped_channel_is_404_and_not_one_without_recordings(world: World, method: str, path: str, query: str):
    body = {"start": "1970-01-01T00:00:00Z", "end": "1970-01-01T00:01:00Z"} if method == "POST" else None
    url = f"/devices/{D1}/channels/{D1}/{path}{query}"
    error = (await world.call(method, url, status=404, json=body))["error"]
    assert error["code"] == "not_found"


async def test_recordings_outlive_their_device(world: World):
    world.catalog.rows = []
    answer = await world.call(
        "GET", f"/devices/{D1}/channels/{C1}/recordings?start=1970-01-01T00:00:00Z&end=1970-01-01T01:00:00Z"
    )
    assert answer["segments"]
    await world.call("GET", f"/devices/{D1}/channels/{C1}/recordings/calendar?month=1970-01")
