"""Who may use the console and the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Role = Literal["admin", "operator", "viewer"]


@dataclass(frozen=True, slots=True)
class User:
    """Args:
    password_hash: argon2id, encoded.
    """

    username: str
    password_hash: str = field(repr=False)
    role: Role
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes an API request."""

    username: str
    role: Role


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody did; never changed, removed only by its age.

    Args:
        target: What it was done to: a device, a channel, a user, an address.
    """

    number: int
    at: datetime
    username: str
    action: str
    target: str
    detail: Mapping[str, Any]
