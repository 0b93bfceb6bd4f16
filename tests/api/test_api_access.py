from __future__ import annotations

import logging
import re

import pytest

from gb28181.api.app import ROUTES
from gb28181.api.routing import PREFIX
from gb28181.api.services import Health, Part
from gb28181.errors import StorageError, Unreachable
from tests.api.api_world import D1, World


async def test_login_gives_a_token_that_opens_the_rest(world: World):
    answer = await world.call("POST", "/login", user="", json={"username": "admin", "password": "pass word"})
    assert answer["expires_at"] == "2026-03-01T09:00:00.000Z"
    assert answer["role"] == "admin"
    async with world.client.get("/api/v1/devices", headers={"Authorization": f"bearer {answer['token']}"}) as response:
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"


async def test_wrong_password_is_401_and_too_many_are_429(world: World):
    for _ in range(3):
        answer = await world.call("POST", "/login", user="", status=401, json={"username": "admin", "password": "x"})
        assert answer == {"error": {"code": "unauthenticated", "message": "wrong user name or password"}}
    async with world.client.post("/api/v1/login", json={"username": "admin", "password": "x"}) as response:
        assert response.status == 429
        assert int(response.headers["Retry-After"]) > 0
        assert (await response.json())["error"]["code"] == "too_many_attempts"
    elsewhere = {"X-Forwarded-For": "spoofed, 192.0.2.9"}
    await world.call("POST", "/login", user="", json={"username": "admin", "password": "pass word"}, headers=elsewhere)
    assert ("admin", "login", "192.0.2.9") in world.users.audit


@pytest.mark.parametrize("endpoint", [route for route in ROUTES if route.right], ids=lambda route: route.name)
async def test_every_endpoint_but_login_needs_a_login(world: World, endpoint):
    path = re.sub(r"\{\w+\}", D1, endpoint.path)
    for headers in ({}, {"Authorization": "Bearer forged"}, {"Authorization": "Basic YWRtaW46YWRtaW4="}, {"Cookie": "token=x"}):
        async with world.client.request(endpoint.method, PREFIX + path, headers=headers) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            assert (await response.json())["error"]["code"] == "unauthenticated"


@pytest.mark.parametrize(
    ("user", "method", "path", "status"),
    [
        ("viewer", "GET", "/devices", 200),
        ("viewer", "POST", f"/devices/{D1}/catalog", 403),
        ("operator", "POST", f"/devices/{D1}/catalog", 202),
        ("viewer", "GET", "/refusals", 403),
        ("operator", "DELETE", f"/devices/{D1}", 403),
        ("operator", "POST", "/devices", 403),
        ("admin", "DELETE", f"/devices/{D1}", 204),
    ],
)
async def test_role_decides_what_may_be_done(world: World, user: str, method: str, path: str, status: int):
    answer = await world.call(method, path, user=user, status=status)
    if status == 403:
        assert answer["error"]["code"] == "forbidden"
        assert user in answer["error"]["message"]


async def test_health_needs_no_login_and_names_parts_without_folders_or_faults(world: World):
    world.health = Health(
        "degraded",
        [
            Part("control", "running", 7),
            Part("database", "failing", None, "/srv/secret/gb28181.db: disk I/O error"),
            Part("volume /v1", "failed", None, "/v1: Input/output error"),
            Part("volume /gone", "running"),
        ],
        "0",
    )
    for path in ("/health", "/api/v1/health"):
        async with world.client.get(path) as response:
            assert response.status == 200
            said = await response.json()
        assert said == {
            "status": "degraded",
            "version": "0",
            "parts": [
                {"name": "control", "state": "running", "pid": 7},
                {"name": "database", "state": "failing", "pid": None},
                {"name": "volume 1", "state": "failed", "pid": None},
                {"name": "volume, not configured any more", "state": "running", "pid": None},
            ],
        }


async def test_who_is_logged_in_is_told_what_is_wrong(world: World):
    world.health = Health("degraded", [Part("volume /v1", "failed", None, "/v1: Input/output error")], "0")
    answer = await world.call("GET", "/system", user="viewer")
    assert answer["parts"] == [{"name": "volume /v1", "state": "failed", "pid": None, "detail": "/v1: Input/output error"}]


async def test_metrics_are_prometheus_text(world: World):
    async with world.client.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert await response.text() == "gb28181_up 1\n"


async def test_system_tells_counts_volumes_and_what_to_type_into_a_camera(world: World):
    answer = await world.call("GET", "/system", user="viewer")
    assert answer["devices"] == {"total": 2, "online": 1}
    assert answer["channels"] == {"total": 3, "online": 1}
    assert answer["recording"] == {"due": 2, "recording": 1}
    assert [(v["number"], v["free_bytes"]) for v in answer["volumes"]] == [(1, 40), (None, 1)]
    assert answer["sip"] == {
        "server_id": "34020000002000000001", "domain": "3402000000", "host": "192.168.1.1", "port": 5060,
        "transports": ["udp", "tcp"], "tls_port": None,
    }  # fmt: skip
    assert "password" not in str(answer)


async def test_refusals_say_what_to_check(world: World):
    (entry,) = (await world.call("GET", "/refusals"))["items"]
    assert entry["reason"] == "wrong password"
    assert entry["at"] == "2026-03-01T08:00:00.000Z"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(Unreachable("offline"), 503, "device_offline"), (StorageError("disk full"), 503, "storage")],
)
async def test_errors_raised_on_purpose_have_their_status(world: World, error, status: int, code: str):
    world.catalog.refused = error
    answer = await world.call("POST", f"/devices/{D1}/catalog", status=status)
    assert answer == {"error": {"code": code, "message": str(error)}}


async def test_unforeseen_failure_is_500_with_an_id_that_is_in_the_log(world: World, caplog: pytest.LogCaptureFixture):
    world.sessions.failure = ZeroDivisionError("secret internals")
    with caplog.at_level(logging.ERROR, "gb28181.api.app"):
        answer = await world.call("POST", f"/devices/{D1}/channels/{D1}/live", status=500, json={})
    assert "secret internals" not in str(answer)
    assert caplog.records[0].error_id == answer["error"]["error_id"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("PATCH", "/api/v1/login", 405, "method_not_allowed"),
        ("GET", "/x", 404, "not_found"),
    ],
)
async def test_unknown_paths_and_methods_answer_in_the_same_shape(world: World, method: str, path: str, status: int, code: str):
    async with world.client.request(method, path) as response:
        assert response.status == status
        assert (await response.json())["error"]["code"] == code


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PATCH"])
async def test_a_method_that_is_not_served_is_told_which_are(world: World, method: str):
    async with world.client.request(method, "/api/v1/devices", headers={"Accept-Language": "zh"}) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET,HEAD,POST"
        assert (await response.json())["error"]["message"] == f"/api/v1/devices 不支持 {method}；支持的方法：GET, HEAD, POST"


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (b"", "body.username"),
        (b"{", "body"),
        (b"[]", "body"),
        (b"\xff\xfe", "body"),
        (b'{"username": "a", "password": 5}', "body.password"),
        (b'{"username": "a", "password": "hunter2", "more": 1}', "body.more"),
        (b"[" * 9000, "body"),
        (b'{"username": "\\ud800", "password": "hunter2"}', "body"),
    ],
)
async def test_malformed_body_is_400_with_its_place_and_never_its_value(world: World, body: bytes, location: str):
    answer = await world.call("POST", "/login", user="", status=400, data=body)
    assert answer["error"]["code"] == "invalid"
    assert location in [problem["location"] for problem in answer["error"]["detail"]["errors"]]
    assert "hunter2" not in str(answer)


async def test_body_that_is_too_long_is_413(world: World):
    answer = await world.call("POST", "/login", user="", status=413, data=b"x" * 20_000)
    assert answer["error"]["code"] == "too_large"


async def test_unknown_or_bad_parameters_are_400(world: World):
    for query in ("onlin=true", "limit=0", "limit=1001", "online=perhaps", "cursor=forged"):
        answer = await world.call("GET", f"/devices?{query}", status=400)
        assert answer["error"]["code"] == "invalid"
