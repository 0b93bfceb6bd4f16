"""Playback sessions through the API: the real service over a store that knows one hour."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from gb28181 import tokens
from gb28181.api.services import Limits
from gb28181.clock import Clock
from gb28181.messages import PlaybackControl
from gb28181.session.playback import PlaybackService
from tests.api.api_world import C1, C2, D1, K1, NOW, US, World

PLAYBACK = f"/devices/{D1}/channels/{C1}/playback"
HOUR = {"start": "2026-03-01T07:00:00Z", "end": "2026-03-01T15:30:00+08:00"}
SPAN = "1772348400000-1772350200000"


async def opened(world: World, user: str = "viewer") -> str:
    return (await world.call("POST", PLAYBACK, user=user, json=HOUR))["session_id"]


async def test_playback_gives_links_that_are_bound_to_the_range(world: World) -> None:
    answer = await world.call("POST", PLAYBACK, user="viewer", json=HOUR)
    assert (answer["start"], answer["end"]) == ("2026-03-01T07:00:00.000Z", "2026-03-01T07:30:00.000Z")
    place = f"{D1}/{C1}/{SPAN}"
    prefix, token, name = answer["urls"]["hls"].rsplit("/", 2)
    assert (prefix, name) == (f"/media/hls/{place}", "index.m3u8")
    # A link lasts for the pauses and the second look at what it shows.
    for after, good in ((600 + 3600 - 1, True), (600 + 3600 + 1, False)):
        if good:
            tokens.check(world.link_key, "hls", place, token, NOW.timestamp() + after)
        else:
            with pytest.raises(tokens.Denied):
                tokens.check(world.link_key, "hls", place, token, NOW.timestamp() + after)
    flv = urlsplit(answer["urls"]["flv"])
    assert answer["urls"]["ws_flv"] == answer["urls"]["flv"]
    assert flv.path == f"/media/playback/{answer['session_id']}.flv"
    query = {key: values[0] for key, values in parse_qs(flv.query).items()}
    assert (query["device"], query["channel"], query["range"]) == (D1, C1, SPAN)
    tokens.check(world.link_key, "playback", f"{answer['session_id']}/{place}", query["token"], NOW.timestamp())


async def test_where_nothing_is_recorded_the_nearest_recording_is_named(world: World) -> None:
    for start, end in (("2026-03-01T01:00:00Z", "2026-03-01T02:00:00Z"), ("2026-03-09T01:00:00Z", "2026-03-09T02:00:00Z")):
        answer = await world.call("POST", PLAYBACK, status=404, json={"start": start, "end": end})
        assert "nearest recording is from 2026-03-01T07:00:00.000Z to 2026-03-01T08:00:00.000Z" in answer["error"]["message"]
    other = PLAYBACK.replace(C1, C2)
    assert "nor anything else" in (await world.call("POST", other, status=404, json=HOUR))["error"]["message"]


async def test_recordings_on_the_device_are_for_a_later_version(world: World) -> None:
    answer = await world.call("POST", PLAYBACK, status=501, json={**HOUR, "source": "device"})
    assert answer["error"]["code"] == "not_supported"
    assert "later version" in answer["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [{}, {"start": HOUR["start"]}, {**HOUR, "end": "2026-03-01T07:30:00"}, {**HOUR, "source": "moon"},
     {"start": HOUR["end"], "end": HOUR["start"]}],
)  # fmt: skip
async def test_a_range_that_is_none_is_refused(world: World, body: dict[str, str]) -> None:
    await world.call("POST", PLAYBACK, status=400, json=body)


async def test_wishes_reach_the_edge(world: World) -> None:
    session = await opened(world)
    for body, told in (
        ({"action": "pause"}, PlaybackControl(session, "pause")),
        ({"action": "seek", "position": "2026-03-01T07:10:00Z"},
         PlaybackControl(session, "seek", (int(NOW.timestamp()) - 3000) * US)),
        ({"action": "speed", "speed": 4}, PlaybackControl(session, "speed", None, 4.0)),
        ({"action": "resume"}, PlaybackControl(session, "resume")),
    ):  # fmt: skip
        answer = await world.call("PATCH", f"/sessions/{session}", user="viewer", json=body)
        assert world.told.pop() == told
    assert (answer["paused"], answer["speed"]) == (False, 4.0)


@pytest.mark.parametrize(
    "body",
    [{"action": "seek"}, {"action": "seek", "position": "2026-03-01T06:59:59Z"}, {"action": "seek", "position": HOUR["end"]},
     {"action": "speed"}, {"action": "speed", "speed": 0.1}, {"action": "speed", "speed": 32}, {"action": "fly"}],
)  # fmt: skip
async def test_wishes_that_make_no_sense_are_refused(world: World, body: dict[str, object]) -> None:
    session = await opened(world)
    await world.call("PATCH", f"/sessions/{session}", status=400, json=body)
    assert world.told == []


async def test_sessions_are_listed_and_closed(world: World) -> None:
    session = await opened(world)
    (shown,) = (await world.call("GET", "/sessions", user="operator"))["playbacks"]
    assert (shown["session_id"], shown["user"], shown["start"]) == (session, "viewer", "2026-03-01T07:00:00.000Z")
    await world.call("DELETE", f"/sessions/{session}", user="viewer", status=204)
    assert world.told == [PlaybackControl(session, "close")]
    assert (await world.call("GET", "/sessions"))["playbacks"] == []
    await world.call("PATCH", f"/sessions/{session}", status=404, json={"action": "pause"})


async def test_a_session_of_somebody_else_is_for_operators(world: World) -> None:
    session = await opened(world, "admin")
    await world.call("PATCH", f"/sessions/{session}", user="viewer", status=403, json={"action": "pause"})
    await world.call("DELETE", f"/sessions/{session}", user="viewer", status=403)
    await world.call("PATCH", f"/sessions/{session}", user="operator", json={"action": "pause"})


async def test_a_session_ends_with_its_links(world: World) -> None:
    class Later(Clock):
        now = NOW

        def utc(self) -> datetime:
            return self.now

    clock = Later()
    service = PlaybackService(store=world.spans, written=lambda key: None, tell=world.told.append, clock=clock, ttl_s=600)
    start = int(NOW.timestamp() - 1800) * US
    session = await service.open(K1, start, start + 60 * US, user="viewer")
    clock.now += timedelta(seconds=719)
    assert service.find(session.session_id) == session
    clock.now += timedelta(seconds=2)
    assert service.find(session.session_id) is None


async def test_what_is_being_written_counts_as_recorded(world: World) -> None:
    now = int(NOW.timestamp()) * US
    service = PlaybackService(
        store=world.spans, written=lambda key: (now, now + 20 * US), tell=world.told.append, clock=world.clock, ttl_s=600
    )
    assert (await service.open(K1, now + 5 * US, now + 60 * US, user="viewer")).start == now + 5 * US


async def test_sessions_of_one_user_are_bounded(world: World, aiohttp_api) -> None:
    await aiohttp_api(Limits(sessions_per_user=2))
    for _ in range(2):
        await opened(world)
    await world.call("POST", PLAYBACK, user="viewer", status=429, json=HOUR)
