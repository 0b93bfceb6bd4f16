"""Logins, tokens and what users did.

A token is a JWT signed under a key of the data folder. It names the user and a fingerprint of the password hash: it ends
with its time, with a new password, and when the user is disabled. There is no default password.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from gb28181.accounts.model import AuditEntry, Caller, Role, User
from gb28181.accounts.throttle import LoginThrottle
from gb28181.clock import Clock
from gb28181.errors import Conflict, Denied, Gb28181Error, Invalid, NotFound, Unavailable
from gb28181.ports import UserStore
from gb28181.texts.text import say
from gb28181.tokens import derive

logger = logging.getLogger(__name__)

ADMIN: Final = "admin"
_ALGORITHM: Final = "HS256"
_LONGEST_TOKEN: Final = 4096
_LONGEST_PASSWORD: Final = 1024
_SHORTEST_PASSWORD: Final = 8
#: Far above what a control room has; bounds what `GET /users` answers.
_MOST_USERS: Final = 1000
#: A hash takes a core for about 0.2 s and 64 MiB: two at once, and a queue that a flood fills before the machine.
_HASHES_AT_ONCE: Final = 2
_HASHES_WAITING: Final = 32
_USER_CACHE_S: Final = 5.0
_USER_CACHE: Final = 1000
#: Easily told apart when read from a terminal and typed.
_TYPEABLE: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True, slots=True)
class Login:
    """A fresh token; whoever holds it is the caller until it expires."""

    token: str
    expires_at: datetime
    caller: Caller


def new_password(length: int = 14) -> str:
    """A random password that can be read aloud and typed."""
    return "".join(secrets.choice(_TYPEABLE) for _ in range(length))


def _is_active_admin(user: User) -> bool:
    return user.role == "admin" and not user.disabled


def _check_password(username: str, password: str) -> None:
    """Raises: Invalid: It is too short, too long, or the user's name."""
    if not _SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise Invalid(say("accounts.password_length", shortest=_SHORTEST_PASSWORD, longest=_LONGEST_PASSWORD))
    if password.casefold() == username.casefold():
        raise Invalid(say("accounts.password_is_name"))


class AccountService:
    """Knows who asks.

    Args:
        secret: The secret of the data folder; the key of the tokens is derived from it.
        ttl_s: Life of a token.
        attempts_per_minute: Logins per user and source.
        hasher: Cost of a hash; the default is argon2id as its authors recommend.
    """

    def __init__(
        self,
        store: UserStore,
        *,
        secret: bytes,
        clock: Clock,
        ttl_s: float,
        attempts_per_minute: int,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._store = store
        self._key: Final = derive(secret, "api")
        self._clock = clock
        self._ttl_s = ttl_s
        self._throttle = LoginThrottle(per_minute=attempts_per_minute)
        self._hasher = hasher or PasswordHasher(type=Type.ID)
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)
        self._waiting = 0
        self._known: dict[str, tuple[float, User]] = {}
        self._nobody: User | None = None
        #: Two administrators who demote each other at the same moment must not both succeed.
        self._changing = asyncio.Lock()

    async def ensure_admin(self, configured_password: str) -> str | None:
        """Makes the first administrator, or gives it the configured password.

        Returns:
            A password that was made now, to be printed once; None when there is nothing to tell.
        """
        await self._stand_in()
        user = await self._store.load_user(ADMIN)
        if user is None:
            if not configured_password and any(_is_active_admin(found) for found in await self._store.load_users()):
                return None  # it was deleted on purpose, by another administrator
            password = configured_password or new_password()
            await self._save(User(ADMIN, await self._hash(password), "admin"))
            return None if configured_password else password
        if configured_password and (
            user.disabled or user.role != "admin" or not await self._matches(user, configured_password)
        ):
            logger.info("administrator has the configured password now", extra={"user": ADMIN})
            await self._save(replace(user, password_hash=await self._hash(configured_password), role="admin", disabled=False))
        return None

    async def login(self, username: str, password: str, *, source: str) -> Login:
        """A token for the right password.

        Args:
            source: Address that the attempt came from.

        Raises:
            TooManyAttempts: This user was tried too often from this source.
            Denied: Wrong name or password, or the user is disabled; the three are not told apart.
            Unavailable: Too many logins at once.
        """
        self._throttle.attempt(username, source, time.monotonic())
        user = await self._store.load_user(username)
        # An unknown user costs the same hash: the time of an answer does not tell which names exist.
        right = await self._matches(user or await self._stand_in(), password)
        if user is None or not right or user.disabled:
            logger.warning("login refused", extra={"user": username[:64], "source": source})
            if user is not None:  # a name that nobody has would let strangers fill the audit
                await self.audit(Caller(user.username, user.role), "login.refused", source)
            raise Denied(say("accounts.wrong"))
        self._throttle.succeeded(username, source)
        self._remember(user)
        made = self._token(user)
        await self.audit(made.caller, "login", source)
        return made

    def _token(self, user: User) -> Login:
        expires = int(self._clock.utc().timestamp() + self._ttl_s)
        claims = {"sub": user.username, "exp": expires, "fp": self._fingerprint(user)}
        token = jwt.encode({"alg": _ALGORITHM}, claims, OctKey.import_key(self._key))
        return Login(token, datetime.fromtimestamp(expires, UTC), Caller(user.username, user.role))

    async def authenticate(self, token: str) -> Caller:
        """Who holds this token.

        Raises:
            Denied: It is missing, not ours, expired, or its user has another password now or is disabled.
        """
        claims = self._claims(token)
        user = await self._user(str(claims.get("sub", "")))
        if user is None or user.disabled or not hmac.compare_digest(self._fingerprint(user), str(claims.get("fp", ""))):
            raise Denied(say("accounts.login_over"))
        return Caller(user.username, user.role)

    async def users(self) -> Sequence[User]:
        """Every user, by name."""
        return await self._store.load_users()

    async def create_user(self, username: str, password: str, role: Role) -> User:
        """Adds somebody.

        Raises:
            Conflict: The name is taken, or there are as many users as there may be.
            Invalid: The password is too easy.
        """
        _check_password(username, password)
        async with self._changing:
            known = await self._store.load_users()
            if len(known) >= _MOST_USERS:
                raise Conflict(say("accounts.users_full", known=len(known)))
            if any(found.username == username for found in known):
                raise Conflict(say("accounts.user_exists", username=username))
            user = User(username, await self._hash(password), role)
            await self._save(user)
        return user

    async def change_user(
        self, username: str, *, role: Role | None = None, password: str | None = None, disabled: bool | None = None
    ) -> User:
        """Changes what is given. A new password or `disabled` ends every login of the user.

        Raises:
            NotFound: No such user.
            Conflict: Nobody would be left to administer the server.
            Invalid: The password is too easy.
        """
        if password is not None:
            _check_password(username, password)
        async with self._changing:
            user = await self._existing(username)
            changed = replace(
                user,
                role=user.role if role is None else role,
                disabled=user.disabled if disabled is None else disabled,
                password_hash=user.password_hash if password is None else await self._hash(password),
            )
            if not _is_active_admin(changed):
                await self._keep_an_admin(user)
            await self._save(changed)
        return changed

    async def delete_user(self, username: str) -> None:
        """Removes somebody, with every login; what they did stays in the audit.

        Raises:
            NotFound: No such user.
            Conflict: Nobody would be left to administer the server.
        """
        async with self._changing:
            user = await self._existing(username)
            await self._keep_an_admin(user)
            await self._store.delete_user(username)
            self._known.pop(username, None)

    async def change_own_password(self, caller: Caller, old: str, new: str, *, source: str) -> Login:
        """Gives the caller another password and, because every earlier login ends with it, a new login.

        Raises:
            TooManyAttempts: The old password was tried too often from this source.
            Denied: The old password is wrong.
            Invalid: The new password is too easy, or the old one.
        """
        self._throttle.attempt(caller.username, source, time.monotonic())
        async with self._changing:
            user = await self._existing(caller.username)
            if not await self._matches(user, old):
                raise Denied(say("accounts.old_wrong"), authenticated=True)
            self._throttle.succeeded(caller.username, source)
            if new == old:
                raise Invalid(say("accounts.new_is_old"))
            _check_password(user.username, new)
            changed = replace(user, password_hash=await self._hash(new))
            await self._save(changed)
        return self._token(changed)

    async def audit_page(
        self, *, limit: int, before: int | None = None, user: str = "", action: str = ""
    ) -> Sequence[AuditEntry]:
        """What users did, newest first; `before` is the number of the last entry of the page before."""
        return await self._store.audit_page(limit=limit, before=before, user=user, action=action)

    async def _existing(self, username: str) -> User:
        user = await self._store.load_user(username)
        if user is None:
            raise NotFound(say("accounts.no_user", username=username[:64]))
        return user

    async def _keep_an_admin(self, leaving: User) -> None:
        if not _is_active_admin(leaving):
            return
        others = (found for found in await self._store.load_users() if found.username != leaving.username)
        if not any(_is_active_admin(found) for found in others):
            raise Conflict(say("accounts.last_admin", username=leaving.username))

    async def audit(self, caller: Caller, action: str, target: str, detail: Mapping[str, Any] | None = None) -> None:
        """Keeps who did what to whom; a failure is logged and stops nobody's work."""
        try:
            await self._store.add_audit(self._clock.utc(), caller.username, action, target, detail or {})
        except Gb28181Error as error:
            logger.error("audit not written", extra={"user": caller.username, "action": action, "reason": str(error)})

    def _claims(self, token: str) -> dict[str, Any]:
        if not token:
            raise Denied(say("accounts.log_in"))
        if len(token) > _LONGEST_TOKEN:
            raise Denied(say("accounts.token_malformed"))
        try:
            claims = jwt.decode(token, OctKey.import_key(self._key), algorithms=[_ALGORITHM]).claims
            expires = float(claims["exp"])
        except (JoseError, ValueError, KeyError, TypeError):
            raise Denied(say("accounts.token_foreign")) from None
        if self._clock.utc().timestamp() >= expires:
            raise Denied(say("accounts.login_expired"))
        return dict(claims)

    async def _user(self, username: str) -> User | None:
        at, user = self._known.get(username, (0.0, None))
        if user is None or time.monotonic() - at > _USER_CACHE_S:
            user = await self._store.load_user(username)
            if user is not None:
                self._remember(user)
        return user

    def _remember(self, user: User) -> None:
        if len(self._known) >= _USER_CACHE:
            self._known.clear()
        self._known[user.username] = (time.monotonic(), user)

    async def _save(self, user: User) -> None:
        await self._store.save_user(user)
        self._remember(user)

    def _fingerprint(self, user: User) -> str:
        return hmac.new(self._key, user.password_hash.encode(), hashlib.sha256).hexdigest()[:16]

    async def _stand_in(self) -> User:
        """Carries a hash of the present cost that no password has; made at the start, before anybody can measure it."""
        if self._nobody is None:
            self._nobody = User("", await self._hash(secrets.token_hex()), "viewer", disabled=True)
        return self._nobody

    async def _hash(self, password: str) -> str:
        async with self._hashing:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def _matches(self, user: User, password: str) -> bool:
        if self._waiting >= _HASHES_WAITING:
            raise Unavailable(say("accounts.logins_full"))
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(self._verify, user.password_hash, password[:_LONGEST_PASSWORD])
        finally:
            self._waiting -= 1

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except (VerificationError, InvalidHashError):
            return False
