"""Administration of users: who may exist, and that somebody can always administer."""

from __future__ import annotations

import asyncio

import pytest

from gb28181.accounts.service import AccountService
from gb28181.accounts.throttle import RateLimit, TooManyAttempts, TooManyRequests
from gb28181.errors import Conflict, Denied, Invalid, NotFound
from tests.accounts.test_account_service import SetClock, make
from tests.fakes import FakeUserStore


@pytest.fixture
def users() -> FakeUserStore:
    return FakeUserStore()


@pytest.fixture
async def service(users: FakeUserStore) -> AccountService:
    made = make(users, SetClock(), attempts=5)
    await made.ensure_admin("first-password")
    return made


async def test_a_new_user_logs_in_with_its_role(service: AccountService):
    await service.create_user("wei", "long-enough", "viewer")
    login = await service.login("wei", "long-enough", source="a")
    assert (await service.authenticate(login.token)).role == "viewer"
    assert [found.username for found in await service.users()] == ["admin", "wei"]


async def test_a_name_is_given_once(service: AccountService):
    with pytest.raises(Conflict, match="exists already"):
        await service.create_user("admin", "long-enough", "admin")


@pytest.mark.parametrize("password", ["", "7 chars", "operator-1", "x" * 1025])
async def test_a_password_that_is_too_easy_or_too_long_is_refused(service: AccountService, password: str):
    with pytest.raises(Invalid, match="password"):
        await service.create_user("Operator-1", password, "operator")


async def test_another_role_counts_from_the_next_request(service: AccountService):
    await service.create_user("wei", "long-enough", "viewer")
    login = await service.login("wei", "long-enough", source="a")
    await service.change_user("wei", role="operator")
    assert (await service.authenticate(login.token)).role == "operator"


@pytest.mark.parametrize("change", [{"disabled": True}, {"password": "another-one"}])
async def test_disabling_or_a_new_password_ends_every_login(service: AccountService, change: dict[str, object]):
    await service.create_user("wei", "long-enough", "viewer")
    login = await service.login("wei", "long-enough", source="a")
    await service.change_user("wei", **change)
    with pytest.raises(Denied):
        await service.authenticate(login.token)


async def test_a_deleted_user_is_gone_at_once_and_a_namesake_does_not_inherit_the_login(service: AccountService):
    await service.create_user("wei", "long-enough", "viewer")
    login = await service.login("wei", "long-enough", source="a")
    await service.delete_user("wei")
    with pytest.raises(Denied):
        await service.authenticate(login.token)
    await service.create_user("wei", "long-enough", "admin")
    with pytest.raises(Denied):
        await service.authenticate(login.token)


async def test_the_last_administrator_is_never_lost(service: AccountService):
    with pytest.raises(Conflict, match="last administrator"):
        await service.delete_user("admin")
    with pytest.raises(Conflict, match="last administrator"):
        await service.change_user("admin", role="viewer")
    with pytest.raises(Conflict, match="last administrator"):
        await service.change_user("admin", disabled=True)
    await service.change_user("admin", password="new-password")


async def test_two_administrators_who_demote_each_other_leave_one(service: AccountService, users: FakeUserStore):
    await service.create_user("second", "long-enough", "admin")
    results = await asyncio.gather(
        service.change_user("admin", role="viewer"), service.delete_user("second"), return_exceptions=True
    )
    assert sum(isinstance(result, Conflict) for result in results) == 1
    assert [name for name, user in users.users.items() if user.role == "admin"] == ["second"]


async def test_an_admin_deleted_on_purpose_does_not_come_back_at_the_next_start(service: AccountService, users: FakeUserStore):
    await service.create_user("second", "long-enough", "admin")
    await service.delete_user("admin")
    assert await make(users, SetClock()).ensure_admin("") is None
    assert list(users.users) == ["second"]
    await make(users, SetClock()).ensure_admin("from-the-configuration")  # the way back in
    assert sorted(users.users) == ["admin", "second"]


async def test_unknown_users_cannot_be_changed_or_removed(service: AccountService):
    with pytest.raises(NotFound):
        await service.change_user("nobody", role="admin")
    with pytest.raises(NotFound):
        await service.delete_user("nobody")


async def test_own_password_needs_the_old_one_and_ends_earlier_logins(service: AccountService):
    before = await service.login("admin", "first-password", source="a")
    with pytest.raises(Denied, match="old password"):
        await service.change_own_password(before.caller, "guess", "second-password", source="a")
    with pytest.raises(Invalid, match="the old one"):
        await service.change_own_password(before.caller, "first-password", "first-password", source="a")
    made = await service.change_own_password(before.caller, "first-password", "second-password", source="a")
    assert (await service.authenticate(made.token)).username == "admin"
    with pytest.raises(Denied):
        await service.authenticate(before.token)


async def test_the_old_password_cannot_be_guessed_faster_than_a_login(service: AccountService):
    caller = (await service.login("admin", "first-password", source="a")).caller
    for _ in range(5):
        with pytest.raises(Denied):
            await service.change_own_password(caller, "guess", "second-password", source="a")
    with pytest.raises(TooManyAttempts):
        await service.change_own_password(caller, "first-password", "second-password", source="a")


def test_a_rate_is_refilled_and_never_shared():
    rate = RateLimit(per_s=2, burst=4)
    for _ in range(4):
        rate.take("a", 0.0)
    with pytest.raises(TooManyRequests) as refused:
        rate.take("a", 0.0)
    assert refused.value.retry_after_s == 0.5
    rate.take("b", 0.0)
    rate.take("a", 0.5)
    with pytest.raises(TooManyRequests):
        rate.take("a", 0.5)
    for _ in range(4):
        rate.take("a", 1e6)  # a long silence saves no more than one burst
    with pytest.raises(TooManyRequests):
        rate.take("a", 1e6)


def test_callers_that_were_silent_longest_are_forgotten_first():
    rate = RateLimit(per_s=1, burst=1)
    for number in range(20_001):
        rate.take(number, 0.0)
    rate.take(0, 0.0)  # its bucket went
    with pytest.raises(TooManyRequests):
        rate.take(20_000, 0.0)
