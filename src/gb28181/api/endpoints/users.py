"""Users of the console and the API, and everybody's own password."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from gb28181.accounts.model import Role, User
from gb28181.api.endpoints.access import LoginAnswer
from gb28181.api.routing import Call, Model, Route, route
from gb28181.texts.text import say


def _readable(value: str) -> str:
    if not value.isprintable() or value != value.strip() or "/" in value:
        raise ValueError(say("accounts.user_name"))
    return value


Username = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_readable)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=1024)]


class UserView(Model):
    username: str
    role: Role
    disabled: bool


class UserList(Model):
    items: list[UserView]


class NewUser(Model):
    """`password`: at least 8 characters."""

    username: Username
    password: Password
    role: Role


class UserChange(Model):
    """What is given is changed. A new password or `disabled` ends every login of the user."""

    role: Role | None = None
    password: Password | None = None
    disabled: bool | None = None


class PasswordChange(Model):
    old: Password
    new: Password


@route("GET", "/users", right="administer", response=UserList)
async def list_users(call: Call[None, None]) -> UserList:
    """Lists all users by name."""
    return UserList(items=[_view(found) for found in await call.services.accounts.users()])


@route("POST", "/users", right="administer", request=NewUser, response=UserView, status=201, errors=(409,))
async def create_user(call: Call[None, NewUser]) -> UserView:
    """Adds a user."""
    body = call.body
    made = await call.services.accounts.create_user(body.username, body.password.get_secret_value(), body.role)
    await call.audit("user.create", made.username, role=made.role)
    return _view(made)


@route("PATCH", "/users/{username}", right="administer", request=UserChange, response=UserView, errors=(404, 409))
async def change_user(call: Call[None, UserChange]) -> UserView:
    """Changes role, password or whether a user may log in. The last administrator stays one."""
    body = call.body
    changed = await call.services.accounts.change_user(
        call.path["username"],
        role=body.role,
        password=None if body.password is None else body.password.get_secret_value(),
        disabled=body.disabled,
    )
    await call.audit(
        "user.change", changed.username, fields=sorted(body.model_fields_set), role=changed.role, disabled=changed.disabled
    )
    return _view(changed)


@route("DELETE", "/users/{username}", right="administer", errors=(404, 409))
async def delete_user(call: Call[None, None]) -> None:
    """Removes a user with every login. What was done stays in the audit; the last administrator cannot be removed."""
    await call.services.accounts.delete_user(call.path["username"])
    await call.audit("user.delete", call.path["username"])


@route("POST", "/password", right="view", request=PasswordChange, response=LoginAnswer, errors=(429,))
async def change_password(call: Call[None, PasswordChange]) -> LoginAnswer:
    """Gives yourself another password. Every login of yours ends, this one too; the answer holds a new one."""
    made = await call.services.accounts.change_own_password(
        call.caller, call.body.old.get_secret_value(), call.body.new.get_secret_value(), source=call.source
    )
    await call.audit("password.change", call.caller.username, source=call.source)
    return LoginAnswer(token=made.token, expires_at=made.expires_at, username=made.caller.username, role=made.caller.role)


def _view(user: User) -> UserView:
    return UserView(username=user.username, role=user.role, disabled=user.disabled)


ROUTES: tuple[Route, ...] = (list_users, create_user, change_user, delete_user, change_password)
