from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher

from gb28181.accounts import service as service_module
from gb28181.accounts.model import Caller
from gb28181.accounts.service import AccountService
from gb28181.accounts.throttle import TooManyAttempts
from gb28181.clock import Clock
from gb28181.errors import Denied
from tests.fakes import FakeUserStore

#: The cheapest argon2id there is: these tests are about who gets in, not about its cost.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class SetClock(Clock):
    now = datetime(2026, 3, 1, tzinfo=UTC)

    def utc(self) -> datetime:
        return self.now


@pytest.fixture
def users() -> FakeUserStore:
    return FakeUserStore()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def make(users: FakeUserStore, clock: Clock, secret: bytes = b"s" * 32, attempts: int = 10) -> AccountService:
    return AccountService(users, secret=secret, clock=clock, ttl_s=3600, attempts_per_minute=attempts, hasher=CHEAP)


@pytest.fixture
def service(users: FakeUserStore, clock: SetClock) -> AccountService:
    return make(users, clock)


async def test_first_start_makes_a_password_and_tells_it_once(service: AccountService, users: FakeUserStore):
    password = await service.ensure_admin("")
    assert password is not None
    assert len(password) >= 12
    assert await service.ensure_admin("") is None
    assert password not in repr(users.users)
    assert users.users["admin"].password_hash.startswith("$argon2id$")
    assert (await service.login("admin", password, source="a")).caller == Caller("admin", "admin")


async def test_configured_password_is_applied_again_at_each_start(service: AccountService):
    assert await service.ensure_admin("first") is None
    await service.login("admin", "first", source="a")
    await service.ensure_admin("second")
    await service.login("admin", "second", source="a")
    with pytest.raises(Denied):
        await service.login("admin", "first", source="a")


async def test_unchanged_configured_password_keeps_logins(service: AccountService, users: FakeUserStore):
    await service.ensure_admin("same")
    token = (await service.login("admin", "same", source="a")).token
    await service.ensure_admin("same")
    assert (await service.authenticate(token)).username == "admin"


@pytest.mark.parametrize(("username", "password"), [("admin", "wrong"), ("nobody", "right"), ("", ""), ("admin", "x" * 10000)])
async def test_wrong_name_or_password_is_denied_alike(service: AccountService, username: str, password: str):
    await service.ensure_admin("right")
    with pytest.raises(Denied, match=r"^wrong user name or password$") as caught:
        await service.login(username, password, source="a")
    assert not caught.value.authenticated


async def test_unknown_user_costs_a_hash_too(service: AccountService, monkeypatch: pytest.MonkeyPatch):
    checked = []
    monkeypatch.setattr(AccountService, "_verify", lambda self, encoded, password: bool(checked.append(encoded)))
    with pytest.raises(Denied):
        await service.login("nobody", "x", source="a")
    assert checked[0].startswith("$argon2id$")


async def test_no_password_opens_what_stands_for_unknown_users(service: AccountService):
    for guess in ("", "admin", "\0"):
        with pytest.raises(Denied):
            await service.login("", guess, source="a")


async def test_login_is_limited_and_audited(users: FakeUserStore, clock: SetClock):
    service = make(users, clock, attempts=2)
    await service.ensure_admin("right")
    for _ in range(2):
        with pytest.raises(Denied):
            await service.login("admin", "wrong", source="a")
    with pytest.raises(TooManyAttempts):
        await service.login("admin", "right", source="a")
    await service.login("admin", "right", source="b")
    assert users.audit == [*[("admin", "login.refused", "a")] * 2, ("admin", "login", "b")]


async def test_refused_logins_of_names_that_nobody_has_are_not_kept(users: FakeUserStore, clock: SetClock):
    with pytest.raises(Denied):
        await make(users, clock).login("nobody", "guess", source="a")
    assert users.audit == []


async def test_failing_audit_stops_nobody(service: AccountService, users: FakeUserStore):
    users.broken = True
    await service.ensure_admin("right")
    await service.login("admin", "right", source="b")


async def test_token_expires(service: AccountService, clock: SetClock):
    await service.ensure_admin("right")
    login = await service.login("admin", "right", source="a")
    assert login.expires_at == clock.now + timedelta(hours=1)
    clock.now += timedelta(seconds=3599)
    await service.authenticate(login.token)
    clock.now += timedelta(seconds=1)
    with pytest.raises(Denied, match="expired"):
        await service.authenticate(login.token)


def unsigned(algorithm: str, claims: dict[str, object]) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': algorithm})}.{part(claims)}."


@pytest.mark.parametrize(
    "token",
    [
        "", "x", "a.b.c", "..", "\0", "é", "x" * 100_000,
        unsigned("none", {"sub": "admin", "exp": 10**12}), unsigned("HS256", {"sub": "admin", "exp": 10**12}),
    ],
)  # fmt: skip
async def test_forged_tokens_are_denied(service: AccountService, token: str):
    await service.ensure_admin("right")
    with pytest.raises(Denied):
        await service.authenticate(token)


async def test_token_of_another_server_is_denied(service: AccountService, users: FakeUserStore, clock: SetClock):
    await service.ensure_admin("right")
    foreign = await make(users, clock, secret=b"o" * 32).login("admin", "right", source="a")
    with pytest.raises(Denied, match="another server"):
        await service.authenticate(foreign.token)


async def test_new_password_ends_old_logins(service: AccountService):
    await service.ensure_admin("old")
    token = (await service.login("admin", "old", source="a")).token
    await service.ensure_admin("new")
    with pytest.raises(Denied, match="no longer valid"):
        await service.authenticate(token)


async def test_disabled_user_is_out_within_seconds(
    service: AccountService, users: FakeUserStore, monkeypatch: pytest.MonkeyPatch
):
    await service.ensure_admin("right")
    token = (await service.login("admin", "right", source="a")).token
    users.users["admin"] = replace(users.users["admin"], disabled=True)
    monkeypatch.setattr(service_module, "_USER_CACHE_S", -1.0)
    with pytest.raises(Denied):
        await service.authenticate(token)
    with pytest.raises(Denied):
        await service.login("admin", "right", source="a")
    await service.ensure_admin("right")
    assert (await service.login("admin", "right", source="a")).caller.role == "admin"
