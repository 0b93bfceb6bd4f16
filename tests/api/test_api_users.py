"""Users, passwords and the audit over the API."""

from __future__ import annotations

import pytest

from gb28181.accounts.rights import MAY
from gb28181.api.app import ROUTES, create_api
from gb28181.api.services import Limits
from tests.api.api_world import C1, D1, World


async def test_an_administrator_makes_changes_and_removes_users(world: World):
    made = await world.call(
        "POST", "/users", status=201, json={"username": "王伟", "password": "long-enough", "role": "viewer"}
    )
    assert made == {"username": "王伟", "role": "viewer", "disabled": False}
    changed = await world.call("PATCH", "/users/王伟", json={"role": "operator", "disabled": True})
    assert changed == {"username": "王伟", "role": "operator", "disabled": True}
    names = [entry["username"] for entry in (await world.call("GET", "/users"))["items"]]
    assert names == ["admin", "operator", "viewer", "王伟"]
    await world.call("DELETE", "/users/王伟", status=204)
    await world.call("DELETE", "/users/王伟", status=404)
    assert [entry[1:] for entry in world.users.audit if entry[1].startswith("user.")] == [
        ("user.create", "王伟"), ("user.change", "王伟"), ("user.delete", "王伟"),
    ]  # fmt: skip


async def test_no_answer_and_no_audit_row_holds_a_password_or_hash(world: World):
    body = {"username": "u", "password": "hunter2-hunter2", "role": "viewer"}
    said = [await world.call("POST", "/users", status=201, json=body), await world.call("GET", "/users")]
    said.append(await world.call("POST", "/users", status=400, json=body | {"extra": 1}))
    said.append(world.users.audit)
    assert "hunter2" not in str(said)
    assert "argon2" not in str(said)


@pytest.mark.parametrize("user", ["operator", "viewer"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/users"), ("POST", "/users"), ("PATCH", "/users/admin"), ("DELETE", "/users/admin"), ("GET", "/audit")],
)
async def test_only_administrators_see_and_change_users_and_the_audit(world: World, user: str, method: str, path: str):
    answer = await world.call(method, path, user=user, status=403)
    assert answer["error"]["code"] == "forbidden"


async def test_the_last_administrator_cannot_be_removed_disabled_or_demoted(world: World):
    for method, body in (("DELETE", None), ("PATCH", {"disabled": True}), ("PATCH", {"role": "viewer"})):
        answer = await world.call(method, "/users/admin", status=409, json=body)
        assert "last administrator" in answer["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"username": "", "password": "long-enough", "role": "viewer"},
        {"username": " x", "password": "long-enough", "role": "viewer"},
        {"username": "a/b", "password": "long-enough", "role": "viewer"},
        {"username": "a\n", "password": "long-enough", "role": "viewer"},
        {"username": "a", "password": "short", "role": "viewer"},
        {"username": "a", "password": "long-enough", "role": "root"},
    ],
)
async def test_a_user_that_cannot_be_is_400(world: World, body: dict[str, str]):
    assert (await world.call("POST", "/users", status=400, json=body))["error"]["code"] == "invalid"


async def test_everybody_changes_the_own_password_and_goes_on_with_the_new_token(world: World):
    answer = await world.call("POST", "/password", user="viewer", json={"old": "pass word", "new": "other words"})
    await world.call("GET", "/devices", user="viewer", status=401)
    world.tokens["viewer"] = answer["token"]
    await world.call("GET", "/devices", user="viewer")
    assert ("viewer", "password.change", "viewer") in world.users.audit


async def test_a_wrong_old_password_is_refused_without_ending_the_login(world: World):
    await world.call("POST", "/password", user="viewer", status=403, json={"old": "guess", "new": "other words"})
    await world.call("GET", "/devices", user="viewer")


async def test_the_audit_comes_newest_first_in_pages(world: World):
    for name in ("a", "b", "c"):
        await world.call("POST", "/users", status=201, json={"username": name, "password": "long-enough", "role": "viewer"})
    first = await world.call("GET", "/audit?limit=2&action=user.create")
    rest = await world.call("GET", f"/audit?limit=2&action=user.create&cursor={first['next']}")
    assert [entry["target"] for entry in first["items"] + rest["items"]] == ["c", "b", "a"]
    assert rest["next"] is None
    await world.call("GET", f"/audit?limit=2&cursor={first['next']}", status=400)  # a cursor belongs to its list


async def test_opening_a_picture_is_audited(world: World):
    await world.call("POST", f"/devices/{D1}/channels/{C1}/live", user="viewer", json={})
    assert ("viewer", "live.open", f"{D1}/{C1}") in world.users.audit


async def test_one_user_has_a_bounded_number_of_sessions(world: World, aiohttp_api):
    await aiohttp_api(Limits(sessions_per_user=2))
    for _ in range(2):
        await world.call("POST", f"/devices/{D1}/channels/{C1}/live", user="viewer", json={})
    answer = await world.call("POST", f"/devices/{D1}/channels/{C1}/live", user="viewer", status=429, json={})
    assert "http.max_sessions_per_user" in answer["error"]["message"]
    await world.call("POST", f"/devices/{D1}/channels/{C1}/live", user="operator", json={})


async def test_a_caller_that_asks_too_fast_gets_429_and_others_go_on(world: World, aiohttp_api):
    await aiohttp_api(Limits(requests_per_s=0.01))  # a burst of 0.05: nobody's first request is answered
    answer = await world.call("GET", "/devices", user="viewer", status=429)
    assert answer["error"]["code"] == "too_many_requests"
    await aiohttp_api(Limits(requests_per_s=0.4))  # a burst of two
    for _ in range(2):
        await world.call("GET", "/devices", user="viewer")
    async with world.client.get("/api/v1/devices", headers={"Authorization": f"Bearer {world.tokens['viewer']}"}) as refused:
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) >= 1
    await world.call("GET", "/devices", user="operator")


async def test_guessed_tokens_are_counted_by_address(world: World, aiohttp_api):
    await aiohttp_api(Limits(requests_per_s=0.4))
    forged = {"Authorization": "Bearer forged", "X-Forwarded-For": "192.0.2.66"}
    statuses = []
    for _ in range(3):
        async with world.client.get("/api/v1/devices", headers=forged) as response:
            statuses.append(response.status)
    assert statuses == [401, 401, 429]
    await world.call("GET", "/devices")


def test_every_endpoint_names_a_right_that_exists_or_is_for_everybody():
    rights = set().union(*MAY.values())
    assert {endpoint.path for endpoint in ROUTES if endpoint.right is None} == {"/login", "/health"}
    assert all(endpoint.right in rights for endpoint in ROUTES if endpoint.right)


def test_a_viewer_changes_nothing_but_its_own():
    """Whatever a viewer may call with an effect is listed here by name: a new endpoint is denied until somebody decides."""
    effects = {endpoint.name for endpoint in ROUTES if endpoint.right in MAY["viewer"] and endpoint.method != "GET"}
    assert effects == {"open_live", "open_playback", "change_session", "close_session", "plan_export", "change_password"}


def test_the_application_serves_nothing_beside_its_table(world: World):
    paths = {resource.canonical for resource in create_api(world.services()).router.resources()}
    assert paths - {f"/api/v1{endpoint.path}" for endpoint in ROUTES} == {
        "/health", "/metrics", "/api/v1/events", "/api/openapi.json", "/api/docs", "/api/docs.css",
    }  # fmt: skip
